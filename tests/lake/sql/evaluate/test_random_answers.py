from collections import Counter

from lake_rows import frame, rows

from lake.query import answer


def draws(species_ids, observation_ids, seed=0):
    train = [(f"t{number}", species_id) for number, species_id in enumerate(species_ids)]
    frames = {
        "train_observations": frame("observation_id species_id", *train),
        "asked_observations": frame("observation_id", *[(one,) for one in observation_ids]),
    }
    return dict(rows(answer(None, "evaluate/random_answers", frames=frames, seed=seed)))


def test_an_observation_draws_alike_in_any_company_and_order():
    together = draws(["s1", "s2", "s3"], ["o1", "o2", "o3", "o4"])
    assert draws(["s3", "s1", "s2"], ["o4", "o2"]) == {"o2": together["o2"], "o4": together["o4"]}


def test_the_draw_is_the_same_on_every_machine_and_in_every_year():
    assert draws(["s1", "s2", "s3"], ["o1", "o2", "o3", "o4"]) == {"o1": "s3", "o2": "s2", "o3": "s3", "o4": "s3"}


def test_each_species_is_drawn_as_often_however_common_it_is():
    # 4,000 draws of one in four: a count strays from 1,000 by 27 in the mean
    found = Counter(draws(["s1"] * 50 + ["s2", "s3", "s4"], [f"o{number}" for number in range(4000)]).values())
    assert set(found) == {"s1", "s2", "s3", "s4"}
    assert all(abs(count - 1000) < 110 for count in found.values())


def test_another_seed_draws_independently():
    asked = [f"o{number}" for number in range(1000)]
    one, other = draws(["s1", "s2"], asked, seed=0), draws(["s1", "s2"], asked, seed=1)
    assert abs(sum(one[each] == other[each] for each in asked) - 500) < 70
