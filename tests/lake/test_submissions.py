import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from lake_rows import day, filled, frame, held, rows

from lake import decisions, submissions, tables
from lake.errors import LakeError
from lake.submissions import DIALECTS

ANSWERS = [("q2", "1494911"), ("q1", "1395807"), ("q1", "999"), ("q10", "1351284")]
GOLDEN = {
    "plantclef2024": b"plot_id;species_ids\nq1;[999, 1395807]\nq10;[1351284]\nq2;[1494911]\n",
    "plantclef2025": b'"quadrat_id","species_ids"\n"q1","[999, 1395807]"\n"q10","[1351284]"\n"q2","[1494911]"\n',
    "snakeclef": b"observation_id,class_id\nHM 1954,12\no10,7\no9,1783\n",
}
SNAKES = [("o9", "1783"), ("HM 1954", "12"), ("o10", "7")]
LISTS = ["plantclef2024", "plantclef2025"]
each_dialect = pytest.mark.parametrize("name", DIALECTS)


def answers(*given):
    return frame("observation_id species_id", *given)


def golden_answers(name):
    return answers(*(SNAKES if name == "snakeclef" else ANSWERS))


def check(content, name=None, expected=(), species=()):
    content = content.encode() if isinstance(content, str) else content
    return submissions.check(
        content,
        DIALECTS[name] if name else None,
        frame("observation_id", *((one,) for one in expected)) if expected else None,
        frame("species_id", *((one,) for one in species)) if species else None,
    )


def problems(content, name=None, expected=(), species=()):
    """Line and kind of everything that is wrong."""
    return [(one.line, one.kind) for one in check(content, name, expected, species).problems]


def row(name, observation_id, answer):
    return {
        "plantclef2024": f"{observation_id};{answer}\n",
        "plantclef2025": f'"{observation_id}","{answer}"\n',
        "snakeclef": f"{observation_id},{answer}\n",
    }[name]


def file(name, *lines):
    return DIALECTS[name].header + "\n" + "".join(row(name, *line) for line in lines)


# writing


@each_dialect
def test_each_dialect_is_written_byte_by_byte_as_its_contest_shows_it(name):
    assert submissions.content_of(DIALECTS[name], golden_answers(name)) == GOLDEN[name]


@each_dialect
def test_the_same_answers_in_another_order_are_the_same_bytes(name):
    given = golden_answers(name)
    assert submissions.content_of(DIALECTS[name], given.take(list(range(given.num_rows))[::-1])) == GOLDEN[name]


@each_dialect
def test_what_is_written_is_taken_and_its_dialect_recognised(name):
    checked = check(GOLDEN[name], expected=set(golden_answers(name)["observation_id"].to_pylist()))
    assert (checked.dialect, checked.problems, checked.row_count) == (DIALECTS[name], (), 3)


numbers = st.integers(0, 10**12).map(str)
lines_of_text = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\r\n"), min_size=1).filter(
    str.strip
)
unquoted = lines_of_text.filter(lambda text: not set(text) & set('",;'))


@settings(max_examples=15, deadline=None)
@given(name=st.sampled_from(list(DIALECTS)), data=st.data())
def test_what_is_written_is_read_as_it_was(name, data):
    dialect = DIALECTS[name]
    ids = data.draw(st.sets(lines_of_text if dialect.is_quoted else unquoted, min_size=1, max_size=8))
    most = 4 if dialect.is_list else 1
    said = {one: data.draw(st.sets(numbers, min_size=1, max_size=most)) for one in sorted(ids)}
    given = answers(*((one, species) for one, found in said.items() for species in found))
    checked = check(submissions.content_of(dialect, given), name, expected=ids)
    assert checked.problems == ()
    found = rows(checked.answers, "observation_id species_id")
    assert len(found) == given.num_rows
    assert {one: {species for key, species in found if key == one} for one in said} == said


# checking


@pytest.mark.parametrize(("spoken", "asked"), [tuple(LISTS), tuple(LISTS[::-1]), ("snakeclef", LISTS[0])])
def test_a_file_of_another_dialect_is_refused_with_the_name_of_its_own(spoken, asked):
    checked = check(GOLDEN[spoken], asked)
    (problem,) = checked.problems
    assert (problem.line, problem.kind) == (1, "wrong_dialect")
    assert f"a file of the dialect {spoken}" in problem.detail
    assert f"{asked} was asked for, whose header is {DIALECTS[asked].header}" in problem.detail
    assert checked.dialect == DIALECTS[spoken]


def test_other_problems_of_a_file_of_another_dialect_are_found_as_well():
    found = problems(GOLDEN["plantclef2024"] + b"q1;[1]\n", "plantclef2025")
    assert found == [(1, "wrong_dialect"), (5, "double_id")]


@pytest.mark.parametrize(
    ("content", "found"),
    [
        ("", [(None, "empty_file")]),
        ("a,b\n1,2\n", [(1, "wrong_header")]),
        ("plot_id;species_ids\n", [(None, "no_rows")]),
        ("\ufeff" + GOLDEN["plantclef2024"].decode(), [(1, "byte_order_mark")]),
        (GOLDEN["plantclef2024"].replace(b"\n", b"\r\n"), [(1, "line_end")]),
        (GOLDEN["plantclef2024"].replace(b"q1;", b"q1\xff;"), [(2, "not_utf8")]),
        ('"plot_id";"species_ids"\nq1;[1]\n', [(1, "wrong_header")]),
        ("quadrat_id,species_ids\n", [(1, "wrong_header"), (None, "no_rows")]),
    ],
    ids=["empty", "header", "no rows", "byte order mark", "CRLF", "latin-1", "quoted header", "unquoted header"],
)
def test_what_is_wrong_with_a_whole_file_is_said(content, found):
    assert problems(content) == found


def test_a_header_is_wrong_even_where_its_dialect_is_said_and_the_rows_are_read_all_the_same():
    assert problems("a;b\nq1;[1]\nq1;[1]\n", "plantclef2024") == [(1, "wrong_header"), (3, "double_id")]


def kinds_of_lines(name, lines):
    """Each line with the kinds of what is wrong with it alone, sorted."""
    found = problems("\n".join([DIALECTS[name].header, *lines, ""]), name)
    kinds = {line: sorted({kind for at, kind in found if at == line} - {"double_id"}) for line, _ in found}
    return [(line, kinds.get(number, [])) for number, line in enumerate(lines, start=2)]


def test_a_line_of_2024_is_refused_for_what_is_wrong_with_it():
    wrong = [
        ("q1,[1, 2]", ["wrong_separator"]),
        ('"q1";"[1]"', ["wrong_quoting"]),
        ('"q1","[1]"', ["wrong_quoting", "wrong_separator"]),
        ("q1;[1];[2]", ["malformed_list", "not_an_integer", "wrong_fields"]),
        ("q1", ["wrong_fields"]),
        ("", ["blank_line"]),
        ("  ", ["blank_line"]),
        (";[1]", ["empty_id"]),
        ("q1;[]", ["empty_answer"]),
        ("q1;", ["empty_answer"]),
        ("q1;[ ]", ["empty_answer"]),
        ("q1;[1,2]", ["malformed_list"]),
        ("q1;1, 2", ["malformed_list"]),
        ("q1;[1 2]", ["malformed_list"]),
        ("q1;[1, 2", ["malformed_list"]),
        ("q1; [1]", ["malformed_list"]),
        ("q1;[1.0, 2]", ["not_an_integer"]),
        ("q1;[Poa annua]", ["malformed_list", "not_an_integer"]),
        ("q1;['1', '2']", ["not_an_integer"]),
        ("q1;[007]", ["not_an_integer"]),
        ("q1;[-1]", ["not_an_integer"]),
        ("q1;[1, 2, 1]", ["answer_twice"]),
    ]
    assert kinds_of_lines("plantclef2024", [line for line, _ in wrong]) == wrong


def test_a_line_of_2025_is_refused_for_what_is_wrong_with_it():
    wrong = [
        ('q1,"[1, 2]"', ["wrong_quoting"]),
        ("q1,[1]", ["wrong_quoting"]),
        ('"q1";"[1]"', ["wrong_separator"]),
        ("q1;[1]", ["wrong_quoting", "wrong_separator"]),
        ('"q1","[1]","x"', ["malformed_list", "not_an_integer", "wrong_fields"]),
        ('"q1","[]"', ["empty_answer"]),
        ('"q1","1"', ["malformed_list"]),
        ('"","[1]"', ["empty_id"]),
    ]
    assert kinds_of_lines("plantclef2025", [line for line, _ in wrong]) == wrong


def test_a_line_of_snakeclef_is_refused_for_what_is_wrong_with_it():
    wrong = [
        ("o1;1", ["wrong_separator"]),
        ('"o1","1"', ["wrong_quoting"]),
        ("o1,", ["empty_answer"]),
        ("o1,1,2", ["not_an_integer", "wrong_fields"]),
        ("o1,[1]", ["not_an_integer"]),
        ("o1,1.0", ["not_an_integer"]),
        ("o1, 1", ["not_an_integer"]),
        ("o1,Vipera berus", ["not_an_integer"]),
        (",1", ["empty_id"]),
    ]
    assert kinds_of_lines("snakeclef", [line for line, _ in wrong]) == wrong


@pytest.mark.parametrize("name", LISTS)
def test_ids_are_held_against_the_observations(name):
    lines = ("q1", "[1]"), ("q2.jpg", "[1]"), ("q1", "[2]"), ("q4", "[1]")
    checked = check(file(name, *lines), expected=["q1", "q2", "q4", "q5"])
    assert [str(one) for one in checked.problems] == [
        "line 3: 'q2.jpg' is none of the observations, but 'q2' is one",
        "line 4: 'q1' has a row already, in line 2",
        "'q2' has no row",
        "'q5' has no row",
    ]


def test_a_row_with_a_wrong_answer_is_not_called_missing():
    assert problems("plot_id;species_ids\nq1;[]\nq2,[1]\n", expected=["q1", "q2"]) == [
        (2, "empty_answer"),
        (3, "wrong_separator"),
    ]


def test_all_problems_are_found_and_not_the_first_alone():
    found = problems("plot_id;species_ids\n" + "q1;[]\n" * 100)
    assert len([one for one in found if one[1] == "empty_answer"]) == 100
    assert len([one for one in found if one[1] == "double_id"]) == 99


def test_a_species_that_is_not_on_record_is_warned_of_and_not_refused():
    checked = check(file("plantclef2024", ("q1", "[7, 8]"), ("q2", "[8]")), species=["7"])
    assert checked.problems == ()
    assert [str(one) for one in checked.warnings] == ["line 2: species 8 is not on record"]


@pytest.mark.timeout(60)
def test_a_hundred_thousand_rows_are_checked_each_by_itself():
    content = file("plantclef2025", *((f"q{number}", f"[{number}, {number + 1}]") for number in range(100_000)))
    # Two seconds; if each were held against each, days.
    assert check(content, expected=[f"q{number}" for number in range(100_000)]).problems == ()


# on record


@pytest.fixture
def decided(lake):
    """Decision abc1 of three quadrats, abd2 of the first two, abc1 being about all of the data set."""
    tables.append(
        lake,
        "image_records",
        filled(
            "image_records", "dataset image_name observation_id", *(("d", f"{one}.jpg", one) for one in ("q1", "q2"))
        ),
    )
    decide(lake, "abc1", ("q1", "10", True), ("q1", "9", True), ("q2", "7", True), ("q2", "8", False))
    decide(lake, "abd2", ("q1", "9", True), ("q2", "8", True), rule="r2")
    return lake


def decide(lake, decision_id, *predictions, split="all", rule="r1", unanswered="[]", dataset="d"):
    columns = "decision_id dataset split rule_id model_version unanswered rule"
    row = (decision_id, dataset, split, rule, "m/1", unanswered, '{"species":"many"}')
    tables.append(lake, "decisions", filled("decisions", columns, row))
    if predictions:
        columns = "decision_id observation_id species_id is_answer"
        said = [(decision_id, *one) for one in predictions]
        tables.append(lake, "observation_predictions", filled("observation_predictions", columns, *said))


def write(lake, decision, name, path):
    return submissions.write(lake, decisions.find(lake, decision), DIALECTS[name], path, "run")


def test_a_decision_is_written_checked_and_put_on_record(decided, tmp_path):
    path = tmp_path / "new" / "a.csv"
    written = write(decided, "abc1", "plantclef2024", path)
    assert path.read_bytes() == b"plot_id;species_ids\nq1;[9, 10]\nq2;[7]\n"
    assert (written.row_count, written.mean_species, written.committed) == (2, 1.5, True)
    columns = "submission_id decision_id dialect path row_count"
    assert held(decided, "submissions", columns) == [(written.submission_id, "abc1", "plantclef2024", str(path), 2)]
    assert [one.name for one in path.parent.iterdir()] == ["a.csv"]


def test_a_replay_is_byte_identical_and_commits_nothing(decided, tmp_path):
    first = write(decided, "abc1", "plantclef2025", tmp_path / "a.csv")
    before = tables.latest(decided, "submissions")
    again = write(decided, "abc1", "plantclef2025", tmp_path / "b.csv")
    assert (tmp_path / "a.csv").read_bytes() == (tmp_path / "b.csv").read_bytes()
    assert (again.submission_id, again.committed) == (first.submission_id, False)
    assert tables.latest(decided, "submissions") == before


def test_an_observation_without_an_answer_is_named_and_nothing_is_written(decided, tmp_path):
    more = filled("image_records", "dataset image_name observation_id", ("d", "q3.jpg", "q3"))
    tables.append(decided, "image_records", more)
    with pytest.raises(LakeError, match=r"abc1 about 'd' \(all\) has no answer to 1 of 3 observations: q3"):
        write(decided, "abc1", "plantclef2024", tmp_path / "a.csv")
    assert not (tmp_path / "a.csv").exists()
    assert held(decided, "submissions", "decision_id") == []


def test_an_observation_with_runners_up_alone_has_no_answer(decided, tmp_path):
    decide(decided, "e", ("q1", "9", True), ("q2", "8", False), split="val")
    with pytest.raises(LakeError, match="no answer to 1 of 2 observations: q2"):
        write(decided, "e", "plantclef2024", tmp_path / "a.csv")


def test_a_decision_of_a_split_that_left_observations_empty_names_them(decided, tmp_path):
    decide(decided, "f", ("q1", "9", True), split="val", unanswered='["q7"]')
    with pytest.raises(LakeError, match=r"f about 'd' \(val\) has no answer to 1 of 2 observations: q7"):
        write(decided, "f", "plantclef2024", tmp_path / "a.csv")


def test_a_decision_of_a_split_need_not_answer_the_rest_of_the_data_set(decided, tmp_path):
    decide(decided, "f", ("q1", "9", True), split="val")
    assert write(decided, "f", "plantclef2024", tmp_path / "a.csv").row_count == 1


def test_several_species_are_no_answer_where_one_is_wanted(decided, tmp_path):
    with pytest.raises(LakeError, match=r"one species for each observation, .* several for 1 of 2: q1"):
        write(decided, "abc1", "snakeclef", tmp_path / "a.csv")
    assert write(decided, "abd2", "snakeclef", tmp_path / "a.csv").row_count == 2


def test_species_that_the_contest_cannot_read_are_refused_and_the_old_file_stays(decided, tmp_path):
    (tmp_path / "a.csv").write_text("before")
    decide(decided, "g", ("q1", "poa", True), ("q2", "7", True))
    with pytest.raises(LakeError, match="plantclef2025, 1 problems: line 2: species ids are integers, and not poa"):
        write(decided, "g", "plantclef2025", tmp_path / "a.csv")
    assert (tmp_path / "a.csv").read_text() == "before"


def test_an_id_that_the_dialect_cannot_hold_is_refused(decided, tmp_path):
    name = filled("image_records", "dataset image_name observation_id", ("s", "x.jpg", "a;b"))
    tables.append(decided, "image_records", name)
    decide(decided, "h", ("a;b", "7", True), dataset="s")
    with pytest.raises(LakeError, match="line 2: is not two fields"):
        write(decided, "h", "plantclef2024", tmp_path / "a.csv")
    assert write(decided, "h", "plantclef2025", tmp_path / "a.csv").row_count == 1


def test_an_unknown_dialect_or_data_set_is_named(decided):
    with pytest.raises(
        LakeError, match="no dialect 'kaggle'; the dialects are plantclef2024, plantclef2025, plantclef2026, snakeclef"
    ):
        submissions.dialect_of("kaggle")
    with pytest.raises(LakeError, match="no observation of a data set 'x'"):
        submissions.observations_of_dataset(decided, "x")


def test_the_contest_of_2026_takes_the_file_of_2025():
    assert submissions.dialect_of("plantclef2026") == DIALECTS["plantclef2025"]


# comparing


def test_two_submissions_are_compared_by_observation_and_by_species():
    first = answers(("q1", "1"), ("q1", "2"), ("q2", "3"), ("q3", "4"))
    second = answers(("q1", "2"), ("q1", "5"), ("q2", "3"), ("q3", "5"))
    found = submissions.compare(first, second)
    assert (found.totals["observations"], found.totals["changed"]) == (3, 2)
    assert found.totals["mean_jaccard"] == pytest.approx((1 / 3 + 1 + 0) / 3)
    assert found.tenths == {0: 1, 3: 1, 10: 1}
    assert rows(found.changes, "observation_id gained lost") == [
        ("q3", ["5"], ["4"]),
        ("q1", ["5"], ["1"]),
        ("q2", [], []),
    ]
    assert rows(found.species) == [("gained", "5", 2), ("lost", "1", 1), ("lost", "4", 1)]


def test_submissions_about_other_observations_are_not_compared():
    with pytest.raises(LakeError, match=r"no observation in common: one answers 'q1', \.\.\., the other 'o1'"):
        submissions.compare(answers(("q1", "1")), answers(("o1", "1")))


# official scores


def enter(lake, decision, value, metric="public", source="kaggle"):
    return submissions.enter_score(lake, decisions.find(lake, decision).decision_id, metric, value, source, "run")


def test_an_official_score_is_entered_once_and_a_later_one_holds(decided):
    assert enter(decided, "abc", 0.25)
    assert not enter(decided, "abc", 0.25)
    assert enter(decided, "abc", 0.5)
    assert enter(decided, "abc", 0.25)
    assert len(held(decided, "official_scores", "value")) == 3
    assert rows(submissions.proxy_scores(decided).scores, "decision_id metric value") == [("abc1", "public", 0.25)]


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_what_is_no_number_is_no_score(decided, value):
    with pytest.raises(LakeError, match="is a number, not"):
        enter(decided, "abc", value)


def test_a_score_without_a_metric_is_refused(decided):
    with pytest.raises(LakeError, match="needs a metric"):
        enter(decided, "abc", 0.5, metric=" ")


def test_proxies_are_joined_to_official_scores_by_rule_and_model(decided):
    for number, (rule, decision) in enumerate([("r1", "abc1"), ("r2", "abd2")]):
        decide(decided, f"val{number}", split="val", rule=rule, dataset="p")
        columns = "evaluation_id metric slice value decision_id dataset split evaluated_at"
        said = (f"e{number}", "f1", "all", 0.5 + number, f"val{number}", "p", "val", day(1))
        tables.append(decided, "evaluations", filled("evaluations", columns, said))
        enter(decided, decision, 10.0 - number)
    found = submissions.proxy_scores(decided)
    assert rows(found.pairs, "decision_id proxy_value official_value") == [("abc1", 0.5, 10.0), ("abd2", 1.5, 9.0)]
    assert rows(found.correlations, "decision_count spearman") == [(2, -1.0)]
