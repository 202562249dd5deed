"""A checkpoint of timm becomes a registered model that every stage can use."""

import csv
import shutil

import mlflow
import numpy as np
import pytest
from homes import REPOSITORY, content, versions
from PIL import Image

from flows.evaluate import evaluate
from flows.identify import identify
from flows.import_model import import_timm
from flows.ingest import ingest_table
from flows.predict import predict
from flows.retrain import retrain
from flows.settings import load
from modeling.registry import Registry
from modeling.timm_checkpoints import CheckpointError

GOLDEN = REPOSITORY / "tests" / "data" / "timm"
CHECKPOINT = GOLDEN / "ema.pth.tar"
HEADS = 2  # of attention: they are narrower than in timm's own models


@pytest.fixture(scope="module")
def species(flora):
    """Five classes in no order but their own; the lake will know three of them."""
    with flora.plants_csv.open() as file:
        first, second, third = sorted({row["species_id"] for row in csv.DictReader(file)})
    return ["unknown-9", third, first, "unknown-1", second]


@pytest.fixture(scope="module")
def class_mapping(tmp_path_factory, species):
    file = tmp_path_factory.mktemp("mapping") / "class_mapping.txt"
    file.write_text("\n".join(species))
    return file


@pytest.fixture(scope="module")
def imported(tmp_path_factory, empty_home, flora, class_mapping):
    """A home with photographs and an imported model, in float32 as timm has computed."""
    home = shutil.copytree(empty_home, tmp_path_factory.mktemp("imported") / "home")
    (home / "taxalake.toml").write_text('dtype = "float32"\n')
    columns = ("image", "species_id", "observation", "split", "scientific_name")
    ingest_table.fn(flora.plants_csv, "plants", *columns, home=home)
    report = import_timm.fn(CHECKPOINT, class_mapping, "contest", home, HEADS)
    assert report.committed
    return home


def registry(home):
    return Registry(f"sqlite:///{home / 'mlflow.db'}", home / "mlartifacts")


def test_the_first_version_of_an_imported_model_is_champion(imported):
    assert registry(imported).find("contest").model_version == "contest/1"


def test_an_imported_model_gives_timms_logits_in_any_program(imported, species, tmp_path):
    files = []
    for at, pixels in enumerate(np.load(GOLDEN / "pixels.npz")["pixels"][:, :70, :70]):
        files.append(str(tmp_path / f"{at}.png"))
        Image.fromarray(pixels).save(files[-1])
    mlflow.set_tracking_uri(f"sqlite:///{imported / 'mlflow.db'}")
    rows = mlflow.pyfunc.load_model("models:/contest@champion").predict(files, params={"top_k": len(species)})
    logits = rows.pivot(index="image", columns="species_id", values="logit")[species]
    np.testing.assert_allclose(logits, np.load(GOLDEN / "ema.npz")["logits"], atol=1e-4)


def test_classes_stand_in_the_order_of_the_class_mapping(imported, species):
    found = registry(imported)
    head = found.head(found.find("contest"))
    assert list(head.class_map.species_ids) == species
    recorded = sorted(content(imported, "class_maps"), key=lambda row: row["class_index"])
    assert [row["species_id"] for row in recorded] == species
    assert {row["class_map_id"] for row in recorded} == {head.class_map.class_map_id}


def test_species_have_the_names_that_the_lake_knows_and_else_their_ids(imported, species):
    named = {row["species_id"]: row["scientific_name"] for row in content(imported, "species")}
    found = registry(imported)
    head = found.head(found.find("contest"))
    assert len(named) == 3
    assert set(named.values()).isdisjoint(named)
    assert list(head.class_map.scientific_names) == [named.get(species_id, species_id) for species_id in species]


def test_an_imported_model_names_what_it_was_made_of(imported):
    version = registry(imported).find("contest")
    run = mlflow.MlflowClient(f"sqlite:///{imported / 'mlflow.db'}").get_run(version.run_id)
    assert {"embedding_key", "class_map_id", "species", "checkpoint_hash", "code", "snapshots"} <= set(version.tags)
    assert (version.tags["checkpoint"], run.data.params["image_size"]) == ("ema.pth.tar", "70")
    assert [given.dataset.name.split("@")[0] for given in run.inputs.dataset_inputs] == ["species"]


def test_importing_the_same_again_registers_and_commits_nothing_and_says_so(imported, class_mapping):
    before = versions(imported)
    again = import_timm.fn(CHECKPOINT, class_mapping, "contest", imported, HEADS)
    assert not again.committed
    assert again.lines() == [
        "contest/1 (champion) was imported from exactly this: nothing new, no model was registered"
    ]
    assert len(registry(imported).versions("contest")) == 1
    assert versions(imported) == before


def test_a_backbone_that_was_deleted_is_written_again_without_a_new_version(imported, class_mapping):
    first = import_timm.fn(CHECKPOINT, class_mapping, "contest", imported, HEADS)
    shutil.rmtree(first.backbone)
    again = import_timm.fn(CHECKPOINT, class_mapping, "contest", imported, HEADS)
    assert (again.backbone, again.embedding_key) == (first.backbone, first.embedding_key)
    assert len(registry(imported).versions("contest")) == 1


def test_an_import_that_ended_before_the_alias_was_set_is_finished_by_the_next(imported, class_mapping):
    mlflow.MlflowClient(f"sqlite:///{imported / 'mlflow.db'}").delete_registered_model_alias("contest", "champion")
    again = import_timm.fn(CHECKPOINT, class_mapping, "contest", imported, HEADS)
    assert (again.committed, again.aliases) == (False, ["champion"])


def test_another_checkpoint_is_another_version_and_leaves_the_champion_alone(imported, class_mapping):
    for name in ("first.pth", "second.pth"):
        shutil.copy(GOLDEN / "no_registers.pth", imported / name)
    reports = [
        import_timm.fn(imported / "first.pth", class_mapping, "several", imported, HEADS),
        import_timm.fn(GOLDEN / "positions_of_all.pth", class_mapping, "several", imported, HEADS),
        import_timm.fn(imported / "second.pth", class_mapping, "several", imported, HEADS),
    ]
    assert [report.model_version for report in reports] == ["several/1", "several/2", "several/1"]
    assert [report.aliases for report in reports] == [["champion"], [], ["champion"]]


def test_a_class_mapping_of_another_model_registers_nothing(home, tmp_path):
    (tmp_path / "short.txt").write_text("1\n2\n3\n")
    with pytest.raises(CheckpointError, match="tells 5 classes apart, and the class mapping names 3 species"):
        import_timm.fn(CHECKPOINT, tmp_path / "short.txt", "contest", home, HEADS)
    assert registry(home).names() == []
    assert content(home, "class_maps") == []


def test_every_stage_takes_an_imported_model(imported, species, flora):
    predicted = predict.fn("plants", "contest", home=imported)
    assert predicted.images_predicted > 0
    assert {row["species_id"] for row in content(imported, "tile_predictions")} == set(species)
    scored = evaluate.fn("plants", "contest", home=imported)
    assert scored.split == "test"
    assert 0 <= scored.metrics["accuracy"] <= 1
    photograph = next((flora.folder / "plants").rglob("*.jpg"))
    (named,) = identify([photograph], "contest", load(home=imported)).observations
    assert len(named.species) == len(species)
    assert not named.errors
    again = predict.fn("plants", "contest", home=imported)
    assert not again.committed


def test_a_head_that_was_trained_here_is_judged_against_an_imported_champion(imported, tmp_path):
    home = shutil.copytree(imported, tmp_path / "home")
    first = registry(home).find("contest")
    assert first.run_id, "the registry keeps its files where they were, and they are still there"
    (report,) = retrain.fn("plants", "contest", home=home).outcomes
    assert report.scores.keys() == {"contest/1", "contest/2"}
    trained = registry(home).find("contest/2")
    assert trained.tags["embedding_key"] == first.tags["embedding_key"], "of the imported backbone"


def test_the_command_imports_and_says_where_the_backbone_is(taxalake, class_mapping, home):
    words = ("import-timm", CHECKPOINT, "--class-mapping", class_mapping, "--name", "contest", "--heads", HEADS)
    told = taxalake(*words, "--json")
    assert told.code == 0, told.err
    assert told.json["backbone"].startswith(f"{home.resolve()}/backbones/timm-")
    assert "nothing new" in taxalake(*words).out
    assert taxalake("status").code == 0


def test_a_command_that_cannot_import_says_why_in_one_line(taxalake, class_mapping):
    told = taxalake("import-timm", CHECKPOINT, "--class-mapping", class_mapping, "--name", "contest")
    assert told.code == 1
    assert "no multiple of 64: say how many attention heads" in told.err
    assert told.err.count("\n") == 1
