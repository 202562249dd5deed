"""Whether a Prefect server is there to record flow runs. Imports no Prefect: asking has to cost nothing."""

import fcntl
import json
import os
import stat
import tomllib
from dataclasses import asdict, dataclass
from pathlib import Path

DEFAULT_HOME = Path("taxalake-home")
LOCK = "station.lock"  # held by the process that runs the station: the system lets go of it, however that ends
FACTS = "station.json"
CREDENTIALS = "station.auth"
_VARIABLE = "TAXALAKE_STATION_AUTH"
_SHORTEST_PASSWORD = 12  # MLflow takes none that is shorter


class CredentialsError(Exception):
    """The user and password of a station are missing or cannot be used."""


@dataclass(frozen=True)
class RunningStation:
    """The servers of a home, while they run: what ``HOME/station.json`` says."""

    pid: int
    api: str  # Prefect's, as PREFECT_API_URL
    mlflow: str
    started_at: str  # ISO 8601, UTC
    is_up: bool  # answered and deployed to; before, it is starting
    has_credentials: bool

    def write(self, home: Path) -> None:
        """Say so in the home, to its owner alone; readers see the whole or what stood there before."""
        path, new = home / FACTS, home / f"{FACTS}.new"
        new.unlink(missing_ok=True)
        with os.fdopen(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as file:
            json.dump(asdict(self), file, indent=2)
        new.replace(path)


def running_station(home: Path) -> RunningStation | None:
    """Return the station that runs in a home, or None."""
    try:
        with (home / LOCK).open("rb") as lock:
            fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except FileNotFoundError:
        return None
    except BlockingIOError:
        pass
    else:
        return None
    try:
        return RunningStation(**json.loads((home / FACTS).read_text(encoding="utf-8")))
    except (FileNotFoundError, PermissionError):  # it has just begun, or it is someone else's
        return None


def join_station(home: Path | None) -> None:
    """Let this process record its flow runs at the station of a home, if one runs. Before Prefect is imported.

    Args:
        home: As it was asked for; else TAXALAKE_HOME, else the usual one.

    Raises:
        CredentialsError: If the station wants credentials and there are none.
    """
    if os.environ.get("PREFECT_API_URL"):
        return
    place = home or Path(os.environ.get("TAXALAKE_HOME") or DEFAULT_HOME)
    station = running_station(place)
    if station is None or not station.is_up:
        return
    if station.has_credentials:
        given = credentials(place)
        if given is None:
            raise CredentialsError(
                f"the station of {place} wants credentials: set {_VARIABLE} or write USER:PASSWORD to "
                f"{place / CREDENTIALS}"
            )
        os.environ["PREFECT_API_AUTH_STRING"] = given
    os.environ["PREFECT_API_URL"] = station.api


def credentials(home: Path) -> str | None:
    """Return the station's ``USER:PASSWORD`` from TAXALAKE_STATION_AUTH, else from the home's file; None if none.

    Raises:
        CredentialsError: If they are not such a pair, or others may read the file.
    """
    file = home / CREDENTIALS
    if given := os.environ.get(_VARIABLE):
        source = _VARIABLE
    elif file.is_file():
        if file.stat().st_mode & (stat.S_IRWXG | stat.S_IRWXO):
            raise CredentialsError(f"{file} can be read by others: chmod 600 {file}")
        given, source = file.read_text(encoding="utf-8").strip(), str(file)
    else:
        return None
    user, colon, password = given.partition(":")
    if not user or not colon or len(password) < _SHORTEST_PASSWORD or not given.isprintable():
        raise CredentialsError(
            f"{source} is no USER:PASSWORD with a password of {_SHORTEST_PASSWORD} characters or more"
        )
    return given


def server_configured() -> bool:
    """Say whether a Prefect server is configured, by ``PREFECT_API_URL`` or by the active profile.

    Read without Prefect's settings, which know no difference between "not configured" and "start one for me".
    """
    if os.environ.get("PREFECT_API_URL"):
        return True
    profiles = Path(os.environ.get("PREFECT_HOME", "~/.prefect")).expanduser() / "profiles.toml"
    if not profiles.is_file():
        return False
    content = tomllib.loads(profiles.read_text(encoding="utf-8"))
    active = os.environ.get("PREFECT_PROFILE", content.get("active"))
    return bool(content.get("profiles", {}).get(active, {}).get("PREFECT_API_URL"))
