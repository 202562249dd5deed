"""A PostgreSQL for a test: Debian's package, a cluster of its own, a user with a password that is hard to write."""

import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import quote

import pytest
from served import free_ports

PASSWORD = "no one's/business"


@contextmanager
def cluster() -> Iterator[str]:
    """A PostgreSQL of its own, whose user needs a password, until the block ends; yields its address."""
    programs = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    if not programs:
        pytest.skip("no PostgreSQL below /usr/lib/postgresql: apt-get install postgresql")
    # It refuses to be run by root; what it writes to has to be its user's.
    as_user = ["runuser", "-u", "postgres", "--"] if os.geteuid() == 0 else []
    place = Path(tempfile.mkdtemp(prefix="taxalake-postgres-"))
    (place / "password").write_text(PASSWORD)
    if as_user:
        shutil.chown(place, "postgres", "postgres")
        shutil.chown(place / "password", "postgres", "postgres")
    data, (port,) = place / "data", free_ports(1)
    made = [programs[-1], "-D", data, "-U", "taxa", "--auth=scram-sha-256", "--pwfile", place / "password"]
    subprocess.run([*as_user, *map(str, made)], check=True, capture_output=True, cwd="/")
    words = [
        programs[-1].with_name("postgres"),
        "-D",
        data,
        "-p",
        port,
        "-k",
        place,
        "-c",
        "listen_addresses=127.0.0.1",
    ]
    server = subprocess.Popen([*as_user, *map(str, words)], cwd="/", stderr=subprocess.DEVNULL)
    try:
        wait_until_ready(programs[-1].with_name("pg_isready"), port)
        yield f"postgresql://taxa:{quote(PASSWORD, safe='')}@127.0.0.1:{port}/plants"
    finally:
        stop = [programs[-1].with_name("pg_ctl"), "stop", "-D", data, "-m", "fast"]
        subprocess.run([*as_user, *map(str, stop)], check=True, capture_output=True, cwd="/")
        server.wait(60)
        shutil.rmtree(place)


def wait_until_ready(is_ready: Path, port: int) -> None:
    deadline = time.monotonic() + 60
    while subprocess.run([is_ready, "-q", "-h", "127.0.0.1", "-p", str(port)], check=False).returncode:
        assert time.monotonic() < deadline
        time.sleep(0.2)
