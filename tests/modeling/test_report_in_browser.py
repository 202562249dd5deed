from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from browsers import chromium
from drawn_photographs import plain

from modeling.evaluation_figures import NamedTile, draw_quadrat, draw_slices
from modeling.report import Baseline, EvaluationReport, Figure, Picture, Score, SliceScore, SpeciesScore, page

DESKTOP, PHONE = {"width": 1280, "height": 900}, {"width": 390, "height": 844}
HOSTILE = "<script>document.title='x'</script>"
LONG = "Anthriscus" * 30  # no place to break it
TITLE = "plants/7 on the test split of quadrats"


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with chromium() as opened:
        yield opened


@pytest.fixture(scope="module")
def document(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("report")
    names = ["Poa annua", HOSTILE, f"<img src=x onerror=document.title='y'>{LONG}"]
    slices = [
        SliceScore(kind, f"{LONG} {number}", "macro F1", 0.5, 0.3, 0.6, number) for kind in names for number in range(4)
    ]
    tiles = [NamedTile(0, 0, 100, 100, "Poa annua", 0.9), NamedTile(100, 0, 200, 100, HOSTILE, 0.6)]
    quadrat = draw_quadrat(plain("green", width=200, height=100), tiles, names, names[:1], "q1", folder / "q1.png")
    report = EvaluationReport(
        title=TITLE,
        facts=[("decision", LONG), (HOSTILE, HOSTILE)],
        headline=[Score("macro F1", 0.61, 0.55, 0.68, 0.01), Score(LONG, 39.7, 38.0, 41.0, None)],
        without_looking=[Baseline(f"the most frequent {number}", {"macro F1": 0.1}) for number in range(5)],
        slices=slices,
        species=[
            SpeciesScore(str(number), name, 9, 0.5, None, score, 7, names[number])
            for number, (name, score) in enumerate(zip(names, np.linspace(0, 1, 3), strict=True))
        ],
        figures=[Figure("slices", LONG, draw_slices(slices, 0.6, folder / "slices.png").read_bytes())],
        pictures=[
            Picture("q1", quadrat.read_bytes(), names[:1], names),
            Picture("q2", plain("green", width=3000, height=200), [LONG], [LONG]),
        ],
    )
    path = folder / "report.html"
    path.write_text(page(report), "utf-8")
    return path


@pytest.fixture
def opened(browser: Any, document: Path) -> Iterator[Callable[..., Any]]:
    """Open the document without a network; the page keeps what it asked for and complained of."""
    contexts = []

    def open_at(viewport: dict[str, int]) -> Any:
        contexts.append(browser.new_context(viewport=viewport, offline=True))
        shown = contexts[-1].new_page()
        shown.asked, shown.said = [], []
        shown.on("request", lambda asked: shown.asked.append(asked.url))
        shown.on("console", lambda said: shown.said.append(said.text))
        shown.on("pageerror", lambda error: shown.said.append(str(error)))
        shown.goto(document.as_uri())
        return shown

    yield open_at
    for context in contexts:
        context.close()


def test_no_request_leaves_the_page(opened, document):
    shown = opened(DESKTOP)
    assert [url for url in shown.asked if not url.startswith("data:image/")] == [document.as_uri()]
    assert shown.said == []


def test_names_of_scores_are_whole_and_their_table_is_not_cut_off_on_a_desk(browser, tmp_path):
    names = ["accuracy", "top10_accuracy", "macro_f1_per_true_species", "macro_f1_per_known_species"]
    blind = ["always_venomous", "majority", "majority_by_country", "random", "venomous_by_country"]
    report = EvaluationReport(
        TITLE,
        [],
        [Score(name, 0.8629, 0.7984, 0.9194, 0.0833) for name in names],
        [Baseline(name, {"accuracy": 0.121}) for name in blind],
    )
    path = tmp_path / "report.html"
    path.write_text(page(report), "utf-8")
    context = browser.new_context(viewport=DESKTOP, offline=True)
    shown = context.new_page()
    shown.goto(path.as_uri())
    assert shown.evaluate("(box => box.scrollWidth - box.clientWidth)(document.querySelector('.scroll'))") == 0
    lines_of_each = """[...document.querySelectorAll('.scores tbody th, .scores thead .other')].map(cell => {
        const text = document.createRange()
        text.selectNodeContents(cell)
        return text.getClientRects().length
    })"""
    assert shown.evaluate(lines_of_each) == [1] * (1 + len(blind) + len(names))
    context.close()


@pytest.mark.parametrize("viewport", [DESKTOP, PHONE], ids=["desktop", "phone"])
def test_the_page_never_scrolls_sideways(opened, viewport):
    shown = opened(viewport)
    shown_width, window = shown.evaluate("[document.scrollingElement.scrollWidth, innerWidth]")
    assert shown_width <= window == viewport["width"]


@pytest.mark.parametrize("viewport", [DESKTOP, PHONE], ids=["desktop", "phone"])
def test_what_is_wider_than_the_page_scrolls_in_its_own_box_and_by_key(opened, viewport):
    shown = opened(viewport)
    outside = """[...document.querySelectorAll('main *, header *')].filter(
        one => one.getBoundingClientRect().right > innerWidth + 1 && !one.closest('.scroll')).length"""
    assert shown.evaluate(outside) == 0
    wide = "[...document.querySelectorAll('.scroll')].filter(one => one.scrollWidth > one.clientWidth)"
    assert shown.evaluate(f"{wide}.every(one => one.tabIndex === 0)")
    if viewport is PHONE:
        assert shown.evaluate(f"{wide}.length") > 0


@pytest.mark.parametrize("viewport", [DESKTOP, PHONE], ids=["desktop", "phone"])
def test_images_decode_and_keep_their_proportions(opened, viewport):
    shown = opened(viewport)
    images = shown.evaluate(
        "[...document.images].map(one => [one.naturalWidth, one.naturalHeight, one.clientWidth, one.clientHeight])"
    )
    assert len(images) == 3
    for natural_width, natural_height, width, height in images:
        assert natural_width > 0
        assert width / height == pytest.approx(natural_width / natural_height, rel=0.05)


def test_a_hostile_name_stays_text(opened):
    shown = opened(DESKTOP)
    assert shown.title() == TITLE
    assert shown.evaluate("document.scripts.length") == 0
    assert HOSTILE in shown.inner_text("#species")


def test_where_the_browser_runs_scripts_the_document_forbids_them(opened):
    shown = opened(DESKTOP)
    shown.evaluate(
        "document.body.append(Object.assign(document.createElement('script'), {text: 'document.title = 1'}))"
    )
    assert shown.title() == TITLE
    assert any("Content Security Policy" in said for said in shown.said)


def test_colours_follow_the_eyes_and_words_stand_out_from_their_ground(opened):
    shown = opened(DESKTOP)
    grounds = {}
    for scheme in ("light", "dark"):
        shown.emulate_media(color_scheme=scheme)
        colours = shown.evaluate(
            "[getComputedStyle(document.body).color, getComputedStyle(document.body).backgroundColor]"
        )
        words, ground = (sum(int(part) for part in colour[4:-1].split(",")) for colour in colours)
        assert abs(words - ground) > 450
        grounds[scheme] = ground
    assert grounds["light"] > 700
    assert grounds["dark"] < 150


def test_on_paper_nothing_is_hidden_in_a_box_and_the_ground_is_white(opened):
    shown = opened(DESKTOP)
    shown.emulate_media(media="print", color_scheme="dark")
    assert shown.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    overflows = "[...document.querySelectorAll('.scroll')].map(one => getComputedStyle(one).overflowX)"
    assert set(shown.evaluate(overflows)) == {"visible"}
    assert not shown.is_visible("nav")
