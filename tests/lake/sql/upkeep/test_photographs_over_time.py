from datetime import date

from lake_rows import day, filled, rows

from lake.query import answer


def over_time(*records, unit="day"):
    frames = {"image_records": filled("image_records", "dataset image_name ingested_at", *records)}
    return rows(answer(None, "upkeep/photographs_over_time", frames=frames, unit=unit))


def test_photographs_of_earlier_periods_are_counted_on():
    found = over_time(("d", "a", day(1)), ("d", "b", day(1)), ("d", "c", day(5)))
    assert found == [("d", date(2026, 1, 1), 2), ("d", date(2026, 1, 5), 3)]


def test_data_sets_are_counted_apart():
    found = over_time(("d", "a", day(1)), ("e", "a", day(2)))
    assert found == [("d", date(2026, 1, 1), 1), ("e", date(2026, 1, 2), 1)]


def test_a_period_is_named_by_its_first_day():
    assert over_time(("d", "a", day(20)), unit="month") == [("d", date(2026, 1, 1), 1)]
