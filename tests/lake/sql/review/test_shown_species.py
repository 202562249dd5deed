from lake_rows import frame
from review_rows import answers, found, probabilities


def shown(*species, answered=(("s2", 1),), runners_up=1):
    """Return what is shown of one observation by its probabilities (species_id, probability)."""
    frames = {
        "queue": frame("observation_id reason", ("o1", "x"), ("o1", "y")),
        "answers": answers(*(("o1", one, True, rank) for one, rank in answered), ("o1", "s3", False, 2), ("o2", "s1")),
        "probabilities": probabilities(*(("o1", *one) for one in species), ("o2", "s1", 1.0)),
    }
    return found("shown_species", frames, runners_up=runners_up)


def test_the_answer_comes_first_and_then_the_most_probable_others():
    assert shown(("s1", 0.5), ("s2", 0.25), ("s3", 0.125)) == [
        ("o1", "s2", "Bellis", 0.25, True),
        ("o1", "s1", "Poa", 0.5, False),
    ]


def test_several_answers_stand_in_their_order_and_take_no_place_of_the_others():
    found = shown(("s1", 0.5), ("s2", 0.25), ("s9", 0.75), answered=(("s9", 2), ("s2", 1)), runners_up=2)
    assert [row[1:] for row in found] == [
        ("s2", "Bellis", 0.25, True),
        ("s9", "s9", 0.75, True),
        ("s1", "Poa", 0.5, False),
    ]


def test_of_equal_others_the_lower_id_is_shown():
    assert [row[1] for row in shown(("s3", 0.5), ("s1", 0.5))] == ["s2", "s1"]
