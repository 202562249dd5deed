import pyarrow as pa
from lake_rows import rows

from lake.query import answer


def tenths(*changes):
    columns = ["first_count", "second_count", "kept_count"]
    frame = pa.Table.from_pylist([dict(zip(columns, row, strict=True)) for row in changes])
    return rows(answer(None, "submissions/jaccard_counts", frames={"observation_changes": frame}))


def test_a_similarity_of_exactly_some_tenths_belongs_to_that_tenth():
    for kept in range(11):
        # kept in both, the rest in the first alone: kept / 10
        assert tenths((10, kept, kept)) == [(kept, 1)]


def test_only_the_same_answers_are_in_the_last_tenth():
    assert tenths((100, 99, 99), (3, 3, 3), (2, 2, 2)) == [(9, 1), (10, 2)]
