"""Programs that a station begins: in the background, with a log each, and gone for certain when the station is."""

import ctypes
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Collection
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from flows.settings import SettingsError
from modeling.addresses import without_password

MARK = "TAXALAKE_STATION"  # in the environment of everything that a station has begun: the home, by which to find it
_GOODBYE_SECONDS = 15.0
_LOG_LINES = 20
_PDEATHSIG = 1  # of linux/prctl.h


@dataclass
class Program:
    """One that is begun, watched, and begun again."""

    title: str
    words: list[str]
    env: dict[str, str]
    log: Path
    health: str | None = None  # an address that answers 200 when all is well
    process: subprocess.Popen[bytes] | None = None
    begun: float = 0.0  # monotonic seconds
    due: float | None = None  # when it is begun again
    deaths: int = 0  # in a row
    state: str = "starting"

    @property
    def age(self) -> float:
        """Seconds since it was begun."""
        return time.monotonic() - self.begun

    def begin(self) -> None:
        """Start it in a session of its own, so that a Ctrl-C reaches it through the station alone."""
        libc = ctypes.CDLL(None) if sys.platform == "linux" else None
        if self.process is not None:
            # MLflow's server is a parent and a child, and a child that is left keeps the port.
            end_session(self.process.pid, Path(self.env[MARK]))
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                self.words,
                env=self.env,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                # It ends with the station, however that ends. No thread runs here when a process is forked.
                preexec_fn=None if libc is None else lambda: libc.prctl(_PDEATHSIG, signal.SIGTERM),
            )
        self.begun, self.due, self.state = time.monotonic(), None, "starting"

    def last_words(self) -> str:
        """Return where its log is and how it ends, without passwords."""
        lines = self.log.read_text(encoding="utf-8", errors="replace").splitlines() if self.log.is_file() else []
        return without_password("\n".join([f"{self.log} ends with", *lines[-_LOG_LINES:]]))


def installed(name: str) -> str:
    """Return the path of a program that was installed beside this Python, which the search path may not name.

    Raises:
        SettingsError: If there is none.
    """
    beside = Path(sys.executable).parent / name
    found = str(beside) if beside.is_file() else shutil.which(name)
    if found is None:
        raise SettingsError(f"the program {name} is neither beside {sys.executable} nor on the search path")
    return found


def stop(programs: list[Program]) -> None:
    """Ask programs to end, all at once, and end those that do not."""
    running = [one.process for one in programs if one.process is not None and one.process.poll() is None]
    for process in running:
        process.send_signal(signal.SIGINT)
    deadline = time.monotonic() + _GOODBYE_SECONDS
    for process in running:
        try:
            process.wait(max(0.0, deadline - time.monotonic()))
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def end_session(leader: int, home: Path) -> None:
    """End what a program that has ended has left of its session.

    Args:
        leader: The process that was begun. Its number may be another one's by now, which does not bear our mark.
        home: Resolved.
    """
    deadline = time.monotonic() + _GOODBYE_SECONDS
    while (left := [pid for pid, session in _marked(home).items() if session == leader]) and (
        time.monotonic() < deadline
    ):
        for pid in left:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        time.sleep(0.1)


def end_marked(home: Path, spared: Collection[int] = ()) -> bool:
    """End every process that a station of this home has begun and that still runs, and say whether there was one.

    A worker's flow runs are processes in sessions of their own, and outlive a worker that is killed.

    Args:
        home: Resolved.
        spared: Leaders of sessions whose processes are left alone.
    """
    found = False
    for number in (signal.SIGTERM, signal.SIGKILL):
        left = _left(home, spared)
        found = found or bool(left)
        for pid in left:
            with suppress(ProcessLookupError):
                os.kill(pid, number)
        deadline = time.monotonic() + _GOODBYE_SECONDS
        while left and time.monotonic() < deadline:
            time.sleep(0.1)
            left = _left(home, spared)
    return found


def _left(home: Path, spared: Collection[int]) -> list[int]:
    return [pid for pid, session in _marked(home).items() if session not in spared]


def _marked(home: Path) -> dict[int, int]:
    """Return every other process that bears the mark of a home, with its session."""
    mark = f"{MARK}={home}".encode()
    found = {}
    for folder in Path("/proc").glob("[0-9]*"):
        pid = int(folder.name)
        # It may have ended meanwhile, or be someone else's; one that waits to be buried has no environment any more.
        with suppress(OSError):
            if pid != os.getpid() and mark in (folder / "environ").read_bytes().split(b"\0"):
                found[pid] = os.getsid(pid)
    return found
