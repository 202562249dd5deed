"""Vectors to a registered model: what it carries, what is refused, and what a run that dies leaves behind."""

import csv
import os
import signal
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import mlflow
import numpy as np
import pyarrow as pa
import pytest
from coloured import NAMES, QUICK, copied, image_of, lake_of, new_home, registry, rows, settle, take_in
from homes import content, versions
from own_processes import at_once, begin_with, killed_after_append

from flows import train_judgement
from flows.embed import embed
from flows.evaluate import evaluate
from flows.predict import predict
from flows.train import TrainReport, train
from lake import tables
from lake.errors import LakeError
from lake.schemas import TABLES
from modeling import training, training_figures
from modeling.class_map import ClassMap
from modeling.errors import ModelingError, ProbeError, TrainingError
from modeling.heads import TrainedHead
from modeling.registry import Registry

begin_with("flows.train", "modeling.registry", "modeling.training", "modeling.training_figures", "matplotlib.pyplot")

PLANTS = [*rows("10", 8, 3), *rows("2", 8, 3), *rows("9", 8, 3), *rows("33", 2)]
AT_ONCE = {"head": "nearest"}  # it has learnt as soon as it has seen the examples
KILLED = {**QUICK, "max_epochs": 5}
BOTH = "whole+grid-2x2"


@pytest.fixture(scope="module")
def embedded(tmp_path_factory, empty_home, backbone):
    """A home with four species, of one of them two photographs, embedded under two tilings; nothing is trained."""
    home = new_home(empty_home, tmp_path_factory.mktemp("embedded") / "home")
    take_in(home, PLANTS)
    embed.fn("d", backbone, ["whole", "grid-2x2"], home=home)
    return home


@pytest.fixture
def home(embedded, tmp_path):
    return copied(embedded, tmp_path / "home")


@pytest.fixture(scope="module")
def trained(embedded, tmp_path_factory) -> tuple:
    """A home with one model, which has dropped the rarest species, and the report of its training."""
    home = copied(embedded, tmp_path_factory.mktemp("trained") / "home")
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(training_figures, "_umap", lambda: None)
        return home, train.fn("d", "m", home=home, recipe={**QUICK, "min_images": 3})


@pytest.fixture(autouse=True)
def _undrawn(monkeypatch):
    """Draw no figures, which is half of the time of a small training; ``trained`` has them."""
    monkeypatch.setattr(train_judgement, "draw", lambda *_: [])


def run_of(home, report: TrainReport):
    return mlflow.MlflowClient(f"sqlite:///{home / 'mlflow.db'}").get_run(report.mlflow_run_id)


def runs_of(home, name="m"):
    """The MLflow runs of a model's trainings, newest first."""
    client = mlflow.MlflowClient(f"sqlite:///{home / 'mlflow.db'}")
    experiment = client.get_experiment_by_name(name)
    return [] if experiment is None else client.search_runs([experiment.experiment_id])


def stages(home):
    """What has been done in a home."""
    return {row["stage"] for row in content(home, "stage_runs")}


def head_of(home, model) -> TrainedHead:
    return registry(home).head(registry(home).find(model))


def test_checkpoint_version_table_and_predictions_have_one_class_map(trained):
    home, report = trained
    predict.fn("d", "m", home=home)
    listed = {row["class_map_id"] for row in content(home, "class_maps")}
    predicted = {row["class_map_id"] for row in content(home, "tile_predictions")}
    version = registry(home).find("m")
    assert head_of(home, "m").class_map.class_map_id == version.tags["class_map_id"] == report.class_map_id
    assert listed == predicted == {report.class_map_id}
    kept = [row["species_id"] for row in content(home, "class_maps") if not row["is_dropped"]]
    assert tuple(kept) == head_of(home, "m").class_map.species_ids == ("10", "2", "9")


def test_species_with_too_few_photographs_are_listed_as_dropped(trained):
    home, report = trained
    assert report.dropped == {"33": 2}
    assert "not learnt for want of photographs: 1 species: 33 (2)" in report.lines()
    assert registry(home).find("m").tags["dropped"] == '{"33": 2}'
    rows = [(row["class_index"], row["species_id"], row["train_count"]) for row in content(home, "class_maps")]
    assert rows == [(0, "10", 8), (1, "2", 8), (2, "9", 8), (3, "33", 2)]
    assert [row["is_dropped"] for row in content(home, "class_maps")] == [False, False, False, True]


def test_blind_answers_are_scored_beside_the_model_in_report_and_run(trained):
    home, report = trained
    assert report.baselines["majority"]["accuracy"] == pytest.approx(1 / 3)
    assert report.baselines.keys() >= {"random", "majority"}
    assert report.val_accuracy > report.baselines["majority"]["accuracy"]
    metrics = run_of(home, report).data.metrics
    blind = {f"{who}.{name}": value for who, scores in report.baselines.items() for name, value in scores.items()}
    assert metrics.items() >= blind.items()
    assert metrics["val_accuracy"] == report.val_accuracy
    assert any(line.startswith("without looking: majority 0.333") for line in report.lines())


def test_scores_of_species_confusions_and_figures_are_files_of_the_run(trained, tmp_path):
    home, report = trained
    client = mlflow.MlflowClient(f"sqlite:///{home / 'mlflow.db'}")
    files = {file.path: file.file_size for file in client.list_artifacts(report.mlflow_run_id, "judgement")}
    names = ["confusions.csv", "confusions.png", "embedding-map.png"]
    names += ["per-species.csv", "per-species.png", "reliability.png"]
    assert sorted(files) == [f"judgement/{name}" for name in names]
    assert all(files.values())
    table = client.download_artifacts(report.mlflow_run_id, "judgement/per-species.csv", str(tmp_path))
    with Path(table).open() as file:
        counts = {row["species_id"]: int(row["train_count"]) for row in csv.DictReader(file)}
    assert counts.items() >= {"10": 8, "2": 8, "9": 8}.items()


def test_a_good_model_is_called_by_its_names_and_says_so(trained):
    home, report = trained
    assert report.probe.startswith("of 4 labelled photographs 100% are called by their names, and 0% when")
    assert registry(home).find("m").tags["probe"] == report.probe
    assert f"probe: {report.probe}" in report.lines()


def test_where_there_is_nothing_new_nothing_is_trained(trained, monkeypatch):
    home, report = trained
    before, runs = versions(home), len(runs_of(home))
    monkeypatch.setattr(training, "fit", None)
    again = train.fn("d", "m", home=home, recipe={**QUICK, "min_images": 3})
    assert (again.committed, again.model_version) == (False, report.model_version)
    assert (versions(home), len(runs_of(home)), len(registry(home).versions("m"))) == (before, runs, 1)


def test_a_model_whose_class_indices_mean_other_species_is_not_registered(home, monkeypatch):
    save = TrainedHead.save

    def save_with_another_order(head, folder):
        first, *others = range(len(head.class_map))
        species, names = head.class_map.species_ids, head.class_map.scientific_names
        turned = ClassMap(*(tuple(column[at] for at in [*others, first]) for column in (species, names)))
        return save(replace(head, class_map=turned), folder)

    monkeypatch.setattr(TrainedHead, "save", save_with_another_order)
    with pytest.raises(ProbeError, match=r"0% are called by their names.* is called .*Nothing was registered"):
        train.fn("d", "m", home=home, recipe=AT_ONCE)
    assert registry(home).versions("m") == []
    assert [run.info.status for run in runs_of(home)] == ["FAILED"]
    assert stages(home) == {"ingest", "embed"}


def test_where_no_photograph_is_to_be_tried_the_report_says_so(home):
    settle(home, probe_photographs=0)
    report = train.fn("d", "m", home=home, recipe=AT_ONCE)
    assert (report.probe, registry(home).find("m").tags["probe"]) == ("not asked for", "not asked for")


def test_a_recipe_in_a_file_is_obeyed(home, tmp_path):
    file = tmp_path / "recipe.toml"
    file.write_text('poolings = ["mean_patch"]\nmin_images = 2\n[head]\nkind = "nearest"\nneighbours = 2\n')
    report = train.fn("d", "m", home=home, recipe=file)
    head = head_of(home, "m")
    assert (report.head, head.network.kind, head.poolings, report.species) == ("nearest", "nearest", ("mean_patch",), 4)
    assert head.network.settings()["neighbours"] == 2


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("head = ", r"the recipe .*recipe\.toml cannot be read: "),
        ('poolings = ["mean"]', "poolings is 'mean'; it is of cls, mean_patch"),
        ("epochs = 3", "epochs"),
        ('head = "linaer"', "there is no head 'linaer'; there are linear"),
        ('objective = "focale"', "focale"),
        ("mixup = 0.2\nquadrat_species = 3", "ask for one of them"),
        ('mixup = 0.2\nhead = "nearest"', "does not learn by steps"),
        ("head = {kind = 'linear', layers = 3}", "layers"),
        ('tilings = ["grid-0x2"]', "grid-0x2"),
        ("min_images = 9", "min_images = 9 leaves 0 of 4 species of 'd' .*the second most frequent one has 8"),
    ],
)
def test_a_recipe_that_makes_no_sense_is_one_error_and_leaves_no_model(trained, tmp_path, text, said):
    home, _ = trained
    before = len(content(home, "stage_runs"))
    file = tmp_path / "recipe.toml"
    file.write_text(text)
    with pytest.raises(ModelingError, match=said):
        train.fn("d", "senseless", home=home, recipe=file)
    assert registry(home).versions("senseless") == []
    assert {run.info.status for run in runs_of(home, "senseless")} <= {"FAILED"}
    assert len(content(home, "stage_runs")) == before


def test_a_model_of_several_tilings_answers_by_the_mean_over_all_of_their_tiles(home):
    report = train.fn("d", "m", home=home, recipe={**AT_ONCE, "tilings": ["whole", "grid-2x2"]})
    assert report.train_images == 26, "an example is a tile, and a photograph is counted once"
    predicted, scored = predict.fn("d", "m", home=home), evaluate.fn("d", "m", home=home)
    assert (predicted.scheme_id, scored.scheme_id) == (BOTH, BOTH)
    assert predicted.images_predicted == 35
    assert scored.observations == 9
    tiles = content(home, "tile_predictions")
    answers = content(home, "observation_predictions")
    for observation, image_id in image_of(home).items():
        own = [row for row in tiles if row["image_id"] == image_id]
        places = {(row["scheme_id"], row["tile_index"]) for row in own}
        assert len(places) == 5
        for answer in answers:
            if (answer["decision_id"], answer["observation_id"]) == (predicted.decision_id, observation):
                each = [row["probability"] for row in own if row["species_id"] == answer["species_id"]]
                assert answer["score"] == pytest.approx(sum(each) / 5, abs=1e-6)


def test_nothing_learns_from_validation_where_there_is_no_test_side_to_score_it_on(home):
    with pytest.raises(TrainingError, match=r"no test side to score the model on: set test_fraction"):
        train.fn("d", "m", home=home, recipe={**AT_ONCE, "refit": True})
    assert registry(home).versions("m") == []


def test_a_model_that_has_learnt_from_validation_is_scored_on_the_test_side_of_its_own_split_alone(home, backbone):
    sides = ["train"] * 6 + ["val"] * 2 + ["test"] * 2
    take_in(home, [(name, f"{name}-{at}", side) for name in ("10", "2") for at, side in enumerate(sides)], "other")
    train.fn("other", "m", backbone, home=home, recipe={**AT_ONCE, "refit": True})
    scores = evaluate.fn("other", "m", home=home)
    assert (scores.split, scores.observations) == ("test", 4)
    with pytest.raises(TrainingError, match=r"\(refit\), and the \w+ side of elsewhere was asked for"):
        evaluate.fn("other", "m", home=home, split_id="elsewhere")


def test_a_species_that_the_older_model_knows_begins_with_its_weights(trained):
    home, _ = trained
    still = {"max_epochs": 1, "learning_rate": 1e-9}
    report = train.fn("d", "wider", home=home, recipe=still, start_from="m")
    older, newer = head_of(home, "m"), head_of(home, "wider")
    assert newer.class_map.species_ids == ("10", "2", "33", "9"), "the new one stands between old ones"
    weights, before = (head.network.state_dict() for head in (newer, older))
    for name in newer.network.class_rows:
        for species in older.class_map.species_ids:
            here, there = weights[name][newer.class_map.index[species]], before[name][older.class_map.index[species]]
            assert np.allclose(here, there, atol=1e-6), (name, species)
    assert registry(home).find("wider").tags["started_from"] == registry(home).find("m").recorded_as
    fresh = train.fn("d", "wider", home=home, recipe=still)
    assert (fresh.model_version, report.model_version) == ("wider/2", "wider/1"), "from nothing is another training"


def test_a_matrix_that_is_mapped_from_a_file_gives_the_same_model(trained, monkeypatch):
    home, _ = trained
    seen, fit = [], training.fit

    def fit_and_look(examples, *others):
        seen.append(examples.features)
        return fit(examples, *others)

    monkeypatch.setattr(training, "fit", fit_and_look)
    monkeypatch.setenv("TAXALAKE_TRAIN_BYTES", "1")
    train.fn("d", "mapped", home=home, recipe={**QUICK, "min_images": 3})
    assert isinstance(seen[0], np.memmap)
    hashes = {name: registry(home).find(name).tags["head_hash"] for name in ("m", "mapped")}
    assert hashes["m"] == hashes["mapped"]


@pytest.mark.parametrize(
    ("observations", "said"),
    [
        (rows("10", 6, 2), r"the training photographs show 1 species \(10\); two are needed"),
        ([*rows("10", 1), *rows("2", 1), *rows("9", 1)], "3 photographs to train on and 0 to validate on"),
        ([*rows("10", 0, 4), *rows("2", 0, 4)], r"the training photographs show 0 species \(none\)"),
        ([*rows("10", 4), *rows("2", 4), *rows("9", 0, 4)], "8 photographs to train on and 0 to validate on"),
    ],
    ids=["one species", "one photograph of each", "nothing to train on", "only new species to validate on"],
)
def test_what_cannot_be_learnt_from_is_an_error_before_any_training(home, monkeypatch, observations, said):
    # The photographs are those of d, so that they have their vectors.
    take_in(home, observations, "e")
    monkeypatch.setattr(training, "_train", None)
    with pytest.raises(TrainingError, match=said):
        train.fn("e", "m", home=home)
    assert registry(home).versions("m") == []


def test_species_that_validation_alone_shows_are_left_out_and_counted(home, capsys):
    take_in(home, [*rows("10", 8, 3), *rows("2", 8, 3), *rows("9", 0, 3)], "e")
    report = train.fn("e", "m", home=home, recipe=AT_ONCE)
    assert (report.species, report.val_images) == (2, 6)
    assert "left out: 3 photographs without vectors, or of species that are not learnt" in capsys.readouterr().err


def test_a_vector_that_is_not_a_number_is_an_error_that_names_its_image(home, monkeypatch):
    bad = image_of(home)["10-3"]
    rows = {
        name: tables.open_table(lake_of(home), name).to_pyarrow_table().to_pylist()
        for name in ("embedding_specs", "embeddings")
    }
    later = datetime.now(UTC)
    for name, one in ((name, one) for name, some in rows.items() for one in some):
        # As a broken backbone would leave them; of several keys the one with the newest vectors is learnt from.
        one |= {"embedding_key": "broken"} | ({"embedded_at": later} if name == "embeddings" else {})
        if one.get("image_id") == bad:
            one["cls"][5] = float("nan")
    for name, some in rows.items():
        tables.append(lake_of(home), name, pa.Table.from_pylist(some, schema=TABLES[name].columns))
    monkeypatch.setattr(training, "fit", None)
    with pytest.raises(LakeError, match=rf"the cls of image {bad} \(whole, tile 0\) under .* broken holds NaN"):
        train.fn("d", "m", home=home)
    assert registry(home).versions("m") == []


def test_a_tiling_that_nothing_was_embedded_at_is_embedded_as_the_others_were(home):
    (spec,) = content(home, "embedding_specs")
    report = train.fn("d", "m", home=home, recipe={**AT_ONCE, "tilings": ["grid-1x2"]})
    assert (report.embedding_key, report.train_images) == (spec["embedding_key"], 26)
    assert content(home, "embedding_specs") == [spec]


def train_alone(home):
    train.fn("d", "m", home=home, recipe=KILLED)


def train_and_die_at_the_third_epoch(home):
    fit = training.fit
    epochs = []

    def die(count):
        epochs.append(count)
        if len(epochs) == 3:
            os.kill(os.getpid(), signal.SIGKILL)

    training.fit = lambda examples, problem, recipe, logger, _, inherit: fit(
        examples, problem, recipe, logger, die, inherit
    )
    train_alone(home)


def train_and_die_before_the_alias(home):
    Registry.set_alias = lambda *_: os.kill(os.getpid(), signal.SIGKILL)
    # No figures, as in the tests themselves.
    train_judgement.draw = lambda *_: []
    train_alone(home)


@pytest.mark.parametrize("when", ["after the class map", "while it fits", "before the alias"])
def test_a_training_that_was_killed_is_made_good_by_the_same_command(home, when):
    if when == "after the class map":
        assert killed_after_append(train_alone, (home,), "class_maps", 1)
    else:
        work = train_and_die_at_the_third_epoch if when == "while it fits" else train_and_die_before_the_alias
        assert at_once(work, (home,)) == [-signal.SIGKILL]
    left = registry(home).versions("m")
    assert [version.aliases for version in left] == ([()] if when == "before the alias" else [])
    report = train.fn("d", "m", home=home, recipe=KILLED)
    assert (report.model_version, report.aliases) == ("m/1", ["champion"])
    assert len(registry(home).versions("m")) == 1
    assert head_of(home, "m").network.weights_hash == registry(home).find("m").tags["head_hash"]
    assert len(content(home, "class_maps")) == len(NAMES)
    assert evaluate.fn("d", "m", home=home).metrics["accuracy"] == report.val_accuracy
