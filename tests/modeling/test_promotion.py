import pytest

from modeling.promotion import PromotionRule, judge

RULE = PromotionRule(min_gain=0.25)


def test_where_there_is_no_champion_the_challenger_is_the_first():
    verdict = judge(None, {"macro_f1": 0.1}, RULE)
    assert (verdict.decision, verdict.champion_score, verdict.challenger_score) == ("first", None, 0.1)


@pytest.mark.parametrize(
    ("challenger", "decision"),
    [(1.0, "promoted"), (0.75, "promoted"), (0.74, "refused"), (0.5, "refused"), (0.25, "refused")],
)
def test_a_challenger_is_promoted_when_it_gains_the_margin(challenger: float, decision: str):
    assert judge({"macro_f1": 0.5}, {"macro_f1": challenger}, RULE).decision == decision


def test_a_champion_of_score_zero_is_a_champion():
    assert judge({"macro_f1": 0.0}, {"macro_f1": 0.1}, RULE).decision == "refused"


def test_a_challenger_without_a_score_is_refused():
    assert judge({"macro_f1": 0.5}, {"macro_f1": float("nan")}, RULE).decision == "refused"


def test_the_reason_shows_both_scores_the_gain_and_the_margin():
    verdict = judge({"macro_f1": 0.5}, {"macro_f1": 0.625}, RULE)
    assert verdict.reason == "macro_f1 0.6250 against 0.5000: +0.1250, asked for is +0.2500"


def test_species_count_alike_where_both_scores_are_known():
    both = {"accuracy": 0.9, "macro_f1_per_observation": 0.2, "macro_f1": 0.7}
    assert judge(None, both).metric == "macro_f1"
    assert judge(both, both).metric == "macro_f1"


def test_models_are_judged_by_a_metric_that_both_have():
    verdict = judge(
        {"macro_f1_per_observation": 0.5}, {"macro_f1": 0.9, "macro_f1_per_observation": 0.4}, PromotionRule()
    )
    assert (verdict.metric, verdict.decision) == ("macro_f1_per_observation", "refused")
