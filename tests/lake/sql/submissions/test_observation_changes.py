from lake_rows import frame, rows

from lake.query import answer


def changes(first, second):
    frames = {
        name: frame("observation_id species_id", *((one, species) for one, found in said.items() for species in found))
        for name, said in {"first_answers": first, "second_answers": second}.items()
    }
    return rows(answer(None, "submissions/observation_changes", frames=frames))


def test_similarity_is_what_is_in_both_over_what_is_in_either():
    assert changes({"o": ["a", "b", "c"]}, {"o": ["b", "c", "d"]}) == [("o", 3, 3, 2, 0.5, ["d"], ["a"])]


def test_equal_answers_are_alike_and_disjoint_ones_are_not():
    found = changes({"same": ["b", "a"], "other": ["a"]}, {"same": ["a", "b"], "other": ["b"]})
    assert found == [("other", 1, 1, 0, 0.0, ["b"], ["a"]), ("same", 2, 2, 2, 1.0, [], [])]


def test_an_observation_that_one_alone_answers_has_nothing_in_common():
    assert changes({"o1": ["a"]}, {"o2": ["b"]}) == [
        ("o1", 1, 0, 0, 0.0, [], ["a"]),
        ("o2", 0, 1, 0, 0.0, ["b"], []),
    ]


def test_of_equally_unlike_answers_the_larger_change_comes_first_then_the_smaller_id():
    first = {"o1": ["a"], "o2": ["a", "b"], "o3": ["a"]}
    assert [row[0] for row in changes(first, {one: ["z"] for one in first})] == ["o2", "o1", "o3"]
