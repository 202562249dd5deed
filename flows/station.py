"""The station of a place: Prefect's server, MLflow's server and a worker, begun, watched, begun again, and ended.

They are programs of their own; this one only looks after them, imports neither, and starts no thread. What they keep
is in the home or in PostgreSQL, so that a station may be killed at any moment and the next one finds all of it again.
"""

import fcntl
import importlib.util
import os
import secrets
import signal
import socket
import subprocess
import sys
import time
import tomllib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from types import FrameType
from typing import IO

import httpx
from pydantic import BaseModel

from flows import databases, programs
from flows.doors import Doors
from flows.programs import MARK, Program
from flows.server import CREDENTIALS, FACTS, LOCK, RunningStation, credentials, running_station
from flows.settings import FILE, Settings, SettingsError
from modeling.addresses import without_password

_POOL = "taxalake"  # of deployments/prefect.yaml
_MLFLOW_AUTH = "mlflow-auth"
_LOOK_SECONDS = 0.5
_HEALTH_SECONDS = 5.0  # between two questions to a server
_ANSWER_SECONDS = 10.0
_UP_SECONDS = 300.0  # a first start migrates two databases, perhaps on a busy machine
_DEPLOY_ATTEMPTS = 3
_WORKER_SECONDS = 100.0  # three of its heartbeats
_LONGEST_PAUSE = 60.0
_STEADY_SECONDS = 60.0  # after which an end is no longer one of a row
_DEATHS = 5  # in a row, after which trying again helps nobody
_LOG_BYTES = 20 << 20  # of a log that is put aside when a station begins
_STOPPING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
_UNFINISHED = ("RUNNING", "PENDING", "CANCELLING")
# Of another server, perhaps, that the one who starts a station has to do with otherwise; and the secret itself.
_NOT_PASSED_ON = {
    *("PREFECT_API_URL", "PREFECT_API_KEY", "PREFECT_API_AUTH_STRING", "PREFECT_SERVER_API_AUTH_STRING"),
    *("PREFECT_PROFILE", "PREFECT_UI_API_URL", "TAXALAKE_STATION_AUTH"),
}


class StationError(SettingsError):
    """The station cannot be begun, or one of its programs ends again and again."""


class _ToldToStopError(Exception):
    """A signal has asked the station to end."""


class ServeReport(BaseModel):
    """What is up, and where."""

    home: str
    pid: int
    prefect: str  # its pages
    api: str
    mlflow: str
    logs: str
    deployed: list[str]

    def lines(self) -> list[str]:
        """The report for people."""
        return [
            *self.deployed,
            f"Prefect  {self.prefect}",
            f"MLflow   {self.mlflow}",
            f"logs in {self.logs}; Ctrl-C stops all",
        ]


def serve(place: Settings, doors: Doors, tell: Callable[[str], None], when_up: Callable[[ServeReport], None]) -> None:
    """Run the station of a place until it is told to stop (SIGINT, SIGTERM, SIGHUP).

    Args:
        place: Its settings. Where they name an MLflow server, that one is used and none is begun.
        doors: Where the servers listen.
        tell: Is told in a line whatever changes.
        when_up: Is called once, when both servers answer and everything is deployed.

    Raises:
        SettingsError: If another station runs in this home, a port is taken, the doors are open and there are no
            credentials, or a program ends again and again.
        PostgresError: If the databases are not to be had.
    """
    home = place.home.resolve()
    home.mkdir(parents=True, exist_ok=True)
    auth = credentials(home)
    if doors.is_open and auth is None:
        raise StationError(
            f"--host {doors.host} lets other machines in, so that credentials are needed: set TAXALAKE_STATION_AUTH to "
            f"USER:PASSWORD, or write that to {home / CREDENTIALS} (mode 0600)"
        )
    if auth is not None and importlib.util.find_spec("flask_wtf") is None:
        raise StationError("credentials need the extra station: pip install -c constraints.txt -e '.[station]'")
    with _alone(home):
        programs.end_marked(home)
        doors.require_free(doors.port)
        if _has_own_mlflow(place):
            doors.require_free(doors.mlflow_port)
            if doors.port == doors.mlflow_port:
                raise SettingsError(
                    f"port {doors.port} cannot be that of Prefect and of MLflow: name two with --port and --mlflow-port"
                )
        if place.postgres is not None:
            _require_one_postgres(home, place.postgres)
            made = databases.make(place.postgres)
            for name in made:
                tell(f"made the database {name}")
            if made and (home / "mlflow.db").is_file():
                tell(f"models in {home / 'mlflow.db'} stay there: PostgreSQL begins without any")
            databases.remember(home, place.postgres)
        _Station(place, home, doors, auth, tell).run(when_up)


class _Station:
    def __init__(
        self, place: Settings, home: Path, doors: Doors, auth: str | None, tell: Callable[[str], None]
    ) -> None:
        self._home = home
        self._doors = doors
        self._auth = auth
        self._tell = tell
        self._api = f"{doors.near(doors.port)}/api"
        self._mlflow = (
            doors.far(doors.mlflow_port) if _has_own_mlflow(place) else without_password(str(place.tracking_uri))
        )
        self._logs = home / "logs"
        self._logs.mkdir(exist_ok=True)
        basic = None if auth is None else httpx.BasicAuth(*auth.split(":", 1))
        self._client = httpx.Client(auth=basic, timeout=_ANSWER_SECONDS, trust_env=False)
        self._env = self._environment(place)
        self._servers = [self._prefect_server(place)]
        if _has_own_mlflow(place):
            self._servers.append(self._mlflow_server(place))
        self._worker = self._worker_program()
        self._all = [*self._servers, self._worker]
        self._is_stopping = False
        self._asked_at = 0.0
        self._told = ""

    def run(self, when_up: Callable[[ServeReport], None]) -> None:
        before = {number: signal.signal(number, self._stop) for number in _STOPPING}
        started_at = datetime.now(UTC).isoformat(timespec="seconds")
        facts = RunningStation(os.getpid(), self._api, self._mlflow, started_at, False, self._auth is not None)
        try:
            facts.write(self._home)
            for server in self._servers:
                server.begin()
            self._until_up(self._servers)
            deployed = self._deploy()
            self._end_lost_runs()
            self._worker.begin()
            self._until_up(self._all)
            replace(facts, is_up=True).write(self._home)
            when_up(self._report(deployed))
            while True:
                self._look(self._all)
                self._show()
                self._wait()
        except _ToldToStopError:
            pass
        finally:
            self._end()
            (self._home / FACTS).unlink(missing_ok=True)
            for number, handler in before.items():
                signal.signal(number, handler)

    def _stop(self, number: int, frame: FrameType | None) -> None:
        # No more than a mark: a signal may come between the start of a program and the note of it.
        self._is_stopping = True

    def _wait(self, seconds: float = _LOOK_SECONDS) -> None:
        if self._is_stopping:
            raise _ToldToStopError
        time.sleep(seconds)

    def _report(self, deployed: list[str]) -> ServeReport:
        return ServeReport(
            home=str(self._home),
            pid=os.getpid(),
            prefect=self._doors.far(self._doors.port),
            api=self._api,
            mlflow=self._mlflow,
            logs=str(self._logs),
            deployed=deployed,
        )

    def _until_up(self, awaited: list[Program]) -> None:
        deadline = time.monotonic() + _UP_SECONDS
        self._look(awaited)
        while silent := [one for one in awaited if one.state != "up"]:
            if time.monotonic() > deadline:
                raise StationError(
                    f"{silent[0].title} has not answered for {_UP_SECONDS:.0f} s; {silent[0].last_words()}"
                )
            self._wait()
            self._look(awaited)

    def _deploy(self) -> list[str]:
        """Deploy everything, in a process of its own: Prefect would leave threads in this one."""
        deploying = self._program("deploy", [sys.executable, "-m", "flows.cli", "deploy"], self._env)
        for _ in range(_DEPLOY_ATTEMPTS):
            self._wait(0)
            with deploying.log.open("ab") as log:
                done = subprocess.run(
                    deploying.words, env=deploying.env, stdout=subprocess.PIPE, stderr=log, text=True, check=False
                )
            if done.returncode == 0:
                return done.stdout.splitlines()
            self._look(self._servers)
        raise StationError(f"the deployments cannot be made; {deploying.last_words()}")

    def _look(self, watched: list[Program]) -> None:
        now = time.monotonic()
        is_time_to_ask = now - self._asked_at >= _HEALTH_SECONDS or any(one.state == "starting" for one in watched)
        if is_time_to_ask:
            self._asked_at = now
        for one in watched:
            if one.due is not None:
                if now >= one.due:
                    one.begin()
            elif one.process is not None and one.process.poll() is not None:
                _begin_again(one, one.process.returncode)
            elif is_time_to_ask:
                one.state = self._state(one)

    def _show(self) -> None:
        states = ", ".join(f"{one.title} {one.state}" for one in self._all)
        if states != self._told:
            self._told = states
            self._tell(f"{datetime.now():%H:%M:%S}  {states}")

    def _state(self, one: Program) -> str:
        """Ask a server for its health, and Prefect's server for that of the worker, which has no address."""
        try:
            if one is self._worker:
                found = self._client.post(f"{self._api}/work_pools/{_POOL}/workers/filter")
                found.raise_for_status()
                seen = [each["last_heartbeat_time"] for each in found.json() if each["name"] == _worker_name()]
                is_well = any(_age(when) < min(one.age, _WORKER_SECONDS) for when in seen)
            else:
                is_well = self._client.get(str(one.health)).status_code == httpx.codes.OK
        except httpx.HTTPError:
            # A worker that cannot be asked about is as it was.
            is_well = one is self._worker and one.state == "up"
        return "up" if is_well else "starting" if one.state == "starting" else "not answering"

    def _end(self) -> None:
        """Stop the worker and what it runs, then the servers, then whatever is left."""
        programs.stop([self._worker])
        if self._worker.process is not None:
            spared = {server.process.pid for server in self._servers if server.process is not None}
            programs.end_marked(self._home, spared)
            self._end_lost_runs()
        programs.stop(self._servers)
        programs.end_marked(self._home)
        self._client.close()

    def _end_lost_runs(self) -> None:
        """Mark the worker's runs, none of whose processes is left, as ended: they cannot say so themselves."""
        wanted = {"flow_runs": {"state": {"type": {"any_": _UNFINISHED}}}, "work_pools": {"name": {"any_": [_POOL]}}}
        state = {"type": "CRASHED", "message": "its process ended with the station that ran it"}
        try:
            found = self._client.post(f"{self._api}/flow_runs/filter", json=wanted)
            found.raise_for_status()
            for run in found.json():
                if run["labels"].get("prefect.worker.name") == _worker_name():
                    address = f"{self._api}/flow_runs/{run['id']}/set_state"
                    self._client.post(address, json={"state": state, "force": True}).raise_for_status()
        except httpx.HTTPError as error:
            self._tell(f"runs that were cut short could not be marked as such: {error}")

    def _environment(self, place: Settings) -> dict[str, str]:
        """Return the environment of the worker, of its flows and of the deploying process."""
        env = {name: value for name, value in os.environ.items() if name not in _NOT_PASSED_ON}
        env |= {
            "TAXALAKE_HOME": str(self._home),
            "TAXALAKE_WATCH_SECONDS": str(place.watch_seconds),
            MARK: str(self._home),
            "PREFECT_HOME": str(self._home / "prefect"),
            "PREFECT_API_URL": self._api,
            "DO_NOT_TRACK": "true",
            "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
            "MLFLOW_DISABLE_TELEMETRY": "true",
            **self._without_proxy(),
        }
        if place.postgres is not None:
            env["TAXALAKE_POSTGRES"] = place.postgres  # else a flow would go where its own environment says
        return env if self._auth is None else {**env, "PREFECT_API_AUTH_STRING": self._auth}

    def _without_proxy(self) -> dict[str, str]:
        """Return what keeps requests to this station, which carry credentials, from a proxy of the network."""
        given = os.environ.get("no_proxy") or os.environ.get("NO_PROXY") or ""
        if given.strip() == "*":
            return {}
        # Some libraries read the small letters first, and some the large ones.
        names = ",".join([*filter(None, [given]), *self._doors.all_names])
        return {"no_proxy": names, "NO_PROXY": names}

    def _program(self, title: str, words: list[str], env: dict[str, str], health: str | None = None) -> Program:
        log = self._logs / f"{title}.log"
        if log.is_file() and log.stat().st_size > _LOG_BYTES:
            log.replace(log.with_suffix(".log.1"))
        return Program(title, words, env, log, health)

    def _worker_program(self) -> Program:
        words = [programs.installed("prefect"), "--no-prompt", "worker", "start", "--pool", _POOL, "--type", "process"]
        return self._program("worker", [*words, "--name", _worker_name()], self._env)

    def _prefect_server(self, place: Settings) -> Program:
        doors = self._doors
        words = [sys.executable, "-m", "flows.prefect_server", "--host", doors.host, "--port", str(doors.port)]
        for name in doors.all_names:
            words += ["--name", name]
        env = {
            **self._env,
            # Relative: a page asks the server that it came from, by whatever name that was called.
            "PREFECT_UI_API_URL": "/api",
            "PREFECT_SERVER_CORS_ALLOWED_ORIGINS": doors.far(doors.port),
            "PREFECT_SERVER_UI_SHOW_PROMOTIONAL_CONTENT": "false",
        }
        if self._auth is not None:
            env["PREFECT_SERVER_API_AUTH_STRING"] = self._auth
        if place.postgres is not None:
            env |= databases.of_prefect(place.postgres)
        return self._program("prefect", words, env, f"{self._api}/health")

    def _mlflow_server(self, place: Settings) -> Program:
        port = self._doors.mlflow_port
        words = [programs.installed("mlflow"), "server", "--workers", "1"]
        words += ["--host", self._doors.host, "--port", str(port)]
        words += ["--artifacts-destination", str(self._home / "mlartifacts")]
        words += ["--allowed-hosts", ",".join(self._doors.hosts(port))]
        words += ["--cors-allowed-origins", ",".join(self._doors.origins(port))]
        words += ["--uvicorn-opts", "--log-level warning --timeout-graceful-shutdown 3"]
        env = {
            **self._env,
            "MLFLOW_BACKEND_STORE_URI": place.registry_uri,  # no option: a password would stand in `ps`
            "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",  # it starts six more processes
        }
        if self._auth is not None:
            words += ["--app-name", "basic-auth"]
            env |= _mlflow_auth(self._home, self._auth)
        return self._program("mlflow", words, env, f"{self._doors.near(port)}/health")


def _worker_name() -> str:
    return f"station-{socket.gethostname()}"


def _age(time_text: str) -> float:
    """Return how many seconds ago a time (ISO 8601) was."""
    return (datetime.now(UTC) - datetime.fromisoformat(time_text)).total_seconds()


def _has_own_mlflow(place: Settings) -> bool:
    return not (place.tracking_uri or "").startswith(("http://", "https://"))


def _require_one_postgres(home: Path, postgres: str) -> None:
    """Look whether other commands of a home would find the PostgreSQL that its station uses.

    Raises:
        StationError: If the environment or the file of the place, which go before what is remembered, name another.
    """
    file = home / FILE
    said = {
        "TAXALAKE_POSTGRES": os.environ.get("TAXALAKE_POSTGRES"),
        str(file): tomllib.loads(file.read_text(encoding="utf-8")).get("postgres") if file.is_file() else None,
    }
    for where, other in said.items():
        if other and databases.without_user(other) != databases.without_user(postgres):
            raise StationError(
                f"PostgreSQL was asked for at {without_password(postgres)}, and {where} says "
                f"{without_password(other)}, where other commands of this home would go: say the same in both places, "
                "or in one alone"
            )


def _begin_again(one: Program, code: int) -> None:
    """Let a program that has ended be begun again, later each time.

    Raises:
        StationError: If it ends again and again.
    """
    one.deaths = 1 if one.age > _STEADY_SECONDS else one.deaths + 1
    if one.deaths >= _DEATHS:
        raise StationError(
            f"{one.title} has ended {one.deaths} times in a row, at last with {code}; {one.last_words()}"
        )
    pause = min(_LONGEST_PAUSE, 2.0 ** (one.deaths - 1))
    one.due = time.monotonic() + pause
    one.state = f"ended with {code}, begun again in {pause:.0f} s"


def _mlflow_auth(home: Path, auth: str) -> dict[str, str]:
    """Make MLflow's list of users, which is one, anew: it would hold on to the password that it was first told."""
    user, password = auth.split(":", 1)
    users, ini = home / f"{_MLFLOW_AUTH}.db", home / f"{_MLFLOW_AUTH}.ini"
    for path in home.glob(f"{_MLFLOW_AUTH}.*"):
        path.unlink()
    content = (
        "[mlflow]\ndefault_permission = NO_PERMISSIONS\n"
        f"database_uri = sqlite:///{str(users).replace('%', '%%')}\n"
        "authorization_function = mlflow.server.auth:authenticate_request_basic_auth\n"
    )
    for path, text in ((ini, content), (users, "")):
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as file:
            file.write(text)
    return {
        "MLFLOW_AUTH_CONFIG_PATH": str(ini),
        "MLFLOW_AUTH_ADMIN_USERNAME": user,
        "MLFLOW_AUTH_ADMIN_PASSWORD": password,
        "MLFLOW_FLASK_SERVER_SECRET_KEY": secrets.token_hex(32),
    }


@contextmanager
def _alone(home: Path) -> Iterator[None]:
    """Hold the home's lock, or say who holds it."""
    with (home / LOCK).open("ab") as lock:
        if not _is_locked(lock):
            other = running_station(home)
            who = "just starting" if other is None else f"pid {other.pid}, {other.api} and {other.mlflow}"
            raise StationError(f"a station runs in {home} already ({who}); stop it first, or name another --home")
        yield


def _is_locked(lock: IO[bytes]) -> bool:
    # Who only asks whether a station runs holds it for a moment.
    for _ in range(5):
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            time.sleep(0.1)
        else:
            return True
    return False
