from lake_rows import frame, rows

from lake.query import answer


def warned(*answers, venomous_share=1.0, venomous=("v1", "v2")):
    """Warn in answers of (observation_id, species_id, score, rank)."""
    said = [(one, species, score, 1, rank, rank == 1) for one, species, score, rank in answers]
    frames = {
        "answers": frame("observation_id species_id score votes rank is_answer", *said),
        "venomous_species": frame("species_id", *((one,) for one in venomous)),
    }
    found = answer(None, "decide/warned_answers", frames=frames, venomous_share=venomous_share)
    return rows(found, "observation_id species_id rank is_answer")


def test_the_best_venomous_candidate_goes_first_and_the_others_keep_their_order():
    found = warned(("o1", "h1", 0.5, 1), ("o1", "h2", 0.3, 2), ("o1", "v2", 0.2, 3), ("o1", "v1", 0.1, 4))
    assert found == [("o1", "v2", 1, True), ("o1", "h1", 2, False), ("o1", "h2", 3, False), ("o1", "v1", 4, False)]


def test_where_no_candidate_is_venomous_nothing_changes():
    assert warned(("o1", "h1", 0.5, 1), ("o1", "h2", 0.3, 2)) == [("o1", "h1", 1, True), ("o1", "h2", 2, False)]


def test_only_the_least_sure_observations_are_warned_of():
    answers = [
        (one, species, score, rank)
        for one, best in (("o1", 0.9), ("o2", 0.2), ("o3", 0.4), ("o4", 0.4))
        for species, score, rank in (("h1", best, 1), ("v1", 0.1, 2))
    ]
    for share, names in ((0.0, []), (0.25, ["o2"]), (0.5, ["o2", "o3"]), (1.0, ["o1", "o2", "o3", "o4"])):
        found = warned(*answers, venomous_share=share)
        assert [one for one, species, rank, _ in found if (species, rank) == ("v1", 1)] == names


def test_who_answers_a_venomous_species_already_keeps_it():
    assert warned(("o1", "v2", 0.5, 1), ("o1", "v1", 0.3, 2)) == [("o1", "v2", 1, True), ("o1", "v1", 2, False)]
