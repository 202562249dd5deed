from lake_rows import frame

from lake.query import answer

BEFORE = [("o1", "s1", 0.5, 1), ("o1", "s2", 0.25, 0), ("o2", "s1", 0.5, 1), ("o3", "s2", 0.5, 1)]
PLACES = [("p", "d", "o1", "NO"), ("p", "d", "o2", "NO")]
WEIGHTS = [("p", "NO", "s1", 0.2), ("q", "NO", "s2", 0.8)]


def effect(*after, before=BEFORE, places=PLACES):
    """Compare with (observation_id, species_id, score, votes, is_fallback)."""
    names = "observation_id species_id score votes"
    fallen = [after_row[4] for after_row in after]
    after_frame = frame(names, *(row[:4] for row in after))
    frames = {
        "scores_before": frame(names, *before),
        "scores_after": after_frame.append_column("is_fallback", [fallen]),
        "prior_places": frame("prior_id dataset observation_id place", *places),
        "priors": frame("prior_id place species_id weight", *WEIGHTS),
    }
    (row,) = answer(None, "priors/effect", frames=frames, prior_id="p", dataset="d").to_pylist()
    return row


def same(*fallen):
    return [(*row, row[0] in fallen) for row in BEFORE]


def test_what_changed_nothing_is_counted_as_nothing():
    assert effect(*same()) == {
        "observation_count": 3,
        "changed_best_count": 0,
        "removed_count": 0,
        "changed_score_count": 0,
        "weighted_count": 2,
        "fallback_count": 0,
        "unplaced_count": 1,
    }


def test_a_score_that_changes_can_change_the_best_species():
    after = [("o1", "s1", 0.125, 1, False), *same()[1:]]
    found = effect(*after)
    assert (found["changed_score_count"], found["changed_best_count"]) == (1, 1)
    found = effect(("o1", "s1", 0.375, 1, False), *same()[1:])
    assert (found["changed_score_count"], found["changed_best_count"]) == (1, 0)


def test_a_tie_is_decided_by_votes_and_then_by_the_smaller_id():
    tied = [("o1", "s2", 0.5, 1), ("o1", "s1", 0.5, 1)]
    assert effect(("o1", "s1", 0.5, 1, False), before=tied)["changed_best_count"] == 0
    assert effect(("o1", "s1", 0.5, 1, False), before=[("o1", "s2", 0.5, 2), tied[1]])["changed_best_count"] == 1


def test_what_was_removed_is_counted_and_is_no_changed_score():
    found = effect(*same()[1:])
    assert (found["removed_count"], found["changed_score_count"], found["changed_best_count"]) == (1, 0, 1)


def test_observations_that_fell_back_and_that_are_in_no_place_are_counted():
    assert effect(*same("o1", "o2"))["fallback_count"] == 2
    assert effect(*same(), places=[])["unplaced_count"] == 3
    assert effect(*same(), places=[("p", "other", "o1", "NO"), ("q", "d", "o2", "NO")])["unplaced_count"] == 3


def test_an_answer_is_weighted_where_the_place_knows_its_species():
    assert effect(*same(), places=[])["weighted_count"] == 0
    assert effect(*same(), places=[("p", "d", "o1", "DK")])["weighted_count"] == 0
