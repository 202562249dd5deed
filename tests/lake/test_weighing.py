import pytest
from lake_rows import day, filled, frame, rows

from lake import query, tables, weighing
from lake.errors import LakeError
from lake.rules import DecisionRule, PriorUse

FRAMES = {
    "scores": frame("observation_id species_id score votes", ("o1", "s1", 0.5, 1), ("o1", "s2", 0.75, 2)),
    "priors": frame("prior_id place species_id weight", ("p", "NO", "s1", 1.0), ("p", "NO", "s2", 0.5)),
    "prior_places": frame("prior_id dataset observation_id place", ("p", "d", "o1", "NO")),
}


def named(lake, *priors):
    said = [(prior, "country", "{}", day(number)) for prior, number in priors]
    tables.append(lake, "prior_specs", filled("prior_specs", "prior_id kind spec recorded_at", *said))
    places = [(prior, "d", "o1", "NO") for prior, _ in priors]
    tables.append(lake, "prior_places", filled("prior_places", "prior_id dataset observation_id place", *places))


def scores(ask):
    return sorted(rows(ask.answer("decide/same_scores")))


def test_a_prior_weighs_the_scores_and_says_what_it_did():
    with query.session(None, frames=FRAMES) as ask:
        effect = weighing.weigh(ask, "d", PriorUse("p"), True)
        assert scores(ask) == [("o1", "s1", 0.5, 1), ("o1", "s2", 0.375, 2)]
    assert (effect.prior_id, effect.observation_count, effect.changed_best_count) == ("p", 1, 1)
    assert (effect.changed_score_count, effect.weighted_count, effect.unplaced_count) == (1, 2, 0)


def test_priors_weigh_one_after_the_other():
    with query.session(None, frames=FRAMES) as ask:
        for _ in range(2):
            weighing.weigh(ask, "d", PriorUse("p", 2.0), True)
        assert scores(ask) == [("o1", "s1", 0.5, 1), ("o1", "s2", 0.75 / 16, 2)]


def test_a_prior_that_does_nothing_is_an_error_unless_that_is_known_already():
    with query.session(None, frames=FRAMES) as ask:
        with pytest.raises(LakeError, match="the prior p changes nothing"):
            weighing.weigh(ask, "elsewhere", PriorUse("p"), True)
        assert weighing.weigh(ask, "elsewhere", PriorUse("p"), True, is_checked=False) is None
        assert scores(ask) == [("o1", "s1", 0.5, 1), ("o1", "s2", 0.75, 2)]


def test_a_rule_names_the_latest_prior_of_a_name_by_its_id(lake):
    named(lake, ("north-1", 1), ("north-2", 2))
    rule = DecisionRule("one", priors=(PriorUse("north", 2.0), PriorUse("north-1")))
    assert weighing.resolved(lake, rule, "d") == (PriorUse("north-2", 2.0), PriorUse("north-1"))


def test_a_rule_by_votes_is_not_changed_by_weights_and_that_is_an_error():
    with (
        query.session(None, frames=FRAMES) as ask,
        pytest.raises(LakeError, match="weighs scores, and the rule goes by"),
    ):
        weighing.weigh(ask, "d", PriorUse("p"), pools_scores=False)


def test_a_name_stands_for_the_prior_of_the_data_set_that_is_answered(lake):
    named(lake, ("north-1", 1))
    with pytest.raises(LakeError, match="for it there are none, for other data sets north-1"):
        weighing.resolved(lake, DecisionRule("one", priors=(PriorUse("north"),)), "e")


def test_a_prior_that_is_not_there_is_an_error(lake):
    named(lake, ("north-1", 1))
    with pytest.raises(
        LakeError, match="there is no prior 'south' for 'd'; for it there are north-1, for other data sets none"
    ):
        weighing.resolved(lake, DecisionRule("one", priors=(PriorUse("south"),)), "d")
