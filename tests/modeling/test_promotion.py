from dataclasses import replace

import pytest

from modeling.promotion import Gain, Probe, PromotionRule, Standing, deciding, first, judge

RULE = PromotionRule(min_gain=0.25)
STANDING = Standing({"accuracy": 0.8, "macro_f1": 0.75}, {"a": (0.8, 30), "b": (0.7, 5)}, 0.1, 0.5)


def gain(challenger, champion=0.5, low=0.01, high=0.9):
    return Gain("macro_f1", champion, challenger, low, high)


CALLED = Probe("called by their names", passed=True)
BLIND = {"random": {"accuracy": 0.1}}


def verdict(of=STANDING, over=STANDING, more=None, blind=None, probe=CALLED, as_it_was=None, rule=RULE):
    return judge(over, of, more or gain(0.8), BLIND if blind is None else blind, probe, as_it_was, rule)


def failed(found):
    assert found.decision == ("promoted" if all(check.passed for check in found.checks) else "refused")
    return [check.name for check in found.checks if not check.passed]


def test_where_there_is_no_champion_the_challenger_is_the_first():
    found = first({"macro_f1": 0.1})
    assert (found.decision, found.champion_score, found.challenger_score) == ("first", None, 0.1)


@pytest.mark.parametrize(
    ("challenger", "decision"),
    [(1.0, "promoted"), (0.75, "promoted"), (0.74, "refused"), (0.5, "refused"), (0.25, "refused")],
)
def test_a_challenger_is_promoted_when_it_gains_the_margin(challenger: float, decision: str):
    assert verdict(more=gain(challenger)).decision == decision


@pytest.mark.parametrize(
    ("low", "decision"), [(0.001, "promoted"), (0.0, "refused"), (-0.1, "refused"), (None, "refused")]
)
def test_a_gain_that_may_be_chance_is_none(low, decision):
    assert verdict(more=gain(0.9, low=low)).decision == decision


def test_a_champion_of_score_zero_is_a_champion():
    assert failed(verdict(more=gain(0.1, champion=0.0))) == ["better"]


def test_a_challenger_without_a_score_is_refused():
    assert failed(verdict(more=gain(float("nan")))) == ["better"]


def test_the_reason_shows_both_scores_the_gain_its_range_and_the_margin():
    found = verdict(more=gain(0.625, low=-0.01, high=0.2))
    assert found.reason == (
        "macro_f1 0.6250 against 0.5000: +0.1250 (-0.0100 to +0.2000), asked for is +0.2500 and more than chance"
    )


def test_who_is_no_better_than_an_answer_without_looking_is_refused():
    blind = {"most_frequent": {"accuracy": 0.8, "macro_f1": 0.1}, "random": {"accuracy": 0.1}}
    found = verdict(blind=blind)
    assert failed(found) == ["looks"]
    assert "accuracy 0.8000 is no better than most_frequent reaches without looking: 0.8000" in found.reason
    assert failed(verdict(blind={"random": {"accuracy": 0.79, "macro_f1": 0.74}})) == []


def test_of_several_species_the_blind_draw_is_held_against_what_decides_there():
    several = replace(STANDING, scores={"macro_f1_per_observation": 0.3})
    assert failed(verdict(several, blind={"a blind draw": {"macro_f1_per_observation": 0.3}})) == ["looks"]
    assert failed(verdict(several, blind={"a blind draw": {"macro_f1_per_observation": 0.29}})) == []


def test_where_nothing_blind_was_scored_nobody_is_known_to_look():
    assert failed(verdict(blind={})) == failed(verdict(blind={"random": {"micro_f1": 0.1}})) == ["looks"]


def test_no_species_of_enough_observations_may_lose_more_of_its_recall():
    lost = replace(STANDING, recalls={"a": (0.59, 30), "b": (0.0, 5)})
    found = verdict(lost)
    assert failed(found) == ["species"]
    assert found.reason == (
        "1 of 1 species of at least 20 held-out observations lose more than 0.2 of their recall: a -0.210"
    )
    # Exactly the bound is allowed: 0.8 - 0.6 is a little more than 0.2 in the last digit.
    assert failed(verdict(replace(STANDING, recalls={"a": (0.6, 30), "b": (0.0, 5)}))) == []


def test_a_species_that_is_no_longer_found_at_all_has_lost_everything():
    assert failed(verdict(replace(STANDING, recalls={}))) == ["species"]


def test_who_was_never_tried_is_refused():
    found = verdict(probe=Probe("not asked for", passed=False))
    assert failed(found) == ["names"]
    assert found.reason == "names of species: not asked for"


def test_probabilities_may_not_become_less_right():
    assert failed(verdict(replace(STANDING, calibration_error=0.16))) == ["calibration"]
    assert failed(verdict(replace(STANDING, calibration_error=0.14))) == []
    assert failed(verdict(replace(STANDING, calibration_error=None))) == []


def test_a_challenger_may_not_take_more_than_three_times_as_long_unless_that_is_nothing():
    assert failed(verdict(replace(STANDING, seconds=1.51))) == ["latency"]
    assert failed(verdict(replace(STANDING, seconds=1.49))) == []
    quick = replace(STANDING, seconds=0.001)
    assert failed(verdict(replace(STANDING, seconds=0.24), quick)) == []
    assert failed(verdict(replace(STANDING, seconds=None))) == []


def test_who_is_worse_by_the_labels_of_the_champions_time_is_refused_and_told_how_to_overrule_it():
    found = verdict(as_it_was=Gain("macro_f1", 0.9, 0.1, -0.9, -0.7))
    assert failed(found) == ["as_it_was"]
    assert "`taxalake promote`" in found.reason
    # Worse by no more than chance is as good.
    assert failed(verdict(as_it_was=Gain("macro_f1", 0.9, 0.85, -0.1, 0.01))) == []


def test_all_that_failed_is_named():
    found = verdict(replace(STANDING, seconds=9.0), more=gain(0.1), probe=Probe("not asked for", passed=False))
    assert failed(found) == ["better", "names", "latency"]
    assert found.reason.count("; ") == 2


def test_species_count_alike_where_both_scores_are_known():
    both = {"accuracy": 0.9, "macro_f1_per_observation": 0.2, "macro_f1": 0.7}
    assert deciding(None, both) == deciding(both, both) == "macro_f1"


def test_models_are_judged_by_a_metric_that_both_have():
    assert deciding({"macro_f1_per_observation": 0.5}, {"macro_f1": 0.9, "macro_f1_per_observation": 0.4}) == (
        "macro_f1_per_observation"
    )
