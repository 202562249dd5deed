import pytest
from hypothesis import given
from hypothesis import strategies as st

from lake.errors import LakeError
from lake.rules import COSTS, GROUPINGS, POOLINGS, DecisionRule, PriorUse

NAMES = st.text(st.characters(categories=["L", "N", "P", "S"]), min_size=1, max_size=8)
SHARES = st.floats(0, 1)
USES = st.builds(PriorUse, NAMES, st.floats(1e-6, 100) | st.integers(1, 100))


@st.composite
def rules(draw):
    """Draw any rule that makes sense."""
    species = draw(st.sampled_from(list(POOLINGS)))
    pooling = draw(st.sampled_from(["", *POOLINGS[species]]))
    said = {
        "tilings": draw(st.sampled_from(["", "whole", "grid-2x2+pyramid-518-3..1"])),
        "pooling": pooling,
        "tile_top_k": draw(st.none() | st.integers(1, 99)),
        "min_probability": draw(SHARES),
        "priors": () if pooling == "confidence" else tuple(draw(st.lists(USES, max_size=2))),
    }
    if species == "one":
        return DecisionRule(
            species,
            **said,
            candidates=draw(st.integers(1, 99)),
            cost=draw(st.sampled_from(["", *COSTS])),
            venomous_share=draw(SHARES),
        )
    least = draw(st.integers(0, 9))
    limits = st.tuples(st.none() | st.floats(-1e6, 1e6), st.none()) | st.tuples(st.none(), st.floats(0.01, 1000))
    threshold, mean_species = draw(limits)
    grouping = draw(st.sampled_from(["", *GROUPINGS]))
    counts = st.integers(1, 9)
    return DecisionRule(
        species,
        **said,
        min_votes=draw(counts if grouping == "frequency" else st.none() | counts),
        threshold=threshold,
        mean_species=mean_species,
        least_species=least,
        most_species=draw(st.none() | st.integers(max(1, least), 20)),
        grouping=grouping,
    )


@given(rules())
def test_a_rule_is_the_same_after_it_was_written_to_a_file(tmp_path_factory, rule):
    file = tmp_path_factory.getbasetemp() / "rule.toml"
    file.write_text(rule.toml, encoding="utf-8")
    loaded = DecisionRule.load(file)
    assert loaded.spec == rule.spec
    assert loaded.rule_id == rule.rule_id
    assert loaded.toml == rule.toml


@given(rules())
def test_a_rule_is_read_from_what_it_says_of_itself(rule):
    assert DecisionRule.read(rule.spec).spec == rule.spec


@pytest.mark.parametrize("pooling", POOLINGS["many"])
def test_what_is_said_and_what_goes_without_saying_are_the_same_rule(pooling):
    silent = DecisionRule("many", pooling=pooling)
    spoken = DecisionRule(
        "many",
        pooling=pooling,
        min_votes=silent.votes_needed,
        min_probability=0,
        least_species=1,
    )
    assert spoken.rule_id == silent.rule_id


def test_a_whole_number_is_the_same_rule_as_its_fraction():
    assert DecisionRule("many", threshold=1).rule_id == DecisionRule("many", threshold=1.0).rule_id
    uses = [(PriorUse("p", strength),) for strength in (2, 2.0)]
    assert len({DecisionRule("one", priors=use).rule_id for use in uses}) == 1


def test_ids_of_rules_do_not_change_from_one_version_to_the_next():
    # stored decisions and sweeps go by them
    assert DecisionRule("one").rule_id == "b58192d723fae927"
    assert DecisionRule("many").rule_id == "a1d880ff48c27248"


@pytest.mark.parametrize(
    "other",
    [
        *({"tilings": "whole"}, {"pooling": "max"}, {"tile_top_k": 3}, {"min_probability": 0.1}, {"min_votes": 3}),
        *({"threshold": 0.0}, {"mean_species": 1.0}, {"least_species": 0}, {"most_species": 5}, {"grouping": "max"}),
        {"priors": (PriorUse("p"),)},
    ],
)
def test_another_choice_is_another_rule(other):
    assert DecisionRule("many", **other).rule_id != DecisionRule("many").rule_id


def test_each_kind_has_its_own_defaults():
    one, votes, scores = DecisionRule("one"), DecisionRule("many"), DecisionRule("many", pooling="max")
    assert (one.pools_by, votes.pools_by) == ("mean", "votes")
    assert (votes.votes_needed, scores.votes_needed) == (2, 0)
    assert (votes.counted_ranks, votes.voting_ranks) == (1, 1)
    assert scores.counted_ranks > 1000
    assert scores.voting_ranks == 1
    assert [rule.pools_scores for rule in (one, votes, scores, DecisionRule("one", pooling="mode"))] == [
        *(True, False, True, False),
    ]
    assert one.spec == {"species": "one", "pooling": "mean", "min_probability": 0, "candidates": 10}
    assert votes.spec == {
        **{"species": "many", "pooling": "votes", "min_probability": 0},
        **{"min_votes": 2, "least_species": 1},
    }


def test_a_tile_votes_for_as_many_as_count_where_species_are_voted_for():
    assert DecisionRule("many", tile_top_k=3).voting_ranks == 3
    assert DecisionRule("many", pooling="max", tile_top_k=3).voting_ranks == 1


def test_a_rule_keeps_its_own_tilings():
    assert DecisionRule("one").at("whole").tilings == "whole"
    assert DecisionRule("one", tilings="grid-2x2").at("whole").tilings == "grid-2x2"


@pytest.mark.parametrize(
    ("species", "given", "message"),
    [
        ("some", {}, "'one' species or 'many', not 'some'"),
        ("one", {"min_votes": 2}, "min_votes is of no use to a rule for one species"),
        ("one", {"grouping": "max"}, "grouping is of no use to a rule for one species"),
        ("many", {"candidates": 7}, "candidates is of no use to a rule for many species"),
        ("many", {"cost": "snakeclef"}, "cost is of no use to a rule for many species"),
        ("many", {"pooling": "mode"}, "pooling of a decision rule cannot be 'mode'; it is of votes, max, mean"),
        ("one", {"pooling": "votes"}, "pooling of a decision rule cannot be 'votes'; it is of mean, max, mode"),
        ("many", {"min_probability": 50}, "lies in 0 to 1, never percent; 50 does not"),
        ("one", {"min_probability": -0.1}, "lies in 0 to 1, never percent"),
        ("many", {"min_probability": 1.01}, "lies in 0 to 1, never percent"),
        ("many", {"min_votes": 0}, "at least one vote to be found, not 0"),
        ("many", {"pooling": "max", "min_votes": -1}, "at least one vote to be found, not -1"),
        ("many", {"tile_top_k": 0}, "tile_top_k of a decision rule cannot be 0; it is 1 or more"),
        ("many", {"threshold": float("nan")}, "threshold of a decision rule cannot be nan"),
        ("many", {"threshold": float("inf")}, "threshold of a decision rule cannot be inf"),
        ("many", {"mean_species": 0}, "mean_species of a decision rule cannot be 0; it is positive"),
        ("many", {"least_species": -1}, "least_species of a decision rule cannot be -1; it is 0 or more"),
        ("many", {"most_species": 0}, "most_species of a decision rule cannot be 0; it is 1 or more"),
        ("many", {"least_species": 5, "most_species": 4}, "least_species .* cannot be 5; it is at most 4"),
        ("many", {"grouping": "frequency", "pooling": "max"}, "found on every date: say min_votes = 1 or more"),
        ("many", {"grouping": "frequency", "pooling": "max", "min_votes": 0, "min_probability": 0.5}, "min_votes = 1"),
        ("many", {"grouping": "sum"}, "grouping of a decision rule cannot be 'sum'; it is of max, mean, frequency"),
        ("one", {"candidates": 0}, "candidates of a decision rule cannot be 0; it is 1 or more"),
        ("one", {"cost": "bees"}, "cost of a decision rule cannot be 'bees'; it is of snakeclef"),
        ("one", {"venomous_share": 20}, "venomous_share of a decision rule cannot be 20; it is a share, 0 to 1"),
        ("many", {"threshold": 0.5, "mean_species": 3.0}, "both say which scores are kept: ask for one of them"),
        ("many", {"pooling": "confidence", "priors": (PriorUse("p"),)}, "a z-score cannot be weighed"),
    ],
)
def test_a_rule_that_makes_no_sense_is_refused(species, given, message):
    with pytest.raises(LakeError, match=message):
        DecisionRule(species, **given)


@pytest.mark.parametrize("strength", [0, -1, 101, float("nan"), "much"])
def test_a_prior_is_neither_turned_round_nor_without_effect(strength):
    with pytest.raises(LakeError, match=r"the prior 'p' is asked for with a strength of .*: say 0 < s <= 100"):
        PriorUse("p", strength)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"species": "many", "treshold": 0.5}, "has no 'treshold'; did you mean 'threshold'?"),
        ({"species": "many", "zzz": 1}, "has no 'zzz'; there are species, tilings, pooling"),
        ({"threshold": 0.5}, "says first whether an observation holds species = 'one' or 'many'"),
        ({"species": "many", "threshold": "0.5"}, "threshold of a decision rule cannot be '0.5'"),
        ({"species": "many", "min_votes": 2.5}, "min_votes of a decision rule cannot be 2.5"),
        ({"species": "many", "least_species": True}, "least_species of a decision rule cannot be True"),
        ({"species": "many", "priors": "p"}, "priors of a decision rule are a list such as"),
        ({"species": "many", "priors": [{"strength": 1.0}]}, "priors of a decision rule are a list such as"),
        ({"species": "many", "priors": [{"prior": "p", "weight": 1.0}]}, "priors of a decision rule are a list"),
        ({"species": "many", "priors": [{"prior": "p", "strength": 0}]}, "a strength of 0"),
    ],
)
def test_what_cannot_be_read_as_a_rule_is_refused(given, message):
    with pytest.raises(LakeError, match=message.replace("?", r"\?")):
        DecisionRule.read(given)


def test_a_rule_file_that_cannot_be_read_is_named(tmp_path):
    file = tmp_path / "rule.toml"
    with pytest.raises(LakeError, match=r"the rule file .*rule.toml cannot be read"):
        DecisionRule.load(file)
    for content in (b"species = ", b"\xff\xfe"):
        file.write_bytes(content)
        with pytest.raises(LakeError, match=r"the rule file .*rule.toml cannot be read"):
            DecisionRule.load(file)
    file.write_text("species = 'many'\nmin_vote = 3\n")
    with pytest.raises(LakeError, match=r"rule.toml: a decision rule has no 'min_vote'; did you mean 'min_votes'"):
        DecisionRule.load(file)


def test_a_prior_in_a_file_counts_once_where_it_does_not_say_how_strongly(tmp_path):
    file = tmp_path / "rule.toml"
    file.write_text("species = 'one'\n[[priors]]\nprior = 'country-1'\n")
    assert DecisionRule.load(file).priors == (PriorUse("country-1", 1.0),)
