"""A place is tidied up, and every model in its registry can still be made again."""

import json
from pathlib import Path

import mlflow
import polars as pl
import pytest
from coloured import copied, new_home, registry, rows, take_in
from homes import content, versions
from passing_time import pass_time

from flows import train_judgement
from flows.embed import embed
from flows.lineage import replay
from flows.maintain import maintain
from flows.train import train
from lake import tables
from lake.errors import LakeError
from lake.maintenance import FEWEST_FILES
from lake.tables import Lake

PLANTS = [*rows("10", 6, side=""), *rows("2", 6, side=""), *rows("9", 6, side="")]
MONTHS = 60  # days


@pytest.fixture(scope="module")
def embedded(tmp_path_factory, empty_home, backbone):
    home = new_home(empty_home, tmp_path_factory.mktemp("embedded") / "home")
    (home / "taxalake.toml").write_text("embed_shard_tiles = 2\n")  # small files
    take_in(home, PLANTS)
    embed.fn("d", backbone, home=home)
    return home


@pytest.fixture
def home(embedded, tmp_path):
    return copied(embedded, tmp_path / "home")


@pytest.fixture
def trained(home, monkeypatch):
    monkeypatch.setattr(train_judgement, "draw", lambda *_: [])
    train.fn("d", "m", home=home, recipe={"head": "nearest"})
    return home


def read(home: Path, version: int | None = None) -> pl.DataFrame:
    table = tables.open_table(Lake(str(home / "lake")), "embeddings", version)
    return pl.scan_delta(table).sort("image_id", "scheme_id", "tile_index").collect()


def test_a_model_of_long_ago_is_made_again_from_what_it_read(trained):
    snapshots = json.loads(registry(trained).find("m").tags["snapshots"])
    before, everything = read(trained, snapshots["embeddings"]), content(trained, "embeddings")
    assert maintain.fn(home=trained).tables["embeddings"].merged >= FEWEST_FILES - 1
    pass_time(trained / "lake", MONTHS)
    report = maintain.fn(home=trained)
    assert report.tables["embeddings"].spared == {snapshots["embeddings"]: ["m/1"]}
    assert all(not table.lost for table in report.tables.values())
    assert read(trained, snapshots["embeddings"]).equals(before)
    assert content(trained, "embeddings") == everything
    assert replay.fn("m", trained).is_same


def test_what_no_model_names_any_more_goes_when_it_is_old(trained):
    old = versions(trained)["embeddings"]
    maintain.fn(home=trained)
    everything = read(trained)
    pass_time(trained / "lake", MONTHS)
    mlflow.MlflowClient(f"sqlite:///{trained / 'mlflow.db'}").delete_model_version("m", "1")
    report = maintain.fn(home=trained)
    assert report.tables["embeddings"].removed >= FEWEST_FILES
    assert report.tables["embeddings"].bytes < report.tables["embeddings"].bytes_before
    assert read(trained).equals(everything)
    with pytest.raises(FileNotFoundError):
        read(trained, old)


def test_a_second_run_commits_nothing_and_says_so(home):
    first = maintain.fn(home=home)
    before = versions(home)
    again = maintain.fn(home=home)
    assert (first.committed, again.committed) == (True, False)
    assert versions(home) == before
    assert again.lines()[0] == "nothing to merge and nothing to remove"


def test_a_dry_run_changes_nothing(home, taxalake):
    before = versions(home)
    told = taxalake("maintain", "--dry-run", "--json", at=home)
    assert told.json["tables"]["embeddings"]["merged"] >= FEWEST_FILES - 1
    assert (told.json["committed"], versions(home)) == (False, before)


def test_without_the_registry_that_says_what_models_need_nothing_is_removed(trained):
    maintain.fn(home=trained)
    pass_time(trained / "lake", MONTHS)
    (trained / "mlflow.db").rename(trained / "mislaid.db")
    before = versions(trained)
    with pytest.raises(LakeError, match=r"no registry in .* say where it is"):
        maintain.fn(home=trained)
    assert versions(trained) == before


def test_a_registry_in_which_nobody_has_ever_trained_is_not_believed(trained, tmp_path, monkeypatch):
    maintain.fn(home=trained)
    pass_time(trained / "lake", MONTHS)
    (trained / "mlflow.db").rename(trained / "mislaid.db")
    monkeypatch.setenv("TAXALAKE_TRACKING_URI", f"sqlite:///{tmp_path / 'other.db'}")
    before = versions(trained)
    with pytest.raises(LakeError, match=r"other.db that knows any, .* say where"):
        maintain.fn(home=trained)
    assert versions(trained) == before


def test_models_that_stayed_in_the_homes_own_registry_keep_their_versions(trained, tmp_path, monkeypatch):
    snapshots = json.loads(registry(trained).find("m").tags["snapshots"])
    maintain.fn(home=trained)
    pass_time(trained / "lake", MONTHS)
    monkeypatch.setenv("TAXALAKE_TRACKING_URI", f"sqlite:///{tmp_path / 'new.db'}")
    assert maintain.fn(home=trained).tables["embeddings"].spared == {snapshots["embeddings"]: ["m/1"]}


def test_one_table_that_cannot_be_tended_does_not_keep_the_others_from_it(home):
    (log,) = (home / "lake" / "stage_runs" / "_delta_log").glob("*00.json")
    log.write_text("{")
    with pytest.raises(LakeError, match="stage_runs"):
        maintain.fn(home=home)
    assert len(tables.open_table(Lake(str(home / "lake")), "embeddings").file_uris()) == 1


def test_less_than_a_day_is_refused_and_a_place_without_tables_has_nothing_to_tend(tmp_path, taxalake):
    assert taxalake("maintain", "--keep-days", "0", at=tmp_path).code != 0
    with pytest.raises(LakeError, match="one day is the least"):
        maintain.fn(keep_days=0, home=tmp_path)
    report = maintain.fn(home=tmp_path / "nothing")
    assert "there are no tables" in report.lines()[0]
    assert not (tmp_path / "nothing").exists()
