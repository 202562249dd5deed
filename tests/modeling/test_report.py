import re
from dataclasses import replace
from html.parser import HTMLParser
from io import BytesIO

import numpy as np
import pytest
from drawn_photographs import plain
from PIL import Image

from modeling.errors import ModelingError
from modeling.report import (
    MOST_PARTS,
    MOST_SPECIES,
    Baseline,
    EvaluationReport,
    Figure,
    Picture,
    Score,
    SliceScore,
    SpeciesScore,
    page,
)

HOSTILE = """"><script>document.title='x'</script><img src=x onerror=alert(1)>'&amp;{{ 7 * 7 }}"""
PHOTOGRAPH = plain("green", width=40, height=30)
EMPTY = EvaluationReport("m/1 on test of d", [], [])


def png(colour: str = "white") -> bytes:
    file = BytesIO()
    Image.new("RGB", (30, 20), colour).save(file, "PNG")
    return file.getvalue()


def whole(name: str) -> EvaluationReport:
    """Return a report with a name wherever text from outside stands."""
    return EvaluationReport(
        title=name,
        facts=[(name, name)],
        headline=[Score(name, 0.5, 0.4, 0.6, 0.01)],
        without_looking=[Baseline(name, {name: 0.1})],
        slices=[SliceScore(name, name, name, 0.3, 0.2, 0.4, 12)],
        species=[SpeciesScore(name, name, 9, 0.5, 0.25, 0.33, 7, name)],
        figures=[Figure(name, name, png())],
        pictures=[Picture(name, PHOTOGRAPH, [name, f"{name}2"], [name])],
    )


class Seen(HTMLParser):
    """What a browser would make of a document."""

    def __init__(self, document: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[str] = []
        self.feed(document)

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attributes)))

    def handle_data(self, data: str) -> None:
        self.texts.append(data)

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.tags if name == tag]


def text_of(report: EvaluationReport) -> str:
    return re.sub(r"\s+", " ", " ".join(Seen(re.sub("<style>.*?</style>", "", page(report), flags=re.DOTALL)).texts))


def species(name: str, f1: float | None, support: int = 1) -> SpeciesScore:
    return SpeciesScore(f"id of {name}", name, support, f1, f1, f1, 3, None)


def test_text_from_outside_is_never_markup():
    plain_page, hostile = Seen(page(whole("Poa annua"))), Seen(page(whole(HOSTILE)))
    assert [tag for tag, _ in hostile.tags] == [tag for tag, _ in plain_page.tags]
    assert [sorted(attributes) for _, attributes in hostile.tags] == [sorted(given) for _, given in plain_page.tags]
    assert "".join(hostile.texts).count(HOSTILE) == "".join(plain_page.texts).count("Poa annua") > 10
    assert hostile.all("img")[0]["alt"] == f"{HOSTILE}: {HOSTILE}"


def test_a_document_refers_to_nothing_outside_itself():
    document = page(whole("Poa annua"))
    for tag, attributes in Seen(document).tags:
        for name in ("href", "src", "srcset", "action", "data", "poster", "xlink:href"):
            assert (attributes.get(name) or "#").startswith(("#", "data:image/")), (tag, attributes)
    assert not re.search(
        r"https?:|//|url\(|@import|<script|<link|<base|<iframe", re.sub(r"base64,[^\"]*", "", document)
    )


def test_a_browser_is_told_to_load_and_run_nothing():
    (policy,) = [one["content"] for one in Seen(page(EMPTY)).all("meta") if one.get("http-equiv")]
    rules = {rule.split()[0]: rule.split()[1:] for rule in str(policy).split(";")}
    assert rules.pop("img-src") == ["data:"]
    assert rules.pop("style-src") == ["'unsafe-inline'"]
    assert rules.pop("default-src") == ["'none'"]
    assert set(map(tuple, rules.values())) == {("'none'",)}


def test_a_document_says_its_language_and_fits_a_phone():
    seen = Seen(page(EMPTY))
    assert seen.all("html") == [{"lang": "en"}]
    assert [one["content"] for one in seen.all("meta") if one.get("name") == "viewport"] == [
        "width=device-width, initial-scale=1"
    ]


def test_every_table_has_a_caption_and_every_heading_its_direction():
    seen = Seen(page(whole("Poa annua")))
    assert len(seen.all("table")) == len(seen.all("caption")) == 3
    assert {one["scope"] for one in seen.all("th")} == {"row", "col"}


def test_images_say_in_words_what_they_show_and_how_large_they_are():
    drawn, photograph = Seen(page(whole("Poa annua"))).all("img")
    assert drawn["alt"] == "Poa annua: Poa annua"
    assert (drawn["width"], drawn["height"]) == ("30", "20")
    assert str(drawn["src"]).startswith("data:image/png;base64,")
    assert photograph["alt"] == "Poa annua; found: Poa annua; there: Poa annua, Poa annua2"
    assert (photograph["width"], photograph["height"]) == ("40", "30")


@pytest.mark.parametrize("content", [b"", b"<svg xmlns='http://www.w3.org/2000/svg'/>", png()[:20]])
def test_what_no_browser_shows_safely_is_refused_by_name(content: bytes):
    with pytest.raises(ModelingError, match=r"'map'.* is no PNG or JPEG"):
        page(replace(EMPTY, figures=[Figure("map", "", content)]))


def test_chance_and_who_never_looks_stand_beside_each_score():
    scores = [Score("accuracy", 0.75, 0.7, 0.8, 0.01), Score("macro F1", 0.5, None, None, None)]
    beside = [Baseline("most frequent", {"accuracy": 0.25}), Baseline("random", {"macro F1": 0.125})]
    text = text_of(replace(EMPTY, headline=scores, without_looking=beside))
    assert "metric value interval 0 1 chance most frequent random" in text
    assert "accuracy 0.7500 0.7000–0.8000 0.0100 0.2500 –" in text
    assert "macro F1 0.5000 – – – 0.1250" in text


def test_where_no_chance_is_known_none_is_spoken_of():
    assert "chance" not in text_of(replace(EMPTY, headline=[Score("accuracy", 0.75, 0.7, 0.8, None)]))


def test_a_bar_lies_where_its_score_and_its_interval_are():
    seen = Seen(page(replace(EMPTY, headline=[Score("accuracy", 0.75, 0.5, 0.875, 0.25)])))
    assert [dot["cx"] for dot in seen.all("circle")] == ["75.00%"]
    assert [(bar["x"], bar["width"]) for bar in seen.all("rect") if bar["class"] == "interval"] == [
        ("50.00%", "37.50%")
    ]
    assert [line["x1"] for line in seen.all("line")] == ["25.00%"]


@pytest.mark.parametrize("value", [39.69, -0.1, np.nan])
def test_a_score_that_is_no_share_has_no_bar(value: float):
    assert Seen(page(replace(EMPTY, headline=[Score("track 1", value, value, value, None)]))).all("svg") == []


@pytest.mark.parametrize(
    ("value", "words"), [(0.12345, "0.1235"), (1.0, "1.0000"), (39.694, "39.69"), (-0.5, "−0.5000"), (np.nan, "–")]
)
def test_a_score_is_written_as_people_read_it(value: float, words: str):
    assert f"track {words} " in text_of(replace(EMPTY, headline=[Score("track", value, None, None, None)]))


@pytest.mark.parametrize("bounds", [(None, 0.5), (np.nan, np.nan), (0.5, np.nan)])
def test_half_an_interval_is_none(bounds: tuple[float | None, float | None]):
    document = page(replace(EMPTY, headline=[Score("accuracy", 0.4, *bounds, None)]))
    assert 'class="interval"' not in document
    assert "nan" not in document


def marks(whole: float, *parts: tuple[float, float, float, int]) -> list[str]:
    """Return the mark of each part of (value, low, high, observations)."""
    slices = [SliceScore("site", f"p{number}", "accuracy", *part) for number, part in enumerate(parts)]
    text = text_of(replace(EMPTY, headline=[Score("accuracy", whole, None, None, None)], slices=slices))
    return [re.search(rf"\bp{number} ([▼▲]?)", text)[1] for number, _ in enumerate(parts)]


def test_a_slice_is_marked_only_where_its_whole_interval_lies_beside_the_score_of_all():
    parts = [(0.3, 0.2, 0.49), (0.4, 0.3, 0.5), (0.7, 0.51, 0.8), (0.1, None, None)]
    assert marks(0.5, *((*part, 100) for part in parts)) == ["▼", "", "▲", ""]


def test_a_small_slice_that_is_all_right_or_all_wrong_is_not_marked_by_its_luck():
    # In every resample of it all are right: of 2, 9 and 20 that is luck, of 60 it would be one chance in a thousand.
    assert marks(0.887, *((1.0, 1.0, 1.0, count) for count in (2, 9, 20, 60))) == ["", "", "", "▲"]
    assert marks(0.1, *((0.0, 0.0, 0.0, count) for count in (2, 9, 20, 60))) == ["", "", "", "▼"]
    assert marks(0.9, (0.0, 0.0, 0.0, 9), (0.0, 0.0, 0.0, 10)) == ["", "▼"]


def test_of_twenty_slices_that_differ_by_nothing_one_at_most_is_marked():
    random = np.random.default_rng(3)
    parts = []
    for size in random.integers(10, 60, 600):
        is_right = random.uniform(size=size) < 0.887
        low, high = np.quantile(is_right[random.integers(0, size, (500, size))].mean(axis=1), [0.025, 0.975])
        parts.append((float(is_right.mean()), float(low), float(high), int(size)))
    marked = [mark for start in range(0, 600, 20) for mark in marks(0.887, *parts[start : start + 20]) if mark]
    assert len(marked) <= 600 / 20


def test_what_a_mark_means_is_said_in_words():
    text = text_of(replace(EMPTY, slices=[SliceScore("site", "a", "accuracy", 0.5, 0.4, 0.6, 12)]))
    assert "▼ or ▲ marks a part of at least 10 observations that is worse or better than all by more than" in text


def test_why_a_figure_is_missing_is_said_below_the_figures():
    text = text_of(replace(EMPTY, figures=[Figure("map", "", png())], not_drawn=["No calibration: it is no model."]))
    assert "No calibration: it is no model." in text


def test_each_kind_and_metric_of_slices_has_its_table():
    given = [("site", "F1"), ("month", "F1"), ("site", "recall")]
    text = text_of(replace(EMPTY, slices=[SliceScore(kind, "a", metric, 0.5, 0.4, 0.6, 3) for kind, metric in given]))
    assert text.index("F1 by site") < text.index("F1 by month") < text.index("recall by site")


def test_of_many_slices_the_largest_are_kept_in_their_order_and_the_rest_counted():
    slices = [SliceScore("site", f"s{number:02}", "F1", 0.5, 0.4, 0.6, number + 1) for number in range(MOST_PARTS + 2)]
    text = text_of(replace(EMPTY, slices=slices))
    assert re.findall(r"\bs\d\d\b", text) == [one.part for one in slices[2:]]
    assert "2 more, of fewer observations, are left out" in text


def test_the_worst_species_come_first_and_of_equal_ones_the_most_frequent():
    given = [species("good", 0.9), species("none", None), species("rare", 0.0, 1), species("often", 0.0, 9)]
    text = text_of(replace(EMPTY, species=[*given, species("nan", np.nan, 0)]))
    assert re.findall(r"(\w+) id of", text) == ["often", "rare", "good", "none", "nan"]


def test_of_many_species_the_worst_are_shown_and_the_rest_counted():
    given = [species(f"s{number}", number / 2000) for number in range(MOST_SPECIES + 1000)]
    text = text_of(replace(EMPTY, species=given[::-1]))
    assert len(re.findall("id of", text)) == MOST_SPECIES
    assert "id of s0 " in text
    assert f"1,000 of {MOST_SPECIES + 1000:,} species, none of them of a lower F1, are left out" in text
    assert "are left out" not in text_of(replace(EMPTY, species=given[:MOST_SPECIES]))


def test_names_beside_a_photograph_are_right_wrong_or_missed():
    text = text_of(replace(EMPTY, pictures=[Picture("q1", PHOTOGRAPH, ["Poa", "Bellis"], ["Viola", "Poa"])]))
    assert "Viola wrong Poa right Bellis missed" in text


def test_where_nobody_knows_what_stands_there_nothing_is_wrong():
    pictures = [Picture("q1", PHOTOGRAPH, [], ["Viola"]), Picture("q2", PHOTOGRAPH, [], [])]
    text = text_of(replace(EMPTY, pictures=pictures))
    assert "q1 Viola found" in text
    assert "q2 nothing was found" in text
    assert "wrong" not in text


def test_a_section_without_anything_in_it_is_left_out():
    seen = Seen(page(EMPTY))
    assert [one["id"] for one in seen.all("section")] == ["verdict"]
    assert "Nothing was scored." in "".join(seen.texts)
    sections = [one["id"] for one in Seen(page(whole("Poa annua"))).all("section")]
    assert sections == ["verdict", "figures", "photographs", "slices", "species", "made"]


def test_links_lead_to_sections_that_are_there():
    for report in (EMPTY, whole("Poa annua")):
        seen = Seen(page(report))
        assert [link["href"] for link in seen.all("a")] == [f"#{one['id']}" for one in seen.all("section")]


def test_the_same_report_is_the_same_document():
    assert page(whole("Poa annua")) == page(whole("Poa annua"))
