from lake_rows import day, filled, frame, rows

from lake.query import answer

MADE = [
    ("test1", "r1", "m/1", "whole", "d", "all"),
    ("val1", "r1", "m/1", "whole", "p", "val"),
    ("test2", "r2", "m/1", "whole", "d", "all"),
    ("val2", "r2", "m/1", "whole", "p", "val"),
]


def evaluation(decision, value, metric="f1", slice="all", dataset="p", split="val", at=1, evaluation_id=""):
    return decision, metric, slice, value, dataset, split, day(at), evaluation_id or decision


def pairs(evaluations, scores, made=MADE):
    columns = "decision_id metric slice value dataset split evaluated_at evaluation_id"
    frames = {
        "decisions": filled("decisions", "decision_id rule_id model_version scheme_id dataset split", *made),
        "evaluations": filled("evaluations", columns, *evaluations),
        "current_scores": frame("decision_id metric value", *scores),
    }
    return rows(answer(None, "submissions/score_pairs", frames=frames))


def test_a_proxy_of_another_data_set_belongs_to_the_decision_of_the_same_rule_and_model():
    found = pairs(
        [evaluation("val1", 0.5), evaluation("val2", 0.6)], [("test1", "public", 0.2), ("test2", "public", 0.3)]
    )
    assert found == [
        ("p", "val", "f1", "public", "test2", 0.6, 0.3),
        ("p", "val", "f1", "public", "test1", 0.5, 0.2),
    ]


def test_another_model_with_the_same_rule_is_no_proxy():
    made = [*MADE, ("other", "r1", "m/2", "whole", "p", "val")]
    assert pairs([evaluation("other", 0.5)], [("test1", "public", 0.2)], made) == []


def test_a_decision_may_be_its_own_proxy():
    found = pairs([evaluation("test1", 0.5, dataset="d", split="all")], [("test1", "public", 0.2)])
    assert found == [("d", "all", "f1", "public", "test1", 0.5, 0.2)]


def test_slices_are_no_proxies():
    assert pairs([evaluation("val1", 0.5, slice="site:a")], [("test1", "public", 0.2)]) == []


def test_the_latest_evaluation_holds():
    found = pairs(
        [evaluation("val1", 0.5, at=2), evaluation("val1", 0.4, at=1, evaluation_id="z")], [("test1", "public", 0.2)]
    )
    assert [row[5] for row in found] == [0.5]


def test_of_several_tilings_the_one_of_the_decision_holds():
    made = [*MADE, ("grid1", "r1", "m/1", "grid-2x2", "p", "val")]
    found = pairs([evaluation("val1", 0.5, at=1), evaluation("grid1", 0.9, at=2)], [("test1", "public", 0.2)], made)
    assert [row[5] for row in found] == [0.5]


def test_each_split_is_a_proxy_of_its_own():
    made = [*MADE, ("own1", "r1", "m/1", "whole", "p", "test")]
    found = pairs([evaluation("val1", 0.5), evaluation("own1", 0.4, split="test")], [("test1", "public", 0.2)], made)
    assert [(row[1], row[5]) for row in found] == [("test", 0.4), ("val", 0.5)]
