from review_rows import answers, found, probabilities


def doubts(*species, answered=("s1",), is_one=True):
    """Return the doubt of one observation by the probabilities (species_id, probability) of its species."""
    frames = {
        "answers": answers(*(("o1", one) for one in answered), ("o1", "s3", False)),
        "probabilities": probabilities(*(("o1", *one) for one in species)),
    }
    asked = {"is_one": is_one, "least_probability": 0.5, "least_margin": 0.1}
    return found("low_confidence", frames, "observation_id reason weight detail", **asked)


def test_an_improbable_answer_is_doubted_beside_the_next_species():
    assert doubts(("s1", 0.4375), ("s2", 0.1875)) == [("o1", "low_confidence", 0.75, "Poa 0.44, Bellis 0.19")]


def test_a_probable_answer_that_another_species_comes_near_is_doubted():
    assert doubts(("s1", 0.5), ("s2", 0.4375)) == [("o1", "low_confidence", 0.9375, "Poa 0.50, Bellis 0.44")]


def test_a_sure_answer_is_not_doubted():
    assert doubts(("s1", 0.5), ("s2", 0.25)) == []


def test_an_answer_alone_is_doubted_by_its_own_probability():
    assert doubts(("s1", 0.25)) == [("o1", "low_confidence", 0.75, "Poa 0.25")]


def test_a_rule_that_answers_what_is_less_probable_is_doubted_fully():
    assert doubts(("s1", 0.25), ("s2", 0.75)) == [("o1", "low_confidence", 1.0, "Poa 0.25, Bellis 0.75")]


def test_of_a_quadrat_the_least_sure_answer_counts_and_other_species_take_nothing_from_it():
    found = doubts(("s1", 0.875), ("s2", 0.25), ("s3", 0.75), answered=("s1", "s2"), is_one=False)
    assert found == [("o1", "low_confidence", 0.75, "Bellis 0.25")]
    assert doubts(("s1", 0.5), ("s2", 0.5), is_one=False) == []
