from review_rows import answers, counts, found


def rare(*given, learnt):
    frames = {"answers": answers(*given), "train_counts": counts("species_id train_count", *learnt)}
    return found("rarely_learnt_species", frames, "observation_id reason weight detail", few=5)


def test_a_species_that_was_learnt_from_few_observations_asks_for_a_look():
    found = rare(("o1", "s1"), ("o2", "s2"), learnt=[("s1", 1), ("s2", 5)])
    assert found == [("o1", "new_species", 0.8, "training observations of Poa: 1")]


def test_a_species_that_was_never_learnt_counts_as_none():
    assert rare(("o1", "s9"), learnt=[("s1", 9)]) == [("o1", "new_species", 1.0, "training observations of s9: 0")]


def test_a_runner_up_asks_for_nothing():
    assert rare(("o1", "s1"), ("o1", "s2", False), learnt=[("s1", 9), ("s2", 1)]) == []


def test_of_several_answers_the_rarest_weighs_and_all_are_named():
    found = rare(("o1", "s1"), ("o1", "s2"), ("o1", "s3"), learnt=[("s1", 3), ("s2", 2), ("s3", 9)])
    assert found == [("o1", "new_species", 0.6, "training observations of Poa: 3, training observations of Bellis: 2")]
