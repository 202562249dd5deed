import json
import math

import pytest
from lake_rows import filled, frame, held, rows
from predicted_tiles import ONE_SPECIES, PREDICTION, SEVERAL, decide, label, predict
from small_pictures import picture

from lake import decisions, tables
from lake.decisions import Scope
from lake.errors import CheckFailedError, LakeError
from lake.rules import GROUPINGS, DecisionRule, PriorUse


@pytest.fixture
def predicted(lake):
    return predict(lake)


def versions(lake):
    return tables.latest(lake, "observation_predictions", "decisions", "evaluations")


def test_a_decision_is_stored_with_its_answers(predicted):
    decision = decide(predicted)
    answers = held(predicted, "observation_predictions", "decision_id observation_id species_id votes rank is_answer")
    assert answers == [
        (decision.decision_id, "o1", "s1", 2, 1, True),
        (decision.decision_id, "o2", "s1", 1, 1, True),
    ]
    ((dataset, split, count, rule, read),) = held(
        predicted, "decisions", "dataset split observation_count rule snapshots"
    )
    assert (dataset, split, count, json.loads(rule)) == ("d", "all", 2, SEVERAL.at("grid-1x2").spec)
    assert json.loads(read) == {"image_records": 1, "tile_predictions": 1}


def test_the_same_decision_is_stored_once(predicted):
    first = decide(predicted)
    before = versions(predicted)
    second = decide(predicted)
    assert (first.committed, second.committed, second.decision_id) == (True, False, first.decision_id)
    assert versions(predicted) == before


def test_another_rule_or_other_tiles_are_another_decision(predicted):
    first = decide(predicted)
    assert decide(predicted, DecisionRule("many", min_votes=1)).decision_id != first.decision_id
    more = ("m/1", "grid-1x2", "i2", 2, 1, "s2", 0.75)
    tables.append(predicted, "tile_predictions", filled("tile_predictions", PREDICTION, more))
    assert decide(predicted).decision_id != first.decision_id


def test_tiles_of_several_tilings_decide_together(predicted):
    more = [("m/1", "whole", "i2", 0, 1, "s2", 0.75), ("m/1", "grid-3x3", "i2", 0, 1, "s1", 0.75)]
    tables.append(predicted, "tile_predictions", filled("tile_predictions", PREDICTION, *more))
    alone = decide(predicted)
    scope = decisions.whole_scope(predicted, "d")
    both = decisions.decide(predicted, scope, "grid-1x2+whole", "m/1", SEVERAL, "run")
    assert both.decision_id != alone.decision_id
    assert rows(alone.answers, "observation_id species_id votes") == [("o1", "s1", 2), ("o2", "s1", 1)]
    assert rows(both.answers, "observation_id species_id votes") == [("o1", "s1", 2), ("o2", "s2", 2)]
    assert held(predicted, "decisions", "scheme_id") == [("grid-1x2",), ("grid-1x2+whole",)]


def test_an_answer_of_one_species_keeps_its_runners_up_apart(predicted):
    answers = rows(decide(predicted, ONE_SPECIES).answers, "observation_id species_id rank is_answer")
    assert answers == [("o1", "s1", 1, True), ("o2", "s1", 1, True), ("o2", "s2", 2, False)]


def test_frames_are_answered_as_tables_are_and_nothing_is_stored(predicted):
    before = versions(predicted)
    frames = {
        "image_records": frame("dataset observation_id image_id", ("d", "o1", "i1")),
        "tile_predictions": frame(PREDICTION, ("m/1", "whole", "i1", 0, 1, "s1", 0.75)),
    }
    scope = Scope("d", "all", frame("observation_id", ("o1",)))
    answers = decisions.answer(None, (), frames, scope, "whole", "m/1", ONE_SPECIES)
    assert rows(answers, "observation_id species_id score") == [("o1", "s1", 0.75)]
    assert versions(predicted) == before


def test_only_what_is_labelled_is_scored(predicted):
    scope = decisions.scored_scope(predicted, "d", "p")
    assert (scope.split, rows(scope.observations)) == ("all", [("o1",)])


def test_without_labels_there_is_nothing_to_score(lake):
    with pytest.raises(LakeError, match="no observation of 'd' is labelled"):
        decisions.scored_scope(lake, "d", "p")


def test_labels_know_whether_observations_hold_one_species_or_many(lake):
    assert decisions.usual_kind(lake, "d", "whole") == "one"
    assert decisions.usual_kind(lake, "d", "grid-2x2") == "many"
    label(lake, ("o1", "s1", 1))
    assert decisions.usual_kind(lake, "d", "grid-2x2") == "one"
    label(lake, ("o2", "s1", 1), ("o2", "s2", 1))
    assert decisions.usual_kind(lake, "d", "grid-2x2") == "many"
    assert decisions.usual_kind(lake, "d", "whole") == "one", "one quadrat among single organisms is a mistake"
    label(lake, ("o3", "s1", 1), ("o3", "s2", 1))
    assert decisions.usual_kind(lake, "d", "whole") == "many"


def test_images_wait_until_they_are_predicted(predicted):
    scope = decisions.whole_scope(predicted, "d")
    assert decisions.pending_images(predicted, scope, "k", "grid-1x2", "m/1") == []
    assert decisions.pending_images(predicted, scope, "k", "grid-1x2", "m/2") == ["i1", "i2"]
    (planned_on,) = tables.latest(predicted, "tile_predictions")
    columns = {
        "image_id": ["i1", "i1"],
        "tile_index": [0, 1],
        "rank": [1, 1],
        "species_id": ["s1", "s2"],
        "logit": [1.0, 2.0],
        "probability": [0.5, 0.75],
    }
    constants = {"model_version": "m/2", "scheme_id": "grid-1x2", "class_map_id": "c", "flow_run_id": "run"}
    for expected in (2, 0):
        assert decisions.append_tile_predictions(predicted, columns, constants, planned_on).row_count == expected
    assert decisions.pending_images(predicted, scope, "k", "grid-1x2", "m/2") == ["i2"]


def test_tiles_that_were_left_out_are_found(predicted):
    scope = decisions.whole_scope(predicted, "d")
    decisions.check_all_predicted(predicted, scope, "k", "grid-1x2", "m/1")
    with pytest.raises(CheckFailedError, match="every tile is predicted once: 4 offenders"):
        decisions.check_all_predicted(predicted, scope, "k", "grid-1x2", "m/2")


def test_an_answer_is_illustrated_by_its_first_photograph(predicted):
    tables.append(predicted, "images", filled("images", "image_id bytes", ("i1", picture(1))))
    decision = decide(predicted)
    shown = decisions.illustrate(predicted, "d", decision.decision_id, "o1", "k", decisions.parts_of("grid-1x2"), "m/1")
    assert (shown.image_name, shown.content) == ("a.jpg", picture(1))
    assert (shown.found, shown.truth) == (["Poa annua"], ["Poa annua"])
    assert [(tile["x0"], tile["x1"], tile["name"]) for tile in shown.tiles] == [
        (0, 5, "Poa annua"),
        (5, 10, "Poa annua"),
    ]


def test_the_same_answers_for_another_split_are_another_decision(predicted):
    whole = decisions.whole_scope(predicted, "d")
    held_out = Scope("d", "val", whole.observations)
    assert decide(predicted, scope=whole).decision_id != decide(predicted, scope=held_out).decision_id


# two tiles of o1, and one of o2
GUESSES = [
    *(("i1", 0, 1, "s1", 0.75), ("i1", 0, 2, "s2", 0.25)),
    *(("i1", 1, 1, "s2", 0.5), ("i1", 1, 2, "s1", 0.25), ("i1", 1, 3, "s3", 0.125)),
    *(("i2", 0, 1, "s3", 0.375), ("i2", 0, 2, "s1", 0.25)),
]


def answered(rule, guesses=GUESSES, base_quadrats=("north", "north"), **more):
    """Answer o1 and o2, of one photograph each, by a rule."""
    records = [("d", f"o{number}", f"i{number}", "a", place) for number, place in enumerate(base_quadrats, 1)]
    frames = {
        "image_records": frame("dataset observation_id image_id image_name base_quadrat", *records),
        "tile_predictions": frame(PREDICTION, *(("m/1", "grid-1x2", *guess) for guess in guesses)),
        **more,
    }
    scope = Scope("d", "all", frame("observation_id", *((f"o{number}",) for number, _ in enumerate(base_quadrats, 1))))
    found = decisions.answer(None, (), frames, scope, "grid-1x2", "m/1", rule)
    return rows(found, "observation_id species_id score")


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        ({"pooling": "votes", "min_votes": 1}, [("s1", 0.75), ("s2", 0.5)]),
        ({"pooling": "votes", "min_votes": 2, "tile_top_k": 2}, [("s1", 0.75), ("s2", 0.5)]),
        ({"pooling": "max", "threshold": 0.5}, [("s1", 0.75), ("s2", 0.5)]),
        ({"pooling": "mean", "threshold": 0.0625}, [("s1", 0.5), ("s2", 0.375), ("s3", 0.0625)]),
        ({"pooling": "sum", "threshold": 0.75}, [("s1", 1.0), ("s2", 0.75)]),
        ({"pooling": "noisy_or", "threshold": 0.625}, [("s1", 0.8125), ("s2", 0.625)]),
        ({"pooling": "max", "threshold": 0.1, "tile_top_k": 1}, [("s1", 0.75), ("s2", 0.5)]),
        ({"pooling": "max", "min_votes": 1}, [("s1", 0.75), ("s2", 0.5)]),
    ],
)
def test_each_pooling_of_a_quadrat_keeps_its_species(said, expected):
    found = answered(DecisionRule("many", **said))
    assert [(species, score) for one, species, score in found if one == "o1"] == expected


def test_a_z_score_says_which_species_stand_out():
    found = answered(DecisionRule("many", pooling="confidence", threshold=0.0, least_species=0))
    # of two species one is above the mean by its deviation
    assert [row for row in found if row[0] == "o2"] == [("o2", "s3", pytest.approx(1))]
    assert ("o1", "s3") not in [row[:2] for row in found]


@pytest.mark.parametrize(
    ("pooling", "expected"),
    [
        ("mean", [("s1", 0.5), ("s2", 0.375)]),
        ("max", [("s1", 0.75), ("s2", 0.5)]),
        ("mode", [("s1", 0.5), ("s2", 0.375)]),
    ],
)
def test_each_pooling_of_one_species_ranks_its_candidates(pooling, expected):
    found = answered(DecisionRule("one", pooling=pooling, candidates=2))
    assert [(species, score) for one, species, score in found if one == "o1"] == expected


def test_the_mode_is_what_most_tiles_say():
    tiles = [(0, "s1", 1.0), (1, "s2", 0.25), (2, "s2", 0.25)]
    guesses = [("i1", tile, 1, species, probability) for tile, species, probability in tiles]
    best = {pooling: answered(DecisionRule("one", pooling=pooling), guesses)[0][1] for pooling in ("mean", "mode")}
    assert best == {"mean": "s1", "mode": "s2"}


@pytest.mark.parametrize(("mean_species", "count"), [(0.5, 1), (1, 2), (1.5, 3), (2, 4), (2.5, 5), (50, 5)])
def test_the_mean_number_of_species_is_that_which_was_asked_for(mean_species, count):
    rule = DecisionRule("many", pooling="max", mean_species=mean_species, least_species=0)
    assert len(answered(rule)) == count


def test_an_answer_holds_at_least_and_at_most_so_many_species():
    nothing = {"pooling": "max", "threshold": 1.0}
    assert [len(answered(DecisionRule("many", **nothing, least_species=least))) for least in (0, 1, 2)] == [0, 2, 4]
    everything = {"pooling": "max", "threshold": 0.0}
    assert [len(answered(DecisionRule("many", **everything, most_species=most))) for most in (1, 2, 3)] == [2, 4, 5]


@pytest.mark.parametrize(
    ("grouping", "score_of_s3"), [("max", 0.375), ("mean", 0.25), ("frequency", 0.375 * (1 + math.log(2)))]
)
def test_the_dates_of_a_base_quadrat_answer_alike(grouping, score_of_s3):
    votes = 1 if grouping == "frequency" else None
    found = answered(DecisionRule("many", pooling="max", grouping=grouping, threshold=0.0, min_votes=votes))
    first, second = ([row[1:] for row in found if row[0] == one] for one in ("o1", "o2"))
    assert first == second
    assert dict(first)["s3"] == pytest.approx(score_of_s3)


def test_without_grouping_or_of_other_ground_each_date_stands_alone():
    alone = answered(DecisionRule("many", pooling="max", threshold=0.0))
    assert (
        answered(DecisionRule("many", pooling="max", threshold=0.0, grouping="max"), base_quadrats=("a", None)) == alone
    )
    assert ("o2", "s2") not in [row[:2] for row in alone]


@pytest.mark.parametrize("grouping", GROUPINGS)
def test_a_grouping_of_observations_without_base_quadrats_is_refused(grouping):
    rule = DecisionRule("many", pooling="max", grouping=grouping, threshold=0.0, min_votes=1)
    with pytest.raises(LakeError, match="none of 2 observations of 'd' has a base quadrat: leave grouping out"):
        answered(rule, base_quadrats=(None, None))


def species_with(*venomous):
    said = [(species, species in venomous, "a") for species in ("s1", "s2", "s3")]
    return filled("species", "species_id is_venomous source", *said)


def test_a_costly_mistake_is_avoided():
    rule = DecisionRule("one", cost="snakeclef")
    # s1: 0.375 x 5; s2: 0.5625 x 2
    assert answered(rule, species=species_with("s2"))[0][:2] == ("o1", "s2")
    # s1: 0.375 x 1 + 0.0625 x 5; s3: 0.875 x 2
    assert answered(rule, species=species_with("s3"))[0][:2] == ("o1", "s1")


def test_the_least_sure_are_answered_with_a_venomous_candidate():
    # o2 is the less sure one
    rule = DecisionRule("one", venomous_share=0.5)
    found = answered(rule, species=species_with("s1", "s2"))
    assert [species for one, species, _ in found if one == "o2"] == ["s1", "s3"]
    assert found[0][:2] == ("o1", "s1")


@pytest.mark.parametrize("said", [{"cost": "snakeclef"}, {"venomous_share": 0.5}])
def test_where_no_species_is_known_to_be_venomous_nobody_can_be_warned(said):
    with pytest.raises(LakeError, match="no species is known to be venomous: `taxalake ingest snakeclef --venomous`"):
        answered(DecisionRule("one", **said), species=species_with())


def test_a_prior_decides_with_the_tiles_and_is_named_by_its_id(predicted):
    with_prior(predicted, ("NO", "s1", 0.25), ("NO", "s2", 1.0))
    plain = decide(predicted, ONE_SPECIES)
    weighed = decide(predicted, DecisionRule("one", candidates=2, priors=(PriorUse("north"),)))
    assert rows(plain.answers, "observation_id species_id score")[1:] == [("o2", "s1", 0.375), ("o2", "s2", 0.375)]
    assert rows(weighed.answers, "observation_id species_id score")[1:] == [
        ("o2", "s2", 0.375),
        ("o2", "s1", 0.375 / 4),
    ]
    assert weighed.decision_id != plain.decision_id
    stored = dict(held(predicted, "decisions", "decision_id rule"))
    rule = json.loads(stored[weighed.decision_id])
    assert (rule["priors"], rule["prior_ids"]) == ([{"prior": "north", "strength": 1.0}], ["north-1"])
    assert "another best species for 1 of" in weighed.effects[0].words
    read = {snapshot.table for snapshot in weighed.snapshots}
    assert read == {"image_records", "tile_predictions", "prior_specs", "prior_places", "priors"}


def test_a_prior_that_does_nothing_decides_nothing(predicted):
    with_prior(predicted, ("NO", "s1", 0.5), ("NO", "s2", 0.5))
    with pytest.raises(LakeError, match="the prior north-1 changes nothing"):
        decide(predicted, DecisionRule("one", priors=(PriorUse("north"),)))
    with pytest.raises(LakeError, match="there is no prior 'south'"):
        decide(predicted, DecisionRule("one", priors=(PriorUse("south"),)))
    assert held(predicted, "decisions", "decision_id") == []


def with_prior(lake, *weights):
    tables.append(lake, "prior_specs", filled("prior_specs", "prior_id kind spec", ("north-1", "country", "{}")))
    columns = "prior_id place species_id weight"
    tables.append(lake, "priors", filled("priors", columns, *(("north-1", *weight) for weight in weights)))
    places = [("north-1", "d", one, "NO") for one in ("o1", "o2")]
    tables.append(lake, "prior_places", filled("prior_places", "prior_id dataset observation_id place", *places))


def test_a_decision_is_found_by_the_first_signs_of_its_id(predicted):
    decision = decide(predicted)
    for sign_count in (4, 16):
        found = decisions.find(predicted, decision.decision_id[:sign_count])
        assert (found.decision_id, found.species, found.model_version) == (decision.decision_id, "many", "m/1")
        assert found.answers.to_pylist() == decision.answers.to_pylist()
        assert (found.scope.dataset, found.scope.split) == ("d", "all")
        assert not found.committed


def test_a_decision_that_is_not_there_or_not_the_only_one_is_not_found(predicted):
    with pytest.raises(LakeError, match=r"there is no decision 'zz': `taxalake sql .*` lists them"):
        decisions.find(predicted, "zz")
    ids = {decide(predicted, DecisionRule("many", min_votes=votes)).decision_id for votes in (1, 2)}
    with pytest.raises(LakeError, match=r"2 decisions begin with '': .*say more of the id") as refused:
        decisions.find(predicted, "")
    assert all(one in str(refused.value) for one in ids)


@pytest.mark.parametrize("votes", [2, 3])
def test_observations_without_an_answer_are_found_again(predicted, votes):
    decision = decide(predicted, DecisionRule("many", min_votes=votes, least_species=0))
    ((unanswered,),) = held(predicted, "decisions", "unanswered")
    assert json.loads(unanswered) == {2: ["o2"], 3: ["o1", "o2"]}[votes]
    found = decisions.find(predicted, decision.decision_id)
    assert rows(found.scope.observations) == [("o1",), ("o2",)]


def test_tiles_of_a_level_decide_where_they_stand_within_another_tiling(predicted):
    scope = decisions.whole_scope(predicted, "d")
    first = [decisions.Part("left", "grid-1x2", 0, 0)]
    rule = DecisionRule("many", min_votes=1)
    found = decisions.decide(predicted, scope, "left", "m/1", rule, "run", first)
    assert rows(found.answers, "observation_id species_id votes") == [("o1", "s1", 1), ("o2", "s1", 1)]
    assert held(predicted, "decisions", "scheme_id") == [("left",)]


def test_the_tilings_that_were_predicted_are_known(predicted):
    assert decisions.predicted_schemes(predicted, "d", "m/1") == ["grid-1x2"]
    assert decisions.predicted_schemes(predicted, "d", "m/2") == []


def test_the_labelled_observations_of_one_side_are_a_scope(predicted):
    assigned = filled("splits", "split_id dataset observation_id split", ("p", "d", "o1", "val"))
    tables.append(predicted, "splits", assigned)
    scope = decisions.split_scope(predicted, "d", "p", "val")
    assert (scope.split, rows(scope.observations)) == ("val", [("o1",)])
    assert rows(decisions.split_scope(predicted, "d", "p", "all").observations) == [("o1",)]
    assert decisions.split_scope(predicted, "d", "p", "test") is None


def test_a_rule_with_priors_is_refused_where_there_is_no_lake_to_find_them_in():
    rule = DecisionRule("one", priors=(PriorUse("north"),))
    with pytest.raises(LakeError, match="the rule has priors, which lie in a lake"):
        decisions.answer(None, (), {}, Scope("d", "all", frame("observation_id", ("o1",))), "whole", "m/1", rule)
