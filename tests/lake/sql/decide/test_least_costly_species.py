import pyarrow as pa
from lake_rows import frame, rows

from lake.query import answer

COSTS = pa.table(
    {
        "is_truth_venomous": [False, False, True, True],
        "is_answer_venomous": [False, True, False, True],
        "cost": [1.0, 2.0, 5.0, 2.0],
    }
)


def answers(*scores, venomous=("v1", "v2"), candidates=5):
    """Answer (observation_id, species_id, score, votes); species that begin with a v are venomous."""
    frames = {
        "scores": frame("observation_id species_id score votes", *scores),
        "venomous_species": frame("species_id", *((one,) for one in venomous)),
        "costs": COSTS,
    }
    return answer(None, "decide/least_costly_species", frames=frames, candidates=candidates)


def test_the_answer_is_that_whose_mistakes_are_expected_to_cost_least():
    # h1: 0.3 x 5 = 1.5; v1: 0.6 x 2 = 1.2, though it is the less probable one
    found = answers(("o1", "h1", 0.6, 1), ("o1", "v1", 0.3, 0))
    assert rows(found, "species_id score votes rank is_answer") == [("v1", 0.3, 0, 1, True), ("h1", 0.6, 1, 2, False)]


def test_a_venomous_species_that_is_improbable_enough_is_not_answered():
    # h1: 0.125 x 5 = 0.625; v1: 0.75 x 2 = 1.5
    assert rows(answers(("o1", "h1", 0.75, 1), ("o1", "v1", 0.125, 0)), "species_id")[0] == ("h1",)


def test_among_harmless_species_the_most_probable_one_is_answered():
    found = answers(("o1", "h1", 0.25, 1), ("o1", "h2", 0.5, 0), ("o1", "h3", 0.125, 1))
    assert rows(found, "species_id") == [("h2",), ("h1",), ("h3",)]


def test_confusing_two_venomous_species_costs_less_than_not_warning():
    # v1: 0.3 x 2 + 0.4 x 2 = 1.4; v2: 0.3 x 2 + 0.4 x 2 = 1.4, h1: 0.6 x 5 = 3
    found = answers(("o1", "h1", 0.4, 1), ("o1", "v2", 0.3, 0), ("o1", "v1", 0.3, 0))
    assert rows(found, "species_id") == [("v1",), ("v2",), ("h1",)]


def test_only_the_best_candidates_are_kept_of_each_observation():
    scores = [(one, f"h{number}", 0.1 * number, 1) for one in ("o1", "o2") for number in (1, 2, 3)]
    found = answers(*scores, candidates=2)
    assert rows(found, "observation_id species_id") == [("o1", "h3"), ("o1", "h2"), ("o2", "h3"), ("o2", "h2")]


def test_a_tie_goes_to_the_better_score_then_to_more_votes_then_to_the_lower_id():
    found = answers(("o1", "h2", 0.25, 0), ("o1", "h1", 0.25, 0), ("o1", "h3", 0.25, 1))
    assert rows(found, "species_id") == [("h3",), ("h1",), ("h2",)]
