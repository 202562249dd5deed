"""Prefect's server for those alone who call it by one of its names. A program: ``python -m flows.prefect_server``.

Prefect looks neither at the name by which it is called nor at where a request comes from. A page of a stranger, open
in a browser of this machine, could so talk to a server on the loopback and have it run commands: by a request that
needs no leave (CORS), or by a name of its own that it lets point here (DNS rebinding). Prefect's own pages ask a
company that counts visitors, whatever the settings say, and show what stands in artifacts: they load nothing from afar.

What has to outlive this process, or is written by it, lies in PREFECT_HOME or in its database.
"""

import argparse
import gc
import itertools
import os
import threading
import time
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

# Prefect's pages hold scripts and styles in place, and pictures as data.
_POLICY = (
    b"default-src 'self'; script-src 'self' 'unsafe-inline' 'unsafe-eval'; style-src 'self' 'unsafe-inline'; "
    b"img-src 'self' data: blob:; font-src 'self' data:; worker-src 'self' blob:; object-src 'none'; "
    b"base-uri 'self'; form-action 'self'; frame-ancestors 'none'"
)
_GOODBYE_SECONDS = 3  # that open connections have when the server is asked to end
_GARBAGE_SECONDS = 1.0  # between two collections of what is young
_TURNS = 30  # collections, of which one is of everything
_PAGES, _LEASES = "ui", "concurrency_leases"  # folders of PREFECT_HOME; the second is named by Prefect
# They hold the process id of their owner, and in a container every server has the same one: the lock of a server that
# was killed would be waited for without end.
_LOCKS = (f"{_LEASES}/expirations.lock", f"{_PAGES}/.v1_ui_static.lock", f"{_PAGES}/.v2_ui_static.lock")


class OwnPagesOnly:
    """Refuses requests to a name that is not the server's, and those from pages that are not its own."""

    def __init__(self, app: "ASGIApp", names: Iterable[str]) -> None:
        """Stand before an application.

        Args:
            app: What answers.
            names: Hosts without a port, as they stand in the address line.
        """
        self._app = app
        self._names = frozenset(name.lower() for name in names)

    async def __call__(self, scope: "Scope", receive: "Receive", send: "Send") -> None:
        """Answer 403, or let the request through and the page load nothing from elsewhere."""

        async def send_with_policy(message: "Message") -> None:
            if message["type"] == "http.response.start":
                headers = [*message.get("headers", []), (b"content-security-policy", _POLICY)]
                message = {**message, "headers": headers}
            await send(message)

        if scope["type"] not in {"http", "websocket"} or self._is_welcome(scope["headers"]):
            await self._app(scope, receive, send_with_policy)
        elif scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": 1008})
        else:
            headers = [(b"content-type", b"text/plain")]
            await send({"type": "http.response.start", "status": 403, "headers": headers})
            await send({"type": "http.response.body", "body": b"refused: a name or page that is not this server's"})

    def _is_welcome(self, headers: Iterable[tuple[bytes, bytes]]) -> bool:
        hosts = [value.decode("latin-1") for name, value in headers if name == b"host"]
        origins = [value.decode("latin-1") for name, value in headers if name == b"origin"]
        if len(hosts) != 1 or _hostname(f"//{hosts[0]}") not in self._names:
            return False
        # A page's own requests come from where they go to. Programs name no origin.
        return all(origin.partition("://")[2].lower() == hosts[0].lower() for origin in origins)


def _hostname(address: str) -> str | None:
    try:
        return urlsplit(address).hostname
    except ValueError:  # brackets that hold no address
        return None


def main() -> None:
    """Run the server until it is told to stop."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--host", required=True)
    parser.add_argument("--port", required=True, type=int)
    parser.add_argument("--name", action="append", required=True, help="by which it may be called; several times")
    asked = parser.parse_args()
    _prepare(Path(os.environ.get("PREFECT_HOME", "~/.prefect")).expanduser())
    import uvicorn
    from prefect.server.api.server import create_app

    app = OwnPagesOnly(create_app(final=True), asked.name)
    _collect_garbage_beside()
    uvicorn.run(
        app,
        host=asked.host,
        port=asked.port,
        log_level="warning",
        timeout_graceful_shutdown=_GOODBYE_SECONDS,
    )


def _collect_garbage_beside() -> None:
    """Have a thread of its own collect garbage, and never the event loop.

    A cursor of SQLite that goes waits until its connection has done what it does. Where the event loop collects one
    whose connection waits for the writer, and the writer for the event loop to go on, the server stands still until
    SQLite gives up after a minute, again and again: seen with pysqlite of Python 3.11 after a server was begun again.
    """
    gc.disable()

    def collect() -> None:
        for turn in itertools.count(1):
            time.sleep(_GARBAGE_SECONDS)
            gc.collect(1 if turn % _TURNS else 2)

    threading.Thread(target=collect, name="garbage", daemon=True).start()


def _prepare(home: Path) -> None:
    """Set what a server that stays up needs, where nothing else is said of it. Before Prefect is imported.

    Args:
        home: Prefect's, which no other server uses.
    """
    for lock in _LOCKS:
        (home / lock).unlink(missing_ok=True)
    for name, value in {
        # In memory they would end with this process, while the slots that they hold stay taken in the database.
        "PREFECT_SERVER_CONCURRENCY_LEASE_STORAGE": "prefect.server.concurrency.lease_storage.filesystem",
        # Prefect unpacks its pages, beside its own code otherwise, which is not this user's to write.
        "PREFECT_UI_STATIC_DIRECTORY": str(home / _PAGES),
        # Flow runs that ended 90 days ago go too, with their logs and artifacts, and not events alone.
        "PREFECT_SERVER_SERVICES_DB_VACUUM_ENABLED": "events,flow_runs",
    }.items():
        os.environ.setdefault(name, value)


if __name__ == "__main__":
    main()
