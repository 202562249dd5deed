"""What an operator sees: Prefect's and MLflow's pages in a real browser, over a station that `taxalake serve` runs."""

import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from browsers import chromium
from homes import REPOSITORY
from served import Served, served

from flows.ingest import ingest_folder

ENTRIES = yaml.safe_load((REPOSITORY / "deployments" / "prefect.yaml").read_text(encoding="utf-8"))["deployments"]
PATIENCE = 30_000  # milliseconds for a page on a busy machine
LIMIT = "limit=100"


@pytest.fixture(scope="module")
def station(tmp_path_factory, flora, backbone) -> Iterator[Served]:
    folder = tmp_path_factory.mktemp("station")
    (folder / "home").mkdir()
    (folder / "home" / "taxalake.toml").write_text(f'backbone = "{backbone}"\n')
    ingest_folder.fn(flora.folder / "plants", "plants", home=folder / "home")
    with served(folder, "--watch-seconds", "3600") as running:
        yield running


@pytest.fixture(scope="module")
def page(station) -> Iterator[Any]:
    """A page that keeps what it asked strangers for."""
    with chromium() as browser:
        shown = browser.new_page(viewport={"width": 1400, "height": 1000})
        shown.set_default_timeout(PATIENCE)
        shown.strangers = []
        shown.on("request", lambda asked: shown.strangers.append(asked) if is_strange(asked.url) else None)
        yield shown


@pytest.fixture(scope="module")
def picture(page, tmp_path_factory) -> Any:
    """Keep what the page shows as a picture."""
    folder = Path(os.environ.get("TAXALAKE_SCREENSHOTS") or tmp_path_factory.mktemp("screenshots"))
    folder.mkdir(parents=True, exist_ok=True)

    def take(name: str) -> None:
        page.wait_for_timeout(500)  # what slides in has come to rest
        page.screenshot(path=folder / f"{name}.png", full_page=True)

    return take


@pytest.fixture(scope="module")
def retrained(station, page, picture) -> dict[str, Any]:
    """A run of `retrain` that was begun in its form, with two parameters changed there."""
    deployment = station.get("deployments/name/retrain/station")["id"]
    page.goto(f"{station.report['prefect']}/v2/deployments/deployment/{deployment}")
    page.get_by_role("button", name="Run", exact=True).first.click()
    page.get_by_role("menuitem", name="Custom run").click()
    page.get_by_role("button", name="Submit").wait_for()
    for number in range(2):
        page.get_by_role("tab", name="str", exact=True).nth(number).click()
    fields = page.locator("[role=tabpanel][data-state=active] textarea")
    for field, text in ((fields.nth(0), "plants"), (fields.nth(1), "species")):
        field.fill(text)
    picture("retrain-form")
    page.get_by_role("button", name="Submit").click()
    page.wait_for_url("**/deployment/*?tab=Runs")
    begun = station.post("flow_runs/filter", deployments={"id": {"any_": [deployment]}})
    (run,) = [one for one in begun if one["parameters"].get("name") == "species"]
    return station.ended(run["id"], within=280)


def is_strange(url: str) -> bool:
    return not re.match(r"(http://127\.0\.0\.1:\d+/|data:|blob:)", url)


def test_the_deployments_page_lists_every_deployment_with_its_schedule(station, page, picture):
    page.goto(f"{station.report['prefect']}/v2/deployments?{LIMIT}")
    page.get_by_text(f"{len(ENTRIES)} Deployments").wait_for()
    page.locator("tbody tr").nth(len(ENTRIES) - 1).wait_for()
    picture("deployments")
    shown = page.inner_text("tbody")
    flows = {flow["id"]: flow["name"] for flow in station.post("flows/filter")}
    deployed = {flows[one["flow_id"]] for one in station.post("deployments/filter")}
    assert len(deployed) == len(ENTRIES) == page.locator("tbody tr").count()
    lines = set(shown.splitlines())
    assert not deployed - lines
    assert shown.count("Active") == sum("schedules" in entry for entry in ENTRIES)


def test_a_deployments_scheduled_runs_are_there(station, page, picture):
    deployment = station.get("deployments/name/watch/station")["id"]
    page.goto(f"{station.report['prefect']}/v2/deployments/deployment/{deployment}?tab=Upcoming")
    page.get_by_text("Scheduled", exact=True).first.wait_for()
    picture("scheduled-runs")


def test_retrain_runs_as_its_form_says_and_leaves_its_reason_and_figures(station, page, picture, retrained):
    assert retrained["state_name"] == "Completed", retrained["state"]["message"]
    assert {name: retrained["parameters"][name] for name in ("dataset", "name")} == {
        "dataset": "plants",
        "name": "species",
    }
    page.goto(f"{station.report['prefect']}/v2/runs/flow-run/{retrained['id']}")
    page.get_by_text("Completed", exact=True).first.wait_for()
    page.get_by_role("tab", name="Artifacts").click()
    page.get_by_role("link", name="retrain", exact=True).nth(-1).wait_for()
    picture("retrain-artifacts")
    artifacts = [one for one in station.post("artifacts/filter") if one["key"]]
    (said,) = [one for one in artifacts if one["flow_run_id"] == retrained["id"] and one["type"] == "markdown"]
    page.goto(f"{station.report['prefect']}/v2/artifacts/artifact/{said['id']}")
    page.get_by_text("there was no champion to beat").first.wait_for()
    picture("retrain-reason")
    figures = [one for one in artifacts if one["type"] == "image" and one["key"].startswith("train-")]
    assert figures
    for figure in figures:
        page.goto(f"{station.report['prefect']}/v2/artifacts/artifact/{figure['id']}")
        page.wait_for_function("[...document.images].some(one => one.complete && one.naturalWidth > 100)")
        picture(f"figure-{figure['key']}")


def test_the_registry_shows_the_champion_its_tags_and_its_figures(station, page, picture, retrained):
    assert retrained["state_name"] == "Completed"
    page.goto(f"{station.mlflow}/#/models/species")
    page.get_by_text("Version 1").first.wait_for()
    shown = page.inner_text("main")
    assert "champion" in shown
    for tag in ("dataset", "split_id", "snapshots", "verdict"):
        assert tag in shown, tag
    picture("registered-model")
    page.get_by_text("Version 1").first.click()
    page.get_by_text("champion").first.wait_for()
    picture("model-version")
    (version,) = model_versions(station, "species")
    page.goto(f"{station.mlflow}/#/experiments/{version['experiment']}/runs/{version['run_id']}/artifacts")
    page.get_by_text("judgement", exact=True).first.click()
    page.get_by_text(".png").first.click()
    page.wait_for_function("[...document.images].some(one => one.complete && one.naturalWidth > 200)")
    picture("run-figures")


def test_no_page_asks_anything_of_strangers(page):
    """Prefect's pages ask a company that counts visitors; the station's own policy keeps them from it."""
    assert [asked.url for asked in page.strangers if asked.failure != "csp"] == []


def model_versions(station: Served, name: str) -> list[dict[str, str]]:
    import httpx

    api = f"{station.mlflow}/api/2.0/mlflow"
    found = httpx.get(f"{api}/model-versions/search", params={"filter": f"name='{name}'"}, timeout=60).json()
    versions = []
    for version in found["model_versions"]:
        run = httpx.get(f"{api}/runs/get", params={"run_id": version["run_id"]}, timeout=60).json()["run"]
        versions.append({"run_id": version["run_id"], "experiment": run["info"]["experiment_id"]})
    return versions
