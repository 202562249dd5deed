from lake_rows import frame, rows

from lake.query import answer


def countries(*records):
    frames = {"image_records": frame("dataset observation_id country_code", *records)}
    return rows(answer(None, "labels/observation_countries", frames=frames, dataset="d"), "observation_id country_code")


def test_every_observation_of_the_data_set_has_one_row():
    assert countries(("d", "o1", "FR"), ("d", "o1", "FR"), ("d", "o2", None), ("other", "o3", "ES")) == [
        ("o1", "FR"),
        ("o2", None),
    ]


def test_a_country_that_one_photograph_names_is_that_of_the_observation():
    assert countries(("d", "o1", None), ("d", "o1", "MX")) == [("o1", "MX")]
