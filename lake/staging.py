"""What a source says, written down once, on disk: questions are asked of it that memory need not hold the answer to."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import polars as pl
from polars.exceptions import PolarsError

from lake.errors import LakeError, SourceError
from lake.files import LISTING
from lake.sources import ROWS, SPECIES, Batch, Source

_SCHEMAS = {"source_rows": ROWS, "source_species": SPECIES, "source_files": LISTING}


@dataclass(frozen=True)
class Staged:
    """A source as it was when it was read: three tables as parquet files in a folder."""

    folder: Path
    uri: str
    names_are_unique: bool

    @property
    def frames(self) -> dict[str, tuple[Path, ...]]:
        """The parquet files of each table, for questions."""
        return {name: tuple(sorted((self.folder / name).glob("*.parquet"))) for name in _SCHEMAS}


def stage(source: Source, folder: Path, on_rows: Callable[[int], None] = lambda count: None) -> Staged:
    """Read a source into a folder.

    Args:
        source: The source.
        folder: An empty folder, which the caller removes.
        on_rows: Told how many more rows and files were read.

    Raises:
        SourceError: If the source is not as it was described, or cannot be read.
        LakeError: If the folder has no room.
    """
    for name, schema in _SCHEMAS.items():
        (folder / name).mkdir()
        _write(schema.to_frame(), folder / name / "0.parquet")
    for number, batch in enumerate(_batches(source), start=1):
        for name, frame in zip(_SCHEMAS, (batch.rows, batch.species, batch.files), strict=True):
            if len(frame):
                _write(_require(frame, _SCHEMAS[name], name), folder / name / f"{number:08}.parquet")
        on_rows(len(batch.rows) + len(batch.files))
    return Staged(folder, source.uri, source.names_are_unique)


def _batches(source: Source) -> Iterator[Batch]:
    try:
        yield from source
    except OSError as error:
        raise SourceError(f"{source.uri} cannot be read: {error}") from error


def _write(frame: pl.DataFrame, path: Path) -> None:
    try:
        frame.write_parquet(path)
    except (OSError, PolarsError) as error:
        raise LakeError(
            f"what a source says cannot be written down in {path.parent}: {error}. TMPDIR names a place with more room."
        ) from error


def _require(frame: pl.DataFrame, schema: pl.Schema, name: str) -> pl.DataFrame:
    if frame.schema != schema:
        differing = dict(set(frame.schema.items()) ^ set(schema.items()))
        raise TypeError(f"a source gave {name} that are not as agreed: {differing}")
    return frame
