from lake_rows import frame, rows

from lake.query import answer


def lists(*answers):
    return rows(
        answer(None, "submissions/species_lists", frames={"answers": frame("observation_id species_id", *answers)})
    )


def test_ids_that_are_numbers_are_ordered_by_number_and_others_follow_as_text():
    species = ["b", "10", "9", "1.5", "2", "a", str(10**30), str(10**50)]
    assert lists(*(("o", one) for one in species)) == [
        ("o", ["2", "9", "10", str(10**30), "1.5", str(10**50), "a", "b"])
    ]


def test_observations_are_ordered_as_text():
    assert lists(("o9", "1"), ("o10", "1"), ("O1", "1"), ("é", "1")) == [
        ("O1", ["1"]),
        ("o10", ["1"]),
        ("o9", ["1"]),
        ("é", ["1"]),
    ]
