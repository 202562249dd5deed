"""A sweep on real photographs, as the README shows it: what the best rule is worth where it was not chosen."""

import shutil

import pytest

from flows.embed import embed
from flows.ingest import ingest_table
from flows.predict import predict
from flows.sweep import sweep
from flows.train import train

TILING = "grid-4x4"
RULES = {"pooling": ["votes", "max"], "min_votes": [1, 2, 3], "min_probability": [0.0, 0.5]}


@pytest.fixture(scope="module")
def answered(empty_home, shared, tmp_path_factory):
    """A home in which a linear head has learnt the seedlings and predicted the tiles of the mosaics."""
    home = shutil.copytree(empty_home, tmp_path_factory.mktemp("answered") / "home")
    ingest_table.fn(
        shared / "plant-seedlings12" / "labels.csv",
        *("seedlings", "path", "label"),
        split_column="split",
        name_column="scientific_name",
        home=home,
    )
    embed.fn("seedlings", str(shared / "vit-tiny-dinov2"), home=home)
    train.fn("seedlings", "seedlings", home=home)
    ingest_table.fn(
        shared / "seedling-mosaics24" / "labels.csv",
        *("mosaics", "path", "species"),
        observation_column="plot_id",
        species_separator="|",
        home=home,
    )
    predict.fn("mosaics", "seedlings", TILING, home=home)
    return home


def test_the_best_rule_for_real_mosaics_holds_on_those_that_it_was_not_chosen_on(answered):
    asked = {"rule": {"species": "many", "tilings": TILING}, "matrix": RULES}
    found = sweep.fn(asked, "mosaics", "seedlings", answered)
    assert len(found.rules) == 12
    assert (found.observations, found.held_out_observations, found.held_out_on) == (12, 12, "other half")
    assert found.held_out.scores["macro_f1_per_observation"] >= 0.90
