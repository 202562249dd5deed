"""The stages one after the other, as plain functions and as commands, on a drawn flora and on real photographs."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time

import mlflow
import pytest
from homes import content, differences, plants, quadrats, versions
from PIL import Image

from flows.embed import embed
from flows.evaluate import evaluate
from flows.ingest import ingest_folder, ingest_table
from flows.predict import predict
from flows.retrain import retrain
from flows.train import train
from lake.errors import LossError
from lake.schemas import TABLES


def ingest(home, flora):
    """Take in the plants and quadrats of a flora."""
    reports = [
        ingest_table.fn(
            flora.plants_csv, "plants", "image", "species_id", "observation", "split", "scientific_name", home=home
        ),
        ingest_table.fn(
            flora.quadrats_csv, "quadrats", "image", "species_ids", "quadrat", species_separator="|", home=home
        ),
    ]
    return [report.committed for report in reports]


def run_all(home, flora, backbone):
    """Run every stage and return whether it committed anything, by name."""
    return {
        "ingest": any(ingest(home, flora)),
        "embed": embed.fn("plants", backbone, home=home).committed,
        "train": train.fn("plants", "flora", home=home).committed,
        "evaluate": evaluate.fn("plants", "flora", home=home).committed,
        "predict": predict.fn("quadrats", "flora", "grid-4x4", home=home).committed,
        "evaluate quadrats": evaluate.fn("quadrats", "flora", "grid-4x4", home=home).committed,
        "retrain": retrain.fn("plants", "flora", home=home).committed,
    }


@pytest.fixture(scope="session")
def finished(tmp_path_factory, empty_home, flora, backbone):
    """A home in which every stage has run."""
    home = shutil.copytree(empty_home, tmp_path_factory.mktemp("finished") / "home")
    first = run_all(home, flora, backbone)
    assert first.pop("retrain"), "that there was nothing to do is said once"
    (said,) = content(home, "retrain_decisions")
    assert (said["decision"], said["challenger"]) == ("nothing to do", None), "the same rows make one version"
    assert all(first.values()), first
    return home


def test_every_stage_run_again_commits_nothing(finished, flora, backbone):
    before = versions(finished)
    assert not any(run_all(finished, flora, backbone).values())
    assert versions(finished) == before
    assert before["evaluations"] > 0


def test_stages_with_nothing_to_do_load_no_backbone_and_say_so(finished, flora, backbone):
    commands = [
        ["embed", "--dataset", "plants", "--backbone", backbone],
        ["train", "--dataset", "plants", "--name", "flora"],
        ["predict", "--dataset", "quadrats", "--model", "flora", "--tiling", "grid-4x4"],
        ["evaluate", "--dataset", "plants", "--model", "flora"],
        ["retrain", "--dataset", "plants", "--name", "flora"],
    ]
    script = (
        "import sys\n"
        "from flows.cli import main\n"
        f"for words in {commands!r}:\n"
        f"    sys.argv = ['taxalake', '--home', {str(finished)!r}, *words]\n"
        "    try: main()\n"
        "    except SystemExit as stop: assert not stop.code, words\n"
        "print('transformers.modeling_utils' in sys.modules, file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stderr.split()[-1] == "False"
    said = [line for line in done.stdout.splitlines() if "nothing new" in line or "nothing to do" in line]
    assert len(said) == len(commands), done.stdout


def test_each_stage_that_wrote_stands_in_the_ledger(finished):
    stages = {(row["stage"], row["dataset"]) for row in content(finished, "stage_runs")}
    assert stages == {
        ("ingest", "plants"),
        ("ingest", "quadrats"),
        ("embed", "plants"),
        ("train", "plants"),
        ("evaluate", "plants"),
        ("embed", "quadrats"),
        ("predict", "quadrats"),
        ("evaluate", "quadrats"),
    }


def test_no_table_holds_a_key_twice(finished):
    for name, contract in TABLES.items():
        rows = content(finished, name)
        keys = [tuple(str(row.get(column)) for column in contract.key if column in row) for row in rows]
        if not {"labelled_at", "flow_run_id"} & set(contract.key):
            assert len(set(keys)) == len(keys), name


def test_a_registered_model_names_every_table_that_it_read(finished):
    mlflow.set_tracking_uri(f"sqlite:///{finished / 'mlflow.db'}")
    client = mlflow.MlflowClient()
    version = client.get_model_version_by_alias("flora", "champion")
    run = client.get_run(version.run_id)
    inputs = {given.dataset.name.split("@")[0] for given in run.inputs.dataset_inputs}
    assert inputs == {"image_records", "labels", "taxon_changes", "splits", "species", "embeddings"}
    assert set(json.loads(version.tags["snapshots"])) == inputs
    assert {"embedding_key", "class_map_id", "split_id", "seed", "training_key"} <= set(version.tags)
    assert len(client.get_metric_history(version.run_id, "val_loss")) > 3, "a curve has points"


def test_identify_and_the_registered_model_agree(finished, flora, taxalake):
    photograph = flora.folder / "plants.csv"
    photograph = next((flora.folder / "plants").rglob("*.jpg"))
    told = taxalake("identify", photograph, "--model", "flora", "--json", at=finished).json
    script = (
        "import json, sys, mlflow\n"
        f"mlflow.set_tracking_uri('sqlite:///{finished}/mlflow.db')\n"
        "model = mlflow.pyfunc.load_model('models:/flora@champion')\n"
        f"rows = model.predict([{str(photograph)!r}])\n"
        "print(json.dumps(rows[['species_id', 'scientific_name', 'probability']].to_dict('records')))"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    served = json.loads(done.stdout)
    named = told["observations"][0]["species"]
    assert [row["species_id"] for row in named] == [row["species_id"] for row in served]
    assert [row["scientific_name"] for row in named] == [row["scientific_name"] for row in served]
    assert [row["probability"] for row in named] == pytest.approx([row["probability"] for row in served], abs=1e-6)
    assert [row["is_answer"] for row in named] == [True, False, False]


def test_identify_answers_tiles_by_the_rule_of_quadrats(finished, flora, taxalake):
    quadrat = flora.folder / "quadrats" / "Q01.jpg"
    told = taxalake("identify", quadrat, "--model", "flora", "--tiling", "grid-4x4", "--json", at=finished).json
    stored = content(finished, "observation_predictions")
    decisions = {row["decision_id"] for row in content(finished, "decisions") if row["scheme_id"] == "grid-4x4"}
    answer = {row["species_id"] for row in stored if row["observation_id"] == "Q01" and row["decision_id"] in decisions}
    assert {row["species_id"] for row in told["observations"][0]["species"]} == answer


def test_a_photograph_that_is_none_is_an_error_beside_the_others(finished, flora, taxalake, tmp_path):
    bad = tmp_path / "notes.jpg"
    bad.write_text("no photograph")
    good = next((flora.folder / "plants").rglob("*.jpg"))
    told = taxalake("identify", bad, good, tmp_path / "absent.png", "--model", "flora", "--json", at=finished).json
    first, second, third = told["observations"]
    assert not first["species"]
    assert "notes.jpg" in first["errors"][0]
    assert len(second["species"]) == 3
    assert "No such file" in third["errors"][0]


def test_a_missing_alias_is_answered_with_those_there_are(finished, taxalake):
    told = taxalake("evaluate", "--dataset", "plants", "--model", "flora@prod", at=finished)
    assert told.code == 1
    assert "no alias 'prod'" in told.err
    assert "champion (version 1)" in told.err


def test_status_shows_rows_versions_models_and_what_is_pending(finished, taxalake):
    told = taxalake("status", "--json", at=finished).json
    assert told["tables"]["image_records"]["rows"] == 63
    assert {row["dataset"]: row["observations"] for row in told["datasets"]}["quadrats"] == 3
    assert {(row["dataset"], row["scheme_id"]): row["pending"] for row in told["embeddings"]} == {
        ("plants", "whole"): 0,
        ("quadrats", "grid-4x4"): 0,
    }
    assert told["models"][0]["model_version"] == "flora/1"
    assert "champion" in told["models"][0]["aliases"]
    assert "flora/1" in taxalake("status", at=finished).out


def test_an_evaluation_says_what_it_scored_and_read(finished, taxalake):
    plain = taxalake("evaluate", "--dataset", "plants", "--model", "flora", "--json", at=finished).json
    assert plain["split"] == "test"
    assert {"accuracy", "top5_accuracy", "macro_f1", "weighted_f1"} < set(plain["metrics"])
    low, high = plain["ranges"]["accuracy"]
    assert low <= plain["metrics"]["accuracy"] <= high
    read = {"image_records", "tile_predictions", "labels", "taxon_changes", "species", "splits"}
    assert set(plain["snapshots"]) == read
    many = taxalake(
        "evaluate", "--dataset", "quadrats", "--model", "flora", "--tiling", "grid-4x4", "--json", at=finished
    ).json
    assert many["split"] == "all"
    assert {"macro_f1_per_observation", "macro_f1_per_species", "micro_f1", "recall"} < set(many["metrics"])


def test_photographs_of_a_folder_come_in_whatever_their_extension(home, tmp_path):
    for number, name in enumerate(["Poa_annua/a.JPG", "Poa_annua/b.jpeg", "Poa_trivialis/c.PNG", "loose.tiff"]):
        path = tmp_path / "photographs" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (8, 8), (number * 40, 90, 30)).save(path)
    report = ingest_folder.fn(tmp_path / "photographs", "grasses", "training", home=home)
    assert (report.found, report.kept, report.set_aside) == (4, 4, 0)
    labels = {row["observation_id"]: row["species_id"] for row in content(home, "labels")}
    assert labels == {
        "train/Poa_annua/a.JPG": "Poa_annua",
        "train/Poa_annua/b.jpeg": "Poa_annua",
        "train/Poa_trivialis/c.PNG": "Poa_trivialis",
    }


@pytest.mark.parametrize("stage", ["ingest", "embed"])
def test_a_killed_stage_is_finished_by_the_same_command(stage, home, flora, backbone, tmp_path, command):
    """SIGKILL after the first commits; the rerun ends where an undisturbed run ends."""
    small = {"TAXALAKE_INGEST_SHARD_IMAGES": "4", "TAXALAKE_EMBED_SHARD_TILES": "4", "TAXALAKE_DTYPE": "float32"}
    words = plants(flora) if stage == "ingest" else ["embed", "--dataset", "plants", "--backbone", backbone]
    table = "file_reads" if stage == "ingest" else "embeddings"
    undisturbed = tmp_path / "undisturbed"
    for place in (home, undisturbed):
        if stage == "embed":
            assert command(*plants(flora), at=place).code == 0
    assert command(*words, at=undisturbed, **small).code == 0
    killed = subprocess.Popen(
        [sys.executable, "-m", "flows.cli", *words],
        env={**os.environ, "TAXALAKE_HOME": str(home), **small},
        stderr=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
    )
    log = home / "lake" / table / "_delta_log"
    deadline = time.monotonic() + 120
    while len(list(log.glob("*.json"))) < 4 and time.monotonic() < deadline:
        assert killed.poll() is None, "it ended before it could be killed"
    killed.send_signal(signal.SIGKILL)
    killed.wait()
    assert 0 < len(content(home, table)) < 60
    assert command(*words, at=home, **small).code == 0
    ingested = ("images", "image_records", "labels", "species", "ingest_issues")
    assert differences(home, undisturbed, *ingested, "embedding_specs", "embeddings") == []


def test_real_seedlings_are_named_and_mosaics_of_them_answered(shared, home):
    """Default options on real photographs with real weights reach what was seen when the defaults were chosen."""
    seedlings = ingest_table.fn(
        shared / "plant-seedlings12" / "labels.csv",
        *("seedlings", "path", "label"),
        split_column="split",
        name_column="scientific_name",
        home=home,
    )
    assert (seedlings.found, seedlings.kept) == (960, 960)
    embed.fn("seedlings", str(shared / "vit-tiny-dinov2"), home=home)
    train.fn("seedlings", "seedlings", home=home)
    scores = evaluate.fn("seedlings", "seedlings", home=home)
    assert (scores.split, scores.observations) == ("test", 240)
    assert scores.metrics["accuracy"] >= 0.77
    mosaics = ingest_table.fn(
        shared / "seedling-mosaics24" / "labels.csv",
        *("mosaics", "path", "species"),
        observation_column="plot_id",
        species_separator="|",
        home=home,
    )
    assert (mosaics.found, mosaics.kept) == (24, 24)
    scores = evaluate.fn("mosaics", "seedlings@champion", "grid-4x4", home=home)
    assert (scores.split, scores.observations) == ("all", 24)
    assert scores.metrics["macro_f1_per_observation"] >= 0.84


def test_quadrats_take_part_in_no_training(home, flora, backbone, taxalake):
    assert taxalake(*quadrats(flora)).code == 0
    told = taxalake("train", "--dataset", "quadrats", "--name", "flora", "--backbone", backbone)
    assert told.code == 1
    assert "nothing to tell apart" in told.err


def test_what_fails_at_one_tiling_is_tried_at_another(home, flora, backbone):
    ingest(home, flora)
    failed = embed.fn("plants", backbone, "grid-1x99", home=home).schemes["grid-1x99"]
    assert (failed.embedded, failed.set_aside) == (0, 60)
    assert embed.fn("plants", backbone, "grid-1x99", home=home).committed is False
    assert embed.fn("plants", backbone, "whole", home=home).schemes["whole"].embedded == 60


def test_scoring_embeds_only_what_it_scores(finished, backbone):
    report = evaluate.fn("plants", "flora", "grid-2x2", home=finished)
    embedded = {row["image_id"] for row in content(finished, "embeddings") if row["scheme_id"] == "grid-2x2"}
    assert report.split == "test"
    assert 0 < len(embedded) < 60


def test_tiles_of_several_tilings_decide_together_and_are_scored_once(finished, flora, taxalake):
    asked = ("quadrats", "flora", "grid-2x2+whole")
    scores = evaluate.fn(*asked, home=finished)
    assert (scores.scheme_id, scores.observations, scores.committed) == ("grid-2x2+whole", 3, True)
    assert evaluate.fn(*asked, home=finished).committed is False
    answers = [
        row
        for row in content(finished, "observation_predictions")
        if row["decision_id"] == scores.decision_id and row["observation_id"] == "Q01"
    ]
    quadrat = flora.folder / "quadrats" / "Q01.jpg"
    told = taxalake("identify", quadrat, "--model", "flora", "--tiling", "grid-2x2+whole", "--json", at=finished).json
    named = told["observations"][0]["species"]
    assert [(row["species_id"], row["votes"]) for row in named] == [
        (row["species_id"], row["votes"]) for row in sorted(answers, key=lambda row: row["rank"])
    ]
    mlflow.set_tracking_uri(f"sqlite:///{finished / 'mlflow.db'}")
    client = mlflow.MlflowClient()
    logged = client.get_run(client.get_model_version_by_alias("flora", "champion").run_id).data.metrics
    assert logged["quadrats.all.grid-2x2 whole.micro_f1"] == scores.metrics["micro_f1"]


def test_the_split_of_another_data_set_says_nothing_of_this_one(finished, flora):
    other = ingest_table.fn(
        flora.plants_csv, "other", "image", "species_id", "observation", name_column="scientific_name", home=finished
    )
    assert other.kept == 60
    assert evaluate.fn("other", "flora", home=finished).split == "all"


def test_what_a_source_now_says_otherwise_of_a_photograph_is_set_aside(home, flora):
    ingest_table.fn(flora.plants_csv, "plants", "image", "species_id", "observation", home=home)
    again = (flora.plants_csv, "plants", "image", "species_id", "observation", "split")
    with pytest.raises(LossError, match=r"60 of 60 new rows .*\n.*\n +record_changed"):
        ingest_table.fn(*again, home=home)
    report = ingest_table.fn(*again, max_loss=1.0, home=home)
    assert report.set_aside_by_kind == {"record_changed": 60}
    assert "its split is none on record" in content(home, "ingest_issues")[0]["detail"]


def test_a_moved_backbone_is_found_by_its_weights(home, flora, backbone, tmp_path):
    old, new = tmp_path / "old", tmp_path / "new"
    shutil.copytree(backbone, old)
    ingest(home, flora)
    embed.fn("plants", str(old), home=home)
    old.rename(new)
    train.fn("plants", "flora", str(new), home=home)
    assert predict.fn("quadrats", "flora", "grid-2x2", home=home).images_predicted == 3


def test_two_tables_of_one_observation_do_not_overwrite_each_other_for_ever(home, flora, tmp_path):
    photographs = sorted((flora.folder / "plants").rglob("*.jpg"))[:2]
    for table, photograph, species in (("a.csv", photographs[0], "s1"), ("b.csv", photographs[1], "s2")):
        (tmp_path / table).write_text(f"image,species,observation\n{photograph},{species},o1\n")
    committed = [
        ingest_table.fn(tmp_path / table, "d", "image", "species", "observation", home=home).committed
        for table in ("a.csv", "b.csv", "a.csv", "b.csv")
    ]
    assert committed == [True, True, False, False]
