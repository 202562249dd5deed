from lake_rows import frame, rows

from lake.query import answer


def test_only_issues_of_the_data_set_are_known():
    frames = {"ingest_issues": frame("dataset image_name kind", ("d", "a.jpg", "empty"), ("e", "b.jpg", "empty"))}
    assert rows(answer(None, "pending/known_issues", frames=frames, dataset="d")) == [("a.jpg", "empty")]
