"""Photographs that were cut and predicted, and rules that are applied to them."""

from lake_rows import day, filled

from lake import decisions, tables
from lake.decisions import Decision, Scope
from lake.rules import DecisionRule
from lake.tables import Lake

PREDICTION = "model_version scheme_id image_id tile_index rank species_id probability"
SEVERAL = DecisionRule("many", min_votes=2)
ONE_SPECIES = DecisionRule("one", candidates=2)


def predict(lake: Lake) -> Lake:
    """Fill two observations of one photograph each, cut into two tiles; o1 is s1, and o2 is not labelled."""
    tables.append(
        lake,
        "image_records",
        filled(
            "image_records",
            "dataset image_name observation_id image_id",
            ("d", "a.jpg", "o1", "i1"),
            ("d", "b.jpg", "o2", "i2"),
        ),
    )
    label(lake, ("o1", "s1", 1))
    tables.append(
        lake, "species", filled("species", "species_id scientific_name", ("s1", "Poa annua"), ("s2", "Poa trivialis"))
    )
    tiles = [("k", "grid-1x2", image, tile, 5 * tile, 5 * tile + 5, 8) for image in ("i1", "i2") for tile in (0, 1)]
    tables.append(
        lake, "embeddings", filled("embeddings", "embedding_key scheme_id image_id tile_index x0 x1 y1", *tiles)
    )
    best = [("i1", 0, "s1"), ("i1", 1, "s1"), ("i2", 0, "s1"), ("i2", 1, "s2")]
    tables.append(
        lake,
        "tile_predictions",
        filled(
            "tile_predictions",
            PREDICTION,
            *(("m/1", "grid-1x2", image, tile, 1, species, 0.75) for image, tile, species in best),
        ),
    )
    return lake


def label(lake: Lake, *labels: tuple[str, str, int]) -> None:
    """Label observations: observation_id, species_id, on which day."""
    named = [("d", observation, species, day(number), "given") for observation, species, number in labels]
    tables.append(lake, "labels", filled("labels", "dataset observation_id species_id labelled_at status", *named))


def decide(lake: Lake, rule: DecisionRule = SEVERAL, scope: Scope | None = None) -> Decision:
    """Apply a rule to all observations, or to some."""
    return decisions.decide(lake, scope or decisions.whole_scope(lake, "d"), "grid-1x2", "m/1", rule, "run")
