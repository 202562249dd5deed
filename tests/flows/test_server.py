"""The deployments on a real Prefect server with a real process worker."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
from homes import REPOSITORY, content, versions
from prefect import flow
from prefect.settings import PREFECT_API_URL, PREFECT_LOGGING_TO_API_ENABLED, temporary_settings

from flows.embed import embed
from flows.embed_shards import GPU_SLOTS, gpu_slot
from flows.ingest import ingest_folder
from flows.orchestration import run_recorded
from lake import tables
from lake.tables import Lake

PREFECT = [str(Path(sys.executable).parent / "prefect"), "--no-prompt"]
SCHEDULED = {"ingest-folder", "ingest-table", "embed", "predict", "evaluate", "retrain"}
ON_DEMAND = {
    *("ingest-plantclef", "ingest-plantclef-quadrats", "ingest-snakeclef", "ingest-inaturalist", "ingest-darwincore"),
    *("ingest-retry", "ingest-taxon-changes", "ingest-boxes", "audit-leakage", "train", "import-timm"),
    *("ablate", "replay", "prior", "sweep", "score", "ensemble", "submit", "submission-score"),
}
WITHOUT_DATASET = {
    *("ingest-taxon-changes", "import-timm", "ablate", "replay", "score", "ensemble", "submit", "submission-score"),
}


@dataclass(frozen=True)
class Station:
    """A running server, and the environment of those who talk to it."""

    api: str
    env: dict[str, str]

    def prefect(self, *words: str) -> str:
        done = subprocess.run(
            [*PREFECT, *words], env=self.env, cwd=REPOSITORY, capture_output=True, text=True, timeout=120, check=False
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def post(self, path: str, **body: Any) -> Any:
        for _ in range(5):
            answer = httpx.post(f"{self.api}/{path}", json=body, timeout=60)
            # A database that is busy for a moment says so, and nothing was done.
            if answer.status_code != httpx.codes.SERVICE_UNAVAILABLE:
                break
            time.sleep(2)
        answer.raise_for_status()
        return answer.json()

    def run(self, deployment: str, **parameters: Any) -> dict[str, Any]:
        """Run a deployment and wait for its end."""
        name = httpx.get(f"{self.api}/deployments/name/{deployment}", timeout=60).json()
        started = self.post(f"deployments/{name['id']}/create_flow_run", parameters=parameters)
        deadline = time.monotonic() + 200
        while time.monotonic() < deadline:
            try:
                run: dict[str, Any] = httpx.get(f"{self.api}/flow_runs/{started['id']}", timeout=60).json()
            except httpx.TimeoutException:  # a server that shares few processors with a training may be late
                continue
            if run["state_type"] in {"COMPLETED", "FAILED", "CRASHED", "CANCELLED"}:
                return run
            time.sleep(0.5)
        raise TimeoutError(f"{deployment} has not come to an end")


def start(words: list[str], env: dict[str, str], log: Path) -> subprocess.Popen[bytes]:
    """Start a process that can be stopped: one begun in the background of a script ignores SIGINT for ever."""
    with log.open("wb") as file:
        return subprocess.Popen(
            words,
            env=env,
            stdout=file,
            stderr=subprocess.STDOUT,
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
        )


def stop(process: subprocess.Popen[bytes]) -> None:
    process.send_signal(signal.SIGINT)
    try:
        process.wait(30)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


@pytest.fixture(scope="module")
def station(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Station]:
    folder = tmp_path_factory.mktemp("station")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    api = f"http://127.0.0.1:{port}/api"
    env = {
        **os.environ,
        "PREFECT_HOME": str(folder / "prefect"),
        "PREFECT_API_URL": api,
        "PREFECT_SERVER_SERVICES_SCHEDULER_LOOP_SECONDS": "2",
        "PREFECT_WORKER_QUERY_SECONDS": "1",
        "DO_NOT_TRACK": "true",
        "TAXALAKE_HOME": str(folder / "home"),
    }
    server = start(
        [*PREFECT, "server", "start", "--host", "127.0.0.1", "--port", str(port)], env, folder / "server.log"
    )
    worker = None
    try:
        wait_for(f"{api}/health", folder / "server.log")
        station = Station(api, env)
        station.prefect("work-pool", "create", "taxalake", "--type", "process")
        station.prefect("deploy", "--all", "--prefect-file", "deployments/prefect.yaml")
        worker = start([*PREFECT, "worker", "start", "--pool", "taxalake"], env, folder / "worker.log")
        yield station
    finally:
        for process in (worker, server):
            if process is not None:
                stop(process)


def wait_for(address: str, log: Path) -> None:
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline:
        try:
            if httpx.get(address, timeout=5).status_code == 200:
                return
        except httpx.HTTPError:
            time.sleep(0.3)
    raise TimeoutError(log.read_text())


def test_every_stage_is_deployed_with_typed_parameters(station):
    deployments = station.post("deployments/filter")
    flows = {flow["id"]: flow["name"] for flow in station.post("flows/filter")}
    assert {flows[deployment["flow_id"]] for deployment in deployments} == SCHEDULED | ON_DEMAND
    for deployment in deployments:
        assert deployment["description"]
        properties = deployment["parameter_openapi_schema"]["properties"]
        assert set(deployment["parameters"]) <= set(properties)
        if flows[deployment["flow_id"]] not in WITHOUT_DATASET:
            assert properties["dataset"]["type"] == "string"


def test_a_cron_schedule_creates_its_runs(station):
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
    (picture,) = (artifact for artifact in artifacts if artifact["key"] == "intake-plants-figure")
    assert picture["data"].startswith("data:image/png;base64,")
    (counts,) = (artifact for artifact in artifacts if artifact["key"] == "intake-plants")
    assert "| kept | 60 |" in counts["data"]
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


def test_slots_for_gpus_are_asked_for_by_flow_runs_on_gpus_and_by_no_others(station, recorded):
    def taken() -> int:
        return int(httpx.get(f"{station.api}/v2/concurrency_limits/{GPU_SLOTS}", timeout=60).json()["active_slots"])

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

    assert unlimited() == "went on"
    station.post("v2/concurrency_limits/", name=GPU_SLOTS, limit=2)
    assert look(["cpu"], ["cuda:0"], ["cuda:0", "cuda:1"], ["cpu", "cpu"]) == [0, 1, 1, 0]
    with gpu_slot(["cuda:0", "cuda:1"]):
        assert taken() == 0, "outside of a flow run there is nobody to ask"
