from lake_rows import frame
from review_rows import answers, found, probabilities


def doubted(*given, labelled=("s1",), reviewed=()):
    """Return the doubted labels of one observation by answers (species_id, probability)."""
    frames = {
        "answers": answers(*(("o1", species) for species, _ in given), ("o1", "s3", False)),
        "probabilities": probabilities(*(("o1", *one) for one in given)),
        "current_labels": frame("observation_id species_id", *(("o1", species) for species in labelled)),
        "reviewed_observations": frame("observation_id", *((one,) for one in reviewed)),
    }
    return found("doubted_labels", frames, "observation_id reason weight detail", sure=0.9)


def test_a_sure_answer_that_is_not_the_label_doubts_it():
    assert doubted(("s2", 0.9375)) == [("o1", "label_doubted", 0.9375, "labelled Poa, answered Bellis 0.94")]


def test_a_right_answer_and_an_unsure_one_doubt_nothing():
    assert doubted(("s1", 1.0)) == []
    assert doubted(("s2", 0.89)) == []


def test_an_observation_without_a_label_has_none_to_doubt():
    assert doubted(("s2", 1.0), labelled=()) == []


def test_a_label_that_a_review_has_confirmed_is_not_doubted_again():
    assert doubted(("s2", 1.0), reviewed=("o1",)) == []


def test_of_a_quadrat_each_sure_species_that_is_not_labelled_counts():
    found = doubted(("s1", 1.0), ("s2", 0.9375), ("s9", 1.0), labelled=("s1", "s3"))
    assert found == [("o1", "label_doubted", 1.0, "labelled Poa + Viola, answered Bellis 0.94, s9 1.00")]
