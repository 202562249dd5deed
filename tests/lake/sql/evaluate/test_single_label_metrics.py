import random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from lake_rows import frame, rows
from sklearn.metrics import accuracy_score, f1_score, top_k_accuracy_score

from lake.query import answer

SPECIES = [f"s{number}" for number in range(9)]


def metrics(truth, answers):
    """Score a truth of observation -> species against answers of observation -> species, best first."""
    ranked = [
        (observation, species, rank)
        for observation, candidates in answers.items()
        for rank, species in enumerate(candidates, start=1)
    ]
    frames = {
        "truth": frame("observation_id species_id", *truth.items()),
        "answers": frame("observation_id species_id rank", *ranked),
    }
    return dict(rows(answer(None, "evaluate/single_label_metrics", frames=frames)))


def reference(truth, answers):
    """Score the same with scikit-learn; an observation without an answer is answered by a class that is none."""
    true = list(truth.values())
    given_first = [(answers.get(observation) or ["no answer"])[0] for observation in truth]
    known = sorted((set(true) | set(given_first)) - {"no answer"})
    # Classes beyond the candidates must not come into the best five by being tied with the true one.
    others = [f"z{number}" for number in range(5)]
    classes = [*SPECIES, *others]
    scores = np.zeros((len(truth), len(classes)))
    scores[:, len(SPECIES) :] = 0.5
    for row, observation in enumerate(truth):
        for rank, species in enumerate(answers.get(observation, ()), start=1):
            scores[row, classes.index(species)] = 100 - rank
    return {
        "accuracy": accuracy_score(true, given_first),
        "top5_accuracy": top_k_accuracy_score(true, scores, k=5, labels=classes),
        "macro_f1": f1_score(true, given_first, labels=known, average="macro", zero_division=0),
        "weighted_f1": f1_score(true, given_first, labels=known, average="weighted", zero_division=0),
    }


observations = st.integers(0, 12).map("o{}".format)
truths = st.dictionaries(observations, st.sampled_from(SPECIES), min_size=1)
answers_given = st.dictionaries(observations, st.lists(st.sampled_from(SPECIES), unique=True, max_size=7))


@settings(max_examples=20, deadline=None)
@given(truths, answers_given)
def test_the_metrics_are_those_of_scikit_learn(truth, answers):
    assert metrics(truth, answers) == pytest.approx(reference(truth, answers), abs=1e-9)


@pytest.mark.parametrize("seed", range(3))
def test_the_metrics_of_many_observations_are_those_of_scikit_learn(seed):
    chance = random.Random(seed)
    # Some species are common and some rare, some answers right and some missing.
    truth = {f"o{number}": SPECIES[min(chance.randrange(9), chance.randrange(9))] for number in range(200)}
    answers = {one: chance.sample(SPECIES, chance.randrange(8)) for one in truth}
    answers |= {one: [truth[one]] for one in truth if chance.random() < 0.4}
    assert metrics(truth, answers) == pytest.approx(reference(truth, answers), abs=1e-9)


def test_an_observation_without_an_answer_is_a_miss():
    assert metrics({"o1": "s1", "o2": "s1"}, {"o1": ["s1"]})["accuracy"] == 0.5


def test_the_fifth_candidate_is_among_five_and_the_sixth_is_not():
    candidates = ["s1", "s2", "s3", "s4", "s5", "s6"]
    assert metrics({"o1": "s5"}, {"o1": candidates})["top5_accuracy"] == 1
    assert metrics({"o1": "s6"}, {"o1": candidates})["top5_accuracy"] == 0


def test_one_species_that_is_always_right_scores_one():
    assert set(metrics({"o1": "s1", "o2": "s1"}, {"o1": ["s1"], "o2": ["s1"]}).values()) == {1.0}


def test_a_species_that_is_only_answered_counts_in_macro_f1():
    # s2 is never true: its F1 is 0, and the mean is over both
    assert metrics({"o1": "s1", "o2": "s1"}, {"o1": ["s1"], "o2": ["s2"]})["macro_f1"] == pytest.approx((2 / 3 + 0) / 2)


def test_answers_to_observations_without_truth_are_not_scored():
    assert metrics({"o1": "s1"}, {"o1": ["s1"], "o9": ["s2"]}) == metrics({"o1": "s1"}, {"o1": ["s1"]})
