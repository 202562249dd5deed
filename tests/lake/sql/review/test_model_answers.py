from lake_rows import day, filled, frame
from review_rows import found

ONE, MANY = '{"species":"one"}', '{"species":"many"}'


def said(*decisions, changed=()):
    """Return what m/1 has answered: decisions are (id, model, day, rule, species_ids of o1[, data set])."""
    whole = [(*one, "d")[:6] for one in decisions]
    rows = [(name, model, day(number), rule, dataset) for name, model, number, rule, _, dataset in whole]
    given = [(name, "o1", species, True) for name, *_, all_of, _ in whole for species in all_of]
    others = [(name, "o1", "s9", False) for name, *_ in whole] + [(name, "o2", "s8", True) for name, *_ in whole]
    frames = {
        "decisions": filled("decisions", "decision_id model_version decided_at rule dataset", *rows),
        "observation_predictions": filled(
            "observation_predictions", "decision_id observation_id species_id is_answer", *given, *others
        ),
        "rivals": frame("model_version", ("m/1:a",)),
        "scope": frame("observation_id", ("o1",)),
        "accepted_species": frame("species_id accepted_id", *changed),
    }
    return found("model_answers", frames, dataset="d", kind="one")


def test_the_newest_decision_of_a_model_counts():
    found = said(("a", "m/1:a", 2, ONE, ["s2"]), ("b", "m/1:a", 1, ONE, ["s1"]))
    assert found == [("m/1:a", "o1", "s2")]


def test_the_older_decision_counts_where_the_newer_has_no_answer():
    assert said(("a", "m/1:a", 2, ONE, []), ("b", "m/1:a", 1, ONE, ["s1"])) == [("m/1:a", "o1", "s1")]


def test_only_rivals_decisions_of_the_data_set_and_of_the_kind_count():
    others = [("b", "m/2:b", 2, ONE, ["s2"]), ("c", "m/1:a", 2, MANY, ["s2"]), ("e", "m/1:a", 2, ONE, ["s2"], "e")]
    assert said(*others) == []


def test_species_go_by_the_taxonomy_of_today_once():
    found = said(("a", "m/1:a", 1, ONE, ["old", "s1"]), changed=[("old", "s1")])
    assert found == [("m/1:a", "o1", "s1")]


def test_of_two_decisions_of_one_moment_one_counts():
    assert said(("b", "m/1:a", 1, ONE, ["s2"]), ("a", "m/1:a", 1, ONE, ["s1"])) == [("m/1:a", "o1", "s1")]
