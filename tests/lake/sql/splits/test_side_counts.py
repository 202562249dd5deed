from lake_rows import frame, rows

from lake.query import answer


def counts(splits, waiting=()):
    frames = {
        "splits": frame("split_id split reason", *splits),
        "waiting": frame("split reason", *waiting),
    }
    return dict(rows(answer(None, "splits/side_counts", frames=frames, split_id="p")))


def test_what_was_drawn_counts_and_what_was_given_or_kept_does_not():
    splits = [("p", "val", "drawn"), ("p", "train", "drawn"), ("p", "val", "given"), ("p", "train", "kept")]
    assert counts(splits) == {"val": 1, "train": 1}


def test_who_joined_a_group_counts_then_and_now():
    assert counts([("p", "val", "joined")], [("val", "joined"), (None, None)]) == {"val": 2}


def test_another_split_does_not_count():
    assert counts([("q", "val", "drawn")]) == {}
