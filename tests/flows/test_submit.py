from datetime import UTC, datetime

import pyarrow as pa
import pytest
import typer
from homes import Told
from typer.testing import CliRunner

from flows import cli, cli_submission, settings, submit
from lake import tables
from lake.errors import LakeError
from lake.schemas import TABLES

QUADRATS = ["CBN-A1-20130807", "RNNB-1-1-20230512"]
# What a column holds that a test does not speak of.
FILLERS = {
    pa.string(): "",
    pa.bool_(): True,
    pa.float64(): 0.5,
    pa.timestamp("us", tz="UTC"): datetime(2026, 1, 1, tzinfo=UTC),
}


def append(home, table, rows):
    columns = TABLES[table].columns
    empty = {field.name: FILLERS.get(field.type, 1) for field in columns if not field.nullable}
    tables.append(
        settings.load(home=home).lake, table, pa.Table.from_pylist([{**empty, **row} for row in rows], columns)
    )


def decide(home, decision_id, answers, **columns):
    """Put a decision with its answers, by observation, on record."""
    row = {"decision_id": decision_id, "dataset": "quadrats", "split": "all", "model_version": "flora/1:r"}
    row |= {"rule": '{"species":"many"}', "unanswered": "[]"}
    append(home, "decisions", [{**row, **columns}])
    said = [
        {"decision_id": decision_id, "observation_id": one, "species_id": species, "rank": rank}
        for one, found in answers.items()
        for rank, species in enumerate(found, start=1)
    ]
    if said:
        append(home, "observation_predictions", said)


@pytest.fixture
def home(tmp_path):
    """Two quadrats and two decisions about them, the second one of another rule."""
    home = tmp_path / "home"
    tables.create_missing(settings.load(home=home).lake)
    records = [{"dataset": "quadrats", "image_name": f"{one}.jpg", "observation_id": one} for one in QUADRATS]
    append(home, "image_records", records)
    append(home, "species", [{"species_id": "1363875", "scientific_name": "Taxus baccata"}])
    decide(home, "aa11", dict(zip(QUADRATS, [["1363875"], ["1395807", "1392608"]], strict=True)), rule_id="r1")
    decide(home, "ab22", dict(zip(QUADRATS, [["1363875"], ["1392608", "1363875"]], strict=True)), rule_id="r2")
    return home


@pytest.fixture
def taxalake(home):
    app = typer.Typer()
    app.callback()(cli.root)
    app.command()(cli_submission.submit)
    app.add_typer(cli_submission.submission_app, name="submission")

    def run(*words):
        told = CliRunner().invoke(app, [*map(str, words), "--home", str(home)], catch_exceptions=True)
        if told.exception is not None and not isinstance(told.exception, SystemExit):
            raise told.exception
        return Told(told.exit_code, told.stdout, told.stderr)

    return run


def counts(home, *names):
    lake = settings.load(home=home).lake
    return [tables.row_count(lake, one) for one in tables.latest(lake, *names)]


def test_a_decision_becomes_a_file_in_the_home_and_a_second_time_nothing_is_committed(taxalake, home):
    report = taxalake("submit", "--decision", "aa", "--dialect", "plantclef2024", "--json").json
    path = home / "submissions" / "quadrats-plantclef2024-aa11.csv"
    assert report["path"] == str(path)
    assert path.read_text() == (
        "plot_id;species_ids\nCBN-A1-20130807;[1363875]\nRNNB-1-1-20230512;[1392608, 1395807]\n"
    )
    assert (report["committed"], report["rows"], report["mean_species"]) == (True, 2, 1.5)
    assert counts(home, "submissions", "stage_runs") == [1, 1]
    content = path.read_bytes()
    path.unlink()
    assert not taxalake("submit", "--decision", "aa", "--dialect", "plantclef2024", "--json").json["committed"]
    assert path.read_bytes() == content
    assert counts(home, "submissions", "stage_runs") == [1, 1]


def test_a_file_may_lie_anywhere_and_what_to_do_next_is_said(taxalake, tmp_path):
    told = taxalake("submit", "--decision", "aa", "--dialect", "plantclef2025", "--out", tmp_path / "a" / "b.csv")
    assert (tmp_path / "a" / "b.csv").read_text().startswith('"quadrat_id","species_ids"\n"CBN')
    assert "taxalake submission score --decision aa11" in told.out
    assert "warning: line 3: species 1392608 is not on record" in told.out


def test_a_file_that_is_fine_is_accepted(taxalake, home):
    path = taxalake("submit", "--decision", "aa", "--dialect", "plantclef2025", "--json").json["path"]
    for held in (["--dataset", "quadrats"], ["--decision", "aa"], ["--dialect", "plantclef2025"], []):
        told = taxalake("submission", "check", path, *held)
        assert told.code == 0
        assert "accepted as plantclef2025: 2 rows, 1.50 species each" in told.out


def test_a_file_that_is_refused_ends_with_one_and_shows_each_kind(taxalake, tmp_path):
    lines = ["plot_id;species_ids", *(f"x{number};[]" for number in range(100)), "RNNB-1-1-20230512;[1, 1]"]
    file = tmp_path / "a.csv"
    file.write_text("\n".join(lines) + "\n")
    told = taxalake("submission", "check", file, "--dataset", "quadrats", "--json")
    report = told.json
    assert (told.code, report["is_accepted"], report["problem_count"]) == (1, False, 202)
    assert report["kinds"] == {"empty_answer": 100, "unknown_id": 100, "answer_twice": 1, "missing_id": 1}
    assert len(report["problems"]) == submit.SHOWN
    assert {one["kind"] for one in report["problems"]} == set(report["kinds"])
    told = taxalake("submission", "check", file, "--dataset", "quadrats")
    assert "REFUSED as plantclef2024" in told.out
    assert "line 2: has no species" in told.out
    assert "'CBN-A1-20130807' has no row" in told.out
    assert "202 problems, 20 shown: 100 empty_answer" in told.out


def test_a_stranger_may_check_a_file_without_any_home(tmp_path):
    file = tmp_path / "a.csv"
    file.write_text("plot_id;species_ids\nq1;[1]\n")
    nowhere = settings.load(home=tmp_path / "nowhere")
    assert submit.check(nowhere, file).is_accepted
    assert submit.compare(nowhere, str(file), str(file)).changed == 0
    assert not (tmp_path / "nowhere").exists()


def test_a_file_of_another_dialect_is_refused_by_the_name_of_its_own(taxalake):
    path = taxalake("submit", "--decision", "aa", "--dialect", "plantclef2024", "--json").json["path"]
    told = taxalake("submission", "check", path, "--dialect", "plantclef2025")
    assert told.code == 1
    assert "line 1: this is a file of the dialect plantclef2024 (plot_id;species_ids)" in told.out


def test_what_cannot_be_held_against_anything_says_why(taxalake, tmp_path):
    with pytest.raises(LakeError, match="cannot be read: No such file"):
        taxalake("submission", "check", tmp_path / "none.csv")
    file = tmp_path / "a.csv"
    file.write_text("plot_id;species_ids\nq1;[1]\n")
    with pytest.raises(LakeError, match="say --decision or --dataset"):
        taxalake("submission", "check", file, "--decision", "aa", "--dataset", "quadrats")


def test_a_file_is_compared_with_a_decision(taxalake):
    path = taxalake("submit", "--decision", "aa", "--dialect", "plantclef2024", "--json").json["path"]
    report = taxalake("submission", "compare", path, "ab", "--json").json
    assert (report["observations"], report["changed"]) == (2, 1)
    assert report["mean_jaccard"] == pytest.approx((1 + 1 / 3) / 2)
    assert report["jaccard_tenths"] == {"0.3": 1, "1.0": 1}
    assert (report["gained"], report["lost"]) == ({"1363875": 1}, {"1395807": 1})
    assert [row["observation_id"] for row in report["most_changed"]] == ["RNNB-1-1-20230512"]
    told = taxalake("submission", "compare", path, "ab").out
    assert "1 of 2 observations changed, mean Jaccard 0.6667: 0.3 1, 1.0 1" in told
    assert "gained most often: Taxus baccata (1363875) 1" in told
    assert "lost most often: 1395807 1" in told


def test_what_is_neither_file_nor_decision_nor_sound_is_not_compared(taxalake, tmp_path):
    with pytest.raises(LakeError, match="no file 'zz', and as the id of a decision: there is no decision 'zz'"):
        taxalake("submission", "compare", "zz", "ab")
    file = tmp_path / "a.csv"
    file.write_text("plot_id;species_ids\nq1;[]\n")
    with pytest.raises(LakeError, match="cannot be compared, 1 problems, first line 2: has no species"):
        taxalake("submission", "compare", file, "ab")


def test_official_scores_stand_beside_those_of_the_same_rule_and_model(taxalake, home):
    assert "no official score" in taxalake("submission", "scores").out
    for rule, decision, proxy, official in (("r1", "aa11", 0.5, "0.3"), ("r2", "ab22", 0.4, "0.35")):
        decide(home, f"val-{rule}", {}, rule_id=rule, split="val", dataset="plants")
        row = {"evaluation_id": rule, "metric": "macro_f1", "slice": "all", "value": proxy, "split": "val"}
        append(home, "evaluations", [{**row, "decision_id": f"val-{rule}", "dataset": "plants"}])
        told = taxalake("submission", "score", "--decision", decision, "--metric", "public", "--value", official)
        assert told.out == f"kaggle gives decision {decision} public {official}\n"
    decide(home, "lonely", {}, rule_id="r3")
    taxalake("submission", "score", "--decision", "lonely", "--metric", "public", "--value", "-1", "--source", "me")
    report = taxalake("submission", "scores", "--json").json
    (proxy,) = report["proxies"]
    assert (proxy["dataset"], proxy["split"], proxy["metric"], proxy["decisions"]) == ("plants", "val", "macro_f1", 2)
    assert proxy["spearman"] == -1
    assert report["without_proxy"] == ["lonely"]
    told = taxalake("submission", "scores").out
    assert "public by macro_f1 on plants (val): rank correlation -1.00 over 2 decisions: says nothing yet" in told
    assert "negative, so the better here is the worse there" in told
    assert "no evaluation of the same rule and model: lonely" in told


def test_the_same_official_score_is_committed_once(taxalake, home):
    words = ("submission", "score", "--decision", "aa", "--metric", "public", "--value", "0.25", "--json")
    assert taxalake(*words).json["committed"]
    assert not taxalake(*words).json["committed"]
    assert counts(home, "official_scores") == [1]


def test_few_decisions_and_a_negative_rank_are_warned_of():
    assert submit.warning_of(5, 0.2) is None
    assert "says nothing yet" in submit.warning_of(4, 0.9)
    assert "negative" in submit.warning_of(5, -0.1)
    assert "says nothing" in submit.warning_of(5, None)
