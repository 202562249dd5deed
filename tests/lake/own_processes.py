"""Real processes for tests that kill them or let them race. They begin warm, with the lake imported: 0.1 s each."""

import multiprocessing
import os
import signal
from collections.abc import Callable, Iterable
from multiprocessing.process import BaseProcess
from pathlib import Path

from lake_rows import filled

from lake import tables
from lake.tables import Lake

# Forked from a server that has imported the lake and used none of it: no thread of Arrow or Delta is forked along.
_CONTEXT = multiprocessing.get_context("forkserver")
_CONTEXT.set_forkserver_preload(["pytest", "lake.intake", "lake.embeddings", "lake.sources.table"])
_SECONDS = 60


def at_once(work: Callable[..., None], *arguments: tuple[object, ...]) -> list[int | None]:
    """Run a function in one process for each tuple of arguments, all let go together, and return their exit codes."""
    gate = _CONTEXT.Barrier(len(arguments))
    return _ended([_CONTEXT.Process(target=_through, args=(gate, work, *each)) for each in arguments])


def killed_after_append(work: Callable[..., None], arguments: tuple[object, ...], table: str, count: int) -> bool:
    """Run a function in a process that is killed (-9) right after its n-th append to a table.

    Returns:
        True if it was killed, False if it ended before it came so far.
    """
    process = _CONTEXT.Process(target=_until, args=(work, arguments, table, count))
    return _ended([process]) == [-signal.SIGKILL]


def killed_after_seconds(work: Callable[..., None], arguments: tuple[object, ...], seconds: float) -> bool:
    """Run a function in a process that is killed (-9) that long after it began, and say whether it was."""
    begun = _CONTEXT.Event()
    process = _CONTEXT.Process(target=_announced, args=(begun, work, arguments))
    process.start()
    assert begun.wait(_SECONDS)
    process.join(seconds)
    process.kill()
    process.join(_SECONDS)
    return process.exitcode == -signal.SIGKILL


def append_species(lake: Lake, first: int, past_last: int, at_a_time: int, told: str) -> None:
    """Append the species of these numbers, some to a commit, and write to a file how many were new."""
    new = 0
    for start in range(first, past_last, at_a_time):
        ids = [(f"s{number:03}",) for number in range(start, min(start + at_a_time, past_last))]
        new += tables.append(lake, "species", filled("species", "species_id", *ids)).row_count
    Path(told).write_text(str(new))


def _through(gate: object, work: Callable[..., None], *arguments: object) -> None:
    gate.wait(_SECONDS)
    work(*arguments)


def _announced(begun: object, work: Callable[..., None], arguments: Iterable[object]) -> None:
    begun.set()
    work(*arguments)


def _until(work: Callable[..., None], arguments: Iterable[object], table: str, count: int) -> None:
    append, seen = tables.append, 0

    def append_and_die(lake: Lake, name: str, *rest: object) -> tables.Appended:
        nonlocal seen
        done = append(lake, name, *rest)
        seen += name == table
        if name == table and seen == count:
            os.kill(os.getpid(), signal.SIGKILL)
        return done

    tables.append = append_and_die
    work(*arguments)


def _ended(processes: list[BaseProcess]) -> list[int | None]:
    for process in processes:
        process.start()
    for process in processes:
        process.join(_SECONDS)
    return [process.exitcode for process in processes]
