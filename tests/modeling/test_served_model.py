"""A registered model in the hands of a program that knows MLflow and nothing of ours."""

import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import mlflow
import pandas as pd
import pytest
from drawn_photographs import plain

from modeling.backbones import Backbone, save_untrained
from modeling.errors import BackboneError, ModelingError
from modeling.heads import TrainedHead
from modeling.registry import Registry, Version
from modeling.serving import identify

PHOTOGRAPHS = {"red.png": plain("red"), "stripes.png": plain("lime", "blue", width=190), "bad.png": b"no photograph"}
ASKED = {"tiling": "grid-1x2", "top_k": 2}
# What a machine that only names photographs need not have: tables, flows, training, and what those are made with.
ABSENT = ("deltalake", "duckdb", "prefect", "polars", "pytorch_lightning", "lake", "flows")
PROGRAM = """
import json, sys
from pathlib import Path

absent = set(sys.argv.pop(1).split(","))
missed = set()


class Absent:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in absent:
            missed.add(name)
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)


sys.meta_path.insert(0, Absent())

import mlflow
import pandas as pd

tracking_uri, model_uri, *names = sys.argv[1:]
mlflow.set_tracking_uri(tracking_uri)
model = mlflow.pyfunc.load_model(model_uri)
contents = [Path(name).read_bytes() for name in names]
asked = {"tiling": "grid-1x2", "top_k": 2}
answers = {
    "bytes": model.predict(contents, params=asked),
    "paths": model.predict(names, params=asked),
    "frame of bytes": model.predict(pd.DataFrame({"image": contents}), params=asked),
    "frame of paths": model.predict(pd.DataFrame({"image": names}), params=asked),
    "one photograph": model.predict(contents[0], params=asked),
    "one path": model.predict(names[0], params=asked),
    "no params": model.predict(contents),
}
print(json.dumps({
    "answers": {way: answer.to_json(orient="table", index=False) for way, answer in answers.items()},
    "modules": sorted({name.partition(".")[0] for name in sys.modules}),
    "missed": sorted(missed),
}))
"""


class Elsewhere(NamedTuple):
    """What came back from the other process."""

    answers: dict[str, pd.DataFrame]
    modules: set[str]
    missed: set[str]  # modules that were looked for and kept away
    complaints: str


@pytest.fixture(scope="module")
def version(registry: Registry, head: TrainedHead) -> Version:
    with registry.run("served", "train", {}) as run:
        found = registry.register("served", run, registry.log(run, head), {}, "words")
    return registry.set_alias(found, "champion")


@pytest.fixture(scope="module")
def elsewhere(registry: Registry, version: Version, tmp_path_factory: pytest.TempPathFactory) -> Elsewhere:
    """Run the program once, in a folder of its own, with nothing of this process but its environment."""
    folder = tmp_path_factory.mktemp("elsewhere")
    for name, content in PHOTOGRAPHS.items():
        (folder / name).write_bytes(content)
    done = subprocess.run(
        [
            *(sys.executable, "-c", PROGRAM, ",".join(ABSENT)),
            *(registry.tracking_uri, "models:/served@champion", *PHOTOGRAPHS),
        ],
        cwd=folder,
        env=os.environ | {"MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    said = json.loads(done.stdout)
    answers = {way: table(text) for way, text in said["answers"].items()}
    return Elsewhere(answers, set(said["modules"]), set(said["missed"]), done.stderr)


def table(text: str) -> pd.DataFrame:
    return pd.DataFrame(json.loads(text)["data"])


def here(head: TrainedHead, backbone: Backbone, contents: list[bytes], **asked: Any) -> pd.DataFrame:
    answer = identify(head, backbone, contents, asked.get("tiling", "whole"), asked.get("top_k", 5))
    return table(answer.to_json(orient="table", index=False))


@pytest.mark.parametrize("way", ["bytes", "paths", "frame of bytes", "frame of paths"])
def test_any_program_gets_the_species_that_we_get(
    elsewhere: Elsewhere, head: TrainedHead, backbone: Backbone, way: str
):
    ours = here(head, backbone, list(PHOTOGRAPHS.values()), **ASKED)
    assert ours[ours["rank"] == 1]["species_id"].tolist() == ["11", "11", "22", "33"]
    pd.testing.assert_frame_equal(elsewhere.answers[way], ours, rtol=1e-4)


@pytest.mark.parametrize("way", ["one photograph", "one path"])
def test_one_photograph_needs_no_list(elsewhere: Elsewhere, head: TrainedHead, backbone: Backbone, way: str):
    ours = here(head, backbone, [PHOTOGRAPHS["red.png"]], **ASKED)
    pd.testing.assert_frame_equal(elsewhere.answers[way], ours, rtol=1e-4)


def test_without_params_the_photograph_is_taken_whole(elsewhere: Elsewhere, head: TrainedHead, backbone: Backbone):
    ours = here(head, backbone, list(PHOTOGRAPHS.values()))
    pd.testing.assert_frame_equal(elsewhere.answers["no params"], ours, rtol=1e-4)


def test_a_served_model_does_not_complain(elsewhere: Elsewhere):
    assert elsewhere.complaints == ""


def test_a_served_model_answers_where_no_lake_and_no_orchestrator_can_be_imported(elsewhere: Elsewhere):
    assert len(elsewhere.answers) == 7
    assert "torch" in elsewhere.modules
    assert elsewhere.modules.isdisjoint(ABSENT)
    # MLflow looks for it wherever it may be installed, and does without: so it was kept away indeed.
    assert "polars" in elsewhere.missed


def test_a_served_model_answers_at_several_tilings_with_calibrated_probabilities(
    registry: Registry, head: TrainedHead, backbone: Backbone
):
    cooled = replace(head, temperature=2.0)
    with registry.run("cooled", "train", {}) as run:
        version = registry.register("cooled", run, registry.log(run, cooled), {}, "words")
    answer = registry.model(version, device="cpu").predict(
        [PHOTOGRAPHS["red.png"]], params={"tiling": "whole+grid-1x2"}
    )
    pd.testing.assert_frame_equal(answer, identify(cooled, backbone, [PHOTOGRAPHS["red.png"]], "whole+grid-1x2"))
    assert answer["scheme_id"].unique().tolist() == ["grid-1x2", "whole"]
    warm = identify(head, backbone, [PHOTOGRAPHS["red.png"]], "whole+grid-1x2")
    assert (answer["probability"][answer["rank"] == 1] < warm["probability"][warm["rank"] == 1]).all()


def test_a_photograph_is_cut_as_in_training_where_nothing_else_is_asked(registry: Registry, head: TrainedHead):
    with registry.run("tiled", "train", {}) as run:
        version = registry.register("tiled", run, registry.log(run, head, "whole+grid-1x2"), {}, "words")
    answer = registry.model(version, device="cpu").predict([PHOTOGRAPHS["red.png"]])
    assert answer["scheme_id"].unique().tolist() == ["grid-1x2", "whole"]


def test_a_backbone_that_has_moved_is_given_when_the_model_is_loaded(
    registry: Registry, head: TrainedHead, backbone_folder: Path, tmp_path: Path
):
    with registry.run("moved", "train", {}) as run:
        moved = registry.register(
            "moved", run, registry.log(run, replace(head, backbone=str(tmp_path / "before"))), {}, "words"
        )
    lost = mlflow.pyfunc.load_model(moved.uri)
    with pytest.raises(BackboneError, match=f"trained with {tmp_path}/before; say where it is now"):
        lost.predict([PHOTOGRAPHS["red.png"]])
    found = mlflow.pyfunc.load_model(moved.uri, model_config={"backbone": str(backbone_folder)})
    assert found.predict([PHOTOGRAPHS["red.png"]])["species_id"][0] == "11"


def test_a_model_on_another_backbone_than_that_of_training_is_refused(
    registry: Registry, version: Version, tmp_path: Path
):
    other = save_untrained(tmp_path / "other", seed=1)
    model = registry.model(version, str(other), "cpu")
    with pytest.raises(BackboneError, match=f"{other} makes embeddings"):
        model.predict([PHOTOGRAPHS["red.png"]])


def test_a_model_that_is_only_loaded_needs_no_backbone(registry: Registry, version: Version):
    assert registry.model(version, "/nowhere").unwrap_python_model().head.class_map.species_ids == ("11", "22", "33")


@pytest.mark.parametrize(
    ("asked", "words"), [({"tiling": "grid"}, "no tiling 'grid'"), ({"top_k": 0}, "at least one species")]
)
def test_params_that_make_no_sense_are_refused(
    registry: Registry, version: Version, asked: dict[str, object], words: str
):
    with pytest.raises(ModelingError, match=words):
        registry.model(version, device="cpu").predict([PHOTOGRAPHS["red.png"]], params=asked)
