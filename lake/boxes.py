"""Boxes that a detector or a segmenter has proposed, as a tiling of the photographs. Knows no detector.

The boxes of one name are the scheme ``boxes-NAME``. What was embedded under a scheme must stay what the scheme says: an
image that has boxes of a name gets no others, and other boxes go under another name.
"""

import difflib
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import polars as pl
import pyarrow as pa

from lake import issues, query, tables
from lake.errors import LakeError, SourceError
from lake.sources import plain_path, said
from lake.sources.delimited import text_of
from lake.tables import Appended, Lake, Snapshot

Box = tuple[int, int, int, int]  # x0, y0, x1, y1

_EDGES = ("x0", "y0", "x1", "y1")
_NAME = "image_name"
_SHOWN = 5  # photographs in a message


@dataclass(frozen=True)
class TakenBoxes:
    """What became of the rows of a table."""

    found: int
    kept: int
    set_aside_by_kind: Counter[str]
    committed: list[Appended]

    @property
    def set_aside(self) -> int:
        """Rows that are no box of a photograph."""
        return self.set_aside_by_kind.total()

    @property
    def already_known(self) -> int:
        """Rows whose box was on record: found = kept + already known + set aside."""
        return self.found - self.kept - self.set_aside


def scheme_of(name: str) -> str:
    """Return the tiling scheme that the boxes of a name are."""
    return f"boxes-{name}"


def read_boxes(csv: Path) -> pl.DataFrame:
    """Return what a table says of boxes, one row for each of its rows.

    Args:
        csv: A table with the columns image_name, x0, y0, x1, y1 (pixels of the upright image, fractions too; right and
            lower edge exclusive) and, if it likes, score. Other columns are not looked at.

    Returns:
        row_number, image_name, x0, y0, x1, y1 and score as numbers, and detail: why a row is no box, else null.

    Raises:
        SourceError: If the table or a column is missing, or it is no text in UTF-8.
    """
    text = text_of(csv)
    columns = text.columns(_NAME)
    for name in (_NAME, *_EDGES):
        if name not in columns:
            near = difflib.get_close_matches(name, columns, n=1)
            hint = f" (the nearest is {near[0]!r})" if near else ""
            raise SourceError(f"{csv} has no column {name!r}{hint}; its columns are {', '.join(columns)}")
    parts = list(text.parts(_NAME))
    schema = {"row_number": pl.Int64, "detail": pl.String}
    malformed = [pl.DataFrame(part.malformed, schema=schema, orient="row") for part in parts]
    rows = [_numbers(part.frame) for part in parts]
    empty = pl.DataFrame(schema={**schema, _NAME: pl.String, **dict.fromkeys((*_EDGES, "score"), pl.Float64)})
    return pl.concat([empty, *rows, *malformed], how="diagonal")


def append_boxes(
    lake: Lake, dataset: str, name: str, source_uri: str, proposed: pl.DataFrame, flow_run_id: str
) -> TakenBoxes:
    """Append the boxes of those images that have none of this name, and set aside what is no box of a photograph.

    Boxes are cut off at the edges of their image, and fractions of pixels rounded outwards. Where several names stand
    for one image, it has the boxes of the first.

    Args:
        lake: The place of the tables.
        dataset: The data set whose photographs are named.
        name: Of the boxes: their scheme is ``boxes-NAME``.
        source_uri: Where the boxes come from.
        proposed: As ``read_boxes`` gives it.
        flow_run_id: The flow run that writes.

    Raises:
        LakeError: If an image has other boxes of this name; then nothing is written.
    """
    scheme_id = scheme_of(name)
    rows = _of_one_name(_placed(lake, dataset, proposed))
    offered = rows.filter(pl.col("kind").is_null() & pl.col("is_first"))
    aside = rows.filter(pl.col("kind").is_not_null()).select(
        "row_number",
        pl.col(_NAME).fill_null(pl.format("row {}", "row_number")),
        "kind",
        "detail",
        is_on_record=pl.col("image_id").is_not_null(),
    )
    images = offered.group_by("image_id", maintain_order=True).agg(pl.col(_NAME).first(), _as_text())

    def plan(snapshot: Snapshot) -> pa.Table:
        held = (
            tables.scan(lake, snapshot)
            .filter(pl.col("scheme_id") == scheme_id)
            .join(images.lazy(), on="image_id", how="semi")
            .group_by("image_id")
            .agg(_as_text().alias("held"))
            .collect()
        )
        known = images.join(held, on="image_id", maintain_order="left")
        _require_same(known.filter(pl.col("boxes") != pl.col("held"))[_NAME].to_list(), dataset, scheme_id)
        return (
            offered.join(known, on="image_id", how="anti", maintain_order="left")
            .select(
                "image_id",
                *_EDGES,
                "score",
                tile_index=pl.int_range(pl.len(), dtype=pl.Int32).over("image_id"),
                scheme_id=pl.lit(scheme_id),
                recorded_at=pl.lit(datetime.now(UTC)),
                flow_run_id=pl.lit(flow_run_id),
            )
            .to_arrow()
        )

    plan(*tables.latest(lake, "boxes"))  # what it refuses, it refuses before anything is written
    # First what is set aside: a run that ends between the two finds the boxes again.
    noted = issues.set_aside(lake, dataset, f"{source_uri}#{scheme_id}", aside, flow_run_id)
    done = tables.append_planned(lake, "boxes", plan)
    return TakenBoxes(
        rows.height,
        done.row_count,
        Counter(aside["kind"].to_list()),
        [each for each in (noted, done) if each.row_count],
    )


def boxes_of(lake: Lake, snapshot: Snapshot, scheme_id: str, image_ids: Sequence[str]) -> dict[str, list[Box]]:
    """Return the boxes of some images in the order of their tiles, by image_id; images without any are left out."""
    found = (
        tables.scan(lake, snapshot)
        .filter(pl.col("scheme_id") == scheme_id, pl.col("image_id").is_in(image_ids))
        .sort("image_id", "tile_index")
        .select("image_id", *_EDGES)
        .collect()
    )
    boxes: dict[str, list[Box]] = {}
    for image_id, *edges in found.iter_rows():
        x0, y0, x1, y1 = edges
        boxes.setdefault(image_id, []).append((x0, y0, x1, y1))
    return boxes


def require_boxes(lake: Lake, dataset: str, scheme_id: str) -> int:
    """Return how many images of a data set have boxes under a scheme.

    Raises:
        LakeError: If none has; the schemes under which some have are named.
    """
    snapshot, records = tables.latest(lake, "boxes", "image_records")
    members = tables.scan(lake, records).filter(pl.col("dataset") == dataset).select("image_id")
    counts = (
        tables.scan(lake, snapshot)
        .join(members, on="image_id", how="semi")
        .group_by("scheme_id")
        .agg(pl.col("image_id").n_unique())
        .sort("scheme_id")
        .collect()
    )
    by_scheme: dict[str, int] = dict(counts.iter_rows())
    if scheme_id not in by_scheme:
        there = ", ".join(f"{scheme} ({count:,} images)" for scheme, count in by_scheme.items()) or "none"
        raise LakeError(
            f"no image of {dataset!r} has boxes under {scheme_id!r}; there are: {there}. "
            f"`taxalake ingest boxes` brings boxes in."
        )
    return by_scheme[scheme_id]


def _numbers(frame: pl.DataFrame) -> pl.DataFrame:
    """Return the cells of a table as numbers, and what is wrong with a row that is no box."""
    cells = frame if "score" in frame.columns else frame.with_columns(score=pl.lit(""))
    numbers = {name: _number(name) for name in (*_EDGES, "score")}
    unread = [
        pl.when(numbers[name].is_null()).then(
            pl.format(f"{name} is '{{}}', which is no number", pl.col(name).str.head(40))
        )
        for name in _EDGES
    ]
    is_score = numbers["score"].is_not_null() | said("score").is_null()
    unread.append(pl.when(~is_score).then(pl.format("score is '{}', which is no number", pl.col("score").str.head(40))))
    is_empty = (numbers["x0"] >= numbers["x1"]) | (numbers["y0"] >= numbers["y1"])
    return cells.select(
        "row_number",
        said(_NAME),
        **numbers,
        detail=pl.coalesce(*unread, pl.when(is_empty).then(pl.lit("it is empty"))),
    )


def _number(column: str) -> pl.Expr:
    """Return a text column as numbers, null where it is none."""
    value = pl.col(column).str.strip_chars().cast(pl.Float64, strict=False)
    return pl.when(value.is_finite()).then(value)


def _placed(lake: Lake, dataset: str, proposed: pl.DataFrame) -> pl.DataFrame:
    """Return what was proposed, in its order, in whole pixels inside of the images of a data set.

    Returns:
        row_number, image_name, image_id (null: there is no photograph of this name), x0, y0, x1, y1, score, and kind
        and detail: why a row is set aside, else null.
    """
    records, images = tables.latest(lake, "image_records", "images")
    known = query.answer(lake, "pending/known_records", [records], dataset=dataset)
    names = pl.DataFrame(known).select(_NAME, "image_id")
    sizes = (
        tables.scan(lake, images)
        .select("image_id", "width_px", "height_px")
        .join(names.lazy().select("image_id").unique(), on="image_id", how="semi")
        .collect()
    )
    # An address of the web is a name as it stands, a path in one spelling.
    is_name = pl.col(_NAME).is_in(names[_NAME].implode())
    spelt = proposed.with_columns(pl.when(is_name).then(_NAME).otherwise(plain_path(_NAME)).alias(_NAME))
    named = spelt.join(names, on=_NAME, how="left", maintain_order="left")
    sized = named.join(sizes, on="image_id", how="left", maintain_order="left")
    # Outwards, so that nothing of a box is lost and none becomes empty.
    edges = {
        "x0": pl.col("x0").floor().clip(lower_bound=0),
        "y0": pl.col("y0").floor().clip(lower_bound=0),
        "x1": pl.col("x1").ceil().clip(upper_bound=pl.col("width_px")),
        "y1": pl.col("y1").ceil().clip(upper_bound=pl.col("height_px")),
    }
    is_outside = (edges["x0"] >= edges["x1"]) | (edges["y0"] >= edges["y1"])
    outside = pl.format("it lies outside of its photograph of {}x{} px", "width_px", "height_px")
    nameless = pl.when(pl.col(_NAME).is_null()).then(pl.lit("it names no photograph"))
    unknown = pl.when(pl.col("image_id").is_null()).then(pl.lit(f"no photograph of {dataset!r} has this name"))
    malformed = pl.coalesce("detail", pl.when(pl.col("image_id").is_not_null() & is_outside).then(outside))
    return sized.select(
        "row_number",
        _NAME,
        "image_id",
        **{name: edge.cast(pl.Int32, strict=False) for name, edge in edges.items()},
        score="score",
        kind=pl.when(malformed.is_not_null())
        .then(pl.lit("box_malformed"))
        .when(pl.col("image_id").is_null())
        .then(pl.lit("box_without_image")),
        detail=pl.coalesce(malformed, nameless, unknown),
    )


def _of_one_name(placed: pl.DataFrame) -> pl.DataFrame:
    """Return rows with is_first: whether their name is the first that stands for its image and has boxes.

    Rows of the image's other names say the same boxes once more, or are set aside: boxes of two opinions mixed would be
    nobody's.
    """
    boxes = placed.filter(pl.col("kind").is_null())
    said_of = boxes.group_by("image_id", _NAME, maintain_order=True).agg(_as_text())
    judged = said_of.select(
        "image_id",
        _NAME,
        first_name=pl.col(_NAME).first().over("image_id"),
        differs=pl.col("boxes") != pl.col("boxes").first().over("image_id"),
    )
    rows = placed.join(judged, on=["image_id", _NAME], how="left", maintain_order="left")
    differs = pl.col("kind").is_null() & pl.col("differs")
    return rows.with_columns(
        is_first=pl.col(_NAME) == pl.col("first_name"),
        kind=pl.when(differs).then(pl.lit("box_contradicted")).otherwise("kind"),
        detail=pl.when(differs)
        .then(pl.format("the same photograph has other boxes as {}", "first_name"))
        .otherwise("detail"),
    )


def _as_text() -> pl.Expr:
    """Return the boxes of an image as one text, the same one in whatever order they were given."""
    score = pl.col("score").cast(pl.String).fill_null("")
    return pl.concat_str(*_EDGES, score, separator=",").sort().str.join(" ").alias("boxes")


def _require_same(names: list[str], dataset: str, scheme_id: str) -> None:
    """Refuse boxes of images that have others."""
    if names:
        shown = ", ".join(names[:_SHOWN]) + (", ..." if len(names) > _SHOWN else "")
        raise LakeError(
            f"{len(names):,} photographs of {dataset!r} have other boxes under {scheme_id!r} ({shown}). What a scheme "
            f"says of a photograph is never changed, or its vectors would be those of other tiles: take these boxes in "
            f"under another --name."
        )
