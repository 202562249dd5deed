import random

import pytest
from lake_rows import frame, rows
from sklearn.metrics import precision_recall_fscore_support

from lake import species_scores as module
from lake.errors import LakeError
from lake.query import answer

SPECIES = [f"s{number}" for number in range(9)]


def table(truth, answers, train_counts=()):
    """Score a truth of observation -> species against answers of observation -> species."""
    return module.species_scores(
        frame("observation_id species_id", *answers.items()),
        frame("observation_id species_id", *truth.items()),
        frame("species_id train_count", *train_counts),
    )


def scores(truth, answers, columns, **options):
    return {row[0]: row[1:] for row in rows(table(truth, answers, **options), f"species_id {columns}")}


TRUTH = {"o1": "s1", "o2": "s1", "o3": "s1", "o4": "s2"}
ANSWERS = {"o1": "s1", "o2": "s2", "o3": "s2", "o4": "s3"}


def test_a_species_is_counted_where_it_is_true_and_where_it_is_answered():
    found = scores(TRUTH, ANSWERS, "support predicted true_positives")
    assert found == {"s1": (3, 1, 1), "s2": (1, 2, 0), "s3": (0, 1, 0)}


def test_precision_is_null_where_nothing_was_predicted_and_recall_where_nothing_is_true():
    found = scores({"o1": "s1", "o2": "s2", "o3": "s2"}, {"o1": "s3", "o2": "s2"}, "precision recall f1")
    assert found == {
        "s1": (None, 0, 0),
        "s2": (1, 0.5, pytest.approx(2 / 3)),
        "s3": (0, None, 0),
    }


def test_a_species_is_confused_with_its_most_frequent_wrong_answer():
    assert scores(TRUTH, ANSWERS, "confused_with confused_count") == {
        "s1": ("s2", 2),
        "s2": ("s3", 1),
        "s3": (None, 0),
    }


def test_of_two_wrong_answers_as_frequent_the_smaller_id_is_shown():
    truth = {"o1": "s1", "o2": "s1"}
    assert scores(truth, {"o1": "s3", "o2": "s2"}, "confused_with confused_count")["s1"] == ("s2", 1)


def test_an_observation_without_an_answer_is_a_miss_and_no_confusion():
    found = scores({"o1": "s1", "o2": "s1"}, {"o1": "s1"}, "support recall confused_with")
    assert found == {"s1": (2, 0.5, None)}


def test_answers_to_observations_without_truth_are_not_scored():
    assert table(TRUTH, {**ANSWERS, "o9": "s1"}) == table(TRUTH, ANSWERS)


def test_a_species_that_training_never_saw_has_a_train_count_of_zero():
    # s9 is neither true nor answered: there is nothing to say of it
    found = scores(TRUTH, ANSWERS, "train_count", train_counts=[("s1", 40), ("s2", 7), ("s9", 1)])
    assert found == {"s1": (40,), "s2": (7,), "s3": (0,)}


def random_case(seed):
    chance = random.Random(seed)
    # Some species are common and some rare, some answers right.
    truth = {f"o{number}": SPECIES[min(chance.randrange(9), chance.randrange(9))] for number in range(300)}
    answers = {one: true if chance.random() < 0.4 else chance.choice(SPECIES[2:]) for one, true in truth.items()}
    return truth, answers


@pytest.mark.parametrize("seed", range(3))
def test_the_scores_are_those_of_scikit_learn(seed):
    truth, answers = random_case(seed)
    true, answered = list(truth.values()), [answers[one] for one in truth]
    named = sorted({*true, *answered})
    expected = zip(*precision_recall_fscore_support(true, answered, labels=named, zero_division=0), strict=True)
    found = scores(truth, answers, "precision recall f1 support")
    assert list(found) == named
    for species_id, reference in zip(named, expected, strict=True):
        assert [score or 0 for score in found[species_id]] == pytest.approx(list(reference), abs=1e-9)


def test_the_mean_of_their_f1_is_macro_f1():
    truth, answers = random_case(7)
    ranked = frame("observation_id species_id rank", *[(*one, 1) for one in answers.items()])
    frames = {"truth": frame("observation_id species_id", *truth.items()), "answers": ranked}
    metrics = dict(rows(answer(None, "evaluate/single_label_metrics", frames=frames)))
    f1 = [each for (each,) in scores(truth, answers, "f1").values()]
    assert sum(f1) / len(f1) == pytest.approx(metrics["macro_f1"], abs=1e-9)


def test_runners_up_and_quadrats_are_refused():
    one = frame("observation_id species_id probability", ("o1", "s1", 0.9), ("o2", "s1", 0.9))
    two = frame("observation_id species_id probability", ("o1", "s1", 0.9), ("o1", "s2", 0.1), ("o2", "s1", 0.9))
    counts = frame("species_id train_count")
    with pytest.raises(LakeError, match=r"need one answer for each observation, but 1 of 2 have more, .* 'o1' has 2"):
        module.species_scores(two, one, counts)
    with pytest.raises(LakeError, match="need one true species for each observation, but 1 of 2 have more"):
        module.species_scores(one, two, counts)
    with pytest.raises(LakeError, match="need one answer"):
        module.confusions(two, one, limit=9)
    with pytest.raises(LakeError, match="need one true species"):
        module.confusions(one, two, limit=9)
