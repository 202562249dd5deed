from datetime import UTC, datetime
from io import BytesIO

import numpy as np
import pyarrow as pa
import pytest
from homes import content
from PIL import Image

from flows import audit, settings
from flows.audit import SHOWN, LeakingPair, audit_leakage
from flows.settings import SettingsError
from flows.train import train
from lake import tables
from lake.errors import LakeError
from lake.images import identity
from lake.schemas import TABLES
from lake.splits import GROUPINGS, leakage

NOW = {"ingested_at": datetime(2026, 1, 1, tzinfo=UTC), "labelled_at": datetime(2026, 1, 1, tzinfo=UTC)}


def photograph(seed, quality):
    """A picture unlike those of other seeds, with other bytes at another quality."""
    coarse = np.random.default_rng(seed).integers(0, 256, (6, 8, 3), np.uint8)
    file = BytesIO()
    Image.fromarray(coarse).resize((160, 120), Image.Resampling.BICUBIC).save(file, "JPEG", quality=quality)
    return file.getvalue()


def append(home, table, rows):
    columns = TABLES[table].columns
    whole = [{**NOW, "flow_run_id": "run", "dataset": "plants", **row} for row in rows]
    kept = [{name: value for name, value in row.items() if name in columns.names} for row in whole]
    tables.append(settings.load(home=home).lake, table, pa.Table.from_pylist(kept, schema=columns))


def record(home, contents, **columns):
    """Put photographs on record by name, each an observation of its own."""
    tables.create_missing(settings.load(home=home).lake)
    size = {"format": "JPEG", "width_px": 160, "height_px": 120}
    images = [
        {"image_id": identity(content), "bytes": content, "byte_count": len(content), **size}
        for content in contents.values()
    ]
    records = [
        {
            "image_id": identity(content),
            "image_name": f"{name}.jpg",
            "observation_id": name,
            "source_uri": "",
            **columns,
        }
        for name, content in contents.items()
    ]
    append(home, "images", images)
    append(home, "image_records", records)


def label(home, names):
    """Label observations by the two digits that their name begins with."""
    labels = [{"observation_id": name, "species_id": f"s{int(name[:2]) % 2}"} for name in names]
    append(home, "labels", [{**one, "source": "folder", "status": "given"} for one in labels])


@pytest.fixture
def copied(home):
    """A home with twenty plants of two species and one author, each photographed once and saved twice."""
    contents = {f"{seed:02}-{quality}": photograph(seed, quality) for seed in range(20) for quality in (70, 95)}
    record(home, contents, author="ann")
    label(home, contents)
    return home


def test_copies_on_two_sides_are_found_and_what_to_do_is_said(copied):
    report = audit_leakage.fn("plants", home=copied)
    assert (report.hashed, report.not_hashed, report.observations) == (40, 0, {"train": 32, "val": 8})
    assert report.pairs == report.held_out_images
    assert report.pairs.keys() == {"near_duplicate"}
    first = report.first_pairs[0]
    assert first.held_out_image[:2] == first.training_image[:2]
    assert len(report.first_pairs) == min(10, report.pairs["near_duplicate"])
    lines = "\n".join(report.lines())
    assert 'set split_by = "near_duplicate"' in lines
    assert (
        'same_author (no leakage by itself): 8 photographs of val and 32 of train share 1; split_by = "author"' in lines
    )


def test_a_split_by_near_duplicates_leaks_nothing(copied):
    report = audit_leakage.fn("plants", "near_duplicate", home=copied)
    assert (report.split_id, report.pairs) == ("plants-val20-seed0-by-near_duplicate", {})
    assert report.observations == {"train": 32, "val": 8}
    assert "no held-out photograph has a counterpart in training" in report.lines()


def test_an_audit_again_writes_nothing(copied):
    first = audit_leakage.fn("plants", home=copied)
    again = audit_leakage.fn("plants", home=copied)
    assert (first.committed, again.committed, again.hashed) == (True, False, 0)
    assert again.snapshots == first.snapshots
    assert again.first_pairs == first.first_pairs


def test_all_pairs_are_counted_and_only_the_first_ones_become_objects(home, monkeypatch):
    made = []

    class Counted(LeakingPair):
        def __init__(self, **columns):
            super().__init__(**columns)
            made.append(self)

    monkeypatch.setattr(audit, "LeakingPair", Counted)
    for side, qualities in (("train", (15, 40)), ("val", range(20, 35)), ("test", range(80, 95))):
        copies = {f"00-{quality}": photograph(0, quality) for quality in qualities}
        record(home, copies, split_tag=side)
        label(home, copies)
    report = audit_leakage.fn("plants", home=home)
    lake = settings.load(home=home).lake
    leaking = [row["held_out_image"] for row in leakage(lake, "plants", report.split_id).to_pylist()]
    assert len(leaking) > len(set(leaking)) > SHOWN
    assert report.pairs == {"near_duplicate": len(leaking)}
    assert report.held_out_images == {"near_duplicate": len(set(leaking))}
    assert [pair.held_out_image for pair in report.first_pairs] == leaking[:SHOWN]
    assert len(made) == SHOWN


def test_an_audit_that_only_found_what_cannot_be_hashed_has_committed_that(copied):
    audit_leakage.fn("plants", home=copied)
    record(copied, {"cut": photograph(20, 70)[:300]})
    noted = audit_leakage.fn("plants", home=copied)
    assert (noted.hashed, noted.not_hashed, noted.committed) == (0, 1, True)
    assert sorted(row["rows"] for row in content(copied, "stage_runs")) == [1, 40 + 40]
    assert [row["kind"] for row in content(copied, "ingest_issues")] == ["not_hashed"]
    assert not audit_leakage.fn("plants", home=copied).committed
    assert len(content(copied, "stage_runs")) == 2


def test_the_place_says_how_it_is_split(copied):
    (copied / "taxalake.toml").write_text('split_by = "near_duplicate"\ntest_fraction = 0.25\n')
    report = audit_leakage.fn("plants", home=copied)
    assert report.split_id == "plants-val20-test25-seed0-by-near_duplicate"
    assert report.observations == {"test": 10, "train": 24, "val": 6}


def test_training_hashes_what_it_may_not_part(copied, backbone):
    (copied / "taxalake.toml").write_text('split_by = "near_duplicate"\n')
    report = train.fn("plants", "flora", backbone, copied)
    assert report.split_id == "plants-val20-seed0-by-near_duplicate"
    assert (report.train_images, report.val_images) == (32, 8)
    audit = audit_leakage.fn("plants", home=copied)
    assert (audit.hashed, audit.committed, audit.pairs) == (0, False, {})


def test_a_data_set_that_is_not_there_is_not_audited(copied):
    with pytest.raises(LakeError, match="no photograph of a data set 'animals'"):
        audit_leakage.fn("animals", home=copied)


@pytest.mark.parametrize("group_by", GROUPINGS)
def test_every_grouping_can_be_set(home, group_by):
    assert settings.load(home=home, split_by=group_by).split_recipe.group_by == group_by


def test_another_grouping_is_refused_with_those_that_there_are(home):
    with pytest.raises(SettingsError, match=r"'split_by' cannot be 'species'.*observation.*near_duplicate"):
        settings.load(home=home, split_by="species")
