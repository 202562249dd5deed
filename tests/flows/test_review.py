"""What a person should look at, what they say of it, and that it holds."""

import csv
import shutil
from pathlib import Path

import pytest
from coloured import COLOURS, NAMES
from mosaics import TRUTH, draw_plant, lay, trained_home

from flows.embed import embed
from flows.ingest import ingest_table
from lake import labels, tables
from lake.schemas import TABLES
from lake.tables import Lake

HOSTILE = "Poa <script>document.title='x'</script> & \"rubra\""
CALLED = {**NAMES, "10": HOSTILE}
WRONG = "2-60"  # of species 2, and labelled 9
COLUMNS = ("image", "species_id", "observation", "scientific_name")
REVIEW = ("review", "--dataset", "season", "--model", "m", "--json")


def take_in(home, name="season.csv", labels=None):
    """Take in eight photographs of a new season: of half of them nobody knows the species, and one label is wrong."""
    folder = home.parent / "season"
    rows = []
    for species in COLOURS:
        for number in (60, 61):
            draw_plant(folder / f"{species}-{number}.png", species, number)
            said = species if number == 60 else ""
            said = {WRONG: "9", **(labels or {})}.get(f"{species}-{number}", said)
            rows.append((f"{species}-{number}.png", said, f"{species}-{number}", CALLED.get(said, "")))
    with (folder / name).open("w", newline="") as file:
        csv.writer(file).writerows([COLUMNS, *rows])
    ingest_table.fn(folder / name, "season", "image", "species_id", "observation", None, "scientific_name", home=home)


@pytest.fixture(scope="module")
def trained(empty_home, backbone, tmp_path_factory):
    home = tmp_path_factory.mktemp("reviewed") / "home"
    trained_home(empty_home, home, backbone, CALLED)
    take_in(home)
    lay(home, "quadrats", dict(list(TRUTH.items())[:4]), {})
    embed.fn("season", backbone, home=home)
    embed.fn("quadrats", backbone, "grid-3x3", home=home)
    return home


@pytest.fixture
def season_lake(trained, tmp_path, monkeypatch):
    """The tables of the home, as the test's own."""
    lake = shutil.copytree(trained / "lake", tmp_path / "lake")
    monkeypatch.setenv("TAXALAKE_LAKE_URI", str(lake))
    return lake


@pytest.fixture
def season(trained, season_lake, taxalake):
    """A home in which a season has come."""
    yield trained
    shutil.rmtree(trained / "reviews", ignore_errors=True)


def reviewed(taxalake, home, *words):
    told = taxalake(*REVIEW, *words, at=home)
    assert told.code == 0, told.err
    return told.json


def rows_of(table, delimiter=","):
    with Path(table).open(encoding="utf-8-sig", newline="") as file:
        return list(csv.DictReader(file, delimiter=delimiter))


def fill_in(table, **species):
    """Fill in the species of observations, as a person does in a spreadsheet."""
    rows = rows_of(table)
    for row in rows:
        row["species_id"] = species.get(f"o{row['observation_id']}".replace("-", "_"), "")
    with Path(table).open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, rows[0].keys(), delimiter=";")
        writer.writeheader()
        writer.writerows(rows)


def bring_in(taxalake, home, table, *words):
    told = taxalake("labels", "import", table, "--dataset", "season", *words, "--json", at=home)
    assert told.code == 0, told.err
    return told.json


def holding(season_lake):
    """The species that holds for each observation of the season."""
    return {
        row["observation_id"]: row["species_id"] for row in labels.current(Lake(str(season_lake)), "season").to_pylist()
    }


def versions_of(season_lake):
    return {snapshot.table: snapshot.version for snapshot in tables.latest(Lake(str(season_lake)), *TABLES)}


def test_a_review_asks_for_what_nobody_knows_and_for_the_label_that_is_doubted(season, taxalake):
    told = reviewed(taxalake, season)
    assert told["by_reason"]["label_doubted"] == 1
    rows = rows_of(told["table"])
    assert sorted(row["observation_id"] for row in rows) == sorted([WRONG, *(f"{one}-61" for one in COLOURS)])
    assert rows[0]["observation_id"] == WRONG
    assert (rows[0]["answer"], rows[0]["answer_name"]) == ("2", NAMES["2"])
    assert "label_doubted: labelled Aster caeruleus, answered Poa viridis" in rows[0]["reasons"]
    assert [rows[0][name] for name in ("species_id", "reviewer", "note")] == ["", "", ""]
    page = Path(told["page"]).read_text()
    assert page.count("<article ") == page.count("data:image/jpeg") == 5
    assert "<script>document" not in page


def test_a_review_with_nothing_new_commits_nothing_and_leaves_its_files(season, taxalake, season_lake):
    told = reviewed(taxalake, season)
    before = versions_of(season_lake)
    written = [Path(told[name]).stat().st_mtime_ns for name in ("table", "page")]
    again = reviewed(taxalake, season)
    assert again == {**told, "committed": False}
    assert versions_of(season_lake) == before
    assert [Path(told[name]).stat().st_mtime_ns for name in ("table", "page")] == written


def test_no_more_is_asked_for_than_a_person_looks_at(season, taxalake):
    told = reviewed(taxalake, season, "--most", "2")
    assert [row["observation_id"] for row in rows_of(told["table"])][:1] == [WRONG]
    assert told["observations"] == 2
    assert taxalake(*REVIEW, "--most", "0", at=season).code == 1


def test_what_a_person_says_holds_and_is_not_asked_for_again(season, taxalake, season_lake):
    told = reviewed(taxalake, season)
    fill_in(told["table"], o2_60="9", o10_61="10", o33_61="2")
    taken = bring_in(taxalake, season, told["table"])
    assert (taken["found"], taken["kept"], taken["skipped"]) == (5, 3, 2)
    now = holding(season_lake)
    # the label that was doubted is confirmed
    assert (now[WRONG], now["10-61"], now["33-61"]) == ("9", "10", "2")
    before = versions_of(season_lake)
    assert not bring_in(taxalake, season, told["table"])["committed"]
    assert versions_of(season_lake) == before
    again = reviewed(taxalake, season)
    # what a person said of 33-61 is what they saw, however sure the model is
    assert sorted(row["observation_id"] for row in rows_of(again["table"])) == ["2-61", "9-61"]
    kept = rows_of(again["kept"], ";")
    assert {row["observation_id"] for row in kept if row["species_id"]} == {WRONG, "10-61", "33-61"}


@pytest.mark.parametrize("written", ["season;a note, and no species\n", "not a table at all", ""])
def test_whatever_somebody_has_written_is_kept(season, taxalake, written):
    with Path(reviewed(taxalake, season)["table"]).open("a") as file:
        file.write(written)
    again = reviewed(taxalake, season, "--most", "2")
    assert bool(again["kept"]) == bool(written)
    assert not written or Path(again["kept"]).read_text(encoding="utf-8-sig").endswith(written)


def test_a_correction_survives_the_next_intake_until_the_source_itself_says_something_new(
    season, taxalake, season_lake, tmp_path
):
    table = tmp_path / "seen.csv"
    table.write_text(f"observation_id,species_id\n{WRONG},2\n")
    bring_in(taxalake, season, table)
    before = versions_of(season_lake)["labels"]
    take_in(season)
    assert versions_of(season_lake)["labels"] == before
    # the same table under another name repeats what was overruled
    take_in(season, "copy.csv")
    assert holding(season_lake)[WRONG] == "2"
    take_in(season, labels={WRONG: "33"})
    assert holding(season_lake)[WRONG] == "33"


def test_rows_that_cannot_be_used_are_told_with_their_reasons(season, taxalake, tmp_path):
    table = tmp_path / "seen.csv"
    table.write_text(f"observation_id,species_id\n{WRONG},no such\nnobody,2\n")
    told = bring_in(taxalake, season, table)
    assert (told["kept"], told["set_aside_by_kind"]) == (0, {"unknown_species": 1, "unknown_observation": 1})
    said = taxalake("labels", "import", table, "--dataset", "season", at=season).out
    question = said.partition('taxalake sql "')[2].partition('"')[0]
    why = {row["detail"] for row in taxalake("sql", question, "--json", at=season).json["rows"]}
    assert why == {
        "line 2: nothing is known of the species no such; --new-species takes it",
        "line 3: there is no observation nobody in season",
    }
    new = bring_in(taxalake, season, table, "--new-species", "--source", "anna")
    assert (new["kept"], new["new_species"]) == (1, ["no such"])


@pytest.mark.parametrize(("words", "said"), [(("--source", "/plants"), "no name"), (("--source", "a/b"), "no name")])
def test_who_says_so_goes_by_a_plain_name(season, taxalake, tmp_path, words, said):
    (tmp_path / "seen.csv").write_text("observation_id,species_id\n")
    told = taxalake("labels", "import", tmp_path / "seen.csv", "--dataset", "season", *words, at=season)
    assert told.code == 1
    assert said in told.err


def test_quadrats_are_reviewed_with_several_species_each(season, taxalake):
    rule = season.parent / "rule.toml"
    rule.write_text('species = "many"\ntilings = "grid-3x3"\n')
    told = taxalake("review", "--dataset", "quadrats", "--model", "m", "--rule", rule, "--json", at=season).json
    assert told["observations"] == 4
    rows = rows_of(told["table"])
    assert all(set(row["answer"].split("|")) >= set(TRUTH[row["observation_id"]]) for row in rows)
    assert 'data-several="yes"' in Path(told["page"]).read_text()
