import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from lake import decisions
from lake.decisions import Scope
from lake.rules import DecisionRule
from modeling.answers import COLUMNS, decide
from modeling.errors import ModelingError
from modeling.serving import COLUMNS as TILE_COLUMNS


def drawn(seed: int, photographs: int = 6, tiles: int = 9, k: int = 3) -> pd.DataFrame:
    """Draw the best k of some tiles, in sixteenths: sums are exact, and there are ties."""
    generator = np.random.default_rng(seed)
    rows = []
    for image in range(photographs):
        for tile in range(tiles):
            best = np.sort(generator.integers(0, 6, k))[::-1] / 16
            for rank, (species, probability) in enumerate(zip(generator.permutation(7), best, strict=False)):
                rows.append(
                    {
                        "image": image,
                        "scheme_id": "grid-3x3",
                        "tile_index": tile,
                        "rank": rank + 1,
                        "species_id": f"s{species}",
                        "scientific_name": f"Species {species}",
                        "probability": probability,
                    }
                )
    return pd.DataFrame(rows, columns=list(TILE_COLUMNS))


def by_sql(tiles: pd.DataFrame, rule: DecisionRule) -> list[tuple[str, int, str, int]]:
    frames = {
        "image_records": pa.table({"dataset": ["d"] * 6, "image_id": list("012345"), "observation_id": list("012345")}),
        "tile_predictions": pa.table(
            {
                "model_version": ["m"] * len(tiles),
                "scheme_id": tiles["scheme_id"].tolist(),
                "image_id": tiles["image"].astype(str).tolist(),
                "tile_index": pa.array(tiles["tile_index"], pa.int32()),
                "rank": pa.array(tiles["rank"], pa.int32()),
                "species_id": tiles["species_id"].tolist(),
                "probability": pa.array(tiles["probability"], pa.float32()),
            }
        ),
    }
    scope = Scope("d", "all", pa.table({"observation_id": list("012345")}))
    rows = decisions.answer(None, (), frames, scope, "grid-3x3", "m", rule).to_pylist()
    return [(row["observation_id"], row["rank"], row["species_id"], row["votes"]) for row in rows]


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize(("species", "votes", "probability"), [("one", 1, 0.0), ("many", 2, 0.0), ("many", 3, 0.25)])
def test_the_rules_are_those_of_the_sql(seed, species, votes, probability):
    tiles = drawn(seed)
    found = decide(tiles, species, votes, probability)
    ours = list(zip(found["image"].astype(str), found["rank"], found["species_id"], found["votes"], strict=True))
    many = DecisionRule("many", min_votes=votes, min_probability=probability)
    assert ours == by_sql(tiles, DecisionRule("one", candidates=5) if species == "one" else many)


def test_the_probability_of_one_species_is_the_mean_over_the_tiles():
    tiles = pd.DataFrame(
        [(0, "g", 0, 1, "a", "A", 0.6), (0, "g", 0, 2, "b", "B", 0.4), (0, "g", 1, 1, "a", "A", 0.8)],
        columns=["image", "scheme_id", "tile_index", "rank", "species_id", "scientific_name", "probability"],
    ).reindex(columns=list(TILE_COLUMNS))
    found = decide(tiles, "one", 1, 0.0)
    assert found[["species_id", "votes"]].values.tolist() == [["a", 2], ["b", 0]]
    np.testing.assert_allclose(found["probability"], [0.7, 0.2])


def test_a_photograph_that_cannot_be_used_is_one_row_with_its_error():
    bad = pd.DataFrame([{"image": 6, "error": "no photograph"}], columns=list(TILE_COLUMNS))
    found = decide(pd.concat([drawn(0), bad]), "one", 1, 0.0)
    assert tuple(found.columns) == COLUMNS
    (row,) = found[found["image"] == 6].to_dict("records")
    assert row["error"] == "no photograph"
    assert all(pd.isna(row[name]) for name in COLUMNS if name not in {"image", "error"})


def test_another_rule_is_refused():
    with pytest.raises(ModelingError, match="not 'some'"):
        decide(drawn(0), "some", 1, 0.0)
