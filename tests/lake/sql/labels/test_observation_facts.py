from datetime import date

from lake_rows import frame, rows

from lake.query import answer

COLUMNS = "dataset observation_id country_code observed_on transect base_quadrat organ"


def facts(columns, *records):
    frames = {"image_records": frame(COLUMNS, *records)}
    return rows(answer(None, "labels/observation_facts", frames=frames, dataset="d"), f"observation_id {columns}")


def test_every_observation_of_the_data_set_has_one_row_with_what_its_photographs_say():
    found = facts(
        "country_code month site transect base_quadrat organ",
        ("d", "o1", None, date(2020, 7, 3), "t1", "b1", "leaf"),
        ("d", "o1", "FR", None, None, None, "leaf"),
        ("d", "o2", None, None, None, None, None),
        ("other", "o3", "ES", None, None, None, None),
    )
    assert found == [("o1", "FR", 7, "t1", "t1", "b1", "leaf"), ("o2", None, None, None, None, None, None)]


def test_a_site_is_the_transect_or_else_the_base_quadrat():
    assert facts("site", ("d", "o1", None, None, "t1", "b1", None), ("d", "o2", None, None, None, "b2", None)) == [
        ("o1", "t1"),
        ("o2", "b2"),
    ]


def test_an_observation_is_of_the_month_of_its_first_photograph():
    days = (date(2020, 8, 1), date(2020, 7, 31))
    assert facts("month", *[("d", "o1", None, day, None, None, None) for day in days]) == [("o1", 7)]


def test_an_observation_of_several_organs_shows_no_single_one():
    organs = ("leaf", "flower", None)
    assert facts("organ", *[("d", "o1", None, None, None, None, organ) for organ in organs]) == [("o1", None)]
