import random

import pytest
from lake_rows import frame, rows
from sklearn.metrics import precision_recall_fscore_support
from sklearn.preprocessing import MultiLabelBinarizer

from lake.query import answer

SPECIES = [f"s{number}" for number in range(9)]


def species_f1(truth, answers, columns="support predicted true_positives precision recall f1", runners_up=()):
    """Score a truth of observation -> species against answers of observation -> species."""
    answered = [(observation, one, True) for observation, found in answers.items() for one in sorted(found)]
    frames = {
        "truth": frame("observation_id species_id", *((key, one) for key, there in truth.items() for one in there)),
        "answers": frame("observation_id species_id is_answer", *answered, *runners_up),
    }
    found = answer(None, "evaluate/species_f1", frames=frames)
    return {row[0]: row[1:] for row in rows(found, f"species_id {columns}")}


def test_a_species_is_counted_where_it_is_true_and_where_it_is_answered():
    found = species_f1({"q1": {"s1", "s2"}, "q2": {"s1"}}, {"q1": {"s1", "s3"}, "q2": {"s2"}})
    assert found == {
        "s1": (2, 1, 1, 1, 0.5, pytest.approx(2 / 3)),
        "s2": (1, 1, 0, 0, 0, 0),
        "s3": (0, 1, 0, 0, None, 0),
    }


def test_precision_is_null_where_nothing_was_answered():
    assert species_f1({"q1": {"s1"}}, {}) == {"s1": (1, 0, 0, None, 0, 0)}


def test_answers_to_observations_without_truth_and_runners_up_are_not_counted():
    alone = species_f1({"q1": {"s1"}}, {"q1": {"s1"}})
    assert species_f1({"q1": {"s1"}}, {"q1": {"s1"}, "q9": {"s1"}}, runners_up=[("q1", "s2", False)]) == alone


@pytest.mark.parametrize("seed", range(3))
def test_the_scores_are_those_of_scikit_learn(seed):
    chance = random.Random(seed)
    truth = {f"q{number}": set(chance.sample(SPECIES, chance.randrange(1, 5))) for number in range(60)}
    answers = {one: set(chance.sample(SPECIES, chance.randrange(6))) for one in truth}
    columns = MultiLabelBinarizer().fit([SPECIES])
    true, answered = columns.transform(truth.values()), columns.transform([answers[one] for one in truth])
    expected = zip(*precision_recall_fscore_support(true, answered, zero_division=0), strict=True)
    found = species_f1(truth, answers, "precision recall f1 support")
    assert list(found) == SPECIES
    for species_id, reference in zip(SPECIES, expected, strict=True):
        assert [score or 0 for score in found[species_id]] == pytest.approx(list(reference), abs=1e-9)
