from datetime import UTC, datetime, timedelta

from lake_rows import filled, frame, rows

from lake.query import answer

READ = "location byte_count modified_ns attempt image_id kind"
HERE = ("/p/a.jpg", 5, 7)
NOON = datetime(2026, 5, 1, 12, tzinfo=UTC)


def to_read(
    *matched, reads=(), retried=("not_reachable",), read_all=False, longest=0, now=NOON, columns="location attempt"
):
    frames = {
        "matched_rows": frame("location byte_count modified_ns position kind", *matched),
        "file_reads": filled("file_reads", READ + " read_at" * any(len(read) == 7 for read in reads), *reads),
    }
    pauses = {"first_pause_seconds": 300, "longest_pause_seconds": longest, "now": now}
    asked = {"read_all": read_all, "retried_kinds": list(retried), **pauses}
    return rows(answer(None, "intake/files_to_read", frames=frames, **asked), columns)


def tried_again_after(attempt, minutes, longest=86_400, kind="not_reachable"):
    """Whether a file is read again so long after its last attempt."""
    reads = [(*HERE, attempt, None, kind, NOON)]
    return bool(to_read((*HERE, None, None), reads=reads, longest=longest, now=NOON + timedelta(minutes=minutes)))


def test_a_new_file_is_read():
    assert to_read((*HERE, None, None)) == [("/p/a.jpg", 1)]


def test_a_row_that_is_set_aside_needs_no_reading():
    assert to_read((*HERE, None, "duplicate_name")) == []


def test_a_file_that_was_read_is_not_read_again():
    assert to_read((*HERE, None, None), reads=[(*HERE, 1, "i1", None)]) == []


def test_a_file_of_another_place_size_or_time_is_read():
    read = [(*HERE, 1, "i1", None)]
    for other in (("/p/b.jpg", 5, 7), ("/p/a.jpg", 6, 7), ("/p/a.jpg", 5, 8)):
        assert to_read((*other, None, None), reads=read, columns="location byte_count modified_ns attempt") == [
            (*other, 1)
        ]


def test_two_rows_of_one_file_read_it_once():
    assert to_read((*HERE, None, None), (*HERE, None, None)) == [("/p/a.jpg", 1)]


def test_a_file_that_was_refused_is_not_read_again():
    assert to_read((*HERE, None, None), reads=[(*HERE, 1, None, "truncated")]) == []


def test_a_file_is_tried_again_for_a_reason_that_may_have_passed():
    assert to_read((*HERE, None, None), reads=[(*HERE, 1, None, "not_reachable")]) == [("/p/a.jpg", 2)]


def test_the_pause_before_the_next_try_doubles_up_to_the_longest():
    for attempt, minutes in ((1, 5), (2, 10), (3, 20), (9, 1280), (10, 1440), (11, 1440), (10_000, 1440)):
        assert not tried_again_after(attempt, minutes - 1), attempt
        assert tried_again_after(attempt, minutes), attempt


def test_without_pauses_a_file_is_tried_again_at_once_whatever_the_clock_says():
    assert tried_again_after(9, 0, longest=0)
    assert tried_again_after(9, -60, longest=0)


def test_a_pause_makes_no_other_reason_pass():
    assert not tried_again_after(1, 10_000, kind="truncated")


def test_the_last_attempt_decides():
    attempts = (*HERE, 1, None, "not_reachable"), (*HERE, 2, "i1", None)
    assert to_read((*HERE, None, None), reads=attempts) == []
    later = (*HERE, 1, None, "truncated"), (*HERE, 2, None, "not_reachable")
    assert to_read((*HERE, None, None), reads=later) == [("/p/a.jpg", 3)]


def test_all_files_are_read_again_where_that_is_asked():
    assert to_read((*HERE, None, None), reads=[(*HERE, 1, "i1", None)], read_all=True) == [("/p/a.jpg", 2)]


def test_files_come_as_they_lie():
    matched = [("/p/b.jpg", 1, 1, None, None), ("/p/a.jpg", 1, 1, None, None)]
    matched += [("/t!/a.jpg", 1, 1, 900, None), ("/t!/b.jpg", 1, 1, 512, None)]
    assert to_read(*matched, columns="location") == [("/t!/b.jpg",), ("/t!/a.jpg",), ("/p/a.jpg",), ("/p/b.jpg",)]
