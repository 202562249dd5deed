"""What a flow run leaves on Prefect's pages: its words and numbers, links and figures, and nothing that acts."""

import json
import os
from pathlib import Path
from typing import Any

import pytest
from browsers import chromium
from PIL import Image
from prefect import flow
from prefect.settings import PREFECT_API_URL, PREFECT_LOGGING_TO_API_ENABLED, temporary_settings
from pydantic import BaseModel
from servers import running_station

from flows import prefect_pages
from flows.answers import grid
from flows.orchestration import run_recorded, told
from flows.prefect_pages import MOST_FIGURES, harmless, paragraphs, show_figures

HOSTILE = [
    "<script>document.title = 'taken'</script>",
    "<img src=x onerror=\"document.title='taken'\">",
    "[look](javascript:document.title='taken')",
    "![look](https://evil.example/pixel.png)",
    "<https://evil.example/> https://evil.example www.evil.example evil@evil.example",
    "# large\n\n```\n|a|\n|-|\n**bold** \u202ekcab",
]


class Report(BaseModel):
    dataset: str = "My Plants"
    kept: int = 60
    share: float = float("nan")
    by_kind: dict[str, int] = {"trun|cated": 2}
    names: list[str] = []
    mlflow_run_id: str = ""
    page: str = ""
    committed: bool = True
    said: list[str] = ["kept 60 of 62"]

    def lines(self) -> list[Any]:
        return self.said


@flow(name="look-around")
def look(report: Report, figures: list[Path], home: Path | None = None) -> None:
    show_figures(figures, "look", report.dataset)
    told(report)


@pytest.fixture(scope="module")
def station(tmp_path_factory):
    with running_station(tmp_path_factory.mktemp("station")) as started:
        yield started


@pytest.fixture
def left(station):
    """Return what a flow run with a report leaves, by key."""

    def run(report: Report, figures: tuple[Path, ...] = (), home: Path | None = None) -> dict[str, Any]:
        before = {one["id"] for one in station.post("artifacts/filter")}
        with temporary_settings({PREFECT_API_URL: station.api, PREFECT_LOGGING_TO_API_ENABLED: False}):
            run_recorded(look, report, list(figures), home)
        return {one["key"]: one for one in station.post("artifacts/filter") if one["id"] not in before}

    return run


def test_a_report_is_left_as_words_and_as_a_table(left):
    found = left(Report())
    assert found.keys() == {"look-around-my-plants", "look-around-my-plants-counts"}
    assert found["look-around-my-plants"]["data"] == "kept 60 of 62"
    rows = {row["what"]: row["value"] for row in json.loads(found["look-around-my-plants-counts"]["data"])}
    assert rows == {"dataset": "My Plants", "kept": 60, "share": None, "by\\_kind\\.trun\\|cated": 2, "committed": True}


def test_a_run_that_found_nothing_to_do_leaves_its_words_alone(left):
    assert left(Report(committed=False)).keys() == {"look-around-my-plants"}


def test_few_figures_are_left_and_none_that_is_large(left, tmp_path, monkeypatch):
    files = [tmp_path / f"{name}.png" for name in ("large", "a", "b", "c")]
    for file in files:
        Image.effect_noise((200, 200), 90).convert("RGB").save(file)
    monkeypatch.setattr(prefect_pages, "MOST_FIGURE_BYTES", files[0].stat().st_size - 1)
    for file in files[1:]:
        Image.new("RGB", (20, 20)).save(file)
    found = {key for key, one in left(Report(), tuple(files)).items() if one["type"] == "image"}
    assert found == {"look-my-plants-a", "look-my-plants-b"}
    assert len(found) == MOST_FIGURES


def test_links_lead_to_mlflow_where_its_pages_are_and_name_the_file_else(left, tmp_path):
    report = Report(mlflow_run_id="ab12", page="/home/reports/x y.html")
    alone = left(report, home=tmp_path)["look-around-my-plants"]["data"]
    assert "MLflow run ab12" in alone
    assert "The page: `/home/reports/x y.html`" in alone
    assert "](" not in alone
    (tmp_path / "taxalake.toml").write_text('tracking_uri = "http://me:secret@127.0.0.1:5000/"\n')
    linked = left(report, home=tmp_path)["look-around-my-plants"]["data"]
    assert "secret" not in linked
    assert "[The MLflow run](http://127.0.0.1:5000/#/runs/ab12)" in linked
    assert "(http://127.0.0.1:5000/get-artifact?path=reports%2Fx%20y.html&run_uuid=ab12)" in linked
    with (tmp_path / "taxalake.toml").open("a") as file:
        file.write('mlflow_pages = "https://mlflow.example.org"\n')
    proxied = left(report, home=tmp_path)["look-around-my-plants"]["data"]
    assert "[The MLflow run](https://mlflow.example.org/#/runs/ab12)" in proxied


def test_lines_in_columns_keep_their_places_and_cannot_leave_them():
    lines = ["scores:", "  accuracy   0.9", "  ```", grid(["name"], [{"name": "<b>"}]), "", "the end"]
    assert list(paragraphs(lines)) == [
        "scores\\:",
        "````text\n  accuracy   0.9\n  ```\nname\n<b>\n````".replace("name\n<b>", "name\n<b> "),
        "the end",
    ]


def test_markup_of_every_kind_is_undone():
    assert harmless("a_b <i> &amp; [x](y)") == "a\\_b &lt;i&gt; &amp;amp; \\[x\\]\\(y\\)"


def test_a_server_that_takes_no_artifact_does_not_make_the_work_fail(station, monkeypatch):
    def refuse(*_: object, **__: object) -> None:
        raise prefect_pages.httpx.ConnectError("gone")

    monkeypatch.setattr(prefect_pages, "create_markdown_artifact", refuse)
    with temporary_settings({PREFECT_API_URL: station.api, PREFECT_LOGGING_TO_API_ENABLED: False}):
        assert run_recorded(look, Report(), [], None) is None


def test_hostile_names_are_shown_and_do_nothing(left, station):
    report = Report(
        dataset=HOSTILE[0], said=[*HOSTILE, *(f"  {line}" for line in HOSTILE)], by_kind=dict.fromkeys(HOSTILE, 1)
    )
    found = left(report)
    with chromium() as browser:
        shown = browser.new_page(viewport={"width": 1280, "height": 900})
        asked: list[str] = []
        shown.on("request", lambda request: asked.append(request.url))
        for artifact in found.values():
            shown.goto(f"{station.api.removesuffix('/api')}/artifacts/artifact/{artifact['id']}")
            shown.get_by_text("taken").first.wait_for(timeout=60_000)
            shown.wait_for_timeout(500)
            assert shown.title() != "taken"
            assert not [url for url in asked if "evil.example" in url]
            harm = "[...document.querySelectorAll('a[href]')].map(one => one.href)"
            assert not [link for link in shown.evaluate(harm) if "evil" in link or link.startswith("javascript:")]
            assert shown.evaluate("document.querySelectorAll('img').length") == 0
            if "TAXALAKE_SCREENSHOTS" in os.environ:
                file = Path(os.environ["TAXALAKE_SCREENSHOTS"]) / f"hostile-{artifact['type']}.png"
                shown.screenshot(path=file, full_page=True)
