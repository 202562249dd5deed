import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from lake_rows import frame, rows
from sklearn.metrics import f1_score
from sklearn.preprocessing import MultiLabelBinarizer

from lake.query import answer

SPECIES = [f"s{number}" for number in range(6)]


def metrics(truth, answers, runners_up=()):
    """Score a truth of observation -> species against answers of observation -> species."""
    answered = [(observation, one, True) for observation, found in answers.items() for one in sorted(found)]
    frames = {
        "truth": frame("observation_id species_id", *((key, one) for key, there in truth.items() for one in there)),
        "answers": frame("observation_id species_id is_answer", *answered, *runners_up),
    }
    return dict(rows(answer(None, "evaluate/multi_label_metrics", frames=frames)))


def reference(truth, answers):
    true, found = list(truth.values()), [answers.get(observation, set()) for observation in truth]
    # One species alone would be no multi-label problem to scikit-learn: a column for none stands beside it, uncounted.
    columns = MultiLabelBinarizer().fit([*true, *found, {"z"}])
    y_true, y_found = columns.transform(true), columns.transform(found)
    counted = range(len(columns.classes_) - 1)
    averages = {"macro_f1_per_observation": "samples", "macro_f1_per_species": "macro", "micro_f1": "micro"}
    return {
        metric: f1_score(y_true, y_found, labels=counted, average=average, zero_division=0)
        for metric, average in averages.items()
    }


observations = st.integers(0, 8).map("o{}".format)
truths = st.dictionaries(observations, st.sets(st.sampled_from(SPECIES), min_size=1), min_size=1)
answers_given = st.dictionaries(observations, st.sets(st.sampled_from(SPECIES)))


@settings(max_examples=20, deadline=None)
@given(truths, answers_given)
def test_the_metrics_are_those_of_scikit_learn(truth, answers):
    assert metrics(truth, answers) == pytest.approx(reference(truth, answers), abs=1e-9)


@pytest.mark.parametrize("seed", range(3))
def test_the_metrics_of_many_observations_are_those_of_scikit_learn(seed):
    chance = random.Random(seed)
    truth = {f"q{number}": set(chance.sample(SPECIES, chance.randrange(1, 5))) for number in range(100)}
    answers = {one: set(chance.sample(SPECIES, chance.randrange(6))) for one in truth}
    answers |= {one: set(truth[one]) for one in truth if chance.random() < 0.3}
    assert metrics(truth, answers) == pytest.approx(reference(truth, answers), abs=1e-9)


def test_an_observation_without_an_answer_is_a_miss():
    assert metrics({"q1": {"s1"}, "q2": {"s1"}}, {"q1": {"s1"}})["macro_f1_per_observation"] == 0.5


def test_one_species_that_is_always_right_scores_one():
    assert set(metrics({"q1": {"s1"}, "q2": {"s1"}}, {"q1": {"s1"}, "q2": {"s1"}}).values()) == {1.0}


def test_a_large_quadrat_weighs_as_much_as_a_small_one():
    truth = {"q1": {"s1"}, "q2": {"s2", "s3", "s4"}}
    assert metrics(truth, {"q1": {"s1"}})["macro_f1_per_observation"] == 0.5
    assert metrics(truth, {"q2": {"s2", "s3", "s4"}})["macro_f1_per_observation"] == 0.5


def test_runners_up_are_no_part_of_the_answer():
    alone = metrics({"q1": {"s1"}}, {"q1": {"s1"}})
    assert metrics({"q1": {"s1"}}, {"q1": {"s1"}}, runners_up=[("q1", "s2", False)]) == alone


def test_answers_to_observations_without_truth_are_not_scored():
    alone = metrics({"q1": {"s1"}}, {"q1": {"s1"}})
    assert metrics({"q1": {"s1"}}, {"q1": {"s1"}, "q9": {"s2"}}) == alone
