import csv
import io

from lake.corrections import read
from lake.reviews import COLUMNS, Entry, Reason, ShownSpecies, as_csv


def entry(observation_id="o1", name="Poa", answers=1):
    """Return an observation of two species, of which so many are answered."""
    species = [ShownSpecies("s1", name, 0.5, answers > 0), ShownSpecies("s2", "Bellis", None, answers > 1)]
    reasons = [Reason("low_confidence", "Poa 0.50", 0.5), Reason("new_species", "few", 0.25)]
    return Entry(observation_id, ["i1", "i2"], ["a.jpg", "b.jpg"], species, reasons)


def rows_of(*entries):
    return list(csv.DictReader(io.StringIO(as_csv(entries))))


def test_a_row_says_what_was_answered_and_why_to_look_and_leaves_three_cells_to_fill_in():
    (row,) = rows_of(entry())
    assert list(row.values()) == [
        *("o1", "a.jpg; b.jpg", "s1", "Poa", "0.50", "Bellis (s2)", "low_confidence: Poa 0.50; new_species: few"),
        *("", "", ""),
    ]


def test_several_answers_stand_in_one_cell_parted_as_they_are_read():
    (row,) = rows_of(entry(answers=2))
    assert (row["answer"], row["answer_name"], row["others"]) == ("s1|s2", "Poa|Bellis", "")


def test_no_cell_is_a_formula_and_ids_come_back(tmp_path):
    entries = [entry("=1+1", "@x"), entry("-5"), entry('a,"b"\nc')]
    assert not [cell for row in rows_of(*entries) for cell in row.values() if cell[:1] in {"=", "+", "-", "@"}]
    (tmp_path / "x.csv").write_text(as_csv(entries), encoding="utf-8", newline="")
    assert read(tmp_path / "x.csv")["observation_id"].to_list() == ["=1+1", "-5", 'a,"b"\nc']


def test_a_queue_of_nothing_is_a_table_of_no_rows():
    assert as_csv([]).strip() == ",".join(COLUMNS)
