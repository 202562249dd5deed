"""What a real server does by itself when tables are committed to and when flow runs die."""

import os
import signal
import sys
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from prefect import flow
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.events import emit_event
from prefect.settings import PREFECT_API_URL, PREFECT_LOGGING_TO_API_ENABLED, temporary_settings
from servers import Station, running_station, start
from sleeper import sleep

from flows import events
from flows.automations import automations
from flows.orchestration import HEARTBEAT_SECONDS, TAG, run_recorded
from lake import tables
from lake.tables import Lake, tell_of_commits

QUIET = 10  # seconds; Prefect takes no less
SILENT = 35  # a little more than a heartbeat
HOSTILE = '{{ flow_run.id }}{% raw %}<b>\' "__prefect_kind" \\ 7'


@pytest.fixture(scope="module")
def station(tmp_path_factory: pytest.TempPathFactory):
    with running_station(tmp_path_factory.mktemp("station"), PYTHONPATH=str(Path(__file__).parent)) as started:
        # Not to wait for a minute and a half: the same automations, only sooner.
        with client_of(started) as client:
            retrain = client.read_deployment_by_name("retrain/station").id
            for wanted in automations(retrain, QUIET, SILENT):
                (found,) = client.read_automations_by_name(wanted.name)
                client.update_automation(found.id, type(wanted)(**wanted.model_dump(exclude={"owner_resource"})))
        yield started


def client_of(station: Station) -> SyncPrefectClient:
    with temporary_settings({PREFECT_API_URL: station.api}):
        return get_client(sync_client=True)


@pytest.fixture
def recorded(station):
    """Flow runs of this process are runs at the station; their logs are not, which would outlive it."""
    with temporary_settings({PREFECT_API_URL: station.api, PREFECT_LOGGING_TO_API_ENABLED: False}):
        yield


@pytest.fixture
def lake(tmp_path):
    place = Lake(str(tmp_path / "lake"))
    tables.create_missing(place)
    return place


def labels(*species: tuple[str, str]) -> pa.Table:
    row = {"observation_id": "o1", "status": "accepted", "labelled_at": datetime.now(UTC), "flow_run_id": "r"}
    return pa.Table.from_pylist(
        [{**row, "dataset": dataset, "species_id": species_id, "source": "s"} for dataset, species_id in species]
    )


@flow
def commit(lake: Lake, *some: pa.Table, pause: float = 0) -> None:
    for number, rows in enumerate(some):
        time.sleep(pause if number else 0)
        tables.append(lake, "labels", rows)


def committed(station: Station, table: str, dataset: str | None = None) -> list[dict[str, Any]]:
    """The events that a table has new rows, oldest first."""
    wanted = {"event": {"name": [events.committed(table)]}, "order": "ASC"}
    found = station.post("events/filter", filter=wanted, limit=50)["events"]
    return [one for one in found if dataset is None or one["resource"]["taxalake.dataset"] == dataset]


def trainings(station: Station, dataset: str) -> list[dict[str, Any]]:
    flow_id = station.get("flows/name/retrain")["id"]
    runs = station.post("flow_runs/filter", flows={"id": {"any_": [flow_id]}})
    return [run for run in runs if run["parameters"].get("dataset") == dataset]


def eventually(look: Any, within: float = 40) -> Any:
    deadline = time.monotonic() + within
    while not (found := look()) and time.monotonic() < deadline:
        time.sleep(0.5)
    return found


@pytest.mark.usefixtures("recorded")
def test_a_commit_inside_a_flow_run_is_told_for_each_of_its_data_sets(station, lake):
    run_recorded(commit, lake, labels(("told", "a"), ("told", "b"), ("other", "a")))
    (told,) = eventually(lambda: committed(station, "labels", "told"))
    assert told["resource"] == {
        "prefect.resource.id": "taxalake.table.labels.told",
        "prefect.resource.name": "labels@1",
        "taxalake.dataset": "told",
        "taxalake.table": "labels",
        "taxalake.version": "1",
    }
    assert told["payload"] == {"rows": 2, "lake": lake.root}
    assert [related["prefect.resource.role"] for related in told["related"]].count("flow-run") == 1
    assert len(eventually(lambda: committed(station, "labels", "other"))) == 1


@pytest.mark.usefixtures("recorded")
def test_outside_of_a_flow_run_nobody_is_told(station, lake):
    tables.append(lake, "labels", labels(("untold", "a")))
    run_recorded(commit, lake, labels(("last", "a")))
    assert eventually(lambda: committed(station, "labels", "last"))
    assert committed(station, "labels", "untold") == []


@pytest.mark.usefixtures("recorded")
def test_what_cannot_be_told_stops_no_flow_run(lake):
    too_much = "d" * 2_000_000  # more than an event may hold
    run_recorded(commit, lake, labels((too_much, "a")))
    assert tables.row_count(lake, *tables.latest(lake, "labels")) == 1


def test_a_listener_is_told_of_each_commit_once_and_of_nothing_else(lake):
    told = []

    def listen(_: Lake, appended: tables.Appended, rows: pa.Table) -> None:
        told.append((str(appended.snapshot), rows.num_rows))

    tell_of_commits(listen)
    tell_of_commits(listen)
    try:
        rows = labels(("d", "a"), ("d", "b"))
        tables.append(lake, "labels", rows)
        tables.append(lake, "labels", rows)
    finally:
        tables._listeners.remove(listen)
    assert told == [("labels@1", 2)]


@pytest.mark.usefixtures("recorded")
def test_commits_that_follow_each_other_start_one_training_after_the_last(station, lake):
    run_recorded(commit, lake, *(labels(("season", str(number))) for number in range(3)), pause=QUIET * 0.6)
    last = committed(station, "labels", "season")[-1]
    (run,) = eventually(lambda: trainings(station, "season"))
    quiet = datetime.fromisoformat(run["created"]) - datetime.fromisoformat(last["occurred"])
    assert quiet.total_seconds() >= QUIET
    time.sleep(QUIET)
    assert len(trainings(station, "season")) == 1


@pytest.mark.usefixtures("recorded")
def test_the_name_of_a_data_set_is_never_read_as_a_template(station):
    resource = {"prefect.resource.id": "taxalake.table.labels.x", "taxalake.dataset": HOSTILE}
    emit_event(events.committed("labels"), resource)
    (run,) = eventually(lambda: trainings(station, HOSTILE))
    assert run["parameters"]["dataset"] == HOSTILE


@pytest.fixture(scope="module")
def killed_command(station):
    """The flow run of a command that gave a sign of life and was killed."""
    program = "from flows.orchestration import run_flow; from sleeper import nap; run_flow(nap, 600)"
    command = start([sys.executable, "-c", program], station.env, station.folder / "command.log")
    try:
        named = {"flows": {"name": {"any_": ["nap"]}}}
        (run,) = eventually(lambda: station.post("flow_runs/filter", **named), within=120)
        assert eventually(lambda: heartbeats(station, run["id"]))
    finally:
        command.kill()
        command.wait()
    return run["id"]


@pytest.mark.usefixtures("killed_command")  # so that the two fall silent side by side
def test_a_flow_run_whose_process_and_worker_die_is_marked_crashed_and_frees_its_slot(station):
    with client_of(station) as client:
        deployment_id = client.create_deployment(
            client.create_flow(sleep),
            "station",
            entrypoint="sleeper.sleep",
            work_pool_name="taxalake",
            concurrency_limit=1,
            tags=[TAG],
            job_variables={"env": {"PREFECT_FLOWS_HEARTBEAT_FREQUENCY": str(HEARTBEAT_SECONDS)}},
        )
    worker = station.start_worker()
    run_id = station.begin("sleep/station", seconds=600)
    parent = {"parent_flow_run_id": {"any_": [run_id]}}
    (inner,) = eventually(lambda: station.post("flow_runs/filter", flow_runs=parent), within=120)
    for one in (run_id, inner["id"]):
        station.reached(one, {"RUNNING"})
        assert eventually(lambda one=one: heartbeats(station, one))
    limit = station.get(f"deployments/{deployment_id}")["global_concurrency_limit"]
    assert limit["active_slots"] == 1
    kill_all_of(worker.pid)
    ended = station.ended(run_id, within=SILENT + 30)
    assert (ended["state_type"], ended["state_name"]) == ("CRASHED", "Crashed")
    assert "No heartbeat" in ended["state"]["message"]
    assert station.ended(inner["id"], within=SILENT + 30)["state_type"] == "CRASHED"
    assert station.get(f"v2/concurrency_limits/{limit['id']}")["active_slots"] == 0


def test_a_flow_run_of_a_command_whose_process_dies_is_marked_crashed(station, killed_command):
    ended = station.ended(killed_command, within=SILENT + 30)
    assert ended["state_type"] == "CRASHED"
    assert "No heartbeat" in ended["state"]["message"]


def heartbeats(station: Station, flow_run_id: str) -> list[dict[str, Any]]:
    wanted = {
        "event": {"name": ["prefect.flow-run.heartbeat"]},
        "resource": {"id": [f"prefect.flow-run.{flow_run_id}"]},
    }
    return station.post("events/filter", filter=wanted, limit=5)["events"]


def kill_all_of(session: int) -> None:
    """Kill everything that a worker has started, and then itself: nobody is left to tell of it."""
    members = [
        int(entry.name)
        for entry in Path("/proc").iterdir()
        if entry.name.isdigit() and _parents(int(entry.name), session)
    ]
    for member in [session, *members]:
        os.kill(member, signal.SIGKILL)


def _parents(process: int, ancestor: int) -> bool:
    while process > 1:
        try:
            process = int(Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[1])
        except FileNotFoundError:
            return False
        if process == ancestor:
            return True
    return False
