"""The page of a review in a real browser: what is shown is text, and what is typed comes back as a table."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from browsers import chromium
from drawn_photographs import plain

from lake.corrections import harmless, read
from modeling.review_sheet import Candidate, Observation, Sheet, page

DESKTOP, PHONE = {"width": 1280, "height": 900}, {"width": 390, "height": 844}
HOSTILE = """<script>document.title='x'</script>"&'<img src=x onerror="document.title='y'">"""
LONG = "Anthriscus" * 12  # no place to break it
TITLE = "season, as answered by species/3"
COLUMNS = ("observation_id", "answer", "species_id", "reviewer", "note")
SPECIES = [("s1", "Poa annua"), ("s2", HOSTILE), ('"><script>', LONG), ("s4", "Bellis"), ("s5", "Bellis")]


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with chromium() as opened:
        yield opened


def sheet(takes_several: bool = False) -> Sheet:
    """Return a sheet of four observations; ids and names are as strangers may give them."""
    asked = [("o1", "unsure"), (HOSTILE, "unsure label_doubted"), ("=1+1", "label_doubted"), (LONG, HOSTILE.split()[0])]
    candidates = [Candidate(one, name, 0.5, number == 0) for number, (one, name) in enumerate(SPECIES)]
    photograph = ("a.jpg", plain("green", width=300, height=200), 300, 200)
    return Sheet(
        title=TITLE,
        review_id="abc",
        table_hash="def",
        file_name="season-species.csv",
        columns=COLUMNS,
        separator="|",
        observations=[
            Observation(
                observation_id=observation,
                photographs=[photograph, (HOSTILE, *photograph[1:])],
                photograph_count=3,
                candidates=candidates,
                reasons=[(reason, f"{HOSTILE} {LONG}") for reason in reasons.split()],
                cells=[harmless(observation), harmless(HOSTILE)],
            )
            for observation, reasons in asked
        ],
        left_out=7,
        takes_several=takes_several,
        species=SPECIES,
    )


@pytest.fixture(scope="module")
def documents(tmp_path_factory: pytest.TempPathFactory) -> dict[bool, Path]:
    folder = tmp_path_factory.mktemp("sheet")
    paths = {}
    for takes_several in (False, True):
        paths[takes_several] = folder / f"{takes_several}.html"
        paths[takes_several].write_text(page(sheet(takes_several)), "utf-8")
    return paths


@pytest.fixture
def opened(browser: Any, documents: dict[bool, Path]) -> Iterator[Callable[..., Any]]:
    """Open a sheet without a network; the page keeps what it asked for and complained of."""
    contexts = []

    def open_at(viewport: dict[str, int] = DESKTOP, takes_several: bool = False) -> Any:
        contexts.append(browser.new_context(viewport=viewport, offline=True))
        shown = contexts[-1].new_page()
        shown.asked, shown.said = [], []
        shown.on("request", lambda asked: shown.asked.append(asked.url))
        shown.on("console", lambda said: shown.said.append(said.text))
        shown.on("pageerror", lambda error: shown.said.append(str(error)))
        shown.goto(documents[takes_several].as_uri())
        return shown

    yield open_at
    for context in contexts:
        context.close()


def saved(shown: Any, tmp_path: Path) -> Path:
    """Press the button and return the table that the browser keeps."""
    with shown.expect_download() as download:
        shown.click("#save")
    assert download.value.suggested_filename == "season-species.csv"
    download.value.save_as(tmp_path / "saved.csv")
    return tmp_path / "saved.csv"


def test_a_hostile_name_stays_text_and_nothing_of_it_runs(opened):
    shown = opened()
    assert shown.title() == TITLE
    assert shown.evaluate("[...document.images].every(one => one.src.startsWith('data:image/jpeg'))")
    assert shown.evaluate("document.scripts.length") == 1
    assert shown.locator("article").nth(1).locator("h2").inner_text() == HOSTILE
    for button in shown.locator("article").first.locator("button").all():
        button.click()
    assert shown.locator("article").first.locator(".meaning").inner_text() == "Bellis (s5)"
    assert shown.title() == TITLE
    assert [url for url in shown.asked if not url.startswith("data:")] == shown.asked[:1]
    assert shown.said == []


def test_a_script_that_is_not_the_pages_own_does_not_run(opened):
    shown = opened()
    shown.evaluate(
        "document.body.append(Object.assign(document.createElement('script'), {text: 'document.title = 1'}))"
    )
    assert shown.title() == TITLE
    assert any("Content Security Policy" in said for said in shown.said)


@pytest.mark.parametrize("viewport", [DESKTOP, PHONE], ids=["desktop", "phone"])
def test_the_page_never_scrolls_sideways(opened, viewport):
    shown_width, window = opened(viewport).evaluate("[document.scrollingElement.scrollWidth, innerWidth]")
    assert shown_width <= window == viewport["width"]


def test_the_table_that_is_saved_is_what_was_chosen_and_typed(opened, tmp_path):
    shown = opened()
    articles = shown.locator("article")
    articles.nth(0).locator("button").nth(0).click()
    articles.nth(1).locator(".species").fill("poa ANNUA")
    articles.nth(1).locator(".note").fill('=cmd|"x", \n y')
    articles.nth(2).locator("button").nth(2).click()
    shown.fill("#reviewer", "Anna, B.")
    assert shown.inner_text("#progress") == "3 of 4 filled in"
    table = saved(shown, tmp_path)
    rows = read(table)
    assert rows.select("observation_id", "species_ids").rows() == [
        ("o1", ["s1"]),
        (HOSTILE, ["s1"]),
        ("=1+1", ['"><script>']),
        (LONG, []),
    ]
    assert rows["kind"].null_count() == 4
    assert rows["reviewer"].to_list() == ["Anna, B.", "Anna, B.", "Anna, B.", None]
    assert rows["note"].to_list()[1].startswith("=cmd")
    assert "'=cmd" in table.read_text("utf-8-sig")


def test_a_choice_is_taken_back_by_choosing_it_again_and_one_organism_holds_one_species(opened, tmp_path):
    shown = opened()
    first, second = (shown.locator("article").first.locator("button").nth(number) for number in (0, 1))
    first.click()
    second.click()
    assert (first.get_attribute("aria-pressed"), second.get_attribute("aria-pressed")) == ("false", "true")
    second.click()
    assert read(saved(shown, tmp_path))["species_ids"].to_list() == [[]] * 4


def test_a_quadrat_holds_several_species(opened, tmp_path):
    shown = opened(takes_several=True)
    article = shown.locator("article").first
    for number in (3, 0):
        article.locator("button").nth(number).click()
    assert article.locator(".meaning").inner_text() == "Bellis (s4), Poa annua (s1)"
    assert read(saved(shown, tmp_path))["species_ids"].to_list()[0] == ["s1", "s4"]


def test_a_name_that_no_species_or_several_have_is_told(opened):
    shown = opened()
    article = shown.locator("article").first
    for typed in ("Nessie", "bellis"):
        article.locator(".species").fill(typed)
        assert f"no species is known as {typed}" in article.locator(".meaning").inner_text()


def test_a_reason_shows_its_observations_alone_and_saves_them_all(opened, tmp_path):
    shown = opened()
    shown.select_option("#filter", "label_doubted")
    assert [one.inner_text() for one in shown.locator("article h2").all() if one.is_visible()] == [HOSTILE, "=1+1"]
    assert read(saved(shown, tmp_path)).height == 4
    shown.select_option("#filter", "")
    assert all(one.is_visible() for one in shown.locator("article").all())


def test_work_that_is_not_saved_is_not_lost_by_leaving(opened, tmp_path):
    shown = opened()
    asked = []
    shown.on("dialog", lambda dialog: (asked.append(dialog.type), dialog.dismiss()))
    shown.locator("article").first.locator("button").first.click()
    with shown.expect_event("dialog"):
        shown.close(run_before_unload=True)
    saved(shown, tmp_path)
    with shown.expect_event("close"):
        shown.close(run_before_unload=True)
    assert asked == ["beforeunload"]


def test_a_sheet_of_nothing_says_so(browser, tmp_path):
    empty = Sheet(TITLE, "abc", "def", "x.csv", COLUMNS, "|", [], 0, False, [])
    (tmp_path / "empty.html").write_text(page(empty), "utf-8")
    shown = browser.new_page()
    said: list[str] = []
    shown.on("pageerror", lambda error: said.append(str(error)))
    shown.goto((tmp_path / "empty.html").as_uri())
    assert "There is nothing to look at." in shown.inner_text("main")
    assert said == []
    shown.close()


def test_the_table_that_is_saved_has_the_columns_that_were_asked_for(opened, tmp_path):
    shown = opened()
    header = saved(shown, tmp_path).read_text("utf-8-sig").splitlines()[0]
    assert header.split(",") == list(COLUMNS)
    assert json.loads(shown.get_attribute("main", "data-header")) == list(COLUMNS)
