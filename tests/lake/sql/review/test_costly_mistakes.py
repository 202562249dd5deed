import pyarrow as pa
from lake_rows import frame
from review_rows import answers, found, probabilities

from lake.rules import COSTS

SNAKECLEF = pa.Table.from_pylist(
    [
        {"is_truth_venomous": truth == "venomous", "is_answer_venomous": answered == "venomous", "cost": cost}
        for truth, costs in COSTS["snakeclef"].items()
        for answered, cost in costs.items()
    ]
)


def costs(*species, venomous=("s2",), answered="s1"):
    """Return the expected cost of one answer by the probabilities (species_id, probability) of species."""
    frames = {
        "answers": answers(("o1", answered), ("o1", "s3", False)),
        "probabilities": probabilities(*(("o1", *one) for one in species)),
        "venomous_species": frame("species_id", *((one,) for one in venomous)),
        "costs": SNAKECLEF,
    }
    return found("costly_mistakes", frames, "reason weight detail", least_cost=0.5, least_share=0.05)


def test_a_harmless_answer_beside_a_venomous_species_is_costly():
    # 0.25 x 5: a venomous one that is taken for a harmless one
    said = "to be wrong is expected to cost 1.25: Bellis, 0.25, is venomous"
    assert costs(("s1", 0.75), ("s2", 0.25)) == [("costly_mistake", 1.0, said)]


def test_a_venomous_answer_beside_a_harmless_species_costs_by_what_it_frightens():
    # 0.5 x 2
    said = "to be wrong is expected to cost 1.00: Bellis, 0.50, is venomous"
    assert costs(("s2", 0.5), ("s1", 0.5), answered="s2") == [("costly_mistake", 1.0, said)]


def test_probabilities_that_were_cut_off_count_by_their_share():
    said = "to be wrong is expected to cost 0.62: Bellis, 0.12, is venomous"
    assert costs(("s1", 0.4375), ("s2", 0.0625)) == [("costly_mistake", 0.625, said)]


def test_mistakes_among_harmless_species_ask_for_no_look():
    assert costs(("s1", 0.25), ("s3", 0.75)) == []


def test_a_venomous_species_that_is_hardly_possible_asks_for_no_look():
    assert costs(("s1", 0.25), ("s3", 0.71), ("s2", 0.04)) == []


def test_a_small_cost_asks_for_no_look():
    assert costs(("s1", 0.9375), ("s2", 0.0625)) == []
