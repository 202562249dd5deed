"""On which side of a split an observation stands, and what stands on two sides though it should not.

What the source gives as val or test holds. The rest is drawn by groups that may not be parted, so that what is held
out is not a copy of what was learnt from.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from itertools import groupby
from operator import itemgetter

import polars as pl
import pyarrow as pa

from lake import labels, near_duplicates, query, tables
from lake.components import components
from lake.errors import LakeError
from lake.near_duplicates import MOST_BITS
from lake.tables import Appended, Lake, Snapshot

GROUPINGS = ("observation", "author", "base_quadrat", "near_duplicate")
_HELD_OUT = ("test", "val")  # in the order of drawing
_ROUNDING = 1e-9  # 0.07 is added a hundred times and has to make seven


@dataclass(frozen=True)
class SplitRecipe:
    """How observations are divided that the source does not hold out itself."""

    val_fraction: float = 0.2  # of what is not tested on, where the source gives no val
    test_fraction: float = 0.0  # of the observations, where the source gives no test
    seed: int = 0
    group_by: str = "observation"  # what may not be parted

    def __post_init__(self) -> None:
        if not 0 < self.val_fraction <= 0.5:
            raise LakeError(f"a validation share of {self.val_fraction} makes no sense; it lies above 0 and up to 0.5")
        if not 0 <= self.test_fraction <= 0.5:
            raise LakeError(f"a test share of {self.test_fraction} makes no sense; it lies from 0 to 0.5")
        if self.group_by not in GROUPINGS:
            raise LakeError(f"observations cannot be grouped by {self.group_by!r}; they can by {', '.join(GROUPINGS)}")

    def split_id(self, dataset: str) -> str:
        """The name of the split: data set, shares, seed and, where it is not the observation, the group."""
        test = f"-test{self.test_fraction * 100:g}" if self.test_fraction else ""
        group = "" if self.group_by == "observation" else f"-by-{self.group_by}"
        return f"{dataset}-val{self.val_fraction * 100:g}{test}-seed{self.seed}{group}"


def assign(lake: Lake, dataset: str, recipe: SplitRecipe, flow_run_id: str) -> Appended:
    """Give every labelled observation that has none its place in the split; those that have one keep it.

    The reason of a place is one of: ``given`` by the source; ``joined``, its group stood there; ``drawn``, into
    whichever side; ``kept`` for training, as nothing is drawn or a species would be left with nothing to learn from.

    Raises:
        LakeError: If it is grouped by near-duplicates and images have no perceptual hash yet.
    """
    records, given, changes = tables.latest(lake, "image_records", "labels", "taxon_changes")
    frames = {
        "tags": query.answer(lake, "labels/observation_tags", [records], dataset=dataset),
        "current_labels": labels.current(lake, dataset, (given, changes)),
        "groups": _groups(lake, dataset, recipe.group_by, records),
    }
    return tables.append_planned(lake, "splits", partial(_places, lake, dataset, recipe, frames, flow_run_id))


def leakage(lake: Lake, dataset: str, split_id: str, most_bits: int = MOST_BITS) -> pa.Table:
    """Return the held-out photographs that have a counterpart among those that are learnt from.

    Images without a perceptual hash are not compared. A pair is named by the strongest kind that it is of:
    same_observation, same_bytes, near_duplicate.

    Returns:
        One row per (kind, held_out_image, training_image): kind, split (of the one held out), held_out_image,
        training_image, training_count (photographs that this training image stands for: those of the same
        observation, bytes or hash), distance (differing bits, null but for near-duplicates).
    """
    records, splits, hashes = tables.latest(lake, "image_records", "splits", "perceptual_hashes")
    near = near_duplicates.pairs(lake, dataset, most_bits, hashes)
    return query.answer(
        lake, "audit/leakage", [records, splits, hashes], {"near_hashes": near}, dataset=dataset, split_id=split_id
    )


def shared_origins(lake: Lake, dataset: str, split_id: str) -> pa.Table:
    """Return how much of what is held out has an author or a base quadrat that is learnt from as well.

    No leakage by itself, and so counts only: one row per (kind, split) with origin_count, held_out_count and
    training_count (photographs).
    """
    snapshots = tables.latest(lake, "image_records", "splits")
    return query.answer(lake, "audit/shared_origins", snapshots, dataset=dataset, split_id=split_id)


def side_sizes(lake: Lake, split_id: str) -> dict[str, int]:
    """Return how many observations a split has on each side."""
    (splits,) = tables.latest(lake, "splits")
    found = (
        tables.scan(lake, splits).filter(pl.col("split_id") == split_id).group_by("split").len().sort("split").collect()
    )
    return dict(found.iter_rows())


def _groups(lake: Lake, dataset: str, group_by: str, records: Snapshot) -> pa.Table:
    """Return the observations that are in a group with others: observation_id, group_id, its smallest observation."""
    if group_by == "near_duplicate":
        clusters = near_duplicates.clusters(lake, dataset)
    else:
        clusters = pa.table({"image_id": pa.array([], pa.string()), "cluster_id": pa.array([], pa.string())})
    links = query.answer(
        lake, "splits/links", [records], {"image_clusters": clusters}, dataset=dataset, group_by=group_by
    )
    joined = components(links["observation_id"], links["joined_to"])
    return pa.table(dict(zip(("observation_id", "group_id"), joined, strict=True)))


def _places(
    lake: Lake,
    dataset: str,
    recipe: SplitRecipe,
    frames: Mapping[str, pa.Table],
    flow_run_id: str,
    splits: Snapshot,
) -> pa.Table:
    """Return the rows that the table lacks."""
    split_id = recipe.split_id(dataset)
    tags = set(frames["tags"]["tag"].unique().to_pylist())
    # What the source holds out itself is not drawn beside it.
    shares = {
        side: 0.0 if side in tags else share
        for side, share in zip(_HELD_OUT, (recipe.test_fraction, recipe.val_fraction), strict=True)
    }
    with query.session(lake, [splits], frames) as ask:
        waiting = ask.answer("splits/waiting_observations", split_id=split_id, is_drawn=any(shares.values()))
        ask.show("waiting", waiting)
        groups = ask.answer("splits/groups_to_draw", split_id=split_id, seed=str(recipe.seed))
        counts = dict(zip(*ask.answer("splits/side_counts", split_id=split_id).to_pydict().values(), strict=True))
    drawn = _draw(groups, counts, shares)
    return (
        pl.DataFrame(waiting)
        .join(drawn, on="group_id", how="left", suffix="_drawn")
        .select(
            pl.lit(split_id).alias("split_id"),
            "observation_id",
            pl.coalesce("split", "split_drawn").alias("split"),
            pl.coalesce("reason", "reason_drawn").alias("reason"),
            "group_id",
            pl.lit(datetime.now(UTC)).alias("assigned_at"),
            pl.lit(flow_run_id).alias("flow_run_id"),
        )
        .sort("observation_id")
        .to_arrow()
    )


def _draw(groups: pa.Table, counts: Mapping[str, int], shares: Mapping[str, float]) -> pl.DataFrame:
    """Walk the groups in their order and hold one out whenever half of it, or more, is owed.

    What is owed is carried from group to group and from one call to the next, so that a share is met to within one
    group, and each species, as its groups lie side by side, gives its part of it.

    Args:
        groups: group_id, group_size, species_id, observation_count, learnable_count; the rows of a group together.
        counts: Side to observations that were drawn before.
        shares: Held-out side to its share of what the sides before it have left.

    Returns:
        group_id, split and reason.
    """
    owed: dict[str, float] = {}
    left = sum(counts.values())
    for side, share in shares.items():
        owed[side] = left * share - counts.get(side, 0)
        left -= counts.get(side, 0)
    rows = list(zip(*(groups[name].to_pylist() for name in groups.column_names), strict=True))
    learnable = {species: count for _, _, species, _, count in rows}
    drawn: list[tuple[str, str, str]] = []
    for group_id, members in groupby(rows, key=itemgetter(0)):
        takes = {species: (size, count) for _, size, species, count, _ in members}
        if any(learnable[species] <= count for species, (_, count) in takes.items()):
            drawn.append((group_id, "train", "kept"))
            continue
        size = next(iter(takes.values()))[0]
        side = _side(size, owed, shares)
        if side != "train":
            for species, (_, count) in takes.items():
                learnable[species] -= count
        drawn.append((group_id, side, "drawn"))
    return pl.DataFrame(drawn, {"group_id": pl.String, "split": pl.String, "reason": pl.String}, orient="row")


def _side(size: int, owed: dict[str, float], shares: Mapping[str, float]) -> str:
    """Return where a group of some size goes, and write down what is owed after it."""
    for side, share in shares.items():
        owed[side] += size * share
        if owed[side] >= size / 2 - _ROUNDING:
            owed[side] -= size
            return side
    return "train"
