"""Real processes for tests that kill them or let them race. They begin warm, with the rooms imported: 0.1 s each."""

import itertools
import multiprocessing
import os
import signal
import time
from collections.abc import Callable, Iterable
from multiprocessing.process import BaseProcess
from pathlib import Path

from deltalake import DeltaTable

from lake import reading, tables

# Forked from a server that has imported the lake and used none of it: no thread of Arrow or Delta is forked along.
_CONTEXT = multiprocessing.get_context("forkserver")
_IMPORTED = ("pytest", "lake.embeddings", "lake.sources.table")
_CONTEXT.set_forkserver_preload(list(_IMPORTED))
_SECONDS = 120


def begin_with(*modules: str) -> None:
    """Let processes have these modules imported too; says nothing to a server of processes that has begun."""
    _CONTEXT.set_forkserver_preload([*_IMPORTED, *modules])


def at_once(work: Callable[..., None], *arguments: tuple[object, ...]) -> list[int | None]:
    """Run a function in one process for each tuple of arguments, all let go together, and return their exit codes."""
    gate = _CONTEXT.Barrier(len(arguments))
    return _ended([_CONTEXT.Process(target=_through, args=(gate, work, *each)) for each in arguments])


def killed_after_append(work: Callable[..., None], arguments: tuple[object, ...], table: str, count: int) -> bool:
    """Run a function in a process that is killed (-9) right after its n-th commit to a table.

    Returns:
        True if it was killed, False if it ended before it came so far.
    """
    return _killed(_until_commit, work, arguments, table, count, False)


def killed_before_append(work: Callable[..., None], arguments: tuple[object, ...], table: str, count: int) -> bool:
    """Run a function in a process that is killed (-9) right before its n-th commit to a table."""
    return _killed(_until_commit, work, arguments, table, count, True)


def killed_after_hashing(work: Callable[..., None], arguments: tuple[object, ...], count: int) -> bool:
    """Run a function in a process that is killed (-9) right after it has hashed its n-th photograph."""
    return _killed(_until_hash, work, arguments, count)


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


def killed_when(work: Callable[..., None], arguments: tuple[object, ...], is_due: Callable[[], bool]) -> list[int]:
    """Run a function in a process that is killed (-9) when something is so.

    Returns:
        The ids of the processes that it had begun itself by then.
    """
    process = _CONTEXT.Process(target=work, args=arguments)
    process.start()
    deadline = time.monotonic() + _SECONDS
    while not is_due():
        assert process.is_alive(), "it ended before it could be killed"
        assert time.monotonic() < deadline
        time.sleep(0.01)
    begun = [
        int(child)
        for children in Path(f"/proc/{process.pid}/task").glob("*/children")
        for child in children.read_text().split()
    ]
    process.kill()
    process.join(_SECONDS)
    return begun


def _through(gate: object, work: Callable[..., None], *arguments: object) -> None:
    gate.wait(_SECONDS)
    work(*arguments)


def _announced(begun: object, work: Callable[..., None], arguments: Iterable[object]) -> None:
    begun.set()
    work(*arguments)


def _killed(until: Callable[..., None], *arguments: object) -> bool:
    return _ended([_CONTEXT.Process(target=until, args=arguments)]) == [-signal.SIGKILL]


def _until_commit(
    work: Callable[..., None], arguments: Iterable[object], table: str, count: int, is_before: bool
) -> None:
    write, seen = tables.write_deltalake, 0

    def write_and_die(handle: DeltaTable, *rest: object, **options: object) -> None:
        nonlocal seen
        seen += handle.table_uri.rstrip("/").endswith(f"/{table}")
        is_due = handle.table_uri.rstrip("/").endswith(f"/{table}") and seen == count
        if is_due and is_before:
            os.kill(os.getpid(), signal.SIGKILL)
        write(handle, *rest, **options)
        if is_due:
            os.kill(os.getpid(), signal.SIGKILL)

    tables.write_deltalake = write_and_die
    work(*arguments)


def _until_hash(work: Callable[..., None], arguments: Iterable[object], count: int) -> None:
    identity, numbers = reading.identity, itertools.count(1)

    def identity_and_die(content: bytes) -> str:
        found = identity(content)
        if next(numbers) == count:
            os.kill(os.getpid(), signal.SIGKILL)
        return found

    reading.identity = identity_and_die
    work(*arguments)


def _ended(processes: list[BaseProcess]) -> list[int | None]:
    for process in processes:
        process.start()
    for process in processes:
        process.join(_SECONDS)
    return [process.exitcode for process in processes]
