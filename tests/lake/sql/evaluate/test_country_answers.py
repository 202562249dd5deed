from lake_rows import frame, rows

from lake.query import answer


def answers(asked, most_frequent, fallback):
    frames = {
        "asked_observations": frame("observation_id country_code", *asked),
        "most_frequent_species": frame("country_code species_id", *most_frequent),
    }
    return rows(answer(None, "evaluate/country_answers", frames=frames, fallback=fallback))


def test_an_observation_is_answered_with_the_species_of_its_country():
    asked = [("o2", "DK"), ("o1", "NO")]
    assert answers(asked, [("DK", "s1"), ("NO", "s2")], fallback="s9") == [("o1", "s2"), ("o2", "s1")]


def test_a_country_that_nobody_knows_and_no_country_at_all_get_the_fallback():
    # the species of all together, under no country, is not that of observations without one
    asked, most_frequent = [("o1", "FI"), ("o2", None)], [(None, "s1"), ("DK", "s2")]
    assert answers(asked, most_frequent, fallback="s9") == [("o1", "s9"), ("o2", "s9")]
