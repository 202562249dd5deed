"""Labels that people have corrected into the lake: the table of a review, or any table of observations and species."""

from pathlib import Path

from prefect import flow
from pydantic import BaseModel

from flows import settings
from flows.orchestration import Clock, flow_run_id, told
from lake import corrections, embeddings, ledger, tables


class LabelsReport(BaseModel):
    """What became of a table of labels: found = kept + already known + skipped + set aside."""

    dataset: str
    source: str
    table: str
    found: int
    kept: int
    already_known: int
    skipped: int  # rows that name no species
    set_aside: int
    set_aside_by_kind: dict[str, int]
    new_species: list[str]
    snapshots: dict[str, int]
    committed: bool

    def lines(self) -> list[str]:
        """The report for people."""
        kinds = ", ".join(f"{count:,} {kind}" for kind, count in sorted(self.set_aside_by_kind.items()))
        lines = [
            f"{self.dataset}: found {self.found:,} rows = kept {self.kept:,} + already known {self.already_known:,} "
            f"+ skipped {self.skipped:,} (no species is named) + set aside {self.set_aside:,}"
            f"{f' ({kinds})' if kinds else ''}"
        ]
        if self.new_species:
            lines.append(f"species of which nothing was known before: {', '.join(self.new_species)}")
        if self.set_aside:
            reasons = ", ".join(f"'{kind}'" for kind in sorted(self.set_aside_by_kind))
            lines.append(
                'why: taxalake sql "select image_name, kind, detail from ingest_issues '
                f"where dataset = '{self.dataset}' and kind in ({reasons}) and row_count > 0\""
            )
        if not self.committed:
            lines.append("nothing new: nothing was committed")
        return lines


@flow(name="labels-import")
def labels_import(
    table: Path,
    dataset: str,
    source: str = corrections.REVIEW,
    new_species: bool = False,
    home: Path | None = None,
) -> LabelsReport:
    """Take in labels that people have corrected. The species of an observation replace those that it had.

    Args:
        table: CSV with the columns observation_id and species_id (several parted by |; rows without are skipped), and
            perhaps reviewer and note.
        dataset: The data set whose observations it names.
        source: Who says so.
        new_species: Whether species are taken that nothing is known of.
        home: The place's home.
    """
    place = settings.load(home=home)
    # A plain name: what has a slash is a place that photographs came from, and no review.
    settings.require_name(source, "source of labels")
    clock, run_id, lake = Clock(), flow_run_id(), place.lake
    embeddings.require_dataset(lake, dataset)
    table = Path(table)
    taken = corrections.append(lake, dataset, table, corrections.read(table), run_id, source, new_species)
    if taken.committed:
        ledger.record_stage(lake, run_id, "labels", dataset, taken.kept, taken.already_known, clock.seconds)
    return told(
        LabelsReport(
            dataset=dataset,
            source=source,
            table=str(table.resolve()),
            found=taken.found,
            kept=taken.kept,
            already_known=taken.already_known,
            skipped=taken.skipped,
            set_aside=taken.set_aside,
            set_aside_by_kind=dict(taken.set_aside_by_kind),
            new_species=taken.new_species,
            snapshots={snapshot.table: snapshot.version for snapshot in tables.latest(lake, "labels")},
            committed=bool(taken.committed),
        )
    )
