import random
import shutil
from dataclasses import replace

import pyarrow as pa
import pytest
from lake_rows import day, filled, frame, held, rows
from predicted_tiles import PREDICTION

from lake import decisions, labels, query, scoring, sweeps, tables
from lake.decisions import Part, Scope
from lake.errors import LakeError
from lake.resampling import Estimate
from lake.rules import COSTS, GROUPINGS, POOLINGS, DecisionRule, PriorUse
from lake.sweeps import Tried

PYRAMID = "pyramid-518-3..1"
LEVELS = {3: (0, 8), 2: (9, 12), 1: (13, 13)}
PARTS = {
    **{f"pyramid-518-{level}": [Part(f"pyramid-518-{level}", PYRAMID, *tiles)] for level, tiles in LEVELS.items()},
    PYRAMID: [Part(PYRAMID, PYRAMID)],
    f"whole+{PYRAMID}": [Part("whole", "whole"), Part(PYRAMID, PYRAMID)],
    "whole": [Part("whole", "whole")],
    "pyramid-518-3+pyramid-518-1+whole": [
        Part("pyramid-518-3", PYRAMID, *LEVELS[3]),
        Part("pyramid-518-1", PYRAMID, *LEVELS[1]),
        Part("whole", "whole"),
    ],
}
OBSERVATIONS = [f"o{number:02}" for number in range(14)]
ANSWERED = OBSERVATIONS[:12]
SPECIES = [f"s{number:02}" for number in range(12)]
PLACES = ("NO", "SE")
SPECIES_COUNT = 20
NO_COUNTS = frame("species_id train_count")
USES = (PriorUse("m"), PriorUse("p", 2.0))


@pytest.fixture(scope="module")
def swept(tmp_path_factory, empty_tables):
    """A lake of random predictions in sixty-fourths, so that sums are exact and there are ties, and its questions."""
    lake = tables.Lake(str(shutil.copytree(empty_tables, tmp_path_factory.mktemp("swept") / "lake")))
    draw = random.Random(0)
    records = [
        ("d", f"{name}-{photograph}.jpg", name, f"i{name}-{photograph}", site, f"{site}-{number % 4}" if site else None)
        for number, name in enumerate(OBSERVATIONS)
        for site in [("north", "south", None)[number % 3]]
        for photograph in range(1 + number % 2)
    ]
    tables.append(
        lake,
        "image_records",
        filled("image_records", "dataset image_name observation_id image_id transect base_quadrat", *records),
    )
    tables.append(
        lake,
        "species",
        filled("species", "species_id scientific_name is_venomous", *((one, one, one < "s04") for one in SPECIES)),
    )
    tables.append(lake, "tile_predictions", filled("tile_predictions", PREDICTION, *guesses(draw, records)))
    likely = [(place, one, draw.randint(1, 8) / 16) for place in PLACES for one in SPECIES[:9]]
    # the likeliest and the unlikeliest one are never predicted
    extreme = [(place, *one) for place in PLACES for one in (("s98", 1.0), ("s99", 1 / 32))]
    weights = [("p", *one) for one in (*likely, *extreme)]
    mask = [("m", "all", one, float(one > "s02")) for one in SPECIES]
    tables.append(lake, "priors", filled("priors", "prior_id place species_id weight", *weights, *mask))
    placed = [("p", "d", name, PLACES[number % 2]) for number, name in enumerate(OBSERVATIONS[:9])]
    masked = [("m", "d", name, "all") for name in OBSERVATIONS]
    tables.append(
        lake, "prior_places", filled("prior_places", "prior_id dataset observation_id place", *placed, *masked)
    )
    tables.append(lake, "prior_specs", filled("prior_specs", "prior_id kind spec", ("p", "c", "{}"), ("m", "m", "{}")))
    return lake


def guesses(draw, records):
    for image in {record[3]: None for record in records}:
        for scheme, tile_count in ((PYRAMID, 14), ("whole", 1), ("grid-2x2", 4)):
            for tile in range(tile_count):
                best = sorted((draw.randint(1, 40) / 64 for _ in range(4)), reverse=True)
                # every photograph has its own few species, so that some are right
                own = draw.sample(SPECIES, 4)
                for rank, (species, probability) in enumerate(zip(own, best, strict=True)):
                    yield "m/1", scheme, image, tile, rank + 1, species, probability


def scope(names=ANSWERED):
    return Scope("d", "all", frame("observation_id", *((name,) for name in names)))


def truth(kind, names=ANSWERED[:10]):
    draw = random.Random(1)
    most = 1 if kind == "one" else 4
    pairs = [(name, one) for name in names for one in sorted(draw.sample([*SPECIES, "s77"], draw.randint(1, most)))]
    return frame("observation_id species_id", *pairs)


def facts(lake):
    return query.answer(lake, "labels/observation_facts", tables.latest(lake, "image_records"), dataset="d")


def current_species(lake):
    return query.answer(lake, "labels/current_species", tables.latest(lake, "species"))


def try_all(lake, rules, of_truth=None, in_scope=None, resamples=20, **asked):
    tried, _ = sweeps.run(
        lake,
        in_scope or scope(),
        truth(rules[0].species) if of_truth is None else of_truth,
        facts(lake),
        current_species(lake),
        "m/1",
        SPECIES_COUNT,
        rules,
        PARTS,
        resamples=resamples,
        **asked,
    )
    return tried


def alone(facts):
    """Return facts by which nothing is sliced."""
    unknown = {name: pa.nulls(facts.num_rows, pa.string()) for name in ("country_code", "month", "site", "organ")}
    return pa.table({name: unknown.get(name, facts[name]) for name in facts.column_names})


def of_all(scores):
    return {one.metric: one.value for one in scores if one.slice == "all"}


def _uses(pooling):
    if pooling == "confidence":
        return [()]
    # where votes rank species, weights change nothing, and that is an error
    return [(), (USES[0],)] if pooling in {"votes", "mode"} else [(), (), (PriorUse("p", 0.5),), USES]


def random_rules(draw, species, pooling, count):
    """Return rules that pool alike: they are cut down together, to what any of them could keep."""
    alike = {
        "tilings": draw.choice(list(PARTS)),
        "pooling": pooling,
        "tile_top_k": draw.choice([None, 1, 2, 3]),
        "min_probability": draw.choice([0.0, 0.25, 0.5]),
        "priors": draw.choice(_uses(pooling)),
    }
    if species == "one":
        alike["cost"] = draw.choice(["", "", *COSTS])
        return [DecisionRule(species, **alike, **of_one(draw)) for _ in range(count)]
    alike["min_votes"] = draw.choice([None, 1, 2, 3])
    alike["grouping"] = draw.choice([*[""] * 5, *GROUPINGS])
    if alike["grouping"] == "frequency":
        alike["min_votes"] = alike["min_votes"] or 1
    return [DecisionRule(species, **alike, **of_many(draw)) for _ in range(count)]


def of_one(draw):
    return {
        "candidates": draw.choice([1, 3, 5, 12]),
        "venomous_share": draw.choice([0.0, 0.25, 1.0]),
    }


def of_many(draw):
    limit = draw.choice(["", *["threshold", "mean_species"] * 6])
    return {
        "threshold": draw.choice([0.0, 0.25, 0.4, 0.75, 1.5]) if limit == "threshold" else None,
        "mean_species": draw.choice([0.01, 0.5, 2, 3.7, 50]) if limit == "mean_species" else None,
        "least_species": draw.choice([0, 1, 2]),
        "most_species": draw.choice([None, 2, 4]),
    }


def some_rules(species, count=4, seed=0):
    draw = random.Random(seed)
    return [rule for pooling in POOLINGS[species] for rule in random_rules(draw, species, pooling, count)]


@pytest.mark.parametrize(("species", "seed"), [("one", 0), ("many", 5)])
def test_a_sweep_scores_as_one_decision_after_the_other_does(swept, species, seed):
    rules = some_rules(species, seed=seed)
    seen = tables.latest(swept, "image_records", "tile_predictions", "species", "prior_specs", "prior_places", "priors")
    beside = alone(facts(swept)), species, current_species(swept), NO_COUNTS, SPECIES_COUNT
    for tried in try_all(swept, rules):
        rule = tried.rule
        answers = decisions.answer(swept, seen, {}, scope(), rule.tilings, "m/1", rule, PARTS[rule.tilings])
        expected = scoring.scores(truth(species), answers, *beside)
        found = {metric: estimate.value for metric, estimate in tried.scores.items()}
        assert found == pytest.approx(of_all(expected), abs=1e-12), rule.spec


@pytest.mark.parametrize(
    "choices",
    [
        [{"threshold": 0.1}, {"threshold": 0.3}],
        [{"mean_species": 1.0}, {"mean_species": 4.0}],
        [{"threshold": 0.3}, {"mean_species": 4.0}],
        [{"threshold": 0.4, "least_species": 1}, {"threshold": 0.4, "least_species": 3}],
        [{"threshold": 0.4}, {}],
    ],
)
def test_a_rule_scores_beside_others_as_it_does_alone(swept, choices):
    rules = [DecisionRule("many", tilings=PYRAMID, pooling="mean", **choice) for choice in choices]
    assert [values(one) for one in try_all(swept, rules)] == [values(try_all(swept, [rule])[0]) for rule in rules]


def test_labels_of_observations_that_are_not_asked_do_not_count(swept):
    rule = DecisionRule("many", tilings=PYRAMID, pooling="max", mean_species=2)
    known = truth("many", ANSWERED[:5])
    beyond = pa.concat_tables([known, frame("observation_id species_id", ("o13", "s01"))])
    (some,), (same,) = (try_all(swept, [rule], labels) for labels in (known, beyond))
    assert values(same) == values(some)


def values(tried):
    return {metric: estimate.value for metric, estimate in tried.scores.items()}


def test_rules_come_back_in_the_order_given_and_each_is_told_of(swept):
    rules = some_rules("many", 1)
    told = []
    tried = try_all(swept, rules, on_rule=told.append)
    assert [one.rule for one in tried] == rules
    assert told == [1] * 6


def test_rules_of_both_kinds_or_none_are_not_swept(swept):
    rules = [DecisionRule("one", tilings=PYRAMID), DecisionRule("many", tilings=PYRAMID)]
    with pytest.raises(LakeError, match="all for one species or all for many, and at least one"):
        try_all(swept, rules)
    with pytest.raises(LakeError, match="and at least one"):
        sweeps.run(swept, scope(), truth("one"), facts(swept), current_species(swept), "m/1", 9, [], PARTS)


def test_without_truth_nothing_is_swept(swept):
    nothing = truth("many").slice(0, 0)
    with pytest.raises(LakeError, match="no observation of 'd' in this scope is labelled"):
        try_all(swept, [DecisionRule("many", tilings=PYRAMID)], nothing)


def test_a_rule_whose_prior_changes_nothing_is_left_out_beside_those_that_it_changes(swept):
    of_votes, weighed, plain = (
        DecisionRule("many", tilings=PYRAMID, pooling=pooling, priors=priors)
        for pooling, priors in (("votes", (USES[1],)), ("max", (USES[1],)), ("votes", ()))
    )
    why, told = [], []
    found = try_all(swept, [of_votes, weighed, plain], on_rule=told.append, on_left_out=why.append)
    assert [one.rule for one in found] == [weighed, plain]
    assert len(why) == 1
    assert "the prior p weighs scores, and the rule goes by votes" in why[0]
    assert told == [1] * 3


@pytest.mark.parametrize("kind", ["one", "many"])
def test_rules_have_the_scores_that_were_promised_before_they_were_tried(swept, kind):
    rule = DecisionRule(kind, tilings=PYRAMID)
    of_transects = facts(swept)
    unknown = pa.nulls(of_transects.num_rows, pa.string())
    of_none = of_transects.drop_columns("transect").append_column("transect", unknown)
    for known in (of_transects, of_none):
        promised = sweeps.metrics(kind, truth(kind), known, current_species(swept))
        tried, _ = sweeps.run(
            *(swept, scope(), truth(kind), known, current_species(swept), "m/1", SPECIES_COUNT, [rule], PARTS),
            resamples=5,
        )
        assert promised == [metric for metric in tried[0].scores if metric != "mean_species"]
        assert ("macro_f1_per_transect" in promised) == (kind == "many" and known is of_transects)


def test_the_threshold_that_a_mean_comes_to_answers_as_the_mean_does(swept):
    for priors, grouping in (((), ""), (USES, ""), ((), "mean")):
        mean = DecisionRule("many", "whole", "mean", mean_species=2.5, priors=priors, grouping=grouping)
        found = sweeps.threshold(swept, scope(), "m/1", mean, PARTS["whole"])
        given = [
            rows(
                decisions.answer(
                    swept, tables.latest(swept, *decisions.read_by(mean)), {}, scope(), "whole", "m/1", rule
                ),
                "observation_id species_id rank is_answer",
            )
            for rule in (mean, replace(mean, mean_species=None, threshold=found))
        ]
        assert given[0] == given[1]
        assert len(given[0]) >= 2.5 * len(ANSWERED)


def test_a_threshold_is_told_only_of_a_rule_with_a_mean(swept):
    rule = DecisionRule("many", "whole", "mean", threshold=0.25)
    assert sweeps.threshold(swept, scope(), "m/1", rule, PARTS["whole"]) is None


def test_a_choice_on_the_validation_side_says_nothing_of_the_test_side(lake, swept):
    (tried,) = try_all(swept, [DecisionRule("many", tilings=PYRAMID)])
    read = tables.latest(swept, "image_records")
    rule_id = tried.rule.rule_id
    for sweep_id, side in (("a", "val"), ("a-1", "test")):
        sweeps.record(lake, sweep_id, Scope("d", side, scope().observations), "m/1", [tried], read, "run")
    assert sweeps.choice(lake, "d", rule_id, "test") is None
    on_val = sweeps.choice(lake, "d", rule_id, "val")
    assert (on_val.sweep_id, on_val.split, on_val.observations) == ("a", "val", 12)
    assert (on_val.held_out_on, on_val.held_out) == ("test", values(tried))
    for sweep_id, side in (("b", "half"), ("b-1", "other half")):
        sweeps.record(lake, sweep_id, Scope("d", side, scope().observations), "m/1", [tried], read, "run")
    assert sweeps.choice(lake, "d", rule_id, "test").sweep_id == "b"
    assert sweeps.choice(lake, "d", "another", "val") is None


def test_a_sweep_of_which_nothing_is_left_says_why(swept):
    # of these observations the prior knows no place
    rule = DecisionRule("one", tilings=PYRAMID, priors=(PriorUse("p"),))
    with pytest.raises(LakeError, match="the prior p changes nothing"):
        try_all(swept, [rule], truth("one", ANSWERED[9:11]), scope(ANSWERED[9:12]))


def test_scores_of_rules_are_recorded_once(lake, swept):
    tried = try_all(swept, some_rules("many", 1))
    read = tables.latest(swept, "image_records", "tile_predictions")
    count = sum(len(one.scores) for one in tried)
    for expected in (count, 0):
        assert sweeps.record(lake, "a sweep", scope(), "m/1", tried, read, "run") == expected
    stored = held(lake, "sweeps", "sweep_id rule_id metric value ci_low ci_high observation_count")
    (low, high) = (tried[0].scores["recall"].low, tried[0].scores["recall"].high)
    assert ("a sweep", tried[0].rule.rule_id, "recall", tried[0].scores["recall"].value, low, high, 12) in stored
    assert len(stored) == count


def test_the_best_rule_is_that_of_the_highest_score_and_of_equals_the_first():
    rules = [DecisionRule("many", min_votes=votes) for votes in (1, 2, 3, 4)]
    tried = [
        Tried(rule, {"recall": Estimate(value, None)} | ({"rare": Estimate(0.1, None)} if value == 0.5 else {}))
        for rule, value in zip(rules, (0.25, 0.75, 0.75, 0.5), strict=True)
    ]
    assert sweeps.best(tried, "recall").rule == rules[1]
    assert sweeps.best(tried, "rare").rule == rules[3]
    with pytest.raises(LakeError, match="no rule has a score 'f1'; there are recall"):
        sweeps.best(tried, "f1")


@pytest.mark.parametrize("seed", range(8))
def test_halves_share_no_base_quadrat_and_lose_no_observation(seed):
    draw = random.Random(seed)
    of_quadrat = [(name, draw.choice(["a", "b", "c", "d", None])) for name in OBSERVATIONS]
    known = frame("observation_id base_quadrat", *of_quadrat)
    sides = sweeps.halves(scope(OBSERVATIONS), known, seed)
    names = [[name for (name,) in rows(side.observations)] for side in sides]
    assert sorted(names[0] + names[1]) == OBSERVATIONS
    quadrats = [{dict(of_quadrat)[name] for name in side} - {None} for side in names]
    assert not quadrats[0] & quadrats[1]
    assert all(names)
    again = sweeps.halves(scope(OBSERVATIONS), known, seed)
    assert [rows(side.observations) for side in again] == [rows(side.observations) for side in sides]
    assert [side.split for side in sides] == ["half", "other half"]


def test_halves_are_halves_where_every_quadrat_was_seen_once():
    known = frame("observation_id base_quadrat", *((name, None) for name in OBSERVATIONS))
    first, second = sweeps.halves(scope(OBSERVATIONS), known, 0)
    assert (first.observations.num_rows, second.observations.num_rows) == (7, 7)
    other, _ = sweeps.halves(scope(OBSERVATIONS), known, 1)
    assert rows(other.observations) != rows(first.observations)


def test_an_answer_by_a_former_name_is_right_in_a_sweep_as_it_is_in_an_evaluation(swept, tmp_path):
    lake = tables.Lake(str(shutil.copytree(swept.root, tmp_path / "lake")))
    rules = [DecisionRule("one", tilings="whole"), DecisionRule("many", tilings="whole", pooling="max", mean_species=3)]
    changes = [("s03", "s77", "rename", day(2)), ("s05", "s04", "merge", day(2))]
    columns = "old_species_id new_species_id kind recorded_at"
    tables.append(lake, "taxon_changes", filled("taxon_changes", columns, *changes))
    for rule in rules:
        of_today = rows(truth(rule.species))
        named = {"s03": "s77", "s05": "s04"}
        now = sorted({(name, named.get(one, one)) for name, one in of_today})
        asked = frame("observation_id species_id", *now)
        (tried,) = try_all(lake, [rule], of_truth=asked)
        given = decisions.answer(
            lake, tables.latest(lake, *decisions.read_by(rule)), {}, scope(), "whole", "m/1", rule, PARTS["whole"]
        )
        accepted = labels.accepted_species(lake, *tables.latest(lake, "taxon_changes"))
        frames = {"answers": given, "accepted_species": accepted}
        answers = query.answer(None, "evaluate/accepted_answers", frames=frames)
        expected = scoring.scores(
            asked, answers, alone(facts(lake)), rule.species, current_species(lake), NO_COUNTS, SPECIES_COUNT
        )
        found = {metric: estimate.value for metric, estimate in tried.scores.items()}
        assert found == pytest.approx(of_all(expected), abs=1e-12)


def test_a_mean_that_is_a_number_and_a_half_keeps_in_a_sweep_what_it_keeps_alone(swept):
    names = ANSWERED[:5]
    rule = DecisionRule("many", tilings=PYRAMID, pooling="max", mean_species=1.5, least_species=0)
    asked = truth("many", names)
    (tried,) = try_all(swept, [rule], of_truth=asked, in_scope=scope(names))
    seen = tables.latest(swept, *decisions.read_by(rule))
    given = decisions.answer(swept, seen, {}, scope(names), PYRAMID, "m/1", rule, PARTS[PYRAMID])
    expected = scoring.scores(
        asked, given, alone(facts(swept)), "many", current_species(swept), NO_COUNTS, SPECIES_COUNT
    )
    found = {metric: estimate.value for metric, estimate in tried.scores.items()}
    assert found == pytest.approx(of_all(expected), abs=1e-12)
