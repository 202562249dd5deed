from lake_rows import frame, rows

from lake.query import answer


def problems(lines=(), answers=(), expected=(), species=()):
    frames = {
        "submission_rows": frame("row_number observation_id", *lines),
        "submission_answers": frame("row_number observation_id species_id", *answers),
        "expected_observations": frame("observation_id", *((one,) for one in expected)),
        "current_species": frame("species_id", *((one,) for one in species)),
    }
    return rows(answer(None, "submissions/row_problems", frames=frames))


def test_a_second_row_of_an_id_names_the_first():
    lines = [(2, "o1"), (3, "o2"), (4, "o1"), (5, "o1")]
    assert problems(lines) == [
        ("double_id", 4, "o1", None, 2, None),
        ("double_id", 5, "o1", None, 2, None),
    ]


def test_an_id_that_is_not_expected_is_unknown_and_the_name_of_a_file_is_told_from_it():
    assert problems([(2, "o1"), (3, "o2.jpg"), (4, "o9")], expected=["o1", "o2"]) == [
        ("unknown_id", 3, "o2.jpg", None, None, "o2"),
        ("unknown_id", 4, "o9", None, None, None),
        ("missing_id", None, "o2", None, None, None),
    ]


def test_where_nothing_is_expected_no_id_is_unknown():
    assert problems([(2, "o1")]) == []


def test_a_species_that_stands_twice_in_an_answer_is_named_once():
    assert problems([(2, "o1"), (3, "o2")], [(2, "o1", "7"), (2, "o1", "7"), (2, "o1", "7"), (3, "o2", "7")]) == [
        ("answer_twice", 2, "o1", "7", None, None)
    ]


def test_an_unknown_species_is_named_where_it_first_stands():
    answers = [(3, "o2", "8"), (2, "o1", "8"), (2, "o1", "7")]
    assert problems([(2, "o1"), (3, "o2")], answers, species=["7"]) == [("unknown_species", 2, "o1", "8", None, None)]


def test_without_species_on_record_none_is_unknown():
    assert problems([(2, "o1")], [(2, "o1", "8")]) == []
