"""Photographs on the web. Fetches from public addresses only: a table may have been written by anyone.

Each connection is made to an address that was checked, not to a name that may mean another one the next moment.
"""

import ipaddress
import random
import socket
import threading
import time
from collections.abc import Collection, Iterable, Iterator
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from importlib.metadata import version
from typing import Any

import httpcore
import httpx
import polars as pl

from lake.files import File, RefusedFileError

_MOST_HOPS = 5
_MOST_IN_VAIN = 8  # photographs in a row that a host did not give after all attempts; then it is left alone
_MOST_WAIT_S = 30.0
_DEADLINE = 10  # times ``timeout_s``, for one photograph
_SCHEMES = {"http", "https"}
_NOT_FOUND = {404, 410}
_NOT_ALLOWED = {401, 403, 407, 451}
_TRY_AGAIN = {408, 425, 429}
_UNICAST = ipaddress.ip_network("2000::/3")  # all that is public in version 6
_TRANSLATED = ipaddress.ip_network("64:ff9b::/96")  # addresses of version 4 in networks that have only version 6


class Web:
    """Photographs at http and https addresses, each its own ``location``. Nothing lists them."""

    def __init__(
        self,
        allow_private: bool = False,
        per_host: int = 4,
        attempts: int = 4,
        timeout_s: float = 20.0,
        most_bytes: int = 64 << 20,
        back_off_s: float = 0.5,
    ) -> None:
        """Connect to nothing yet.

        Args:
            allow_private: Fetch from addresses of one's own network too: a museum's server, not a stranger's table.
            per_host: Photographs fetched from one host at once, so as not to be a burden.
            attempts: How often a photograph is asked for if the server has no time or the connection breaks.
            timeout_s: For connecting and for each piece that is read; a whole photograph has ten times as long.
            most_bytes: What is longer is cut off and refused.
            back_off_s: Waited before the second attempt, doubled before each other one.
        """
        self._per_host = per_host
        self._attempts = attempts
        self._timeout_s = timeout_s
        self._most_bytes = most_bytes
        self._back_off_s = back_off_s
        self._clock = _Clock()
        # Not httpx.Client: connecting to an address in place of the name, it would keep one connection for all names
        # at that address, and hold the certificate against the first of them only.
        self._pool = httpcore.ConnectionPool(
            ssl_context=httpx.create_ssl_context(trust_env=False),
            max_connections=None,  # the turns at the hosts bound them
            max_keepalive_connections=32,
            keepalive_expiry=15.0,
            network_backend=_CheckedNetwork(allow_private, self._clock),
        )
        self._headers: list[tuple[bytes | str, bytes | str]] = [
            ("User-Agent", f"taxalake/{version('taxalake')} (+species photographs)"),
            ("Accept", "image/*, */*;q=0.5"),
            ("Accept-Encoding", "identity"),
        ]
        self._turns: dict[str, threading.Semaphore] = {}
        self._in_vain: dict[str, int] = {}  # by host: photographs in a row
        self._lock = threading.Lock()

    @property
    def uri(self) -> str:
        """No place in particular."""
        return "the web"

    def listing(self, folders: Collection[str] | None = None) -> Iterator[pl.DataFrame]:
        """Yield nothing."""
        return iter(())

    def read(self, file: File) -> bytes:
        """Fetch a photograph, following up to five redirects.

        Raises:
            RefusedFileError: ``address_refused``, ``not_found``, ``not_allowed``, ``too_large``, or ``not_reachable``
                after all attempts; at once where a host has failed too often in a row.
        """
        url = _address(file.location)
        if self._in_vain.get(url.host, 0) >= _MOST_IN_VAIN:
            raise RefusedFileError(
                "not_reachable", f"{url.host} did not answer {_MOST_IN_VAIN} times in a row and was not asked again"
            )
        self._clock.until = time.monotonic() + _DEADLINE * self._timeout_s
        attempt = 1
        while True:
            try:
                content = self._fetched(url)
            except RefusedFileError:
                self._in_vain[url.host] = 0  # it has answered
                raise
            except _TryAgainError as error:
                wait_s = max(error.wait_s, self._back_off_s * 2 ** (attempt - 1) * random.uniform(0.5, 1.5))
                if attempt >= self._attempts or wait_s >= self._clock.left():
                    with self._lock:
                        self._in_vain[url.host] = self._in_vain.get(url.host, 0) + 1
                    raise RefusedFileError("not_reachable", f"{error} (attempt {attempt})") from error
            else:
                self._in_vain[url.host] = 0
                return content
            attempt += 1
            time.sleep(wait_s)

    def close(self) -> None:
        """Close the connections that are kept for the next photograph."""
        self._pool.close()

    def _fetched(self, url: httpx.URL) -> bytes:
        for _ in range(_MOST_HOPS + 1):
            found = self._answer(url)
            if isinstance(found, bytes):
                return found
            url = found
        raise RefusedFileError("address_refused", f"it leads on more than {_MOST_HOPS} times, last to {url}")

    def _answer(self, url: httpx.URL) -> bytes | httpx.URL:
        """Return the photograph, or the address to which the server leads on."""
        place = httpcore.URL(scheme=url.raw_scheme, host=url.raw_host, port=url.port, target=url.raw_path)
        limits = dict.fromkeys(("connect", "read", "write", "pool"), self._timeout_s)
        headers = [("Host", url.netloc), *self._headers]
        try:
            with (
                self._turn(url.host),
                self._pool.stream("GET", place, headers=headers, extensions={"timeout": limits}) as answer,
            ):
                said = {name.lower(): value.decode("utf-8", "replace") for name, value in answer.headers}
                if 300 <= answer.status < 400 and b"location" in said:
                    return _address(said[b"location"], url)
                _refuse_status(answer.status, said.get(b"retry-after", ""))
                return self._body(answer.iter_stream(), said.get(b"content-length", ""))
        except (httpcore.TimeoutException, httpcore.NetworkError, httpcore.ProtocolError) as error:
            reason = str(error) or type(error).__name__
            raise _TryAgainError(f"{url.host} does not give the photograph: {reason}") from error

    def _body(self, parts: Iterable[bytes], announced: str) -> bytes:
        if announced.isdigit() and int(announced) > self._most_bytes:
            raise RefusedFileError(
                "too_large", f"{int(announced):,} bytes announced; the limit is {self._most_bytes:,}"
            )
        body = bytearray()
        for part in parts:
            body += part
            if len(body) > self._most_bytes:
                raise RefusedFileError("too_large", f"more than {self._most_bytes:,} bytes came; the rest was not read")
        return bytes(body)

    def _turn(self, host: str) -> "_Turn":
        with self._lock:
            turns = self._turns.setdefault(host, threading.Semaphore(self._per_host))
        return _Turn(turns, self._clock)


def resolve(host: str, port: int) -> list[str]:
    """Return the addresses of a host, as the system knows them.

    Raises:
        OSError: If it knows none.
    """
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(address[0]) for *_, address in found))


class _TryAgainError(Exception):
    """The server may give the photograph another time."""

    def __init__(self, reason: str, wait_s: float = 0.0) -> None:
        super().__init__(reason)
        self.wait_s = wait_s


class _Clock(threading.local):
    """When the time for the photograph is over that this thread fetches."""

    until = 0.0

    def left(self) -> float:
        return self.until - time.monotonic()

    def at_most(self, timeout: float | None) -> float:
        left = self.left()
        if left <= 0:
            raise httpcore.ReadTimeout("the time for one photograph is over")
        return left if timeout is None else min(left, timeout)


class _Turn:
    """One of the places at a host. Waiting for it is not the host's fault, and does not count."""

    def __init__(self, turns: threading.Semaphore, clock: _Clock) -> None:
        self._turns = turns
        self._clock = clock

    def __enter__(self) -> None:
        since = time.monotonic()
        self._turns.acquire()
        self._clock.until += time.monotonic() - since

    def __exit__(self, *_: object) -> None:
        self._turns.release()


class _CheckedNetwork(httpcore.NetworkBackend):
    """Connects to public addresses only."""

    def __init__(self, allow_private: bool, clock: _Clock) -> None:
        self._allow_private = allow_private
        self._clock = clock
        self._network = httpcore.SyncBackend()

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.NetworkStream:
        try:
            addresses = resolve(host, port)
        except UnicodeError as error:
            raise RefusedFileError("address_refused", f"{host} is no name of a host: {error}") from error
        except OSError as error:
            raise httpcore.ConnectError(f"no address is known: {error.strerror}") from error
        # All of them: a host that has a public address beside a private one has it to lead us astray.
        private = [address for address in addresses if not _is_public(address)]
        if private and not self._allow_private:
            raise RefusedFileError("address_refused", f"{host} is {private[0]}, which is no public address")
        reason: Exception = httpcore.ConnectError("no address is known")
        for address in addresses:
            try:
                stream = self._network.connect_tcp(
                    address, port, self._clock.at_most(timeout), local_address, socket_options
                )
                return _TimedStream(stream, self._clock)
            except (httpcore.ConnectError, httpcore.ConnectTimeout) as error:
                reason = error
        raise reason


class _TimedStream(httpcore.NetworkStream):
    """A connection on which a server that sends a byte now and then cannot hold a thread for ever."""

    def __init__(self, stream: httpcore.NetworkStream, clock: _Clock) -> None:
        self._stream = stream
        self._clock = clock

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        return self._stream.read(max_bytes, self._clock.at_most(timeout))

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        self._stream.write(buffer, self._clock.at_most(timeout))

    def close(self) -> None:
        self._stream.close()

    def start_tls(
        self, ssl_context: Any, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore.NetworkStream:
        secured = self._stream.start_tls(ssl_context, server_hostname, self._clock.at_most(timeout))
        return _TimedStream(secured, self._clock)

    def get_extra_info(self, info: str) -> Any:
        return self._stream.get_extra_info(info)


def _address(text: str, before: httpx.URL | None = None) -> httpx.URL:
    """Return an address that may be asked for; one that a server leads on to is understood from the one before."""
    try:
        url = httpx.URL(text.strip()) if before is None else before.join(text.strip())
        _ = url.host, url.port, url.netloc  # read here, where a name that is none is an address that is none
    except (httpx.InvalidURL, ValueError) as error:
        raise RefusedFileError("address_refused", f"{text!r} is no address: {error}") from error
    if url.scheme not in _SCHEMES or not url.host:
        raise RefusedFileError("address_refused", f"{text!r} is no http or https address")
    if url.port is not None and not 0 < url.port < 1 << 16:
        raise RefusedFileError("address_refused", f"{text!r} names the port {url.port}, which no host can have")
    if url.userinfo:
        raise RefusedFileError("address_refused", f"the address at {url.host} holds a user's name or password")
    if before is not None and before.scheme == "https" and url.scheme == "http":
        raise RefusedFileError(
            "address_refused", f"the server leads on to {text!r}, where anyone may change what comes"
        )
    return url


def _is_public(address: str) -> bool:
    ip = ipaddress.ip_address(address.partition("%")[0])
    if isinstance(ip, ipaddress.IPv6Address):
        within = ip.ipv4_mapped or ip.sixtofour
        if ip in _TRANSLATED:
            within = ipaddress.IPv4Address(ip.packed[12:])
        if within is None:
            return ip in _UNICAST and ip.is_global
        ip = within
    return ip.is_global and not ip.is_multicast


def _refuse_status(status: int, retry_after: str) -> None:
    if 200 <= status < 300:
        return
    name = HTTPStatus(status).phrase if status in HTTPStatus.__members__.values() else "no known answer"
    said = f"the server answers {status} {name}"
    if status in _TRY_AGAIN or status >= 500:
        raise _TryAgainError(said, _wait_s(retry_after))
    # What is neither (400, 406, ...) will not be there another time either.
    raise RefusedFileError("not_allowed" if status in _NOT_ALLOWED else "not_found", said)


def _wait_s(retry_after: str) -> float:
    """Return how long a server asks to wait, in seconds or as a date; 0 if it does not say."""
    try:
        wait_s = float(retry_after) if retry_after.isdigit() else _seconds_until(retry_after)
    except ValueError:
        return 0.0
    return max(0.0, min(wait_s, _MOST_WAIT_S))


def _seconds_until(date: str) -> float:
    moment = parsedate_to_datetime(date)
    return (moment.replace(tzinfo=moment.tzinfo or UTC) - datetime.now(UTC)).total_seconds()
