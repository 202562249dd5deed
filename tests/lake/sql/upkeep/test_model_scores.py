from lake_rows import day, filled, rows

from lake.query import answer

COLUMNS = "evaluation_id metric slice value model_version dataset split evaluated_at"


def scores(*evaluations):
    frames = {"evaluations": filled("evaluations", COLUMNS, *evaluations)}
    found = answer(None, "upkeep/model_scores", frames=frames)
    return rows(found, "model_version dataset split metric value")


def test_the_latest_score_holds():
    first = ("e1", "macro_f1", "all", 0.5, "m/1:a", "d", "test", day(1))
    second = ("e2", "macro_f1", "all", 0.6, "m/1:a", "d", "test", day(2))
    assert scores(first, second) == [("m/1:a", "d", "test", "macro_f1", 0.6)]


def test_of_two_at_once_that_of_the_lower_id_holds():
    both = [
        (name, "macro_f1", "all", value, "m/1:a", "d", "test", day(1)) for name, value in (("e2", 0.2), ("e1", 0.1))
    ]
    assert scores(*both) == [("m/1:a", "d", "test", "macro_f1", 0.1)]


def test_parts_of_the_observations_and_other_metrics_are_left_out():
    assert scores(("e1", "macro_f1", "organ:leaf", 0.5, "m/1:a", "d", "test", day(1))) == []
    assert scores(("e1", "observation_count", "all", 0.5, "m/1:a", "d", "test", day(1))) == []


def test_models_data_sets_and_sides_are_kept_apart():
    found = scores(
        ("e1", "accuracy", "all", 0.1, "m/1:a", "d", "test", day(1)),
        ("e2", "accuracy", "all", 0.2, "m/2:b", "d", "test", day(1)),
        ("e3", "accuracy", "all", 0.3, "m/1:a", "d", "val", day(1)),
        ("e4", "accuracy", "all", 0.4, "m/1:a", "c", "test", day(1)),
    )
    assert [row[-1] for row in found] == [0.4, 0.1, 0.2, 0.3]
