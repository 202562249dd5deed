"""Where a model comes from, and the same model once more from what is on record."""

import json

import pytest
from coloured import QUICK, copied, new_home, registry, rows, take_in
from homes import REPOSITORY, content, versions

from flows import train_judgement
from flows.embed import embed
from flows.import_model import import_timm
from flows.lineage import lineage, replay
from flows.settings import load
from flows.train import train
from lake.errors import LakeError
from modeling.errors import RegistryError

GOLDEN = REPOSITORY / "tests" / "data" / "timm"
AT_ONCE = {"head": "nearest"}  # it has learnt as soon as it has seen the examples
PLANTS = [*rows("10", 6, side=""), *rows("2", 6, side=""), *rows("9", 6, side="")]


@pytest.fixture(autouse=True)
def _undrawn(monkeypatch):
    """Draw no figures: they are half of the time of a small training."""
    monkeypatch.setattr(train_judgement, "draw", lambda *_: [])


@pytest.fixture(scope="module")
def embedded(tmp_path_factory, empty_home, backbone):
    home = new_home(empty_home, tmp_path_factory.mktemp("embedded") / "home")
    take_in(home, PLANTS)
    embed.fn("d", backbone, home=home)
    return home


@pytest.fixture
def home(embedded, tmp_path):
    return copied(embedded, tmp_path / "home")


def test_a_model_is_made_again_bit_for_bit_and_nothing_is_written(home):
    report = train.fn("d", "m", home=home, recipe=QUICK)
    before = versions(home)
    again = replay.fn("m", home)
    assert again.is_same
    assert again.replayed_hash == again.head_hash == registry(home).find("m").tags["head_hash"]
    assert again.lines() == [f"{report.model_version}: the same, bit for bit (weights {again.head_hash})"]
    assert versions(home) == before
    assert len(registry(home).versions("m")) == 1


def test_a_model_is_made_again_from_what_it_read_whatever_came_later(home, backbone):
    first = train.fn("d", "m", home=home, recipe=AT_ONCE)
    # New photographs, and another label for one that was learnt from.
    relabelled = [("9" if row[1] == "10-0" else row[0], *row[1:]) for row in PLANTS]
    take_in(home, [*relabelled, *rows("33", 6, side="")])
    embed.fn("d", backbone, home=home)
    second = train.fn("d", "m", home=home, recipe=AT_ONCE)
    assert (first.species, second.species) == (3, 4)
    assert second.snapshots["embeddings"] > first.snapshots["embeddings"]
    for report in (first, second):
        assert replay.fn(report.model_version, home).is_same, report.model_version


def test_a_model_that_began_with_the_weights_of_another_is_made_again(home):
    train.fn("d", "older", home=home, recipe=QUICK)
    train.fn("d", "m", home=home, recipe={**QUICK, "max_epochs": 2}, start_from="older")
    assert replay.fn("m", home).is_same
    assert "began with the weights of older/1:" in "\n".join(lineage(load(home=home), "m").lines())


def test_a_model_with_another_hash_on_record_is_not_the_same_and_the_command_ends_with_one(home, taxalake):
    train.fn("d", "m", home=home, recipe=AT_ONCE)
    version = registry(home).find("m")
    assert taxalake("replay", "m").code == 0
    registry(home).tag(version, {"head_hash": "0123456789abcdef"})
    told = taxalake("replay", "m")
    assert told.code == 1
    assert f"m/1: NOT the same: weights {version.tags['head_hash']}, and 0123456789abcdef are registered" in told.out
    assert taxalake("replay", "m", "--json").json["is_same"] is False


def test_what_differs_beside_the_weights_is_named(home):
    train.fn("d", "m", home=home, recipe=AT_ONCE)
    registry(home).tag(registry(home).find("m"), {"code": "0" * 40})
    again = replay.fn("m", home)
    assert again.is_same, "other code that gives the same weights is no other model"
    assert again.differences[0].endswith(f"and was {'0' * 40}")


def test_an_imported_model_cannot_be_made_again_and_says_why(home, tmp_path, taxalake):
    species = tmp_path / "species.txt"
    species.write_text("10\n2\n9\n33\n4\n")
    import_timm.fn(GOLDEN / "ema.pth.tar", species, "contest", home, 2)
    with pytest.raises(RegistryError, match=r"contest/1 does not say what it was made from .*it was imported"):
        replay.fn("contest", home)
    told = taxalake("lineage", "contest")
    assert (told.code, told.err.count("\n")) == (1, 1)
    assert "(no recipe, split_id, dataset, head_hash)" in told.err


def test_lineage_names_every_input_of_a_model(home, taxalake):
    report = train.fn("d", "m", home=home, recipe={**AT_ONCE, "poolings": ["cls"]})
    version = registry(home).find("m")
    (spec,) = content(home, "embedding_specs")
    told = taxalake("lineage", "m")
    assert told.code == 0, told.err
    for table, number in report.snapshots.items():
        assert f"{table}@{number}" in told.out
    assert report.snapshots.keys() == {"image_records", "labels", "taxon_changes", "splits", "species", "embeddings"}
    said = [report.split_id, spec["embedding_key"], spec["backbone"], report.class_map_id, version.tags["head_hash"]]
    said += [version.run_id, version.tags["flow_run_id"], version.tags["code"], "nearest", '["cls"]']
    for word in said:
        assert word in told.out, word
    listed = taxalake("lineage", "m/1", "--json").json
    assert listed["embedding_spec"] == json.loads(spec["spec"])
    assert listed["recipe"]["head"] == {"kind": "nearest"}
    assert (listed["seed"], listed["aliases"], listed["snapshots"]) == (0, ["champion"], report.snapshots)


def test_a_model_whose_embeddings_are_gone_cannot_be_made_again(home):
    train.fn("d", "m", home=home, recipe=AT_ONCE)
    registry(home).tag(registry(home).find("m"), {"embedding_key": "another"})
    with pytest.raises(LakeError, match=r"m/1 learnt from embeddings another, which 'd' no longer has; there are \w+"):
        replay.fn("m", home)
