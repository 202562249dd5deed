from lake_rows import frame, rows

from lake.query import answer


def accepted(*answers, changes=(), columns="observation_id species_id rank"):
    """Return answers (observation_id, species_id, score, votes, rank, is_answer) in the taxonomy of today."""
    frames = {
        "answers": frame("observation_id species_id score votes rank is_answer", *answers),
        "accepted_species": frame("species_id accepted_id", *changes),
    }
    return rows(answer(None, "evaluate/accepted_answers", frames=frames), columns)


def test_an_answer_that_has_not_changed_stays_as_it_is():
    columns = "observation_id species_id score votes rank is_answer"
    answers = [("o1", "a", 0.75, 3, 1, True), ("o1", "b", 0.25, 1, 2, False)]
    assert accepted(*answers, columns=columns) == answers


def test_a_species_that_has_changed_goes_by_its_new_id():
    assert accepted(("o1", "a", 0.5, 1, 1, True), changes=[("a", "b")]) == [("o1", "b", 1)]


def test_a_species_that_was_split_stays_what_it_was():
    assert accepted(("o1", "a", 0.5, 1, 1, True), changes=[("a", None)]) == [("o1", "a", 1)]


def test_of_two_answers_that_have_become_one_the_better_stands_with_the_votes_of_both():
    answers = ("o1", "a", 0.25, 2, 2, True), ("o1", "b", 0.5, 3, 1, False)
    found = accepted(*answers, changes=[("a", "b")], columns="species_id score votes rank is_answer")
    assert found == [("b", 0.5, 5, 1, True)]


def test_ranks_close_up_where_answers_have_become_one():
    answers = [("o1", name, 0.5, 1, rank, True) for rank, name in enumerate(["a", "b", "c"], 1)]
    assert accepted(*answers, changes=[("b", "a")]) == [("o1", "a", 1), ("o1", "c", 2)]


def test_of_equal_ranks_the_lower_id_comes_first():
    assert accepted(("o1", "b", 0.5, 1, 1, True), ("o1", "a", 0.5, 1, 1, True)) == [("o1", "a", 1), ("o1", "b", 2)]


def test_each_observation_has_ranks_of_its_own():
    assert accepted(("o2", "a", 0.5, 1, 1, True), ("o1", "a", 0.5, 1, 1, True)) == [("o1", "a", 1), ("o2", "a", 1)]
