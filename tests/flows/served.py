"""`taxalake serve` as a user has it, on free ports, and what it leaves running."""

import base64
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
from servers import Station

# What a station takes its time with where nobody waits for it.
QUICK = {
    "PREFECT_SERVER_SERVICES_SCHEDULER_LOOP_SECONDS": "2",
    "PREFECT_WORKER_QUERY_SECONDS": "1",
}
UP_SECONDS = 240


@dataclass
class Served(Station):
    """A station that `taxalake serve` runs."""

    home: Path = Path()
    mlflow: str = ""
    report: dict[str, Any] = field(default_factory=dict)
    process: subprocess.Popen[str] | None = None

    @property
    def said(self) -> str:
        """What it has said of the states of its programs."""
        return (self.folder / "serve.log").read_text(encoding="utf-8")

    def says(self, words: str, within: float = 90) -> None:
        deadline = time.monotonic() + within
        while words not in self.said:
            assert time.monotonic() < deadline, self.said
            time.sleep(0.2)

    def pid_of(self, program: str) -> int:
        """The process of one of its programs, by a word of its command line."""
        (found,) = [
            pid for pid, line in left(self.home).items() if program in line and _parent(pid) == self.process.pid
        ]
        return found

    def stop(self, number: int = signal.SIGINT) -> int:
        """Send a signal and return the exit code."""
        self.process.send_signal(number)
        return self.process.wait(60)


def free_ports(count: int = 2) -> list[int]:
    with ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [one.getsockname()[1] for one in sockets]


def begin(folder: Path, *words: str, **variables: str) -> subprocess.Popen[str]:
    """Start the command in a folder whose `home` is its home."""
    env = {name: value for name, value in os.environ.items() if not name.startswith("PREFECT_API")}
    with (folder / "serve.log").open("a") as log:
        return subprocess.Popen(
            [sys.executable, "-m", "flows.cli", "serve", "--home", str(folder / "home"), "--json", *words],
            env={**env, **QUICK, **variables},
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
        )


@contextmanager
def served(folder: Path, *words: str, **variables: str) -> Iterator[Served]:
    """Run a station until the block ends."""
    port, mlflow_port = free_ports()
    process = begin(folder, "--port", str(port), "--mlflow-port", str(mlflow_port), *words, **variables)
    try:
        report = _first_document(process)
        env = {**os.environ, **variables, "PREFECT_API_URL": report["api"]}
        mlflow = f"http://127.0.0.1:{mlflow_port}"
        yield Served(report["api"], env, folder, [], folder / "home", mlflow, report, process)
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
        try:
            process.communicate(timeout=60)
        except subprocess.TimeoutExpired:
            process.kill()
            raise


def _first_document(process: subprocess.Popen[str]) -> dict[str, Any]:
    lines: list[str] = []
    while not lines or lines[-1] != "}\n":
        line = process.stdout.readline()
        assert line, f"it ended with {process.wait()} and said {''.join(lines)}"
        lines.append(line)
    found: dict[str, Any] = json.loads("".join(lines))
    return found


def left(home: Path) -> dict[int, str]:
    """The command lines of all processes that a station of this home has begun and that run."""
    found = {}
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            if f"TAXALAKE_STATION={home.resolve()}".encode() in (folder / "environ").read_bytes().split(b"\0"):
                found[int(folder.name)] = (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode()
        except OSError:
            continue
    return found


def until_servers_are_gone(home: Path, within: float = 60) -> None:
    """Wait until at most flow runs go on."""
    deadline = time.monotonic() + within
    while servers := [line for line in left(home).values() if "prefect.engine" not in line]:
        assert time.monotonic() < deadline, servers
        time.sleep(0.2)


def status_of(address: str, **asked: Any) -> int:
    """The status of an answer; redirects are not followed, and the path is sent as it stands."""
    return httpx.get(address, timeout=60, **asked).status_code


def raw(address: str, target: str, **headers: str) -> tuple[int, bytes]:
    """Send a request whose path no library has tidied up, and return the status and the body."""
    host, port = address.removeprefix("http://").split(":")
    said = {"Host": f"{host}:{port}", "Connection": "close", **headers}
    with socket.create_connection((host, int(port)), timeout=60) as connection:
        lines = [f"GET {target} HTTP/1.1", *(f"{name}: {value}" for name, value in said.items()), "", ""]
        connection.sendall("\r\n".join(lines).encode())
        answer = b""
        while chunk := connection.recv(65536):
            answer += chunk
    head, _, body = answer.partition(b"\r\n\r\n")
    return int(head.split()[1]), body


def basic(credentials: str) -> dict[str, str]:
    return {"Authorization": f"Basic {base64.b64encode(credentials.encode()).decode()}"}


def _parent(pid: int) -> int:
    # The name of a program may hold blanks and brackets; what follows it does not.
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
