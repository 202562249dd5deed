"""The deployments on a real Prefect server with a real process worker."""

import shutil
import subprocess
import sys
import time
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest
from homes import REPOSITORY, content, versions
from prefect import flow
from prefect.client.orchestration import get_client
from prefect.settings import PREFECT_API_URL, PREFECT_LOGGING_TO_API_ENABLED, temporary_settings
from servers import Station, running_station

import flows.deploy
from flows import settings
from flows.deploy import deploy
from flows.embed import embed
from flows.embed_shards import GPU_SLOTS, gpu_slot
from flows.ingest import ingest_folder
from flows.orchestration import run_recorded
from flows.watch import watch
from lake import tables
from lake.tables import Lake

SCHEDULED = {"watch", "retrain", "maintain", "station-report"}
ON_DEMAND = {
    *("ingest-folder", "ingest-table", "embed", "predict", "evaluate"),
    *("ingest-plantclef", "ingest-plantclef-quadrats", "ingest-snakeclef", "ingest-inaturalist", "ingest-darwincore"),
    *("ingest-retry", "ingest-taxon-changes", "ingest-boxes", "audit-leakage", "train", "import-timm"),
    *("ablate", "replay", "prior", "sweep", "score", "ensemble", "submit", "submission-score"),
    *("review", "labels-import", "promote", "rollback", "renew-answers"),
}
WITHOUT_DATASET = {
    *("ingest-taxon-changes", "import-timm", "ablate", "replay", "score", "ensemble", "submit", "submission-score"),
    *("promote", "rollback", "renew-answers"),
}


@pytest.fixture(scope="module")
def station(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Station]:
    with running_station(tmp_path_factory.mktemp("station")) as started:
        started.start_worker()
        yield started


def test_every_stage_is_deployed_with_typed_parameters(station):
    deployments = station.post("deployments/filter")
    flows = {flow["id"]: flow["name"] for flow in station.post("flows/filter")}
    assert {flows[deployment["flow_id"]] for deployment in deployments} == SCHEDULED | ON_DEMAND
    for deployment in deployments:
        assert deployment["description"]
        properties = deployment["parameter_openapi_schema"]["properties"]
        assert set(deployment["parameters"]) <= set(properties)
        for name, facts in properties.items():
            assert facts.get("description"), f"{flows[deployment['flow_id']]}: {name}"
        if flows[deployment["flow_id"]] not in WITHOUT_DATASET | SCHEDULED:
            assert properties["dataset"]["type"] == "string"


def test_what_runs_by_itself_asks_for_nothing_that_a_fresh_place_lacks(station):
    for deployment in station.post("deployments/filter"):
        if deployment["schedules"]:
            assert deployment["parameter_openapi_schema"].get("required", []) == []
            assert deployment["parameters"] == {}


def test_a_second_deploying_changes_nothing_and_another_setting_what_it_is_about(station):
    def seen() -> dict[str, str]:
        things = [*station.post("deployments/filter"), *station.post("automations/filter")]
        return {thing["id"]: thing["updated"] for thing in things}

    place, before = settings.load(home=station.folder / "home"), seen()
    report = deploy(place, station.api)
    assert (report.made, report.changed, report.deployments) == ([], [], len(SCHEDULED | ON_DEMAND))
    assert "nothing was changed" in report.lines()[0]
    assert seen() == before
    other = place.model_copy(update={"watch_seconds": 60, "quiet_seconds": 30})
    assert deploy(other, station.api).changed == ["watch/station", "retrain/station", "automation 'taxalake: new data'"]
    assert seen().keys() == before.keys()
    (schedule,) = station.get("deployments/name/watch/station")["schedules"]
    assert schedule["schedule"]["interval"] == 60
    deploy(place, station.api)


def test_what_people_have_changed_in_the_pages_stays(station):
    place = settings.load(home=station.folder / "home")
    with temporary_settings({PREFECT_API_URL: station.api}), get_client(sync_client=True) as client:
        embedding = client.read_deployment_by_name("embed/station")
        (automation,) = client.read_automations_by_name("taxalake: new data")
        client.request(
            "PATCH",
            "/deployments/{id}",
            path_params={"id": embedding.id},
            json={"parameters": {"dataset": "mine"}},
        )
        client.pause_automation(automation.id)
        deploy(place.model_copy(update={"quiet_seconds": 45}), station.api)
        assert client.read_deployment_by_name("embed/station").parameters == {"dataset": "mine"}
        (changed,) = client.read_automations_by_name("taxalake: new data")
        assert (changed.enabled, changed.trigger.within.total_seconds()) == (False, 45)
        client.resume_automation(automation.id)
    deploy(place, station.api)


def test_deploying_without_a_server_says_where_one_comes_from(taxalake, monkeypatch, tmp_path):
    monkeypatch.delenv("PREFECT_API_URL", raising=False)
    monkeypatch.setenv("PREFECT_HOME", str(tmp_path))
    told = taxalake("deploy")
    assert told.code == 1
    assert "no Prefect server is configured" in told.err
    assert "taxalake serve" in told.err
    with pytest.raises(settings.SettingsError, match=r"answers at http://127.0.0.1:9/api"):
        deploy(settings.load(home=tmp_path / "home"), "http://127.0.0.1:9/api")


def test_an_installed_package_brings_what_is_deployed():
    pyproject = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())
    brought = pyproject["tool"]["hatch"]["build"]["targets"]["wheel"]["force-include"]
    assert brought == {"deployments/prefect.yaml": "flows/prefect.yaml"}
    assert Path(flows.deploy.__file__).with_name("prefect.yaml") in flows.deploy._FILES


def test_a_schedule_creates_its_runs(station):
    """A scheduler that fails in every loop leaves the server healthy and creates none."""
    deadline = time.monotonic() + 60
    flows: set[str] = set()
    while time.monotonic() < deadline and not flows >= SCHEDULED:
        scheduled = station.post("flow_runs/filter", flow_runs={"state": {"type": {"any_": ["SCHEDULED"]}}})
        names = {flow["id"]: flow["name"] for flow in station.post("flows/filter")}
        flows = {names[run["flow_id"]] for run in scheduled if run["auto_scheduled"]}
        time.sleep(0.5)
    assert flows >= SCHEDULED


def test_deployed_flows_run_through_a_worker_to_completed(station, flora, backbone):
    home = Path(station.env["TAXALAKE_HOME"])
    taken_in = station.run(
        "ingest-table/station",
        csv=str(flora.plants_csv),
        dataset="plants",
        image_column="image",
        species_column="species_id",
        observation_column="observation",
        split_column="split",
        name_column="scientific_name",
        species_separator=None,
    )
    assert taken_in["state_name"] == "Completed", taken_in["state"]["message"]
    assert len(content(home, "image_records")) == 60
    retrained = station.run("retrain/station", dataset="plants", name="species", backbone=backbone)
    assert retrained["state_name"] == "Completed", retrained["state"]["message"]
    assert len(content(home, "embeddings")) == 60
    assert [row["decision"] for row in content(home, "retrain_decisions")] == ["first"]
    runs = station.post("task_runs/filter")
    assert any(run["name"].startswith("embed-shard") and run["state_name"] == "Completed" for run in runs)
    logs = station.post("logs/filter", logs={"level": {"ge_": 20}}, limit=200)
    assert any("found 60 = kept 60" in line["message"] for line in logs)
    artifacts = station.post("artifacts/filter")
    (picture,) = (artifact for artifact in artifacts if artifact["key"] == "ingest-plants-intake")
    assert picture["data"].startswith("data:image/png;base64,")
    (words,) = (artifact for artifact in artifacts if artifact["key"] == "ingest-table-plants")
    assert "kept 60" in words["data"]
    assert any(artifact["type"] == "progress" and artifact["data"] == 100.0 for artifact in artifacts)


def test_the_command_line_is_recorded_where_a_server_is_configured(station, flora):
    words = ["ingest", "folder", str(flora.folder / "plants"), "--dataset", "again", "--json"]
    done = subprocess.run(
        [sys.executable, "-m", "flows.cli", *words], env=station.env, capture_output=True, text=True, check=True
    )
    assert '"kept": 60' in done.stdout
    names = {flow["id"]: flow["name"] for flow in station.post("flows/filter")}
    runs = [run for run in station.post("flow_runs/filter") if names[run["flow_id"]] == "ingest-folder"]
    assert any(run["parameters"].get("dataset") == "again" and run["state_name"] == "Completed" for run in runs)


@pytest.fixture
def recorded(station):
    """Flow runs of this process are runs at the station; their logs are not, which would outlive it."""
    with temporary_settings({PREFECT_API_URL: station.api, PREFECT_LOGGING_TO_API_ENABLED: False}):
        yield


@pytest.mark.usefixtures("recorded")
def test_the_shards_of_an_embedding_are_task_runs(station, flora, backbone, tmp_path):
    home = tmp_path / "home"
    ingest_folder.fn(flora.folder / "plants", "plants", home=home)
    (home / "taxalake.toml").write_text("embed_shard_tiles = 100\n")
    report = run_recorded(embed, "plants", backbone, ["whole", "grid-2x2"], home=home)
    assert {counts.embedded for counts in report.schemes.values()} == {60}
    stages = tables.open_table(Lake(str(home / "lake")), "stage_runs").to_pyarrow_table().to_pylist()
    (run_id,) = [row["flow_run_id"] for row in stages if row["stage"] == "embed"]
    runs = station.post("task_runs/filter", flow_runs={"id": {"any_": [run_id]}})
    assert [(run["name"].rsplit("-", 1)[0], run["state_name"]) for run in runs] == [("embed-shard", "Completed")] * 3
    assert versions(home)["embeddings"] == 3


@pytest.mark.usefixtures("recorded")
def test_what_the_processes_of_several_devices_commit_is_told_by_the_flow_run(station, flora, backbone, tmp_path):
    home = tmp_path / "home"
    ingest_folder.fn(flora.folder / "plants", "plants", home=home)
    settled = 'embed_shard_tiles = 20\ndevice = "cpu,cpu"\ndtype = "float32"\n'
    (home / "taxalake.toml").write_text(settled)
    run_recorded(embed, "plants", backbone, ["whole"], home=home)

    def told() -> list[int]:
        wanted = {"event": {"name": ["taxalake.embeddings.committed"]}}
        found = station.post("events/filter", filter=wanted, limit=50)["events"]
        return [event["payload"]["rows"] for event in found if event["payload"]["lake"] == str(home / "lake")]

    deadline = time.monotonic() + 30
    while sum(told()) < 60 and time.monotonic() < deadline:
        time.sleep(0.5)
    assert told() == [20, 20, 20]


@pytest.mark.usefixtures("recorded")
def test_a_look_at_the_sources_leaves_an_artifact_of_what_brought_something_new_and_of_no_other(
    station, flora, tmp_path
):
    home = tmp_path / "home"
    for name in ("quiet", "busy"):
        shutil.copytree(flora.folder / "plants", tmp_path / name)
        ingest_folder.fn(tmp_path / name, f"{name}-folder", home=home)
    first = min((tmp_path / "busy").rglob("*.*"))
    first.with_stem("new").write_bytes(first.read_bytes() + b"\0")
    run_recorded(watch, home=home)
    keys = {artifact["key"] for artifact in station.post("artifacts/filter") if artifact["key"]}
    assert {key for key in keys if key.startswith("watch")} >= {"watch-busy-folder", "watch"}
    assert "watch-quiet-folder" not in keys


def test_slots_for_gpus_are_asked_for_by_flow_runs_on_gpus_and_by_no_others(station, recorded):
    def taken() -> int:
        return int(station.get(f"v2/concurrency_limits/{GPU_SLOTS}")["active_slots"])

    @flow
    def look(*devices: list[str]) -> list[int]:
        seen = []
        for some in devices:
            with gpu_slot(some):
                seen.append(taken())
        return seen

    @flow
    def unlimited() -> str:
        with gpu_slot(["cuda:0"]):
            return "went on"

    assert station.get(f"v2/concurrency_limits/{GPU_SLOTS}")["limit"] == 1
    assert look(["cpu"], ["cuda:0"], ["cuda:0", "cuda:1"], ["cpu", "cpu"]) == [0, 1, 1, 0]
    with gpu_slot(["cuda:0", "cuda:1"]):
        assert taken() == 0, "outside of a flow run there is nobody to ask"
    with get_client(sync_client=True) as client:
        client.delete_global_concurrency_limit_by_name(GPU_SLOTS)
    assert unlimited() == "went on"
    assert deploy(settings.load(home=station.folder / "home"), station.api).made == [f"concurrency limit {GPU_SLOTS}"]
