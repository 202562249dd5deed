from lake_rows import frame
from review_rows import answers, found


def disagreements(*others, answered=("s1",)):
    """Return where models (model_version, species_id) disagree with what was answered in one observation."""
    frames = {
        "model_answers": frame(
            "model_version observation_id species_id", *((model, "o1", species) for model, species in others)
        ),
        "answers": answers(*(("o1", species) for species in answered), ("o1", "s3", False)),
    }
    return found("model_disagreements", frames, "observation_id reason weight detail")


def test_a_model_that_says_another_species_disagrees_and_its_word_is_shown():
    assert disagreements(("m/1:abc", "s2")) == [("o1", "models_disagree", 1.0, "m/1 says Bellis")]


def test_a_model_that_says_the_same_agrees():
    assert disagreements(("m/1:abc", "s1")) == []


def test_of_several_models_those_that_disagree_are_named_and_all_are_counted():
    assert disagreements(("m/1:a", "s1"), ("m/2:b", "s3")) == [("o1", "models_disagree", 0.5, "m/2 says Viola")]


def test_quadrats_disagree_where_less_than_half_of_their_species_are_shared():
    assert disagreements(("m/1:a", "s1"), ("m/1:a", "s2"), answered=("s1", "s3")) == [
        ("o1", "models_disagree", 0.666667, "m/1 says Poa + Bellis")
    ]
    assert disagreements(("m/1:a", "s1"), answered=("s1", "s3")) == []


def test_where_nothing_was_answered_no_model_disagrees():
    assert disagreements(("m/1:a", "s1"), answered=()) == []
