import random

import polars as pl
import pyarrow as pa
import pytest
from lake_rows import frame

from lake import query, scoring
from lake.errors import LakeError
from lake.query import Session

FACTS = "observation_id country_code month site transect base_quadrat organ"
OF_ONE = [
    *("accuracy", "top5_accuracy", "macro_f1", "weighted_f1", "top10_accuracy"),
    *("macro_f1_per_true_species", "macro_f1_per_known_species"),
]
OF_MANY = [
    *("macro_f1_per_observation", "macro_f1_per_species", "micro_f1"),
    *("macro_f1_per_true_species", "macro_f1_per_known_species"),
    *("precision", "recall", "mean_species", "macro_f1_per_transect"),
]


def facts_of(*rows):
    types = {"month": pa.int32()}
    columns = zip(*rows, strict=True) if rows else [()] * 7
    return pa.table(
        {
            name: pa.array(list(of), types.get(name, pa.string()))
            for name, of in zip(FACTS.split(), columns, strict=True)
        }
    )


def frames(truth, answers, facts=(), venomous=()):
    """Return the tables of truth and ranked answers; an answer to many species is told by True."""
    return {
        "truth": frame("observation_id species_id", *truth),
        "answers": frame("observation_id species_id rank is_answer", *answers),
        "facts": facts_of(*facts),
        "current_species": frame("species_id is_venomous", *venomous),
    }


def scores(truth, answers, kind, train_counts=(), species_count=4, **options):
    named = {key: options.pop(key) for key in ("facts", "venomous") if key in options}
    counts = frame("species_id train_count", *train_counts)
    given = frames(truth, answers, **named)
    return scoring.scores(**given, kind=kind, train_counts=counts, species_count=species_count, **options)


def of_slice(found, name):
    return {score.metric: score for score in found if score.slice == name}


def values(found, name):
    return {metric: score.value for metric, score in of_slice(found, name).items()}


def slices(found, kind):
    return [name for name in dict.fromkeys(score.slice for score in found) if name.startswith(kind)]


ONE = {
    "truth": [("o1", "s1"), ("o2", "s1"), ("o3", "s2"), ("o4", "s3")],
    "answers": [("o1", "s1", 1, True), ("o1", "s2", 2, False), ("o2", "s2", 1, True), ("o3", "s2", 1, True)],
}
MANY = {
    "truth": [("q1", "s1"), ("q1", "s2"), ("q2", "s1"), ("q3", "s3")],
    "answers": [("q1", "s1", 1, True), ("q1", "s2", 2, False), ("q2", "s1", 1, True), ("q2", "s2", 2, True)],
}


@pytest.mark.parametrize("kind", ["one", "many"])
def test_a_score_is_the_same_to_its_last_digit_however_threads_share_the_rows(kind):
    rng = random.Random(0)
    names = [f"o{number}" for number in range(300)]
    size = {name: 1 if kind == "one" else rng.randint(1, 7) for name in names}
    truth = [(name, str(species)) for name in names for species in rng.sample(range(40), size[name])]
    answers = [
        (name, str(species), rank, True if kind == "many" else rank == 1)
        for name in names
        for rank, species in enumerate(rng.sample(range(40), 5), 1)
    ]
    facts = [(name, "FR", 1, "", f"t{rng.randint(0, 20)}", "", "") for name in names]
    said = {repr(values(scores(truth, answers, kind, facts=facts, species_count=40), "all")) for _ in range(15)}
    assert len(said) == 1


def test_everything_is_scored_by_each_metric_of_its_kind_and_each_has_a_range_that_holds_it():
    for kind, given, metrics, size in [("one", ONE, OF_ONE, 4), ("many", MANY, OF_MANY, 3)]:
        found = of_slice(scores(**given, kind=kind), "all")
        assert list(found) == metrics
        assert all(score.low <= score.value <= score.high for score in found.values())
        assert {score.count for score in found.values()} == {size}


def test_an_observation_without_an_answer_is_a_miss():
    assert values(scores(**ONE, kind="one"), "all")["accuracy"] == 0.5
    # q1: 2 * 1 / 3, q2: 2 * 1 / 3, q3 is not answered
    assert values(scores(**MANY, kind="many"), "all")["macro_f1_per_observation"] == pytest.approx(4 / 9)


def test_answers_to_observations_without_truth_are_not_scored():
    more = {**MANY, "answers": [*MANY["answers"], ("q9", "s1", 1, True)]}
    assert scores(**more, kind="many") == scores(**MANY, kind="many")
    more = {**ONE, "answers": [*ONE["answers"], ("o9", "s1", 1, True)]}
    assert scores(**more, kind="one") == scores(**ONE, kind="one")


def test_the_answer_of_one_species_is_the_best_one_whatever_else_is_called_an_answer():
    for called in (True, False):
        answers = [(observation, species, rank, called) for observation, species, rank, _ in ONE["answers"]]
        assert scores(ONE["truth"], answers, "one") == scores(**ONE, kind="one")


def test_the_order_of_the_rows_changes_no_score():
    chance = random.Random(1)
    for kind, given in (("one", ONE), ("many", MANY)):
        shuffled = {name: chance.sample(rows, len(rows)) for name, rows in given.items()}
        assert scores(**shuffled, kind=kind) == scores(**given, kind=kind)


def test_another_seed_draws_other_ranges_of_the_same_values():
    first, again, other = (of_slice(scores(**ONE, kind="one", seed=seed), "all") for seed in (1, 1, 2))
    assert first == again
    assert {key: score.value for key, score in first.items()} == {key: score.value for key, score in other.items()}
    assert first != other


PLACES = [
    ("o1", "FR", 6, "t1", "t1", "b1", "leaf"),
    ("o2", "FR", 6, "t1", "t1", "b1", None),
    ("o3", "ES", None, None, None, None, None),
    ("o9", "PT", 9, "t9", None, None, "root"),
]


def test_a_slice_is_scored_as_if_there_were_no_other_observation():
    found = scores(**ONE, kind="one", facts=PLACES)
    assert slices(found, "country") == ["country:ES", "country:FR"]
    assert values(found, "country:FR") == {"accuracy": 0.5, "macro_f1": pytest.approx((2 / 3 + 0) / 2)}
    assert values(found, "country:ES") == {"accuracy": 1, "macro_f1": 1}
    assert {score.count for score in of_slice(found, "country:FR").values()} == {2}


def test_a_slice_of_quadrats_is_scored_by_the_metrics_of_many_species():
    facts = [(one.replace("o", "q"), *others) for one, *others in PLACES]
    found = scores(**MANY, kind="many", facts=facts)
    assert values(found, "site:t1") == {
        "macro_f1_per_observation": pytest.approx(2 / 3),
        "micro_f1": pytest.approx(2 * 2 / 6),
    }


def test_what_nobody_knows_of_an_observation_puts_it_into_no_slice():
    found = scores(**ONE, kind="one", facts=PLACES)
    assert (slices(found, "site"), slices(found, "month"), slices(found, "organ")) == (
        ["site:t1"],
        ["month:6"],
        ["organ:leaf"],
    )


def test_where_all_are_alike_there_is_no_slice():
    alike = [(f"o{number}", "FR", None, "t1", "t1", None, None) for number in range(1, 5)]
    found = scores(**ONE, kind="one", facts=alike)
    for kind in ("country", "month", "site", "organ", "support"):
        assert slices(found, kind) == []


def test_months_stand_in_their_order():
    facts = [(f"o{number}", None, month, *[None] * 4) for number, month in enumerate((11, 2, 7, 7), start=1)]
    assert slices(scores(**ONE, kind="one", facts=facts), "month") == ["month:2", "month:7", "month:11"]


def test_a_slice_of_one_observation_has_no_range():
    found = of_slice(scores(**ONE, kind="one", facts=PLACES), "country:ES")["accuracy"]
    assert (found.value, found.low, found.high, found.count) == (1, None, None, 1)


def test_support_is_what_training_saw_of_the_true_species():
    truth = [(f"o{number}", f"s{number}") for number in range(8)]
    right = [(observation, species, 1, True) for observation, species in truth if observation != "o0"]
    counts = [*zip([f"s{number}" for number in range(1, 8)], (0, 1, 9, 10, 99, 100, 5000), strict=True)]
    found = scores(truth, right, "one", train_counts=counts)
    assert slices(found, "support") == ["support:0", "support:1-9", "support:10-99", "support:100+"]
    assert [of_slice(found, name)["accuracy"].count for name in slices(found, "support")] == [2, 2, 2, 2]
    assert values(found, "support:0")["accuracy"] == 0.5


def test_of_quadrats_support_says_how_much_of_it_is_found():
    found = scores(**MANY, kind="many", train_counts=[("s1", 200), ("s2", 3), ("s3", 3)])
    assert values(found, "support:100+") == {"recall": 1}
    assert values(found, "support:1-9") == {"recall": 0}
    assert of_slice(found, "support:100+")["recall"].count == 2


@pytest.mark.parametrize(("kind", "given"), [("one", ONE), ("many", MANY)])
def test_each_species_has_its_own_scores_without_a_range(kind, given):
    found = scores(**given, kind=kind)
    assert slices(found, "species") == ["species:s1", "species:s2", "species:s3"]
    expected = {"one": {"precision": 1, "recall": 0.5}, "many": {"precision": 1, "recall": 1}}[kind]
    assert {key: value for key, value in values(found, "species:s1").items() if key != "f1"} == expected
    # never answered: there is no precision to speak of
    assert values(found, "species:s3") == {"recall": 0, "f1": 0}
    assert {(score.low, score.high) for score in found if score.slice.startswith("species:")} == {(None, None)}
    assert [of_slice(found, name)["f1"].count for name in slices(found, "species")] == [2, 1, 1]


def test_a_transect_is_what_the_caller_takes_for_one():
    facts = [("q1", None, None, "x", "t1", "b1", None), ("q2", None, None, "x", "t1", "b2", None)]
    whole, ground = (
        values(scores(**MANY, kind="many", facts=facts, unit=unit), "all") for unit in ("transect", "site")
    )
    assert whole["macro_f1_per_transect"] == ground["macro_f1_per_transect"] == pytest.approx((2 / 3 + 0) / 2)
    alone = values(scores(**MANY, kind="many", facts=facts, unit="base_quadrat"), "all")
    assert alone["macro_f1_per_transect"] == alone["macro_f1_per_observation"]


def test_the_range_of_transects_comes_from_whole_transects():
    # Of two quadrats of one transect none can be drawn without the other.
    facts = [(one, None, None, "t1", "t1", None, None) for one in ("q1", "q2", "q3")]
    found = of_slice(scores(**MANY, kind="many", facts=facts), "all")
    assert (found["macro_f1_per_transect"].low, found["macro_f1_per_transect"].high) == (None, None)
    assert found["macro_f1_per_observation"].low is not None


def test_the_tracks_are_scored_where_a_venomous_species_is_known():
    found = scores(**ONE, kind="one", venomous=[("s1", True), ("s2", False), ("s3", None)])
    # o2 is venomous and taken for harmless, o4 has no answer
    assert values(found, "all")["snakeclef_track2"] == 5 + 1
    assert "snakeclef_track2" not in values(scores(**ONE, kind="one", venomous=[("s2", False)]), "all")


def test_what_cannot_be_scored_is_refused():
    with pytest.raises(LakeError, match="no observation has a true species"):
        scores([], ONE["answers"], "one")
    with pytest.raises(LakeError, match=r"need one true species each, but 1 of 3 have more, e.g. 'q1' has 2"):
        scores(**MANY, kind="one")
    with pytest.raises(LakeError, match=r"need one answer of rank 1 each, but 1 of 1 have more"):
        scores(ONE["truth"], [("o1", "s1", 1, True), ("o1", "s2", 1, True)], "one")
    with pytest.raises(LakeError, match="holds one species or many, not 'several'"):
        scores(**ONE, kind="several")
    with pytest.raises(LakeError, match="told by transect, base_quadrat, site, not by 'country'"):
        scores(**MANY, kind="many", unit="country")


def test_who_answers_nothing_scores_0():
    for kind, given in (("one", ONE), ("many", MANY)):
        assert set(values(scores(given["truth"], [], kind), "all").values()) == {0}


def test_the_metric_version_names_every_question_that_scores_come_from(monkeypatch):
    seen = set()
    answer = Session.answer
    monkeypatch.setattr(Session, "answer", lambda self, name, **params: seen.add(name) or answer(self, name, **params))
    scores(**ONE, kind="one", facts=PLACES, venomous=[("s1", True)], train_counts=[("s1", 5)])
    scores(**MANY, kind="many", facts=PLACES, train_counts=[("s1", 5)])
    assert seen == set(scoring._QUESTIONS)


def test_another_question_is_another_metric_version(monkeypatch, tmp_path):
    before = scoring.metric_version()
    for name in scoring._QUESTIONS:
        file = tmp_path / f"{name}.sql"
        file.parent.mkdir(exist_ok=True)
        file.write_bytes((query.SQL / f"{name}.sql").read_bytes())
    monkeypatch.setattr(query, "SQL", tmp_path)
    assert scoring.metric_version() == before
    file.write_text(file.read_text() + "-- changed\n")
    assert scoring.metric_version() != before


def compared(truth, answers_a, answers_b, kind, facts=()):
    given = frames(truth, answers_a, facts)
    given["answers_a"] = given.pop("answers")
    given["answers_b"] = frame("observation_id species_id rank is_answer", *answers_b)
    return scoring.compare(**given, kind=kind, species_count=4)


def test_a_difference_is_what_b_has_more_than_a():
    truth = [(f"o{number}", "s1") for number in range(100)]
    a = [(one, "s1" if number < 50 else "s2", 1, True) for number, (one, _) in enumerate(truth)]
    b = [(one, "s1" if 1 <= number < 80 else "s2", 1, True) for number, (one, _) in enumerate(truth)]
    found = compared(truth, a, b, "one")
    assert (found.better, found.worse, found.same) == (30, 1, 69)
    accuracy = {one.metric: one for one in found.differences}["accuracy"]
    assert (accuracy.a, accuracy.b) == (0.5, 0.79)
    assert accuracy.difference == pytest.approx(0.29)
    assert 0.15 < accuracy.low < 0.29 < accuracy.high < 0.4
    assert accuracy.is_real


@pytest.mark.parametrize(("kind", "given", "metrics"), [("one", ONE, OF_ONE), ("many", MANY, OF_MANY)])
def test_answers_do_not_differ_from_themselves(kind, given, metrics):
    found = compared(given["truth"], given["answers"], given["answers"], kind)
    assert sorted(one.metric for one in found.differences) == sorted(metrics)
    assert {(one.difference, one.low, one.high, one.is_real) for one in found.differences} == {(0, 0, 0, False)}
    assert (found.better, found.worse, found.same) == (0, 0, len({one for one, _ in given["truth"]}))


def test_quadrats_are_compared_by_their_f1():
    # q1 loses one of its two species, q3 gains its only one
    b = [("q1", "s9", 1, True), ("q2", "s1", 1, True), ("q2", "s2", 2, True), ("q3", "s3", 1, True)]
    found = compared(MANY["truth"], MANY["answers"], b, "many")
    assert (found.better, found.worse, found.same) == (1, 1, 1)


@pytest.fixture(scope="module")
def snakes(shared):
    """The contest's validation set: one row per observation, which country each is from, and who is venomous."""
    folder = shared / "snakeclef-metadata"
    if not folder.is_dir():
        pytest.skip(f"the tables of SnakeCLEF are not here: {folder}")
    photographs = pl.read_csv(folder / "ValMetadata.csv", infer_schema=False)
    observations = photographs.select("observation_id", species_id="class_id", country_code="code").unique()
    venomous = pl.read_csv(folder / "venomous_status_list.csv", infer_schema=False)
    learnt = pl.read_csv(folder / "TrainMetadata-HM.csv", infer_schema=False).unique("observation_id")
    return {
        "truth": observations.select("observation_id", "species_id").to_arrow(),
        "facts": facts_of(
            *((one, country, *[None] * 5) for one, country in observations.select(pl.col("^obs.*$|^country.*$")).rows())
        ),
        "current_species": venomous.select(species_id="class_id", is_venomous=pl.col("MIVS") == "1").to_arrow(),
        "train_counts": learnt.group_by(species_id="class_id").len("train_count").to_arrow(),
    }


def test_one_species_for_all_snakes_scores_as_the_contest_scores_it_with_ranges_that_hold_the_scores(snakes):
    asked = snakes["truth"]["observation_id"]
    count = len(asked)
    found = {}
    for species_id, facts in (("1736", snakes["facts"]), ("1137", facts_of())):
        answers = pa.table(
            {
                "observation_id": asked,
                "species_id": pa.repeat(species_id, count),
                "rank": pa.repeat(pa.scalar(1, pa.int32()), count),
                "is_answer": pa.repeat(True, count),
            }
        )
        found[species_id] = scoring.scores(
            **{**snakes, "facts": facts}, answers=answers, kind="one", species_count=1784
        )
    tracks = {species_id: values(one, "all") for species_id, one in found.items()}
    assert [(one["snakeclef_track1"], one["snakeclef_track2"]) for one in tracks.values()] == [
        (55.42, 15486),
        (36.51, 13783),
    ]
    assert [round(100 * one["accuracy"], 2) for one in tracks.values()] == [0.93, 1.29]
    ranged = [score for one in found.values() for score in one if score.low is not None]
    assert len(ranged) > 200
    assert [score for score in ranged if not score.low <= score.value <= score.high] == []
    countries = [score for score in found["1736"] if score.slice.startswith("country:") and score.metric == "accuracy"]
    known = snakes["facts"]["country_code"].drop_null()
    assert sum(score.count for score in countries) == len(known)
