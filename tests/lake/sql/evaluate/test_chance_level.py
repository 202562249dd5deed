import pytest
from lake_rows import frame, rows

from lake.query import answer


def chance(truth, answers, species_count):
    frames = {
        "truth": frame("observation_id species_id", *truth),
        "answers": frame("observation_id species_id is_answer", *answers),
    }
    return dict(rows(answer(None, "evaluate/chance_level", frames=frames, species_count=species_count)))


def test_one_blind_guess_among_ten_species_hits_once_in_ten():
    found = chance([("o1", "s1")], [("o1", "s2", True)], species_count=10)
    assert found["accuracy"] == pytest.approx(0.1)
    assert found["top5_accuracy"] == pytest.approx(0.5)


def test_five_guesses_among_fewer_species_cannot_miss():
    assert chance([("o1", "s1")], [("o1", "s1", True)], species_count=3)["top5_accuracy"] == 1


def test_answers_of_the_same_sizes_drawn_blindly_share_the_mean_number_of_species():
    # o1: 2 true, 1 answered of 10: 0.2 shared, F1 2 * 0.2 / 3; o2: nothing answered
    found = chance([("o1", "s1"), ("o1", "s2"), ("o2", "s1")], [("o1", "s3", True)], species_count=10)
    assert found["macro_f1_per_observation"] == pytest.approx((0.4 / 3 + 0) / 2)
    assert found["micro_f1"] == pytest.approx(2 * 0.2 / 4)


def test_runners_up_are_no_part_of_the_answer():
    alone = chance([("o1", "s1")], [("o1", "s1", True)], species_count=10)
    assert chance([("o1", "s1")], [("o1", "s1", True), ("o1", "s2", False)], species_count=10) == alone
