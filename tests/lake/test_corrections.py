import pytest
from lake_rows import day, filled, held, rows

from lake import corrections, labels, tables
from lake.corrections import harmless, meant, read
from lake.errors import SourceError


@pytest.fixture
def stocked(lake):
    """A lake with the observations o1 and o2 of d, labelled s1 by their table; s2 is known too."""
    records = [("d", "a.jpg", "i1", "o1"), ("d", "b.jpg", "i2", "o2")]
    tables.append(
        lake, "image_records", filled("image_records", "dataset image_name image_id observation_id", *records)
    )
    given = [("d", one, "s1", "/plants.csv", "given", day(1)) for one in ("o1", "o2")]
    names = "dataset observation_id species_id source status labelled_at"
    tables.append(lake, "labels", filled("labels", names, *given))
    known = [("s1", "/plants.csv"), ("s2", "/plants.csv")]
    tables.append(lake, "species", filled("species", "species_id source", *known))
    return lake


@pytest.fixture
def take_in(stocked, tmp_path):
    """Take in lines of a table of labels and return what became of them."""

    def run(*lines, header="observation_id,species_id", source="review", takes_new_species=False):
        table = tmp_path / "labels.csv"
        table.write_text("\n".join([header, *lines]) + "\n", encoding="utf-8")
        return corrections.append(stocked, "d", table, read(table), "run", source, takes_new_species)

    return run


def current(lake):
    return rows(labels.current(lake, "d"))


def counts(taken):
    assert taken.found == taken.kept + taken.already_known + taken.skipped + taken.set_aside
    return taken.kept, taken.already_known, taken.skipped, dict(taken.set_aside_by_kind)


def test_a_corrected_set_replaces_the_one_before_and_the_old_rows_stay(stocked, take_in):
    assert counts(take_in("o1,s2|s1")) == (1, 0, 0, {})
    assert current(stocked) == [("o1", "s1"), ("o1", "s2"), ("o2", "s1")]
    assert counts(take_in("o1,s2")) == (1, 0, 0, {})
    assert current(stocked) == [("o1", "s2"), ("o2", "s1")]
    assert len(held(stocked, "labels", "species_id")) == 5


def test_the_same_table_again_commits_nothing(stocked, take_in):
    take_in("o1,s2", "o2,", "o9,s1", "broken")
    before = tables.latest(stocked, "labels", "species", "ingest_issues")
    again = take_in("o1,s2", "o2,", "o9,s1", "broken")
    assert counts(again) == (0, 1, 1, {"unknown_observation": 1, "row_malformed": 1})
    assert again.committed == []
    assert tables.latest(stocked, "labels", "species", "ingest_issues") == before


def test_what_is_set_aside_is_an_issue_with_its_line_and_ends_with_its_cause(stocked, take_in):
    take_in("o9,s1", "o1,s1", "o1,s2")
    found = held(stocked, "ingest_issues", "image_name kind detail row_count")
    assert found == [
        ("row 2", "unknown_observation", "line 2: there is no observation o9 in d", 1),
        *(
            (
                f"row {n}",
                "label_contradicted",
                f"line {n}: the lines 3, 4 say different species of the observation o1",
                1,
            )
            for n in (3, 4)
        ),
    ]
    assert current(stocked) == [("o1", "s1"), ("o2", "s1")]
    take_in("o1,s2")
    ended = [row for row in held(stocked, "ingest_issues", "image_name kind detail row_count") if row[3] == 0]
    assert [row[0] for row in ended] == ["row 2", "row 3", "row 4"]


def test_a_species_that_nothing_is_known_of_is_taken_where_that_is_allowed_and_known_from_then_on(stocked, take_in):
    assert counts(take_in("o1,s9")) == (0, 0, 0, {"unknown_species": 1})
    taken = take_in("o1,s9", takes_new_species=True)
    assert (taken.kept, taken.new_species) == (1, ["s9"])
    assert ("s9", "review") in held(stocked, "species", "species_id source")
    assert counts(take_in("o2,s9")) == (1, 0, 0, {})


def test_who_looked_and_what_was_noted_is_kept_with_the_label(stocked, take_in):
    take_in("o1,s2,Anna,blurred", "o2,s2,,", header="observation_id,species_id,reviewer,note")
    found = held(stocked, "labels", "observation_id source reviewer note")
    assert found[-2:] == [("o2", "/plants.csv", None, None), ("o2", "review", None, None)]
    assert ("o1", "review", "Anna", "blurred") in found


def test_a_label_by_review_is_later_than_all_others_whatever_the_clock_says(stocked, take_in):
    far = ("d", "o1", "s1", "/plants.csv", "given", day(1).replace(year=2999))
    tables.append(
        stocked, "labels", filled("labels", "dataset observation_id species_id source status labelled_at", far)
    )
    take_in("o1,s2")
    assert current(stocked) == [("o1", "s2"), ("o2", "s1")]


def test_a_spreadsheet_may_have_saved_it_with_semicolons_and_a_mark_in_front(stocked, tmp_path):
    table = tmp_path / "labels.csv"
    table.write_text("observation_id;species_id;more\r\no1; s2 | s1 |s2;x\r\n", encoding="utf-8-sig")
    assert read(table)["species_ids"].to_list() == [["s1", "s2"]]


@pytest.mark.parametrize("cell", ["=1+1", "-12", "@x", "+x", "'=x", "''-x", "\tx", "x=1", "'x", ""])
def test_a_cell_that_was_made_harmless_means_what_it_meant(cell):
    assert meant(harmless(cell)) == cell
    assert not harmless(cell).startswith(("=", "+", "-", "@", "\t", "\r"))


def test_ids_that_a_spreadsheet_would_calculate_come_back(tmp_path):
    table = tmp_path / "labels.csv"
    table.write_text("observation_id,species_id\n'-12,'=s1|s2\n", encoding="utf-8")
    assert read(table).select("observation_id", "species_ids").rows() == [("-12", ["=s1", "s2"])]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("observation,species_id\n", "no column 'observation_id'"),
        ("observation_id,specie_id\n", "'specie_id'"),
        ("", "empty"),
    ],
)
def test_a_table_that_says_nothing_of_species_is_refused(tmp_path, text, said):
    (tmp_path / "x.csv").write_text(text)
    with pytest.raises(SourceError, match=said):
        read(tmp_path / "x.csv")
