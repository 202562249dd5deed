import pytest
from lake_rows import filled, frame, held
from predicted_tiles import ONE_SPECIES, SEVERAL, decide, label, predict

from lake import decisions, evaluations, tables
from lake.decisions import Scope
from lake.errors import LakeError
from lake.rules import DecisionRule

NEVER = DecisionRule("many", min_votes=3, least_species=0)
EVERYTHING = DecisionRule("many", pooling="max", threshold=0.0)


@pytest.fixture
def predicted(lake):
    return predict(lake)


def scored(lake):
    return decisions.scored_scope(lake, "d", "p")


def evaluate(lake, rule=SEVERAL, at=None):
    return evaluations.evaluate(lake, decide(lake, rule, scored(lake)), 10, "run", at=at)


def versions(lake):
    return tables.latest(lake, "observation_predictions", "decisions", "evaluations")


def version_of(lake, table):
    return tables.latest(lake, table)[0].version


def test_scores_are_stored_once_with_all_that_was_read(predicted):
    first = evaluate(predicted)
    before = versions(predicted)
    second = evaluate(predicted)
    assert (first.committed, second.committed, second.evaluation_id) == (True, False, first.evaluation_id)
    assert versions(predicted) == before
    assert {first.metrics[name] for name in ("macro_f1_per_observation", "macro_f1_per_species", "micro_f1")} == {1}
    stored = held(predicted, "evaluations", "metric slice value")
    assert {metric: value for metric, part, value in stored if part == "all"} == first.metrics
    assert len(stored) == len(first.scores)
    read = {snapshot.table for snapshot in first.snapshots}
    assert read == {"image_records", "tile_predictions", "labels", "taxon_changes", "species", "splits"}


def test_a_corrected_label_is_another_evaluation_of_the_same_decision(predicted):
    first = evaluate(predicted)
    label(predicted, ("o1", "s2", 2))
    second = evaluate(predicted)
    assert second.evaluation_id != first.evaluation_id
    assert len({one for (one,) in held(predicted, "evaluations", "decision_id")}) == 1
    assert second.metrics["micro_f1"] == 0


def test_an_old_version_of_the_labels_gives_the_old_scores(predicted):
    first = evaluate(predicted)
    then = version_of(predicted, "labels")
    label(predicted, ("o1", "s2", 2))
    again = evaluate(predicted, at={"labels": then})
    assert (again.evaluation_id, again.metrics, again.committed) == (first.evaluation_id, first.metrics, False)
    assert then in [snapshot.version for snapshot in again.snapshots if snapshot.table == "labels"]
    assert evaluate(predicted).metrics["micro_f1"] == 0


def test_a_table_that_does_not_matter_is_refused(predicted):
    with pytest.raises(LakeError, match="do not hang on decisions, images, but on labels, taxon_changes, species"):
        evaluate(predicted, at={"images": 0, "labels": 1, "decisions": 0})


def test_a_version_that_is_not_there_is_refused(predicted):
    with pytest.raises(LakeError, match="labels"):
        evaluate(predicted, at={"labels": 99})


@pytest.mark.parametrize("rule", [ONE_SPECIES, SEVERAL])
def test_each_chance_level_stands_beside_a_score(predicted, rule):
    found = evaluate(predicted, rule)
    assert found.chance
    assert found.chance.keys() <= found.metrics.keys()


def test_an_observation_of_several_species_is_not_scored_as_one(predicted):
    label(predicted, ("o2", "s1", 1), ("o2", "s2", 1))
    assert evaluate(predicted, ONE_SPECIES).observation_count == 1
    assert evaluate(predicted, SEVERAL).observation_count == 2
    label(predicted, ("o1", "s1", 2), ("o1", "s2", 2))
    with pytest.raises(LakeError, match="no scored observation of 'd' is labelled with one species alone: say"):
        evaluate(predicted, ONE_SPECIES)


def test_without_a_label_in_its_scope_nothing_is_scored(predicted):
    alone = Scope("d", "all", frame("observation_id", ("o2",)))
    with pytest.raises(LakeError, match="no scored observation of 'd' is labelled"):
        evaluations.evaluate(predicted, decide(predicted, scope=alone), 10, "run")


def test_an_observation_without_an_answer_is_a_miss(predicted):
    label(predicted, ("o2", "s2", 1))
    # of the two only o1 has two votes for a species
    found = evaluate(predicted, DecisionRule("many", least_species=0))
    assert found.observation_count == 2
    assert found.metrics["macro_f1_per_observation"] == 0.5
    assert found.metrics["recall"] == 0.5


def test_what_had_no_answer_is_a_miss_also_when_it_is_scored_again(predicted):
    decision = decide(predicted, NEVER, scored(predicted))
    assert decision.answers.num_rows == 0
    first = evaluations.evaluate(predicted, decision, 10, "run")
    again = evaluations.evaluate(predicted, decisions.find(predicted, decision.decision_id), 10, "run")
    assert first.metrics["macro_f1_per_observation"] == 0
    assert (again.evaluation_id, again.metrics, again.committed) == (first.evaluation_id, first.metrics, False)


def test_the_old_name_of_a_species_is_right(predicted):
    changes = filled("taxon_changes", "old_species_id new_species_id", ("s1", "s9"))
    tables.append(predicted, "taxon_changes", changes)
    assert evaluate(predicted).metrics["micro_f1"] == 1


def test_what_is_known_without_looking_stands_beside_one_species(predicted):
    tables.append(
        predicted,
        "image_records",
        filled("image_records", "dataset image_name observation_id image_id", ("e", "t.jpg", "t1", "i9")),
    )
    tables.append(
        predicted,
        "labels",
        filled("labels", "dataset observation_id species_id status", ("e", "t1", "s1", "given")),
    )
    tables.append(
        predicted,
        "splits",
        filled("splits", "split_id dataset observation_id split", ("p", "e", "t1", "train")),
    )
    decision = decide(predicted, ONE_SPECIES, scored(predicted))
    found = evaluations.evaluate(predicted, decision, 10, "run", trained_on=("e", "p"))
    assert found.beside
    stored = {part for (part,) in held(predicted, "evaluations", "slice") if part.startswith("without_looking:")}
    assert stored == {f"without_looking:{who}" for who in found.beside}
    assert evaluations.evaluate(predicted, decision, 10, "run").beside == {}


def test_the_better_of_two_decisions_is_found(predicted):
    label(predicted, ("o2", "s2", 1))
    one, other = decide(predicted, SEVERAL), decide(predicted, EVERYTHING)
    found, count = evaluations.compare(predicted, one, other, 10)
    assert (count, found.better, found.worse, found.same) == (2, 1, 0, 1)
    (f1,) = [row for row in found.differences if row.metric == "macro_f1_per_observation"]
    assert (f1.a, f1.b, f1.difference) == (pytest.approx(0.5), pytest.approx(5 / 6), pytest.approx(1 / 3))
    turned, _ = evaluations.compare(predicted, other, one, 10)
    assert (turned.better, turned.worse) == (0, 1)


def test_decisions_are_compared_where_both_have_answered(predicted):
    label(predicted, ("o2", "s2", 1))
    alone = decide(predicted, EVERYTHING, Scope("d", "all", frame("observation_id", ("o2",))))
    found, count = evaluations.compare(predicted, decide(predicted), alone, 10)
    assert (count, found.better, found.same) == (1, 1, 0)


def test_decisions_that_have_nothing_in_common_are_not_compared(predicted):
    label(predicted, ("o2", "s2", 1))
    first, second = (
        decide(predicted, scope=Scope("d", "all", frame("observation_id", (one,)))) for one in ("o1", "o2")
    )
    with pytest.raises(LakeError, match="have no labelled observation in common"):
        evaluations.compare(predicted, first, second, 10)


def test_decisions_of_other_kinds_and_data_sets_are_not_compared(predicted):
    several = decide(predicted)
    with pytest.raises(LakeError, match=r"with many species and .* 'd' with one: two decisions are compared on the"):
        evaluations.compare(predicted, several, decide(predicted, ONE_SPECIES), 10)
    elsewhere = decide(predicted, scope=Scope("e", "all", frame("observation_id", ("o1",))))
    with pytest.raises(LakeError, match=r"answers 'd' with many species and .* 'e' with many"):
        evaluations.compare(predicted, several, elsewhere, 10)


def test_the_range_of_a_metric_is_that_of_everything(predicted):
    label(predicted, ("o2", "s2", 1))
    found = evaluate(predicted)
    low, high = found.range_of("recall")
    assert 0 <= low <= found.metrics["recall"] <= high <= 1
    whole = [
        row for row in held(predicted, "evaluations", "metric slice ci_low ci_high") if row[:2] == ("recall", "all")
    ]
    assert whole == [("recall", "all", low, high)]
