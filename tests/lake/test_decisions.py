import json

import pytest
from lake_rows import day, filled, frame, held, rows
from small_pictures import picture

from lake import decisions, tables
from lake.decisions import DecisionRule, Scope
from lake.errors import CheckFailedError, LakeError

ONE_SPECIES = DecisionRule("one", candidates=2)
SEVERAL = DecisionRule("many", min_votes=2)
PREDICTION = "model_version scheme_id image_id tile_index rank species_id probability"


@pytest.fixture
def predicted(lake):
    """Two observations of one photograph each, cut into two tiles; o1 is s1, and o2 is not labelled."""
    tables.append(
        lake,
        "image_records",
        filled(
            "image_records",
            "dataset image_name observation_id image_id",
            ("d", "a.jpg", "o1", "i1"),
            ("d", "b.jpg", "o2", "i2"),
        ),
    )
    label(lake, ("o1", "s1", day(1)))
    tables.append(
        lake, "species", filled("species", "species_id scientific_name", ("s1", "Poa annua"), ("s2", "Poa trivialis"))
    )
    tiles = [("k", "grid-1x2", image, tile, 5 * tile, 5 * tile + 5, 8) for image in ("i1", "i2") for tile in (0, 1)]
    tables.append(
        lake, "embeddings", filled("embeddings", "embedding_key scheme_id image_id tile_index x0 x1 y1", *tiles)
    )
    best = [("i1", 0, "s1"), ("i1", 1, "s1"), ("i2", 0, "s1"), ("i2", 1, "s2")]
    tables.append(
        lake,
        "tile_predictions",
        filled(
            "tile_predictions",
            PREDICTION,
            *(("m/1", "grid-1x2", image, tile, 1, species, 0.75) for image, tile, species in best),
        ),
    )
    return lake


def label(lake, *labels):
    named = [("d", *one, "given") for one in labels]
    tables.append(lake, "labels", filled("labels", "dataset observation_id species_id labelled_at status", *named))


def decide(lake, rule=SEVERAL, scope=None):
    return decisions.decide(lake, scope or decisions.whole_scope(lake, "d"), "grid-1x2", "m/1", rule, "run")


def evaluate(lake, rule=SEVERAL):
    scope = decisions.scored_scope(lake, "d", "p")
    return decisions.evaluate(lake, scope, decide(lake, rule, scope), rule, "m/1", 10, "run")


def versions(lake):
    return tables.latest(lake, "observation_predictions", "decisions", "evaluations")


def test_a_rule_is_for_one_species_or_for_many():
    with pytest.raises(LakeError, match="'one' species or 'many', not 'some'"):
        DecisionRule("some")


@pytest.mark.parametrize("percent", [50, 1.01, -0.1])
def test_a_threshold_is_a_probability_and_never_percent(percent):
    with pytest.raises(LakeError, match="lies in 0 to 1, never percent"):
        DecisionRule("many", min_probability=percent)


def test_a_rule_is_known_by_the_parts_that_its_kind_uses():
    assert DecisionRule("one", min_votes=7).spec == DecisionRule("one").spec == {"species": "one", "candidates": 5}
    assert DecisionRule("many", candidates=7).spec == DecisionRule("many").spec
    assert DecisionRule("many", min_votes=7).spec != DecisionRule("many").spec


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
    assert (dataset, split, count, json.loads(rule)) == ("d", "all", 2, SEVERAL.spec)
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


def test_scores_are_stored_once_with_all_that_was_read(predicted):
    first = evaluate(predicted)
    before = versions(predicted)
    second = evaluate(predicted)
    assert (first.committed, second.committed, second.evaluation_id) == (True, False, first.evaluation_id)
    assert versions(predicted) == before
    assert first.metrics == {"macro_f1_per_observation": 1, "macro_f1_per_species": 1, "micro_f1": 1}
    assert dict(held(predicted, "evaluations", "metric value")) == first.metrics
    read = [snapshot.table for snapshot in first.snapshots]
    assert read == ["image_records", "tile_predictions", "labels", "taxon_changes", "splits"]


def test_a_corrected_label_is_another_evaluation_of_the_same_decision(predicted):
    first = evaluate(predicted)
    label(predicted, ("o1", "s2", day(2)))
    second = evaluate(predicted)
    assert second.evaluation_id != first.evaluation_id
    assert len({one for (one,) in held(predicted, "evaluations", "decision_id")}) == 1
    assert second.metrics["micro_f1"] == 0


@pytest.mark.parametrize("rule", [ONE_SPECIES, SEVERAL])
def test_each_chance_level_stands_beside_a_score(predicted, rule):
    found = evaluate(predicted, rule)
    assert found.chance
    assert found.chance.keys() <= found.metrics.keys()


def test_labels_know_whether_observations_hold_one_species_or_many(lake):
    assert decisions.usual_kind(lake, "d", "whole") == "one"
    assert decisions.usual_kind(lake, "d", "grid-2x2") == "many"
    label(lake, ("o1", "s1", day(1)))
    assert decisions.usual_kind(lake, "d", "grid-2x2") == "one"
    label(lake, ("o2", "s1", day(1)), ("o2", "s2", day(1)))
    assert decisions.usual_kind(lake, "d", "grid-2x2") == "many"
    assert decisions.usual_kind(lake, "d", "whole") == "one", "one quadrat among single organisms is a mistake"
    label(lake, ("o3", "s1", day(1)), ("o3", "s2", day(1)))
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
    shown = decisions.illustrate(predicted, "d", decision.decision_id, "o1", "k", "grid-1x2", "m/1")
    assert (shown.image_name, shown.content) == ("a.jpg", picture(1))
    assert (shown.found, shown.truth) == (["Poa annua"], ["Poa annua"])
    assert [(tile["x0"], tile["x1"], tile["name"]) for tile in shown.tiles] == [
        (0, 5, "Poa annua"),
        (5, 10, "Poa annua"),
    ]


def test_a_species_needs_a_vote_to_be_found():
    with pytest.raises(LakeError, match="at least one vote to be found, not 0"):
        DecisionRule("many", min_votes=0)


def test_an_observation_of_several_species_is_not_scored_as_one(predicted):
    label(predicted, ("o2", "s1", day(1)), ("o2", "s2", day(1)))
    assert evaluate(predicted, ONE_SPECIES).observation_count == 1
    assert evaluate(predicted, SEVERAL).observation_count == 2
    label(predicted, ("o1", "s1", day(2)), ("o1", "s2", day(2)))
    with pytest.raises(LakeError, match="every scored observation of 'd' holds several species"):
        evaluate(predicted, ONE_SPECIES)


def test_the_same_answers_for_another_split_are_another_decision(predicted):
    whole = decisions.whole_scope(predicted, "d")
    held_out = Scope("d", "val", whole.observations)
    assert decide(predicted, scope=whole).decision_id != decide(predicted, scope=held_out).decision_id
