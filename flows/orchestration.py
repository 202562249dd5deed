"""What the flows share: steps that run with or without Prefect, progress, and the clock of the cost ledger.

Each stage is one function. Where a Prefect server is configured it runs as a recorded flow run, its steps as task
runs; where none is, the same function runs at once, as a plain one.
"""

import logging
import subprocess
import sys
import threading
import time
import uuid
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Any, ParamSpec, Protocol, TypeVar, cast

from prefect import tags
from prefect.artifacts import create_progress_artifact, update_progress_artifact
from prefect.context import FlowRunContext, TagsContext
from prefect.logging import get_run_logger
from prefect.utilities.annotations import quote
from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    SpinnerColumn,
    TextColumn,
    TimeRemainingColumn,
)
from rich.progress import Task as Bar
from rich.text import Text

from flows.events import tell_commit
from flows.prefect_pages import show_report
from flows.server import server_configured
from lake import tables

P = ParamSpec("P")
R = TypeVar("R")
Rep = TypeVar("Rep", bound="Report")
R_co = TypeVar("R_co", covariant=True)
_ARTIFACT_SECONDS = 2.0  # between two reports to the server, which shows them at leisure

TAG = "taxalake"  # of deployments, commands' flow runs, and the flow runs inside of these
HEARTBEAT_SECONDS = 30  # of flow runs at a server; Prefect takes no less

# Here, because every process that runs a flow imports this.
tables.tell_of_commits(tell_commit)


class Step(Protocol[P, R_co]):
    """A Prefect flow or task: callable, with the plain function inside."""

    @property
    def fn(self) -> Callable[P, R_co]:
        """The plain function."""

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> Any:
        """Run it with Prefect."""


class Overlapping(Step[P, R_co], Protocol[P, R_co]):
    """A task that can also be begun without waiting for it."""

    def submit(self, *args: Any, **kwargs: Any) -> Any:
        """Begin it in Prefect's thread pool."""


class Report(Protocol):
    """What a stage returns."""

    def lines(self) -> list[str]:
        """The report for people."""


def told(report: Rep) -> Rep:
    """Return a stage's report; inside a flow run, log it and leave it on Prefect's pages too."""
    if in_flow_run():
        for line in report.lines():
            say(line)
        show_report(report)
    return report


def run_subflow(flow: Step[P, Rep], *args: P.args, **kwargs: P.kwargs) -> Rep:
    """Run a stage inside another one: as a subflow where that is a flow run, plainly otherwise."""
    if in_flow_run():
        # What finds the outer flow run dead finds this one too.
        with tags(TAG):
            return cast(Rep, flow(*args, **kwargs))
    report = flow.fn(*args, **kwargs)
    for line in report.lines():
        say(line)
    return report


def run_flow(flow: Step[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
    """Run a stage from the command line: as a recorded flow run where a server is configured, else plainly, at once."""
    return run_recorded(flow, *args, **kwargs) if server_configured() else flow.fn(*args, **kwargs)


def run_recorded(flow: Step[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
    """Run a stage as a flow run; Prefect starts a server for this process where none is configured."""
    from prefect.settings import PREFECT_FLOWS_HEARTBEAT_FREQUENCY, temporary_settings

    if not server_configured():
        # A flow run waits a second at its end for the heartbeat's thread; this server ends with its only flow run.
        with temporary_settings({PREFECT_FLOWS_HEARTBEAT_FREQUENCY: None}):
            return cast(R, flow(*args, **kwargs))
    # What finds a deployed flow run dead finds this one too.
    with temporary_settings({PREFECT_FLOWS_HEARTBEAT_FREQUENCY: HEARTBEAT_SECONDS}), tags(TAG):
        return cast(R, flow(*args, **kwargs))


def run_task(task: Step[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
    """Run a step: as a task run inside a flow run, plainly otherwise."""
    if not in_flow_run():
        return task.fn(*args, **kwargs)
    # Quoted: Prefect would walk through every collection in the arguments, looking for futures.
    quoted = {name: quote(value) for name, value in kwargs.items()}
    with _untagged():
        return cast(R, task(*(quote(value) for value in args), **quoted))  # type: ignore[arg-type]


def run_overlapping(task: Overlapping[P, R_co], calls: Iterable[tuple[Any, ...]], at_once: int = 2) -> Iterator[R_co]:
    """Run a step for each tuple of arguments, some at once, and yield what they return in the order of the calls.

    While one step writes, another one reads: as task runs inside a flow run, in threads otherwise. Calls are taken one
    by one, no more of them at a time than are at work.
    """
    with ExitStack() as stack:
        if in_flow_run():

            def begin(call: tuple[Any, ...]) -> Callable[[], R_co]:
                with _untagged():
                    return cast(Callable[[], R_co], task.submit(*(quote(value) for value in call)).result)
        else:
            pool = stack.enter_context(ThreadPoolExecutor(at_once))

            def begin(call: tuple[Any, ...]) -> Callable[[], R_co]:
                return pool.submit(cast(Callable[..., R_co], task.fn), *call).result

        running: deque[Callable[[], R_co]] = deque()
        for call in calls:
            if len(running) == at_once:
                yield running.popleft()()
            running.append(begin(call))
        while running:
            yield running.popleft()()


def _untagged() -> TagsContext:
    """Let task runs have no tag of the flow run around them: for each tag Prefect asks the server for a slot."""
    return TagsContext(current_tags=set())


def in_flow_run() -> bool:
    """Say whether a flow run is going on here."""
    return FlowRunContext.get() is not None


def flow_run_id() -> str:
    """Return the id of the flow run that is going on, or a new one for a plain run."""
    context = FlowRunContext.get()
    if context is not None and context.flow_run is not None:
        return str(context.flow_run.id)
    return str(uuid.uuid4())


def code_version() -> str:
    """Return the commit that runs, where the code lies in a checkout, else the installed version."""
    words = ["git", "-C", str(Path(__file__).parent), "rev-parse", "HEAD"]
    try:
        done = subprocess.run(words, capture_output=True, text=True, check=False)
    except FileNotFoundError:  # a machine that only runs it may have no git
        return f"taxalake {version('taxalake')}"
    return done.stdout.strip() if done.returncode == 0 else f"taxalake {version('taxalake')}"


def say(message: str) -> None:
    """Log a line: to the flow run, and to the terminal where no log goes there."""
    if in_flow_run():
        logger = get_run_logger()
        logger.info(message)
        if logger.isEnabledFor(logging.INFO):
            return
    Console(stderr=True, highlight=False).print(message, style="dim", markup=False, soft_wrap=True)


@dataclass
class Clock:
    """Measures one stage for the ledger."""

    started: float = field(default_factory=time.monotonic)

    @property
    def seconds(self) -> float:
        """Since the stage began."""
        return time.monotonic() - self.started


@contextmanager
def progress(title: str, total: int, unit: str) -> Iterator[Callable[[int], None]]:
    """Show progress: a bar in a terminal, an artifact in a flow run.

    Yields:
        A function to be told how many more are done. Safe to call from threads.
    """
    report = _Report(title, total, unit)
    columns = (
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        _Rate(unit),
        TimeRemainingColumn(),
    )
    console = Console(stderr=True)
    with Progress(*columns, console=console, disable=not sys.stderr.isatty() or total == 0) as bars:
        bar = bars.add_task(title, total=total)

        def advance(count: int) -> None:
            bars.advance(bar, count)
            report.advance(count)

        yield advance
    report.finish()


class _Rate(ProgressColumn):
    def __init__(self, unit: str) -> None:
        super().__init__()
        self._unit = unit

    def render(self, task: Bar) -> Text:
        speed = task.finished_speed or task.speed
        return Text("" if speed is None else f"{speed:.0f} {self._unit}/s", style="cyan")


class _Report:
    """Progress of a flow run as an artifact, told to the server now and then."""

    def __init__(self, title: str, total: int, unit: str) -> None:
        self._total = total
        self._done = 0
        self._told = time.monotonic()
        self._lock = threading.Lock()
        self._artifact = (
            create_progress_artifact(0.0, description=f"{title}: {total} {unit}") if in_flow_run() and total else None
        )

    def advance(self, count: int) -> None:
        with self._lock:
            self._done += count
            due = self._artifact is not None and time.monotonic() - self._told >= _ARTIFACT_SECONDS
            if due:
                self._told = time.monotonic()
        if due:
            update_progress_artifact(self._artifact, min(100.0, 100.0 * self._done / self._total))  # type: ignore[arg-type]

    def finish(self) -> None:
        if self._artifact is not None:
            update_progress_artifact(self._artifact, 100.0)  # type: ignore[arg-type]
