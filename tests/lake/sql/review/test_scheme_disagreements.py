from review_rows import answers, floats, found


def disagreements(*said, answered=("s1",)):
    """Return where schemes (scheme_id, species_id) of one observation disagree."""
    rows = [("o1", *one, 0.5) for one in said]
    frames = {
        "scheme_answers": floats("observation_id scheme_id species_id probability", *rows),
        "answers": answers(*(("o1", species) for species in answered), ("o1", "s3", False)),
    }
    return found("scheme_disagreements", frames, "observation_id reason weight detail")


def test_schemes_that_say_different_species_disagree_and_their_words_are_shown():
    said = "grid-2x2 says Bellis, whole says Poa"
    assert disagreements(("whole", "s1"), ("grid-2x2", "s2")) == [("o1", "schemes_disagree", 0.5, said)]


def test_schemes_that_say_the_same_agree_also_where_a_rule_has_answered_otherwise():
    assert disagreements(("whole", "s1"), ("grid-2x2", "s1")) == []
    assert disagreements(("whole", "s2"), ("grid-2x2", "s2")) == []


def test_one_scheme_alone_disagrees_with_none():
    assert disagreements(("whole", "s2")) == []


def test_schemes_whose_species_are_all_answered_do_not_disagree():
    assert disagreements(("whole", "s1"), ("grid-2x2", "s2"), answered=("s1", "s2")) == []


def test_a_runner_up_is_no_answer():
    (only,) = disagreements(("whole", "s1"), ("grid-2x2", "s3"))
    assert only[2:] == (0.5, "grid-2x2 says Viola, whole says Poa")


def test_a_species_without_a_name_goes_by_its_id():
    (only,) = disagreements(("whole", "s1"), ("grid-2x2", "s9"))
    assert only[3] == "grid-2x2 says s9, whole says Poa"
