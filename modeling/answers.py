"""Tiles to species, for whoever has no tables: the rules of ``lake/sql/decide`` on a data frame.

A registered model is loaded where no DuckDB is. The SQL files say what the rules are; a test holds these against them.
"""

import pandas as pd

from modeling.errors import ModelingError

ONE = "one"  # a photograph shows one organism
MANY = "many"  # a photograph shows a quadrat
COLUMNS = ("image", "rank", "species_id", "scientific_name", "probability", "votes", "error")
_CANDIDATES = 5  # of one species: the answer and its runners-up


def decide(tiles: pd.DataFrame, species: str, min_votes: int, min_probability: float) -> pd.DataFrame:
    """Turn the best species of tiles into the species of photographs.

    ``one`` ranks species by their mean probability over the tiles, where a species outside of a tile's best k counts
    as impossible there. ``many`` keeps what at least ``min_votes`` tiles hold for the best, of those that are as sure
    as ``min_probability``; where nothing is kept, the best stands alone.

    Args:
        tiles: As ``serving.identify`` returns it.
        species: one or many.
        min_votes: Tiles that have to agree.
        min_probability: 0 to 1.

    Returns:
        One row per (image, rank) with the columns of ``COLUMNS``; probability is the mean, or the highest of the votes.
        A photograph that cannot be used is one row with an error and nothing else.

    Raises:
        ModelingError: If there is no such rule.
    """
    if species not in {ONE, MANY}:
        raise ModelingError(f"a photograph shows {ONE!r} species or {MANY!r}, not {species!r}")
    good = tiles[tiles["error"].isna()]
    keys = ["image", "species_id"]
    if species == ONE:
        sizes = good[good["rank"] == 1].groupby("image").size()
        found = good.groupby(keys, as_index=False).agg(
            probability=("probability", "sum"),
            votes=("rank", lambda ranks: int((ranks == 1).sum())),
            scientific_name=("scientific_name", "first"),
        )
        found["probability"] /= found["image"].map(sizes).astype("float64")
        order = ["probability", "votes"]
    else:
        best = good[good["rank"] == 1]
        best = best.assign(votes=(best["probability"] >= min_probability).astype("int64"))
        found = best.groupby(keys, as_index=False).agg(
            probability=("probability", "max"), votes=("votes", "sum"), scientific_name=("scientific_name", "first")
        )
        order = ["votes", "probability"]
    # Down to the id, so that a tie is decided alike everywhere.
    found = found.sort_values(["image", *order, "species_id"], ascending=[True, False, False, True], kind="stable")
    found["rank"] = found.groupby("image").cumcount() + 1
    kept = found["rank"] <= _CANDIDATES if species == ONE else (found["votes"] >= min_votes) | (found["rank"] == 1)
    found = found[kept].assign(error=None)
    bad = tiles[tiles["error"].notna()].drop_duplicates("image")[["image", "error"]]
    whole = pd.concat([found, bad[~bad["image"].isin(found["image"])]]) if len(bad) else found
    return whole.reindex(columns=list(COLUMNS)).sort_values(["image", "rank"], kind="stable").reset_index(drop=True)
