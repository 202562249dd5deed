from lake_rows import filled, rows

from lake.query import answer


def test_recalls_are_those_of_the_species_of_one_evaluation():
    made = [
        ("e1", "recall", "species:a:b", 0.5, 4),
        ("e1", "recall", "all", 0.9, 9),
        ("e1", "f1", "species:a:b", 0.6, 4),
        ("e2", "recall", "species:c", 0.1, 3),
    ]
    frames = {"evaluations": filled("evaluations", "evaluation_id metric slice value observation_count", *made)}
    found = answer(None, "retrain/species_recalls", frames=frames, evaluation_id="e1")
    assert rows(found, "species_id recall support") == [("a:b", 0.5, 4)]
