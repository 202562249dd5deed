import pyarrow as pa
import pytest
from lake_rows import rows

from lake.query import answer


def metrics(species_count, *species):
    """Average (support, f1) of species that are true or answered."""
    support, f1 = zip(*species, strict=True)
    ids = [f"s{number}" for number in range(len(species))]
    frames = {"species_f1": pa.table({"species_id": ids, "support": support, "f1": pa.array(f1, pa.float64())})}
    return dict(rows(answer(None, "evaluate/class_set_metrics", frames=frames, species_count=species_count)))


def test_a_species_that_is_only_answered_counts_among_those_known_and_not_among_those_there():
    found = metrics(2, (3, 0.5), (0, 0.0))
    assert found == {"macro_f1_per_true_species": 0.5, "macro_f1_per_known_species": 0.25}


def test_a_species_that_is_known_and_neither_there_nor_answered_counts_0():
    assert metrics(10, (3, 0.5), (1, 1.0))["macro_f1_per_known_species"] == pytest.approx(0.15)


def test_a_true_species_that_the_model_does_not_know_counts_too():
    assert metrics(1, (3, 1.0), (1, 0.0))["macro_f1_per_known_species"] == 0.5
