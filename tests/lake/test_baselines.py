import polars as pl
import pyarrow as pa
import pytest
from lake_rows import frame

from lake import baselines, query
from lake.errors import LakeError

ALL = ["random", "majority", "majority_by_country", "always_venomous", "venomous_by_country"]
# 7 leads in all together and in DK, 8 in SE, the venomous 30 in NO. Of the venomous ones 20 ties with 30.
TRAIN = [
    *[("t1", "7", "DK"), ("t2", "7", "DK"), ("t3", "7", "NO"), ("t4", "7", None)],
    *[("t5", "8", "SE"), ("t6", "20", "DK"), ("t7", "20", "DK"), ("t8", "30", "NO"), ("t9", "30", "NO")],
]
ASKED = [("o1", "DK"), ("o2", "NO"), ("o3", "SE"), ("o4", None), ("o5", "FI")]
SPECIES = [("7", False), ("8", None), ("20", True), ("30", True), ("99", True)]


def answers(train=TRAIN, asked=ASKED, species=SPECIES, **options):
    return baselines.answers(
        frame("observation_id species_id country_code", *train),
        frame("observation_id country_code", *asked),
        frame("species_id is_venomous", *species),
        **options,
    )


def named(**of_species):
    """One answer of each name to every observation of ASKED."""
    return {name: frame("observation_id species_id", *[(one, s) for one, _ in ASKED]) for name, s in of_species.items()}


def scores(given, truth, species=SPECIES):
    return baselines.scores(
        given, frame("observation_id species_id", *truth), frame("species_id is_venomous", *species)
    )


def test_every_baseline_answers_every_observation_once():
    found = answers()
    assert list(found) == ALL
    for table in found.values():
        assert table.column_names == ["observation_id", "species_id"]
        assert table["observation_id"].to_pylist() == ["o1", "o2", "o3", "o4", "o5"]


def test_a_country_that_training_does_not_know_is_answered_as_all_together():
    found = {name: table["species_id"].to_pylist() for name, table in answers().items()}
    assert found["majority"] == ["7"] * 5
    assert found["majority_by_country"] == ["7", "30", "8", "7", "7"]
    assert found["always_venomous"] == ["20"] * 5
    assert found["venomous_by_country"] == ["20", "30", "20", "20", "20"]


def test_without_a_country_nothing_is_answered_by_country():
    nowhere = [(observation, species, None) for observation, species, _ in TRAIN]
    assert list(answers(train=nowhere)) == ["random", "majority", "always_venomous"]
    assert list(answers(asked=[("o1", None)])) == ["random", "majority", "always_venomous"]
    # what it knows of other countries is of no use
    assert list(answers(asked=[("o1", "FI")])) == ["random", "majority", "always_venomous"]


def test_a_country_without_venomous_species_does_not_ask_for_venomous_ones_by_country():
    assert list(answers(asked=[("o1", "SE")])) == ["random", "majority", "majority_by_country", "always_venomous"]


def test_without_a_venomous_species_in_training_none_is_answered():
    assert list(answers(species=[("7", False), ("99", True)])) == ["random", "majority", "majority_by_country"]
    assert list(answers(species=[])) == ["random", "majority", "majority_by_country"]


def test_who_learnt_from_nothing_answers_nothing():
    assert answers(train=[]) == {}


def test_another_seed_draws_other_species():
    asked = [(f"o{number}", None) for number in range(40)]
    first = answers(asked=asked, seed=1)["random"]
    assert answers(asked=asked, seed=1)["random"] == first
    assert answers(asked=asked, seed=2)["random"] != first


def test_answers_are_scored_by_the_questions_that_score_a_model():
    # s7 is right twice: F1 is 2 * 2 / (2 + 5) for it and 0 for 8 and 20
    truth = [("o1", "7"), ("o2", "7"), ("o3", "8"), ("o4", "20"), ("o5", "20")]
    found = scores(named(one="7"), truth)["one"]
    assert found["accuracy"] == found["top5_accuracy"] == pytest.approx(0.4)
    assert found["macro_f1"] == pytest.approx(4 / 7 / 3)
    assert found["weighted_f1"] == pytest.approx(4 / 7 * 2 / 5)
    # one harmless taken for another, two venomous ones taken for harmless
    assert found["snakeclef_track2"] == 1 + 2 * 5


def test_each_of_several_answers_has_its_own_scores():
    found = scores(named(harmless="7", venomous="20"), [("o1", "20"), ("o2", "30")])
    assert (found["harmless"]["accuracy"], found["venomous"]["accuracy"]) == (0, 0.5)
    assert (found["harmless"]["snakeclef_track2"], found["venomous"]["snakeclef_track2"]) == (10, 2)


def test_where_no_venomous_species_is_known_the_tracks_are_not_scored():
    for species in ([("7", False), ("8", None)], []):
        assert list(scores(named(one="7"), [("o1", "7")], species)["one"]) == [
            *("accuracy", "top5_accuracy", "macro_f1", "weighted_f1")
        ]


def test_without_truth_nothing_is_scored():
    with pytest.raises(LakeError, match="scores of one were asked for, but no observation has a true species"):
        scores(named(one="7"), [])


@pytest.fixture(scope="module")
def snakes(shared):
    """The contest's tables, one row per observation: HerpMapper's to learn from, the validation set to be answered."""
    folder = shared / "snakeclef-metadata"
    if not folder.is_dir():
        pytest.skip(f"the tables of SnakeCLEF are not here: {folder}")

    def read(name):
        return pl.read_csv(folder / name, infer_schema=False)

    def photographs(name):
        return read(name).select("observation_id", species_id="class_id", country_code="code")

    venomous = read("venomous_status_list.csv").select(species_id="class_id", is_venomous=pl.col("MIVS") == "1")
    train, asked = photographs("TrainMetadata-HM.csv"), photographs("ValMetadata.csv")
    # As a replay of the index bug did: classes by falling count of photographs, of both tables.
    counts = pl.concat([train, asked]).group_by("species_id").len()
    order = counts.sort(pl.col("len"), -pl.col("species_id").cast(int), descending=True)["species_id"].to_list()
    return {
        "train": train.unique().sort("observation_id").to_arrow(),
        "asked": asked.unique().sort("observation_id").to_arrow(),
        "species": venomous.to_arrow(),
        "order": order,
    }


def printed(snakes, species_ids):
    """Score answers to the validation set as the published table prints them: percent to two places."""
    asked = snakes["asked"]
    given = pa.table({"observation_id": asked["observation_id"], "species_id": pa.array(species_ids, pa.string())})
    found = baselines.scores({"it": given}, asked.select(["observation_id", "species_id"]), snakes["species"])["it"]
    return (
        round(100 * found["macro_f1"], 2),
        round(100 * found["accuracy"], 2),
        found["snakeclef_track1"],
        found["snakeclef_track2"],
    )


@pytest.mark.parametrize(
    ("species_id", "expected"), [("1736", (0.00, 0.93, 55.42, 15486)), ("1137", (0.00, 1.29, 36.51, 13783))]
)
def test_one_species_for_all_snakes_scores_as_the_contest_scores_it(snakes, species_id, expected):
    assert printed(snakes, [species_id] * snakes["asked"].num_rows) == expected


@pytest.mark.parametrize(
    ("only_venomous", "expected"), [(True, (0.21, 2.83, 57.21, 15190)), (False, (0.67, 3.60, 47.62, 14046))]
)
def test_the_most_frequent_snake_of_the_country_scores_as_the_contest_scores_it(snakes, only_venomous, expected):
    frames = {"train_observations": snakes["train"], "asked_observations": snakes["asked"]}
    with query.session(None, frames={**frames, "current_species": snakes["species"]}) as ask:
        if only_venomous:
            ask.show("train_observations", ask.answer("evaluate/venomous_observations"))
        ask.show("most_frequent_species", ask.answer("evaluate/most_frequent_species"))
        # what was measured answered 1736 where HerpMapper knows no snake
        found = ask.answer("evaluate/country_answers", fallback="1736")
    assert found["observation_id"].to_pylist() == snakes["asked"]["observation_id"].to_pylist()
    assert printed(snakes, found["species_id"].to_pylist()) == expected


def test_a_perfect_classifier_that_says_its_index_scores_as_the_contest_scores_it(snakes):
    index = {species_id: str(place) for place, species_id in enumerate(snakes["order"])}
    given = [index[species_id] for species_id in snakes["asked"]["species_id"].to_pylist()]
    assert printed(snakes, given) == (0.06, 0.01, 38.23, 14644)


def test_calling_every_snake_venomous_beats_knowing_the_country_in_track_1(snakes):
    known = baselines.answers(snakes["train"], snakes["asked"].drop_columns("species_id"), snakes["species"])
    found = baselines.scores(known, snakes["asked"].select(["observation_id", "species_id"]), snakes["species"])
    assert list(found) == ALL
    by_track1 = sorted(found, key=lambda name: found[name]["snakeclef_track1"])
    assert by_track1 == ["majority", "random", "majority_by_country", "always_venomous", "venomous_by_country"]
    assert max(found, key=lambda name: found[name]["macro_f1"]) == "majority_by_country"
