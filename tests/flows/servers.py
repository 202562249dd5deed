"""A real Prefect server with a real process worker, and those who talk to it."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
from prefect.events.worker import EventsWorker

from flows import settings
from flows.deploy import deploy

PREFECT = [str(Path(sys.executable).parent / "prefect"), "--no-prompt"]
ENDS = {"COMPLETED", "FAILED", "CRASHED", "CANCELLED"}


@dataclass
class Station:
    """A running server, and the environment of those who talk to it."""

    api: str
    env: dict[str, str]
    folder: Path
    workers: list[subprocess.Popen[bytes]] = field(default_factory=list)

    def get(self, path: str) -> Any:
        answer = httpx.get(f"{self.api}/{path}", timeout=60)
        answer.raise_for_status()
        return answer.json()

    def post(self, path: str, **body: Any) -> Any:
        for _ in range(5):
            answer = httpx.post(f"{self.api}/{path}", json=body, timeout=60)
            # A database that is busy for a moment says so, and nothing was done.
            if answer.status_code != httpx.codes.SERVICE_UNAVAILABLE:
                break
            time.sleep(2)
        answer.raise_for_status()
        return answer.json()

    def begin(self, deployment: str, **parameters: Any) -> str:
        """Have a deployment run and return the id of its flow run."""
        found = self.get(f"deployments/name/{deployment}")
        return str(self.post(f"deployments/{found['id']}/create_flow_run", parameters=parameters)["id"])

    def run(self, deployment: str, **parameters: Any) -> dict[str, Any]:
        """Run a deployment and wait for its end."""
        return self.ended(self.begin(deployment, **parameters))

    def ended(self, flow_run_id: str, within: float = 200) -> dict[str, Any]:
        """Wait for the end of a flow run."""
        return self.reached(flow_run_id, ENDS, within)

    def reached(self, flow_run_id: str, states: set[str], within: float = 200) -> dict[str, Any]:
        """Wait until a flow run is in one of some states."""
        deadline = time.monotonic() + within
        while time.monotonic() < deadline:
            try:
                run: dict[str, Any] = self.get(f"flow_runs/{flow_run_id}")
            except httpx.TimeoutException:  # a server that shares few processors with a training may be late
                continue
            if run["state_type"] in states:
                return run
            time.sleep(0.5)
        raise TimeoutError(f"{run['name']} is {run['state_name']} and not {' or '.join(sorted(states))}")

    def start_worker(self) -> subprocess.Popen[bytes]:
        """Start a worker, with all that it starts in a process group of its own."""
        worker = start([*PREFECT, "worker", "start", "--pool", "taxalake"], self.env, self.folder / "worker.log")
        self.workers.append(worker)
        return worker


def start(words: list[str], env: dict[str, str], log: Path) -> subprocess.Popen[bytes]:
    """Start a process that can be stopped: one begun in the background of a script ignores SIGINT for ever."""
    with log.open("ab") as file:
        return subprocess.Popen(
            words,
            env=env,
            stdout=file,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
        )


def stop(process: subprocess.Popen[bytes]) -> None:
    if process.poll() is None:
        process.send_signal(signal.SIGINT)
    try:
        process.wait(30)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def wait_for(address: str, log: Path) -> None:
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline:
        try:
            if httpx.get(address, timeout=5).status_code == 200:
                return
        except httpx.HTTPError:
            time.sleep(0.3)
    raise TimeoutError(log.read_text())


@contextmanager
def running_station(folder: Path, **variables: str) -> Iterator[Station]:
    """Start a server and deploy to it; a worker is begun by who needs one.

    Args:
        folder: Of the server's files, and of the home.
        variables: Settings, as environment variables.
    """
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    env = {
        **os.environ,
        "PREFECT_HOME": str(folder / "prefect"),
        "PREFECT_API_URL": f"http://127.0.0.1:{port}/api",
        "PREFECT_SERVER_SERVICES_SCHEDULER_LOOP_SECONDS": "2",
        "PREFECT_WORKER_QUERY_SECONDS": "1",
        "DO_NOT_TRACK": "true",
        "TAXALAKE_HOME": str(folder / "home"),
        **variables,
    }
    station = Station(env["PREFECT_API_URL"], env, folder)
    # What sends the events of this process keeps to the server that it has met first.
    EventsWorker.drain_all(timeout=30, at_exit=False)
    log = folder / "server.log"
    server = start([*PREFECT, "server", "start", "--host", "127.0.0.1", "--port", str(port)], env, log)
    try:
        wait_for(f"{station.api}/health", log)
        deploy(settings.load(home=folder / "home"), station.api)
        yield station
    finally:
        EventsWorker.drain_all(timeout=30, at_exit=False)
        for process in (*station.workers, server):
            stop(process)
