"""PostgreSQL as the place of Prefect's and MLflow's databases: their addresses, and making them where they are not."""

import os
from pathlib import Path
from urllib.parse import SplitResult, parse_qsl, urlencode, urlsplit

from modeling.addresses import without_password

REMEMBERED = "postgres.url"  # in the home, readable by its owner alone
_NAME = "taxalake"
_SECONDS = 10  # for a server to answer
# Options that Prefect's driver takes too: under another name, in the address, or where it has no keyword, from the
# environment. That one is not handed the address itself, and ends with a TypeError for what it does not know.
_RENAMED = {"sslmode": "ssl", "host": "host", "passfile": "passfile", "target_session_attrs": "target_session_attrs"}
_VARIABLES = {"sslrootcert": "PGSSLROOTCERT", "sslcert": "PGSSLCERT", "sslkey": "PGSSLKEY", "sslcrl": "PGSSLCRL"}


class PostgresError(Exception):
    """PostgreSQL cannot be used as it was asked for. The message holds no password."""


def require_address(postgres: str) -> str:
    """Return an address of PostgreSQL, if it is one.

    Raises:
        ValueError: If it is not like ``postgresql://user@host:5432/name``, or has an option that one of the two
            servers could not be told.
    """
    parts = urlsplit(postgres)
    if parts.scheme not in {"postgresql", "postgres"} or not parts.netloc:
        raise ValueError("an address of PostgreSQL is like postgresql://user@host:5432/taxalake")
    known = [*_RENAMED, *_VARIABLES]
    if unknown := [key for key, _ in _options(parts) if key not in known]:
        raise ValueError(f"Prefect cannot be told of {', '.join(unknown)}; the options are {', '.join(known)}")
    return postgres


def of_mlflow(postgres: str) -> str:
    """Return the address of MLflow's database, ``NAME_mlflow``, as SQLAlchemy takes it."""
    parts = urlsplit(postgres)
    return _of(parts, "postgresql", f"{_name(parts)}_mlflow")


def of_prefect(postgres: str) -> dict[str, str]:
    """Return what tells Prefect's server of its database, ``NAME_prefect``: environment variables."""
    parts = urlsplit(postgres)
    kept = {_RENAMED[key]: value for key, value in _options(parts) if key in _RENAMED}
    address = _of(parts._replace(query=urlencode(kept)), "postgresql+asyncpg", f"{_name(parts)}_prefect")
    told = {_VARIABLES[key]: value for key, value in _options(parts) if key in _VARIABLES}
    return {"PREFECT_API_DATABASE_CONNECTION_URL": address, **told}


def without_user(postgres: str) -> str:
    """Return where an address leads, whoever comes in by it."""
    parts = urlsplit(postgres)
    return parts._replace(scheme="postgresql", netloc=parts.netloc.rpartition("@")[2]).geturl()


def remember(home: Path, postgres: str) -> None:
    """Let every command of a home find the address; the file may be read by its owner alone."""
    new = home / f"{REMEMBERED}.new"
    new.unlink(missing_ok=True)
    with os.fdopen(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as file:
        file.write(f"{postgres}\n")
    new.replace(home / REMEMBERED)


def remembered(home: Path) -> dict[str, str]:
    """Return the setting that a home remembers, if any."""
    file = home / REMEMBERED
    return {"postgres": file.read_text(encoding="utf-8").strip()} if file.is_file() else {}


def make(postgres: str) -> list[str]:
    """Make the two databases where they are not, and return the names of those that were made.

    Raises:
        PostgresError: If the server does not answer, refuses the user, or may not be written to.
    """
    try:
        import psycopg2
        from psycopg2 import sql
    except ImportError:
        raise PostgresError(
            "PostgreSQL needs the extra postgres: pip install -c constraints.txt -e '.[postgres]'"
        ) from None
    parts = urlsplit(postgres)
    made = []
    for name in (f"{_name(parts)}_prefect", f"{_name(parts)}_mlflow"):
        try:
            # The one that every cluster has: a database is made from within another one.
            connection = psycopg2.connect(_of(parts, "postgresql", "postgres"), connect_timeout=_SECONDS)
            connection.autocommit = True
            with connection.cursor() as cursor:
                cursor.execute("select 1 from pg_database where datname = %s", (name,))
                if cursor.fetchone() is None:
                    cursor.execute(sql.SQL("create database {}").format(sql.Identifier(name)))
                    made.append(name)
            connection.close()
        except psycopg2.Error as error:
            raise PostgresError(
                f"the database {name} can be neither found nor made at {without_password(postgres)}: "
                f"{without_password(str(error)).strip()}"
            ) from error
    return made


def _name(parts: SplitResult) -> str:
    return parts.path.strip("/") or _NAME


def _options(parts: SplitResult) -> list[tuple[str, str]]:
    return parse_qsl(parts.query, keep_blank_values=True)


def _of(parts: SplitResult, scheme: str, database: str) -> str:
    return parts._replace(scheme=scheme, path=f"/{database}").geturl()
