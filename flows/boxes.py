"""Boxes into the lake: regions that a detector or a segmenter has proposed, as a tiling of photographs on record."""

from pathlib import Path

from prefect import flow
from pydantic import BaseModel

from flows import settings
from flows.orchestration import Clock, flow_run_id, told
from lake import embeddings, ledger, tables
from lake.boxes import append_boxes, read_boxes, scheme_of


class BoxesReport(BaseModel):
    """What became of a table of boxes: found = kept + already known + set aside."""

    dataset: str
    scheme_id: str
    source: str
    found: int
    kept: int
    already_known: int
    set_aside: int
    set_aside_by_kind: dict[str, int]
    snapshots: dict[str, int]
    committed: bool

    def lines(self) -> list[str]:
        """The report for people."""
        kinds = ", ".join(f"{count:,} {kind}" for kind, count in sorted(self.set_aside_by_kind.items()))
        lines = [
            f"{self.dataset}: found {self.found:,} boxes = kept {self.kept:,} + already known {self.already_known:,} "
            f"+ set aside {self.set_aside:,}{f' ({kinds})' if kinds else ''}"
        ]
        if self.set_aside:
            lines.append(
                'why: taxalake sql "select image_name, kind, detail from ingest_issues '
                f"where dataset = '{self.dataset}' and kind like 'box%' and row_count > 0\""
            )
        if self.kept:
            lines.append(f"embed them with --tiling {self.scheme_id}")
        if not self.committed:
            lines.append("nothing new: nothing was committed")
        return lines


@flow(name="ingest-boxes")
def boxes(table: Path, dataset: str, name: str, home: Path | None = None) -> BoxesReport:
    """Take in a table of boxes of photographs that are on record: their tiling is boxes-NAME.

    Args:
        table: CSV with the columns image_name, x0, y0, x1, y1 (pixels of the upright photograph) and perhaps score.
        dataset: The data set whose photographs it names.
        name: Of the boxes. A photograph that has boxes of a name gets no others.
        home: The place's home.
    """
    place = settings.load(home=home)
    settings.require_name(name, "set of boxes")
    clock, run_id, lake = Clock(), flow_run_id(), place.lake
    embeddings.require_dataset(lake, dataset)
    proposed = read_boxes(Path(table))
    source = str(Path(table).resolve())
    taken = append_boxes(lake, dataset, name, source, proposed, run_id)
    if taken.committed:
        ledger.record_stage(lake, run_id, "boxes", dataset, taken.kept, taken.already_known, clock.seconds)
    return told(
        BoxesReport(
            dataset=dataset,
            scheme_id=scheme_of(name),
            source=source,
            found=taken.found,
            kept=taken.kept,
            already_known=taken.already_known,
            set_aside=taken.set_aside,
            set_aside_by_kind=dict(taken.set_aside_by_kind),
            snapshots={snapshot.table: snapshot.version for snapshot in tables.latest(lake, "image_records", "boxes")},
            committed=bool(taken.committed),
        )
    )
