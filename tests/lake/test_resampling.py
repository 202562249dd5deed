import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from lake_rows import frame
from sklearn.metrics import accuracy_score, f1_score, precision_score, recall_score

from lake import resampling
from lake.query import session
from lake.resampling import Estimate, Resamples

SPECIES_COUNT = 7  # that a model knows; the species of the tests are up to 9, so that some are not known
LABELS = range(9)


def values(found):
    return {metric: estimate.value for metric, estimate in found.items()}


def asked(questions, **frames):
    """Answer questions (name, params) one after the other, the species' F1 first."""
    metrics = {}
    with session(None, frames=frames) as ask:
        ask.show("species_f1", ask.answer("evaluate/species_f1"))
        ask.show("observation_f1", ask.answer("evaluate/observation_f1"))
        for name, params in questions.items():
            metrics |= {row["metric"]: row["value"] for row in ask.answer(f"evaluate/{name}", **params).to_pylist()}
    return metrics


def pairs_of(truth, answers):
    """Return the pairs of sets of species, one set for each observation, as arrays."""
    pairs = [(one, species) for one, (a, b) in enumerate(zip(truth, answers, strict=True)) for species in sorted(a | b)]
    observation, species = np.array(pairs).T
    is_true, is_answered = (np.array([species in side[one] for one, species in pairs]) for side in (truth, answers))
    return observation, species, is_true, is_answered


def many_by_sql(truth, answers, transects):
    rows = {"truth": [], "answers": []}
    for one, (there, found) in enumerate(zip(truth, answers, strict=True)):
        rows["truth"] += [(f"q{one}", f"s{species}") for species in there]
        rows["answers"] += [(f"q{one}", f"s{species}", True) for species in found]
    return asked(
        {
            "multi_label_metrics": {},
            "class_set_metrics": {"species_count": SPECIES_COUNT},
            "precision_and_recall": {},
            "transect_metrics": {"unit": "transect"},
        },
        truth=frame("observation_id species_id", *rows["truth"]),
        answers=frame("observation_id species_id is_answer", *rows["answers"]),
        facts=frame(
            "observation_id transect base_quadrat site",
            *[(f"q{one}", f"t{transect}", None, None) for one, transect in enumerate(transects)],
        ),
    )


def many_by_scikit_learn(truth, answers, transects):
    def columns(sets, labels):
        return np.array([[species in one for species in labels] for one in sets], dtype=int)

    def f1(labels, average):
        # One species alone would be no multi-label problem to scikit-learn: an empty column stands beside it.
        wide = [*labels, "none"]
        counted = list(range(len(labels)))
        return f1_score(columns(truth, wide), columns(answers, wide), labels=counted, average=average, zero_division=0)

    seen, there = sorted(set().union(*truth, *answers)), sorted(set().union(*truth))
    everything = columns(truth, LABELS), columns(answers, LABELS)
    alone = [f1_score(*(side[[one]] for side in everything), average="samples") for one in range(len(truth))]
    of_transect = {key: [f1 for f1, at in zip(alone, transects, strict=True) if at == key] for key in transects}
    return {
        "macro_f1_per_observation": f1(LABELS, "samples"),
        "macro_f1_per_species": f1(seen, "macro"),
        "macro_f1_per_true_species": f1(there, "macro"),
        "macro_f1_per_known_species": f1(seen, "macro") * len(seen) / max(SPECIES_COUNT, len(seen)),
        "micro_f1": f1(LABELS, "micro"),
        "precision": precision_score(*everything, average="micro", zero_division=0),
        "recall": recall_score(*everything, average="micro"),
        "mean_species": np.mean([len(one) for one in answers]),
        "macro_f1_per_transect": np.mean([np.mean(each) for each in of_transect.values()]),
    }


some_species = st.sets(st.sampled_from(LABELS), max_size=6)
quadrats = st.lists(
    st.tuples(some_species.filter(bool), some_species, st.integers(0, 3)).map(
        lambda one: (one[0], one[1] | one[0] if one[2] == 0 else one[1], one[2])
    ),
    min_size=1,
    max_size=15,
)


@settings(max_examples=15, deadline=None)
@given(quadrats)
def test_arrays_questions_and_scikit_learn_agree_on_answers_of_many_species(observations):
    truth, answers, transects = zip(*observations, strict=True)
    units = Resamples(np.unique(transects, return_inverse=True)[1], count=2)
    draws = Resamples.of_observations(len(truth), count=2)
    found = values(resampling.many_species(*pairs_of(truth, answers), SPECIES_COUNT, draws, units))
    assert found == pytest.approx(many_by_sql(truth, answers, transects), abs=1e-9)
    assert found == pytest.approx(many_by_scikit_learn(truth, answers, transects), abs=1e-9)


VENOMOUS = np.array([species in {1, 2, 5, 8} for species in LABELS])


def one_by_sql(true, candidates):
    ids = [f"o{number}" for number in range(len(true))]
    given_answers = [
        (one, f"s{species}", rank, rank == 1)
        for one, ranked in zip(ids, candidates, strict=True)
        for rank, species in enumerate(ranked, start=1)
    ]
    frames = {
        "truth": frame("observation_id species_id", *[(one, f"s{key}") for one, key in zip(ids, true, strict=True)]),
        "answers": frame("observation_id species_id rank is_answer", *given_answers),
        "current_species": frame("species_id is_venomous", *[(f"s{key}", bool(VENOMOUS[key])) for key in LABELS]),
    }
    metrics = asked(
        {
            "single_label_metrics": {},
            "top10_accuracy": {},
            "class_set_metrics": {"species_count": SPECIES_COUNT},
        },
        **frames,
    )
    return metrics | asked({"venomous_tracks": {"macro_f1": metrics["macro_f1"]}}, **frames)


def one_by_scikit_learn(true, candidates):
    """Score the same; an observation without an answer is answered by a class that is none."""
    first = [ranked[0] if ranked else -1 for ranked in candidates]
    seen, there = sorted({*true, *first} - {-1}), sorted(set(true))

    def f1(labels, average):
        return f1_score(true, first, labels=labels, average=average, zero_division=0)

    def in_top(most):
        return np.mean([one in ranked[:most] for one, ranked in zip(true, candidates, strict=True)])

    return {
        "accuracy": accuracy_score(true, first),
        "top5_accuracy": in_top(5),
        "top10_accuracy": in_top(10),
        "macro_f1": f1(seen, "macro"),
        "macro_f1_per_true_species": f1(there, "macro"),
        "macro_f1_per_known_species": f1(seen, "macro") * len(seen) / max(SPECIES_COUNT, len(seen)),
        "weighted_f1": f1(seen, "weighted"),
        **official_tracks(true, first, f1(seen, "macro")),
    }


def official_tracks(true, answered, macro_f1):
    """The contest's formula, one observation at a time; -1 is no species and not venomous."""
    counts = dict.fromkeys(("h", "v", "hh", "hv", "vh", "vv"), 0)
    for one, other in zip(true, answered, strict=True):
        of_true = "v" if VENOMOUS[one] else "h"
        of_answer = "v" if other != -1 and VENOMOUS[other] else "h"
        counts[of_true] += 1
        counts[of_true + of_answer] += one != other
    cost = counts["hh"] + 2 * counts["hv"] + 5 * counts["vh"] + 2 * counts["vv"]
    if not counts["h"] or not counts["v"]:
        return {"snakeclef_track2": cost}
    percent = {key: np.round(counts[key] / counts[key[0]] * 100, 2) for key in ("hh", "hv", "vh", "vv")}
    kept = (
        np.round(macro_f1 * 100, 2)
        + (100 - percent["hh"])
        + 2 * (100 - percent["hv"])
        + 5 * (100 - percent["vh"])
        + 2 * (100 - percent["vv"])
    )
    return {"snakeclef_track1": np.round(kept / 11, 2), "snakeclef_track2": cost}


def ranks_of(true, candidates):
    answered = [ranked[0] if ranked else -1 for ranked in candidates]
    ranks = [ranked.index(one) + 1 if one in ranked else 0 for one, ranked in zip(true, candidates, strict=True)]
    return np.array(true), np.array(answered), np.array(ranks)


snakes = st.lists(
    st.tuples(st.sampled_from(LABELS), st.lists(st.sampled_from(LABELS), unique=True, max_size=9), st.booleans()).map(
        lambda one: (one[0], [one[0], *(other for other in one[1] if other != one[0])] if one[2] else one[1])
    ),
    min_size=1,
    max_size=30,
)


@settings(max_examples=15, deadline=None)
@given(snakes)
def test_arrays_questions_scikit_learn_and_the_contest_agree_on_answers_of_one_species(observations):
    true, candidates = zip(*observations, strict=True)
    draws = Resamples.of_observations(len(true), count=2)
    found = values(resampling.one_species(*ranks_of(true, candidates), SPECIES_COUNT, draws, VENOMOUS))
    assert found == pytest.approx(one_by_sql(true, candidates), abs=1e-9)
    assert found == pytest.approx(one_by_scikit_learn(true, candidates), abs=1e-9)


def repeated(draws, column):
    """Return the observations of a resample, each as often as it was drawn."""
    times = []
    draws.of_observations_drawn(lambda weights: times.append(weights) or {"none": np.ones(weights.shape[1])})
    return np.repeat(np.arange(len(draws.unit_of)), np.concatenate(times, axis=1)[:, column].astype(int))


@pytest.mark.parametrize("units", [np.arange(12), np.array([2, 2, 0, 1, 1, 0, 3, 3, 3, 0, 1, 4])])
def test_a_metric_in_a_resample_is_that_of_the_observations_drawn(units):
    chance = np.random.default_rng(3)
    truth = [set(chance.integers(0, 9, 3).tolist()) for _ in range(12)]
    answers = [set(chance.integers(0, 9, 3).tolist()) | set(list(one)[:1]) for one in truth]
    draws = Resamples(units, count=6, seed=1)
    found = resampling.many_species(*pairs_of(truth, answers), SPECIES_COUNT, draws)
    for column in range(6):
        drawn = repeated(draws, column + 1)
        expected = many_by_scikit_learn([truth[one] for one in drawn], [answers[one] for one in drawn], drawn)
        del expected["macro_f1_per_transect"]
        resampled = {metric: estimate.resampled[column] for metric, estimate in found.items()}
        assert resampled == pytest.approx(expected, abs=1e-9)


def test_the_tracks_in_a_resample_are_rounded_as_the_contest_rounds():
    chance = np.random.default_rng(4)
    true = chance.integers(0, 9, 60)
    candidates = [[one] if chance.random() < 0.5 else [int(chance.integers(0, 9))] for one in true.tolist()]
    draws = Resamples.of_observations(60, count=6)
    found = resampling.one_species(*ranks_of(true.tolist(), candidates), SPECIES_COUNT, draws, VENOMOUS)
    for column in range(6):
        drawn = repeated(draws, column + 1).tolist()
        expected = one_by_scikit_learn([int(true[one]) for one in drawn], [candidates[one] for one in drawn])
        resampled = {metric: estimate.resampled[column] for metric, estimate in found.items()}
        assert resampled == pytest.approx(expected, abs=1e-9)


def test_a_transect_that_is_drawn_twice_counts_twice():
    transects = Resamples(np.array([0, 0, 1]), count=40)
    pairs = pairs_of([{1}, {1}, {1}], [{1}, {2}, {1}])
    found = resampling.many_species(*pairs, 3, Resamples.of_observations(3), transects)["macro_f1_per_transect"]
    assert found.value == 0.75
    # both times the first, both times the second, or each once
    assert set(found.resampled.tolist()) == {0.5, 1.0, 0.75}


def test_quadrats_of_a_transect_are_drawn_together():
    draws = Resamples(np.array([0, 0, 1, 1, 1]), count=20)
    for column in range(20):
        drawn = repeated(draws, column).tolist()
        assert drawn.count(0) == drawn.count(1)
        assert drawn.count(2) == drawn.count(3) == drawn.count(4)


def test_as_many_units_are_drawn_as_there_are_and_blocks_do_not_show():
    few, many = Resamples.of_observations(3000, count=40, seed=5), Resamples.of_observations(3000, count=400, seed=5)
    sizes = many.of_observations_drawn(lambda weights: {"drawn": weights.sum(axis=0)})["drawn"]
    assert sizes.value == 3000
    assert set(sizes.resampled.tolist()) == {3000}
    assert repeated(few, 7).tolist() == repeated(many, 7).tolist()
    assert repeated(many, 0).tolist() == list(range(3000))


def accuracy_of(is_right, seed=0):
    true = np.zeros(len(is_right), int)
    answered = np.where(is_right, 0, 1)
    draws = Resamples.of_observations(len(true), seed=seed)
    return resampling.one_species(true, answered, np.where(is_right, 1, 0), 2, draws)["accuracy"]


def test_the_range_of_a_share_is_as_wide_as_its_standard_error_says():
    is_right = np.arange(400) % 4 == 0
    found = accuracy_of(is_right)
    error = 1.96 * np.sqrt(0.25 * 0.75 / 400)
    assert (found.low, found.high) == pytest.approx((0.25 - error, 0.25 + error), abs=0.006)


def test_the_range_of_macro_f1_holds_its_value_though_resamples_hold_fewer_species():
    # Each species is seen once: of the 400 that are known a resample holds two thirds.
    true = np.arange(400)
    answered = np.where(true % 2 == 0, true, 0)
    draws = Resamples.of_observations(400)
    found = resampling.one_species(true, answered, (answered == true).astype(int), 400, draws)
    estimate = found["macro_f1_per_known_species"]
    assert estimate.resampled.max() < estimate.value
    assert estimate.low < estimate.value < estimate.high


def test_the_range_stays_where_the_score_can_be():
    assert Estimate(0.99, np.array([0.5, 0.6, 0.9])).high == 1
    assert Estimate(0.01, np.array([0.5, 0.8, 0.9])).low == 0
    sure = accuracy_of(np.ones(9, bool))
    assert (sure.low, sure.high) == (1, 1)


def test_of_fewer_than_two_units_there_is_no_range():
    draws = Resamples.of_observations(1)
    one = resampling.one_species(np.zeros(1, int), np.zeros(1, int), np.ones(1, int), 1, draws)["accuracy"]
    assert (one.value, one.low, one.high, one.is_real) == (1, None, None, False)
    assert one.minus(one).low is None


def test_two_that_differ_little_differ_for_sure_where_the_difference_is_always_the_same():
    # b is right wherever a is, and on 20 of 400 observations more
    a, b = np.arange(400) % 2 == 0, (np.arange(400) % 2 == 0) | (np.arange(400) % 20 == 1)
    of_a, of_b = accuracy_of(a), accuracy_of(b)
    assert of_b.low < of_a.high, "their own ranges overlap"
    gain = of_b.minus(of_a)
    assert gain.value == pytest.approx(0.05)
    assert gain.is_real
    # in resamples of its own each moves for itself
    assert not accuracy_of(b, seed=1).minus(of_a).is_real


def test_what_is_the_same_does_not_differ():
    found = accuracy_of(np.arange(50) % 3 == 0)
    same = found.minus(found)
    assert (same.value, same.low, same.high, same.is_real) == (0, 0, 0, False)


def test_a_difference_of_other_resamples_is_refused():
    draws = Resamples.of_observations(9, count=10)
    other = resampling.one_species(*(np.zeros(9, int) for _ in range(3)), 2, draws)["accuracy"]
    with pytest.raises(ValueError, match="the same resamples on both sides, not 1000 and 10"):
        accuracy_of(np.ones(9, bool)).minus(other)


def test_a_resample_without_a_venomous_snake_has_no_track_1_and_is_left_out_of_its_range():
    true = np.array([1, 0, 0, 0])
    draws = Resamples.of_observations(4)
    found = resampling.one_species(true, true, np.ones(4, int), 9, draws, VENOMOUS)["snakeclef_track1"]
    assert np.isnan(found.resampled).any()
    assert (found.value, found.low, found.high) == (100, 100, 100)


@pytest.mark.parametrize("species", [0, 1])
def test_without_snakes_of_both_kinds_track_1_is_missing(species):
    true = np.full(3, species)
    found = resampling.one_species(true, true, np.ones(3, int), 9, Resamples.of_observations(3), VENOMOUS)
    assert found.keys() >= {"snakeclef_track2"}
    assert "snakeclef_track1" not in found


def test_a_difference_that_many_resamples_do_not_show_is_not_more_than_chance():
    # Of 24 observations two gain: in one of eight resamples neither is drawn.
    before, after = np.zeros(24), np.concatenate([np.ones(2), np.zeros(22)])
    draws = Resamples.of_observations(24)

    def mean_of(values):
        return draws.of_observations_drawn(lambda times: {"mean": values @ times / 24})["mean"]

    gain = mean_of(after).minus(mean_of(before))
    assert (gain.low, gain.is_real) == (0.0, False)
    assert gain.low <= gain.value <= gain.high
