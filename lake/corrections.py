"""Labels that people have corrected, from a table into ``labels``. Later than what any source has said, so they hold.

A set of species replaces the one before. What a source says of such an observation afterwards is heard only where it is
another word than before: see ``intake/new_labels``.
"""

import difflib
import re
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import polars as pl
import pyarrow as pa

from lake import issues, query, tables
from lake.errors import SourceError
from lake.schemas import TABLES
from lake.sources import said
from lake.sources.delimited import text_of
from lake.tables import Appended, Lake, Snapshot

REVIEW = "review"  # who says so where nobody else is named
SEPARATOR = "|"  # between the species of one observation
OBSERVATION, SPECIES, REVIEWER, NOTE = "observation_id", "species_id", "reviewer", "note"
# A spreadsheet takes a cell that begins so for a formula; behind a quote it is text.
_FORMULA = re.compile(r"'*[=+\-@\t\r\n]")
_READ = ("image_records", "labels", "species", "taxon_changes")


@dataclass(frozen=True)
class TakenCorrections:
    """What became of the rows of a table."""

    found: int
    kept: int  # rows whose set of species was written
    already_known: int
    skipped: int  # rows that name no species: nobody has filled them in
    set_aside_by_kind: Counter[str]
    new_species: list[str]  # that nothing was known of
    committed: list[Appended]

    @property
    def set_aside(self) -> int:
        """Rows that could not be used: found = kept + already known + skipped + set aside."""
        return self.set_aside_by_kind.total()


def harmless(cell: str) -> str:
    """Return the text of a cell so that no spreadsheet takes it for a formula; ``meant`` gives it back."""
    return f"'{cell}" if _FORMULA.match(cell) else cell


def meant(cell: str) -> str:
    """Return what ``harmless`` was given."""
    return cell[1:] if cell.startswith("'") and _FORMULA.match(cell) else cell


def read(csv: Path) -> pl.DataFrame:
    """Return what a table says of observations, one row for each of its rows.

    Args:
        csv: A table with the columns observation_id and species_id (several parted by ``SEPARATOR``; empty where
            nobody has looked) and, if it likes, reviewer and note. Other columns are not looked at.

    Returns:
        row_number, observation_id, species_ids (sorted, each once), reviewer, note, and kind and detail: why a row
        cannot be read, else null.

    Raises:
        SourceError: If the table or a column is missing, or it is no text in UTF-8.
    """
    text = text_of(csv)
    columns = text.columns(OBSERVATION)
    for name in (OBSERVATION, SPECIES):
        if name not in columns:
            near = difflib.get_close_matches(name, columns, n=1)
            hint = f" (the nearest is {near[0]!r})" if near else ""
            raise SourceError(f"{csv} has no column {name!r}{hint}; its columns are {', '.join(columns)}")
    parts = list(text.parts(OBSERVATION))
    empty = pl.DataFrame(
        schema={
            **{"row_number": pl.Int64, OBSERVATION: pl.String, "species_ids": pl.List(pl.String)},
            **dict.fromkeys((REVIEWER, NOTE, "kind", "detail"), pl.String),
        }
    )
    schema = {"row_number": pl.Int64, "detail": pl.String}
    malformed = [
        pl.DataFrame(part.malformed, schema=schema, orient="row").with_columns(
            kind=pl.lit("row_malformed"), species_ids=pl.lit([], pl.List(pl.String))
        )
        for part in parts
    ]
    return pl.concat([empty, *(_rows(part.frame) for part in parts), *malformed], how="diagonal").sort("row_number")


def append(
    lake: Lake,
    dataset: str,
    csv: Path,
    rows: pl.DataFrame,
    flow_run_id: str,
    source: str = REVIEW,
    takes_new_species: bool = False,
) -> TakenCorrections:
    """Append the sets of species that do not hold yet, and set aside what cannot be used.

    Args:
        lake: The place of the tables.
        dataset: The data set whose observations are named.
        csv: Where the rows come from.
        rows: As ``read`` gives them.
        flow_run_id: The flow run that writes.
        source: Who says so: a plain name, which tells a review from a place that photographs came from.
        takes_new_species: Whether a species may be one that nothing is known of.
    """
    frames = {"corrections": rows.to_arrow()}
    asked = {"dataset": dataset, "source": source, "takes_new_species": takes_new_species}

    def outcomes(snapshots: tuple[Snapshot, ...]) -> pl.DataFrame:
        return pl.DataFrame(query.answer(lake, "review/correction_outcomes", snapshots, frames, **asked))

    found = outcomes(tables.latest(lake, *_READ))

    def plan(snapshot: Snapshot) -> pa.Table:
        nonlocal found
        others = tables.latest(lake, *(name for name in _READ if name != "labels"))
        found = outcomes((snapshot, *others))
        times = tables.scan(lake, snapshot).filter(pl.col("dataset") == dataset).select(pl.col("labelled_at").max())
        return (
            found.filter(pl.col("outcome") == "new")
            .select(OBSERVATION, pl.col("species_ids").alias(SPECIES), REVIEWER, NOTE)
            .explode(SPECIES)
            .with_columns(
                dataset=pl.lit(dataset),
                source=pl.lit(source),
                status=pl.lit("given"),
                labelled_at=pl.lit(tables.later(times.collect()["labelled_at"].drop_nulls())),
                flow_run_id=pl.lit(flow_run_id),
            )
            .to_arrow()
        )

    aside = found.filter(pl.col("outcome") == "set_aside")
    new_species = sorted(set(found.filter(pl.col("outcome") == "new")["unknown_ids"].explode().drop_nulls()))
    # Labels last: a run that ends before finds them again.
    noted = issues.set_aside(lake, dataset, f"{csv.resolve()}#{source}", _as_issues(aside), flow_run_id)
    named = tables.append_planned(
        lake, "species", lambda snapshot: _species(lake, snapshot, new_species, source, flow_run_id)
    )
    done = tables.append_planned(lake, "labels", plan)
    counts = Counter(found["outcome"].to_list())
    return TakenCorrections(
        found.height,
        counts["new"],
        counts["known"],
        counts["skipped"],
        Counter(aside["kind"].to_list()),
        new_species,
        [each for each in (noted, named, done) if each.row_count],
    )


def _rows(frame: pl.DataFrame) -> pl.DataFrame:
    """Return the rows of a table as what they mean."""
    given = [name for name in (OBSERVATION, SPECIES, REVIEWER, NOTE) if name in frame.columns]
    cells = frame.with_columns(pl.col(name).map_elements(meant, pl.String) for name in given)
    species = pl.element().str.strip_chars()
    return cells.select(
        "row_number",
        *(said(name) for name in given if name != SPECIES),
        species_ids=pl.col(SPECIES).str.split(SEPARATOR).list.eval(species.filter(species != "").unique().sort()),
    )


def _as_issues(aside: pl.DataFrame) -> pl.DataFrame:
    """Return rows as the issues that they are: a row of a table of labels names no photograph."""
    return aside.select(
        "row_number",
        "kind",
        image_name=pl.format("row {}", "row_number"),
        detail=pl.format("line {}: {}", "row_number", "detail"),
        is_on_record=pl.lit(False),
    )


def _species(lake: Lake, snapshot: Snapshot, species_ids: list[str], source: str, flow_run_id: str) -> pa.Table:
    """Return the rows of species that nothing is known of: their ids, so that they are known from now on."""
    held = tables.scan(lake, snapshot).select("species_id", "recorded_at").collect()
    known = set(held["species_id"])
    rows = [
        {
            "species_id": species_id,
            "source": source,
            "recorded_at": tables.later(held["recorded_at"]),
            "flow_run_id": flow_run_id,
        }
        for species_id in species_ids
        if species_id not in known
    ]
    return pa.Table.from_pylist(rows, schema=TABLES["species"].columns)
