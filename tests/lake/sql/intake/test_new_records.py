from lake_rows import frame, rows

from lake.query import answer

SAID = "split_tag organ latitude longitude country_code base_quadrat transect observed_on license author extra"
OUTCOME = "row_number image_name image_id observation_id location outcome"


def records(*outcomes, said=(), columns="image_name image_id observation_id source_uri"):
    given = said or [(row[0], *[None] * len(SAID.split())) for row in outcomes]
    frames = {"outcomes": frame(OUTCOME, *outcomes), "matched_rows": frame(f"row_number {SAID}", *given)}
    return rows(answer(None, "intake/new_records", frames=frames), columns)


def test_only_what_is_new_comes_on_record():
    others = [(number, outcome, "i", "o", "/p", outcome) for number, outcome in enumerate(["known", "unread"], 3)]
    assert records((2, "a.jpg", "i1", "o1", "/p/a.jpg", "new"), *others) == [("a.jpg", "i1", "o1", "/p/a.jpg")]


def test_a_record_says_what_its_own_row_says():
    said = ("val", "leaf", 1.5, 2.5, "FR", "q", "t", None, "CC0", "Me", "{}")
    outcome = (2, "a.jpg", "i1", "o1", "/p/a.jpg", "new")
    assert records(outcome, said=[(3, *[None] * len(said)), (2, *said)], columns=SAID) == [said]


def test_records_come_by_their_names():
    found = records(*((number, name, "i", "o", "/p", "new") for number, name in [(2, "b"), (3, "a")]))
    assert [name for name, *_ in found] == ["a", "b"]
