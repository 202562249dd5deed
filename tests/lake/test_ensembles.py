import json

import pytest
from lake_rows import frame, held, rows
from predicted_tiles import ONE_SPECIES, SEVERAL, decide, label, predict

from lake import decisions, ensembles, evaluations
from lake.decisions import Scope
from lake.errors import LakeError
from lake.rules import DecisionRule

# o1 is answered with s1 by both, o2 with s1 by the one and with s1 and s2 by the other
EVERYTHING = DecisionRule("many", pooling="max", threshold=0.0)


@pytest.fixture
def members(lake):
    predict(lake)
    return decide(lake, SEVERAL), decide(lake, EVERYTHING)


@pytest.mark.parametrize(
    ("how", "least", "of_o2"),
    [
        *(("union", 0.5, ["s1", "s2"]), ("intersection", 0.5, ["s1"])),
        *(("jaccard", 0.5, ["s1"]), ("jaccard", 0.51, ["s1", "s2"])),
    ],
)
def test_decisions_are_joined_to_one_of_their_own(lake, members, how, least, of_o2):
    joined = ensembles.join(lake, members, how, "run", least)
    answers = rows(joined.answers, "observation_id species_id")
    assert answers == [("o1", "s1"), *(("o2", species) for species in of_o2)]
    assert (joined.species, joined.model_version, joined.committed) == ("many", "m/1", True)
    assert joined.decision_id not in {one.decision_id for one in members}


def test_an_ensemble_is_stored_once_with_its_members(lake, members):
    first = ensembles.join(lake, members, "union", "run")
    again = ensembles.join(lake, members, "union", "another run")
    assert (again.decision_id, again.committed) == (first.decision_id, False)
    stored = dict(held(lake, "decisions", "decision_id rule"))
    assert json.loads(stored[first.decision_id])["of"] == [one.decision_id for one in members]


def test_an_ensemble_is_found_and_scored_as_any_decision(lake, members):
    label(lake, ("o2", "s2", 1))
    joined = ensembles.join(lake, members, "union", "run")
    found = decisions.find(lake, joined.decision_id)
    assert (found.species, rows(found.scope.observations)) == ("many", [("o1",), ("o2",)])
    assert evaluations.evaluate(lake, found, 10, "run").metrics["recall"] == 1


def test_stored_decisions_are_joined_as_fresh_ones_are(lake, members):
    stored = [decisions.find(lake, one.decision_id) for one in members]
    joined = [ensembles.join(lake, given, "union", "run").decision_id for given in (members, stored)]
    assert joined[0] == joined[1]


def test_which_comes_first_matters(lake, members):
    there = ensembles.join(lake, members, "union", "run")
    back = ensembles.join(lake, members[::-1], "union", "run")
    assert there.decision_id != back.decision_id


def test_there_are_three_ways_to_join(lake, members):
    with pytest.raises(LakeError, match="joined by union, intersection, jaccard, not by 'vote'"):
        ensembles.join(lake, members, "vote", "run")


@pytest.mark.parametrize("least", [-0.1, 50])
def test_a_jaccard_index_is_never_percent(lake, members, least):
    with pytest.raises(LakeError, match="a Jaccard index lies in 0 to 1"):
        ensembles.join(lake, members, "jaccard", "run", least)


def test_an_ensemble_needs_two_decisions_that_differ(lake, members):
    for given in (members[:1], [members[0], members[0]]):
        with pytest.raises(LakeError, match="needs two decisions at least, and different ones"):
            ensembles.join(lake, given, "union", "run")


def test_decisions_for_one_species_are_not_joined(lake, members):
    with pytest.raises(LakeError, match="answers one species an observation"):
        ensembles.join(lake, [members[0], decide(lake, ONE_SPECIES)], "union", "run")


def test_decisions_on_other_observations_are_not_joined(lake, members):
    fewer = decide(lake, EVERYTHING, Scope("d", "all", frame("observation_id", ("o1",))))
    with pytest.raises(LakeError, match=r"answers 1 observations of 'd' and .* 2 of 'd': an ensemble is of the same"):
        ensembles.join(lake, [members[0], fewer], "union", "run")
