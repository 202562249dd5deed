from collections import Counter

from lake_rows import day, filled, held, rows
from small_pictures import lay, picture
from taking_in import take_in

from lake import labels, splits, tables
from lake.files.folder import FolderFiles
from lake.labels import Taxon
from lake.sources.table import TableSource
from lake.splits import SplitRecipe

HALF = SplitRecipe(val_fraction=0.5)
LABELS = "dataset observation_id species_id status labelled_at"


def observed(lake, *observations):
    """Put observations of (observation_id, species_id, image_id, split_tag) on record, each in one photograph."""
    records = sorted({("d", f"{one}-{image}.jpg", one, image, tag) for one, _, image, tag in observations})
    columns = "dataset image_name observation_id image_id split_tag"
    tables.append(lake, "image_records", filled("image_records", columns, *records))
    named = {("d", one, species, "given", day(1)) for one, species, _, _ in observations if species}
    tables.append(lake, "labels", filled("labels", LABELS, *sorted(named)))
    tables.append(lake, "species", filled("species", "species_id", *sorted({(one[2],) for one in named})))


def plants(species, count, tag=None, photographs=1):
    """Return observations of one species, each in some photographs."""
    return [
        (f"{species}-{number}", species, f"{species}-{number}-{photograph}", tag)
        for number in range(count)
        for photograph in range(photographs)
    ]


def places(lake, recipe=HALF):
    splits.assign(lake, "d", recipe, "run")
    return {
        one: split
        for key, one, split in held(lake, "splits", "split_id observation_id split")
        if key == recipe.split_id("d")
    }


def examples(lake, recipe=HALF):
    found = labels.training_examples(lake, "d", recipe.split_id("d"))
    return sorted(zip(found.image_ids, found.species_ids, found.splits, strict=True))


def test_a_split_is_made_by_observation_and_never_by_photograph(lake):
    observed(lake, *plants("s1", 10, photographs=3))
    sides = places(lake)
    assert Counter(sides.values()) == {"train": 5, "val": 5}
    assert all(split == sides[image.rpartition("-")[0]] for image, _, split in examples(lake))


def test_what_is_not_labelled_has_no_place_and_is_no_example(lake):
    observed(lake, ("o1", None, "i1", "train"), *plants("s1", 2))
    assert places(lake).keys() == {"s1-0", "s1-1"}
    assert "i1" not in {image for image, _, _ in examples(lake)}


def test_the_latest_labels_are_learnt_from(lake):
    observed(lake, *plants("wrong", 2))
    tables.append(lake, "species", filled("species", "species_id", ("right",)))
    corrected = filled("labels", LABELS, ("d", "wrong-0", "right", "given", day(2)))
    tables.append(lake, "labels", corrected)
    assert rows(labels.current(lake, "d")) == [("wrong-0", "right"), ("wrong-1", "wrong")]
    places(lake)
    assert sorted(species for _, species, _ in examples(lake)) == ["right", "wrong"]


def test_labels_are_read_at_the_version_that_is_asked(lake):
    observed(lake, *plants("s1", 1))
    before = tables.latest(lake, "labels", "taxon_changes")
    tables.append(lake, "labels", filled("labels", LABELS, ("d", "s1-0", "s2", "given", day(2))))
    assert rows(labels.current(lake, "d", before)) == [("s1-0", "s1")]


def test_quadrats_are_left_out_of_training(lake):
    observed(lake, *plants("s1", 2), ("q", "s1", "quadrat", "train"), ("q", "s2", "quadrat", "train"))
    places(lake)
    assert "quadrat" not in {image for image, _, _ in examples(lake)}
    assert labels.training_examples(lake, "d", HALF.split_id("d")).several == 1


def test_bytes_that_are_tested_on_under_another_name_are_not_trained_on(lake):
    observed(lake, *plants("s1", 2, "train"), ("copied", "s1", "same", "train"), ("tested", "s1", "same", "test"))
    places(lake)
    assert {image for image, _, _ in examples(lake)} == {"s1-0-0", "s1-1-0"}


def test_bytes_of_an_unlabelled_test_photograph_are_not_trained_on(lake):
    observed(lake, *plants("s1", 2, "train"), ("copied", "s1", "same", "train"), ("tested", None, "same", "test"))
    places(lake)
    assert {image for image, _, _ in examples(lake)} == {"s1-0-0", "s1-1-0"}


def test_examples_say_what_they_were_read_from_and_have_one_digest(lake):
    observed(lake, *plants("s1", 4))
    places(lake)
    first = labels.training_examples(lake, "d", HALF.split_id("d"))
    tables.append(lake, "species", filled("species", "species_id", ("unseen",)))
    second = labels.training_examples(lake, "d", HALF.split_id("d"))
    read = [snapshot.table for snapshot in first.snapshots]
    assert read == ["image_records", "labels", "taxon_changes", "splits", "species"]
    assert first.snapshots != second.snapshots
    assert first.digest == second.digest
    observed(lake, *plants("s1", 6))
    places(lake)
    assert labels.training_examples(lake, "d", HALF.split_id("d")).digest != first.digest


def test_a_table_of_photographs_becomes_examples_with_names(lake, tmp_path):
    seen = ("a.jpg", "o1", "train"), ("b.jpg", "o1", "train"), ("c.jpg", "o2", "val")
    table = "species,name,image,seen,split\n" + "".join(f"1,Poa annua,{','.join(row)}\n" for row in seen)
    lay(tmp_path, {"t.csv": table.encode(), **{f"{name}.jpg": picture(number) for number, name in enumerate("abc")}})
    take_in(
        lake, "d", TableSource(tmp_path / "t.csv", FolderFiles(tmp_path), "image", "species", "seen", "split", "name")
    )
    places(lake)
    found = labels.training_examples(lake, "d", HALF.split_id("d"))
    assert sorted(found.splits) == ["train", "train", "val"]
    assert found.taxa == {"1": Taxon("Poa annua", "Poa", None, None)}
