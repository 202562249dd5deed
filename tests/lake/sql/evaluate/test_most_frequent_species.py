from lake_rows import frame, rows

from lake.query import answer


def most_frequent(*seen):
    """Ask of pairs of species and country."""
    train = [(f"t{number}", *pair) for number, pair in enumerate(seen)]
    frames = {"train_observations": frame("observation_id species_id country_code", *train)}
    return rows(answer(None, "evaluate/most_frequent_species", frames=frames))


def test_all_together_stand_first_and_then_each_country():
    found = most_frequent(("1", "NO"), ("1", "NO"), ("2", "NO"), ("2", "DK"), ("2", "SE"))
    assert found == [(None, "2", 3), ("DK", "2", 1), ("NO", "1", 2), ("SE", "2", 1)]


def test_an_observation_without_a_country_counts_among_all_and_is_no_country():
    assert most_frequent(("1", None), ("1", None), ("2", "NO")) == [(None, "1", 2), ("NO", "2", 1)]
    assert most_frequent(("1", None)) == [(None, "1", 1)]


def test_a_tie_goes_to_the_smaller_number_and_not_to_the_smaller_text():
    assert most_frequent(("10", "NO"), ("9", "NO")) == [(None, "9", 1), ("NO", "9", 1)]


def test_a_tie_of_names_goes_to_the_first_in_the_alphabet_and_numbers_come_before_names():
    assert most_frequent(("viper", "NO"), ("adder", "NO"))[0] == (None, "adder", 1)
    assert most_frequent(("adder", "NO"), ("9", "NO"))[0] == (None, "9", 1)


def test_two_spellings_of_one_number_are_two_species_and_their_tie_is_decided():
    assert most_frequent(("7", "NO"), ("07", "NO"))[0] == most_frequent(("07", "NO"), ("7", "NO"))[0] == (None, "07", 1)
