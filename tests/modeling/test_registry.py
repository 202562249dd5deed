import json
from dataclasses import replace
from pathlib import Path

import mlflow
import pytest
from drawn_photographs import plain
from safetensors.torch import load_file, save_file

from modeling.errors import RegistryError, TrainingError
from modeling.heads import CONTRACT, WEIGHTS, TrainedHead
from modeling.registry import CHALLENGER, CHAMPION, Registry, TableRead, Version


def register(registry: Registry, name: str, head: TrainedHead, **tags: str) -> Version:
    with registry.run(name, "train", {}) as run:
        return registry.register(name, run, registry.log(run, head), tags, "some words")


@pytest.fixture(scope="module")
def poplars(registry: Registry, head: TrainedHead) -> Version:
    """Three versions: the first is the champion, the second the challenger. Returns the first."""
    first, second, _ = (register(registry, "poplars", head, place=str(place)) for place in range(1, 4))
    registry.set_alias(second, CHALLENGER)
    return registry.set_alias(first, CHAMPION)


@pytest.mark.parametrize(
    ("asked", "number"),
    [("poplars", 1), ("poplars@champion", 1), ("poplars@challenger", 2), ("poplars/1", 1), ("poplars/3", 3)],
)
def test_a_version_is_found_by_name_alias_or_number(registry: Registry, poplars: Version, asked: str, number: int):
    found = registry.find(asked)
    assert found.number == number
    assert found.model_version == f"poplars/{number}"
    assert found.tags["place"] == str(number)


@pytest.mark.parametrize(
    ("asked", "what"),
    [
        ("poplars@best", "alias 'best'"),
        ("poplars@", "alias ''"),
        ("poplars/4", "version 4"),
        ("poplars/0", "version 0"),
    ],
)
def test_a_version_that_is_not_there_is_refused_with_those_that_are(
    registry: Registry, poplars: Version, asked: str, what: str
):
    there = "its aliases are: champion .version 1., challenger .version 2.; its versions are: 1, 2, 3"
    with pytest.raises(RegistryError, match=f"'poplars' has no {what}; {there}"):
        registry.find(asked)


def test_a_model_without_champion_says_that_it_has_no_alias(registry: Registry, head: TrainedHead):
    register(registry, "headless", head)
    with pytest.raises(RegistryError, match="no alias 'champion'; its aliases are: none; its versions are: 1"):
        registry.find("headless")


@pytest.mark.parametrize("asked", ["oaks", "oaks@champion", "oaks/1"])
def test_a_model_that_is_not_there_is_refused_with_those_that_are(registry: Registry, poplars: Version, asked: str):
    with pytest.raises(RegistryError, match=r"no model 'oaks' in sqlite:.*there is: .*poplars.*taxalake train"):
        registry.find(asked)


def test_an_empty_registry_says_so(new_registry: Registry):
    with pytest.raises(RegistryError, match="there is: none"):
        new_registry.find("poplars")


def test_all_models_are_found_however_many_there_are_and_whatever_others_call_theirs(registry: Registry):
    others = {f"other {number:03}" for number in range(120)} | {"pop'lars", 'pop"lars'}
    for name in others:
        registry._client.create_registered_model(name)
    assert others <= set(registry.names())
    assert all(registry.versions(name) == [] for name in others)
    for name in others:
        registry._client.delete_registered_model(name)


@pytest.mark.parametrize("asked", ["", "@champion", "/1", "pop'l\"ars"])
def test_what_can_be_no_name_is_refused(registry: Registry, asked: str):
    with pytest.raises(RegistryError, match="is no name of a model"):
        registry.find(asked)


def test_versions_are_listed_from_the_oldest(registry: Registry, poplars: Version):
    versions = registry.versions("poplars")
    assert [version.number for version in versions] == [1, 2, 3]
    assert [version.aliases for version in versions] == [("champion",), ("challenger",), ()]
    assert registry.versions("oaks") == []


def test_names_of_models_are_told_in_order(registry: Registry, poplars: Version, head: TrainedHead):
    register(registry, "alders", head)
    names = registry.names()
    assert {"alders", "poplars"} <= set(names)
    assert names == sorted(names)


def test_an_alias_names_one_version(registry: Registry, head: TrainedHead):
    first, second = register(registry, "birches", head), register(registry, "birches", head)
    assert registry.set_alias(first, CHAMPION).aliases == (CHAMPION,)
    assert registry.set_alias(second, CHAMPION).aliases == (CHAMPION,)
    assert registry.find("birches").number == second.number
    assert registry.find("birches/1").aliases == ()


def test_a_challenger_that_becomes_champion_is_no_challenger_any_more(registry: Registry, head: TrainedHead):
    version = registry.set_alias(register(registry, "cedars", head), CHALLENGER)
    assert registry.set_alias(version, CHAMPION).aliases == (CHAMPION,)
    assert registry.find("cedars").aliases == (CHAMPION,)


def test_tables_tell_models_of_one_name_apart(registry: Registry, head: TrainedHead, new_registry: Registry):
    version, namesake = register(registry, "larches", head), register(new_registry, "larches", head)
    assert version.model_version == namesake.model_version == "larches/1"
    assert version.recorded_as != namesake.recorded_as


def test_a_version_is_born_with_its_tags_and_its_run(registry: Registry, head: TrainedHead):
    with registry.run("elms", "train", {"dataset": "park"}) as run:
        version = registry.register("elms", run, registry.log(run, head), {"embedding_key": "e", "seed": "0"}, "words")
    assert version.tags == {"embedding_key": "e", "seed": "0"}
    assert version.run_id == run.run_id
    assert version.uri == "models:/elms/1"
    assert mlflow.get_run(run.run_id).data.tags["dataset"] == "park"
    assert mlflow.MlflowClient().get_model_version("elms", "1").description == "words"


def test_tags_can_be_added_later(registry: Registry, head: TrainedHead):
    version = register(registry, "hazels", head, seed="0")
    registry.tag(version, {"verdict": "refused"})
    assert registry.find("hazels/1").tags == {"seed": "0", "verdict": "refused"}


def test_a_head_is_read_back_as_it_was_registered(registry: Registry, poplars: Version, head: TrainedHead):
    found = registry.head(poplars)
    assert found.network.state_dict().keys() == head.network.state_dict().keys()
    assert all(tensor.equal(head.network.state_dict()[name]) for name, tensor in found.network.state_dict().items())
    assert replace(found, network=head.network) == head


def test_a_registered_model_whose_weights_were_changed_is_refused(
    new_registry: Registry, head: TrainedHead, tmp_path: Path
):
    version = register(new_registry, "aspens", head)
    (file,) = (tmp_path / "artifacts").rglob(WEIGHTS)
    weights = load_file(file)
    weights["layer.bias"][0] += 1e-3
    save_file(weights, file)
    for load in (new_registry.head, new_registry.model):
        with pytest.raises(TrainingError, match=rf"holds weights \w+, and {CONTRACT} beside it says .* register"):
            load(version)


def test_temperature_and_kind_of_probabilities_are_read_back(registry: Registry, head: TrainedHead):
    version = register(registry, "willow", replace(head, temperature=2.5, is_multi_label=True))
    found = registry.head(version)
    assert (found.temperature, found.is_multi_label) == (2.5, True)


def test_a_run_can_be_shown_under_another_and_there_is_one_of_a_name(registry: Registry):
    runs = []
    for within in ("first", "first", "second", None):
        with registry.run("firs", "cell", {}, within=within) as run:
            runs.append(mlflow.get_run(run.run_id).data.tags.get("mlflow.parentRunId"))
    assert runs[0] == runs[1] != runs[2]
    assert runs[3] is None
    assert mlflow.get_run(runs[0]).info.run_name == "first"


def test_what_is_only_logged_has_no_version(new_registry: Registry, head: TrainedHead):
    with new_registry.run("hollies", "train", {}) as run:
        new_registry.log(run, head)
    assert new_registry.names() == []


def test_a_logged_model_names_species_before_it_is_registered(
    registry: Registry, head: TrainedHead, backbone_folder: Path
):
    with registry.run("lindens", "train", {}) as run:
        logged = registry.log(run, head)
    photographs = [plain("blue"), b"no photograph", plain("red", "red", "lime", width=252)]
    assert registry.species_of(logged, photographs, "grid-1x3", str(backbone_folder), "cpu") == ["33", None, "11"]


def test_a_run_keeps_params_metrics_and_files(registry: Registry, tmp_path: Path):
    figure = tmp_path / "q1.png"
    figure.write_bytes(b"a figure")
    with registry.run("limes", "train", {}) as run:
        run.log({"seed": 0, "poolings": "cls"}, {"accuracy": 0.5})
        run.log_file(figure, "figures")
    found = mlflow.get_run(run.run_id)
    assert found.data.params == {"seed": "0", "poolings": "cls"}
    assert found.data.metrics == {"accuracy": 0.5}
    kept = Path(mlflow.artifacts.download_artifacts(run_id=run.run_id, artifact_path="figures/q1.png"))
    assert kept.read_bytes() == b"a figure"


def test_metrics_that_come_later_are_written_on_the_run_of_the_version(registry: Registry, head: TrainedHead):
    version = register(registry, "maples", head)
    registry.log_metrics(version, {"park.test.macro_f1": 0.25})
    assert mlflow.get_run(version.run_id).data.metrics == {"park.test.macro_f1": 0.25}


def test_metrics_that_stand_there_already_are_not_written_again(registry: Registry, head: TrainedHead):
    version = register(registry, "pines", head)
    for value in (0.25, 0.25, 0.5):
        registry.log_metrics(version, {"macro_f1": value})
    history = mlflow.MlflowClient().get_metric_history(version.run_id, "macro_f1")
    assert [point.value for point in history] == [0.25, 0.5]


def test_a_head_whose_files_were_moved_away_is_refused(new_registry: Registry, head: TrainedHead, tmp_path: Path):
    version = register(new_registry, "spruces", head)
    (tmp_path / "artifacts").rename(tmp_path / "moved")
    with pytest.raises(RegistryError, match=r"the files of spruces/1 are not where .* has to be moved back"):
        new_registry.head(version)


def test_a_run_says_which_tables_it_read_at_which_version(registry: Registry):
    with registry.run("planes", "train", {}) as run:
        run.log_tables([TableRead("labels", "/lake/labels", 0, "d0"), TableRead("embeddings", "s3://e", 12, "d12")])
    inputs = [found.dataset for found in mlflow.get_run(run.run_id).inputs.dataset_inputs]
    assert {found.name: (found.digest, json.loads(found.source)) for found in inputs} == {
        "labels@0": ("d0", {"path": "/lake/labels", "delta_table_version": 0}),
        "embeddings@12": ("d12", {"path": "s3://e", "delta_table_version": 12}),
    }


def test_a_run_that_raises_is_marked_as_failed(registry: Registry):
    with pytest.raises(ZeroDivisionError), registry.run("rowans", "train", {}) as run:
        raise ZeroDivisionError
    assert mlflow.get_run(run.run_id).info.status == "FAILED"


def test_curves_of_lightning_are_written_into_the_same_run(registry: Registry):
    with registry.run("willows", "train", {}) as run:
        logger = run.lightning_logger()
        logger.log_metrics({"val_loss": 0.5}, step=3)
        logger.finalize("success")
    (point,) = mlflow.MlflowClient().get_metric_history(run.run_id, "val_loss")
    assert (point.value, point.step) == (0.5, 3)


def test_two_registries_in_one_process_keep_apart(registry: Registry, head: TrainedHead, new_registry: Registry):
    register(registry, "yews", head)
    assert register(new_registry, "yews", head).number == 1
    assert register(registry, "yews", head).number == 2
    assert [found.number for found in new_registry.versions("yews")] == [1]


def test_a_model_is_read_from_the_registry_that_was_asked(
    registry: Registry, head: TrainedHead, new_registry: Registry
):
    version = register(registry, "zelkovas", head)
    register(new_registry, "elders", head)  # the last that MLflow heard of
    assert registry.head(version).class_map == head.class_map
    register(new_registry, "elders", head)
    assert registry.model(version, device="cpu").metadata.run_id == version.run_id


def test_files_of_a_registry_without_server_lie_beside_its_database(new_registry: Registry, tmp_path: Path):
    note = tmp_path / "note.txt"
    note.write_text("a note")
    with new_registry.run("figs", "train", {}) as run:
        run.log_file(note, "notes")
    assert [path.read_text() for path in (tmp_path / "artifacts" / "figs").rglob("note.txt")] == ["a note"]
