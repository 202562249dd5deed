import pytest
from browsers import chromium

from modeling.errors import ModelingError
from modeling.report import Figure
from modeling.station_page import Cell, Grid, Section, StationPage, page

HOSTILE = "<img src=x onerror=alert(1)>"


def shown(**given):
    return page(StationPage(title="The station", when="now", headline=[("photographs", "3")], **given))


def test_what_comes_from_outside_is_text_everywhere():
    grid = Grid(HOSTILE, (HOSTILE,), [[Cell(HOSTILE)]], foot=HOSTILE)
    text = page(
        StationPage(HOSTILE, HOSTILE, [(HOSTILE, HOSTILE)], [HOSTILE], [Section("a", HOSTILE, HOSTILE, [grid])])
    )
    assert "<img" not in text
    assert text.count("&lt;img") == 14  # the title twice


def test_the_page_refers_to_nothing_outside_and_forbids_scripts():
    text = shown(sections=[Section("a", "A")])
    assert "default-src 'none'" in text
    assert "http" not in text.replace("http-equiv", "")


def test_a_share_is_a_bar_of_its_length():
    grid = Grid("g", ("name", ""), [[Cell("a"), Cell("", share=0.25)]])
    assert 'width="25.00%"' in shown(sections=[Section("a", "A", grids=[grid])])


def test_a_figure_that_is_none_is_refused():
    with pytest.raises(ModelingError, match="is to be shown"):
        shown(sections=[Section("a", "A", figures=[Figure("f", "c", b"<svg/>")])])


def test_on_a_desk_and_on_a_phone_only_tables_scroll_sideways(tmp_path):
    long = "Anthriscus" * 30  # no place to break it
    grid = Grid(long, ("a", "b", "c"), [[Cell(long), Cell(long), Cell("", share=1.0)]] * 3, foot=long)
    file = tmp_path / "station.html"
    file.write_text(
        page(StationPage(long, long, [(long, "3")] * 9, [long], [Section("a", long, long, [grid])] * 3)), "utf-8"
    )
    with chromium() as browser:
        for width in (1280, 390):
            shown = browser.new_page(viewport={"width": width, "height": 800})
            shown.goto(file.as_uri())
            assert shown.evaluate("document.scrollingElement.scrollWidth") == width
            assert shown.evaluate("document.querySelector('.scroll').scrollWidth") > 390
