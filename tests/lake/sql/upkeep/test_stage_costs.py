from datetime import UTC, date, datetime

from lake_rows import filled, rows

from lake.query import answer


def costs(*runs, unit="week"):
    names = "flow_run_id stage finished_at seconds images_per_second rows reused"
    frames = {"stage_runs": filled("stage_runs", names, *runs)}
    return rows(answer(None, "upkeep/stage_costs", frames=frames, unit=unit))


MONDAY, TUESDAY, NEXT = (datetime(2026, 3, day, 12, tzinfo=UTC) for day in (2, 3, 9))


def test_the_runs_of_a_stage_in_a_period_add_up():
    found = costs(("a", "train", MONDAY, 10.0, None, 3, 1), ("b", "train", TUESDAY, 5.0, None, 4, 0))
    assert found == [("train", date(2026, 3, 2), 2, 7, 1, 15.0, None)]


def test_a_fast_short_run_hardly_counts_for_the_speed():
    found = costs(("a", "embed", MONDAY, 99.0, 10.0, 0, 0), ("b", "embed", MONDAY, 1.0, 1000.0, 0, 0))
    assert found[0][-1] == (99 * 10 + 1 * 1000) / 100


def test_time_in_which_no_photograph_was_read_does_not_slow_it():
    found = costs(("a", "embed", MONDAY, 10.0, 10.0, 0, 0), ("b", "embed", MONDAY, 90.0, None, 0, 0))
    assert found[0][-1] == 10.0


def test_periods_and_stages_stand_by_themselves():
    runs = [("a", "train", MONDAY, 1.0, None, 0, 0), ("b", "train", NEXT, 2.0, None, 0, 0)]
    runs += [("a", "embed", MONDAY, 3.0, None, 0, 0)]
    found = [(stage, period.day, seconds) for stage, period, _, _, _, seconds, _ in costs(*runs)]
    assert found == [("embed", 2, 3.0), ("train", 2, 1.0), ("train", 9, 2.0)]
    assert len(costs(*runs, unit="month")) == 2
