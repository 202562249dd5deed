import pyarrow as pa
import pytest
from lake_rows import frame, rows

from lake.query import answer

COLUMNS = "observation_id species_id score votes rank is_answer"


def joined(how, *members, least_jaccard=0.5):
    """Join the answers of each member: (observation_id, species_id, rank)."""
    given = []
    for number, answers in enumerate(members):
        said = frame(COLUMNS, *((one, species, 0.25 * (number + 1), 2, rank, True) for one, species, rank in answers))
        given.append(said.append_column("member", pa.array([number] * said.num_rows, pa.int32())))
    asked = {"member_count": len(members), "how": how, "least_jaccard": least_jaccard}
    return answer(None, "decide/ensemble_answers", frames={"members": pa.concat_tables(given)}, **asked)


FIRST = [("q1", "s1", 1), ("q1", "s2", 2), ("q1", "s3", 3)]
SECOND = [("q1", "s3", 1), ("q1", "s2", 2), ("q1", "s4", 3)]


def test_a_union_keeps_what_any_says():
    assert rows(joined("union", FIRST, SECOND), "species_id") == [("s3",), ("s2",), ("s1",), ("s4",)]


def test_an_intersection_keeps_what_all_say():
    assert rows(joined("intersection", FIRST, SECOND), "species_id") == [("s3",), ("s2",)]


@pytest.mark.parametrize(("least", "count"), [(0.5, 2), (0.51, 4)])
def test_by_jaccard_those_who_agree_keep_what_all_say(least, count):
    # they have 2 of 4 in common
    assert joined("jaccard", FIRST, SECOND, least_jaccard=least).num_rows == count


@pytest.mark.parametrize("how", ["intersection", "jaccard"])
def test_where_nothing_is_common_the_first_one_stands(how):
    found = joined(how, [("q1", "s1", 1)], [("q1", "s2", 1)], least_jaccard=0.0)
    assert rows(found, "species_id") == [("s1",)]


def test_each_quadrat_is_joined_for_itself():
    found = joined("intersection", [("q1", "s1", 1), ("q2", "s1", 1)], [("q1", "s1", 1), ("q2", "s2", 1)])
    assert rows(found, "observation_id species_id") == [("q1", "s1"), ("q2", "s1")]


def test_what_only_one_answers_is_in_the_union_alone():
    assert rows(joined("union", [], [("q1", "s2", 1)]), "species_id") == [("s2",)]
    assert rows(joined("intersection", [], [("q1", "s2", 1)]), "species_id") == []


def test_what_more_say_ranks_first_then_what_they_rank_higher_then_the_lower_id():
    third = [("q1", "s4", 1)]
    found = rows(joined("union", FIRST, SECOND, third), "species_id rank")
    # s3 and s4 have two members and 1/3 + 1 each; s2 two and 1/2 + 1/2
    assert found == [("s3", 1), ("s4", 2), ("s2", 3), ("s1", 4)]


def test_scores_are_averaged_and_votes_added():
    found = rows(joined("intersection", [("q1", "s1", 1)], [("q1", "s1", 1)]), "score votes rank is_answer")
    assert found == [(0.375, 4, 1, True)]


def test_runners_up_do_not_count():
    given = frame(COLUMNS, ("q1", "s1", 0.5, 1, 1, True), ("q1", "s2", 0.25, 0, 2, False))
    members = given.append_column("member", pa.array([0, 0], pa.int32()))
    asked = {"member_count": 1, "how": "union", "least_jaccard": 0.5}
    assert rows(answer(None, "decide/ensemble_answers", frames={"members": members}, **asked), "species_id") == [
        ("s1",)
    ]
