import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from lake_rows import frame, rows
from sklearn.metrics import f1_score

from lake.query import answer

VENOMOUS = {"v1", "v2"}
SPECIES = ["v1", "v2", "h1", "h2"]


def tracks(pairs, macro_f1=0.0, known=tuple((one, one in VENOMOUS) for one in SPECIES)):
    """Score pairs of the true species and the answered one, which may be None."""
    numbered = [(f"o{number}", *pair) for number, pair in enumerate(pairs)]
    frames = {
        "truth": frame("observation_id species_id", *[(one, true) for one, true, _ in numbered]),
        "answers": frame(
            "observation_id species_id rank", *[(one, given, 1) for one, _, given in numbered if given is not None]
        ),
        "current_species": frame("species_id is_venomous", *known),
    }
    return dict(rows(answer(None, "evaluate/venomous_tracks", frames=frames, macro_f1=macro_f1)))


def reference(pairs, macro_f1):
    """Score the same by the published formula, in the order of NumPy's roundings."""

    def mistakes(true_is_venomous, answered_is_venomous):
        return sum(
            true != answered
            and (true in VENOMOUS) == true_is_venomous
            and (answered in VENOMOUS) == answered_is_venomous
            for true, answered in pairs
        )

    cases = [(False, False, 1), (False, True, 2), (True, False, 5), (True, True, 2)]
    sizes = {venomous: sum((true in VENOMOUS) == venomous for true, _ in pairs) for venomous in (False, True)}
    kept = [
        weight * (100 - np.round(mistakes(true, answered) / sizes[true] * 100, 2)) for true, answered, weight in cases
    ]
    return {
        "snakeclef_track1": np.round((np.round(macro_f1 * 100, 2) + sum(kept)) / 11, 2),
        "snakeclef_track2": sum(weight * mistakes(true, answered) for true, answered, weight in cases),
    }


def test_each_kind_of_mistake_has_its_price():
    right = [("h1", "h1"), ("v1", "v1")]
    cost = {
        (true, answered): tracks([*right, (true, answered)])["snakeclef_track2"]
        for true, answered in [("h1", "h2"), ("h1", "v1"), ("v1", "h1"), ("v1", "v2"), ("v1", "v1"), ("h1", "h1")]
    }
    assert list(cost.values()) == [1, 2, 5, 2, 0, 0]


def test_who_is_always_right_scores_a_hundred_and_nothing():
    assert tracks([("h1", "h1"), ("v1", "v1")], macro_f1=1) == {"snakeclef_track1": 100, "snakeclef_track2": 0}


def test_who_always_errs_about_venom_scores_the_least_that_track_1_gives():
    assert tracks([("h1", "v1"), ("v1", "h1")]) == {"snakeclef_track1": 27.27, "snakeclef_track2": 7}


def test_an_observation_without_an_answer_is_a_miss_that_warns_nobody():
    assert tracks([("h1", None), ("v1", None)]) == tracks([("h1", "h2"), ("v1", "h2")])


def test_a_species_of_which_nobody_knows_is_not_venomous():
    pairs = [("h1", "v2"), ("v1", "v2"), ("v2", "v1")]
    as_harmless = tracks(pairs, known=[("v1", True), ("v2", False)])
    assert tracks(pairs, known=[("v1", True), ("v2", None)]) == as_harmless
    assert tracks(pairs, known=[("v1", True)]) == as_harmless


@pytest.mark.parametrize("species", ["v1", "h1"])
def test_without_snakes_of_both_kinds_track_1_is_missing(species):
    assert tracks([(species, species)]) == {"snakeclef_track2": 0}


def test_shares_are_rounded_before_they_are_added_and_a_half_goes_to_the_even_place():
    # 1 of 800 is 0.125 %; as 0.13, or unrounded, it would make 93.12
    pairs = [("h1", "h1"), ("v1", "h1"), *[("v1", "v1")] * 799]
    assert tracks(pairs, macro_f1=0.25)["snakeclef_track1"] == 93.13


def test_runners_up_are_no_part_of_the_answer():
    frames = {
        "truth": frame("observation_id species_id", ("o1", "v1")),
        "answers": frame("observation_id species_id rank", ("o1", "v1", 1), ("o1", "h1", 2)),
        "current_species": frame("species_id is_venomous", ("v1", True)),
    }
    assert rows(answer(None, "evaluate/venomous_tracks", frames=frames, macro_f1=1.0)) == [("snakeclef_track2", 0)]


species_ids = st.sampled_from(SPECIES)


@settings(max_examples=20, deadline=None)
@given(st.lists(st.tuples(species_ids, species_ids), min_size=1, max_size=40))
def test_the_tracks_are_those_of_the_contest(pairs):
    both = [("h1", "h1"), ("v1", "v1"), *pairs]
    true, answered = zip(*both, strict=True)
    macro_f1 = float(f1_score(true, answered, average="macro", zero_division=0))
    assert tracks(both, macro_f1) == pytest.approx(reference(both, macro_f1), abs=1e-9)
