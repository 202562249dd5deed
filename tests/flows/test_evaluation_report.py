"""The page of an evaluation, as the command writes it: whatever the species are called, and whatever was answered."""

import re
from html.parser import HTMLParser
from pathlib import Path

import mlflow
import pytest
from coloured import NAMES, registry
from homes import content, versions
from mosaics import TRUTH, lay, trained_home, write_rule

HOSTILE = "Poa <script>alert('x')</script> & \"rubra\" $x^{2}$"
QUADRAT = "Q<b onclick=alert(1)>&'"
WORDS = ("--model", "m", "--json")
GRID = ("--tiling", "grid-3x3")


class Page(HTMLParser):
    """The elements and texts of the page of a report."""

    def __init__(self, told):
        super().__init__()
        self.source = Path(told["page"]).read_text(encoding="utf-8")
        self.tags, self.addresses, self.said, self.attributes = set(), [], [], set()
        self.feed(self.source)

    def handle_starttag(self, tag, attrs):
        self.tags.add(tag)
        self.attributes |= {name for name, _ in attrs}
        self.addresses += [value for name, value in attrs if name in {"src", "href", "action", "srcset"}]

    def handle_data(self, data):
        self.said.append(data)

    @property
    def text(self):
        return " ".join(" ".join(self.said).split())


@pytest.fixture(scope="module")
def reported(empty_home, backbone, tmp_path_factory):
    """A home with a species and a quadrat whose names are markup."""
    home = tmp_path_factory.mktemp("reported") / "home"
    trained_home(empty_home, home, backbone, {**NAMES, "10": HOSTILE})
    lay(home, "quadrats", {QUADRAT: ("10", "9"), **dict(list(TRUTH.items())[:5])})
    lay(home, "lonely", {QUADRAT: ("10", "9")})
    return home


@pytest.fixture
def evaluated(reported, taxalake):
    """Evaluate with a page and return what was said."""

    def run(*words, reports="true"):
        told = taxalake("evaluate", *words, *WORDS, at=reported, TAXALAKE_REPORTS=reports)
        assert told.code == 0, told.err
        return told.json

    return run


def test_one_page_is_written_for_each_evaluation_and_lies_in_mlflow_once(reported, evaluated):
    told = evaluated("--dataset", "plants")
    path = reported / "reports" / f"{told['evaluation_id']}.html"
    assert told["page"] == str(path)
    written, before = path.stat().st_mtime_ns, versions(reported)
    again = evaluated("--dataset", "plants")
    assert (again["page"], again["committed"]) == (str(path), False)
    assert path.stat().st_mtime_ns == written
    assert versions(reported) == before
    version = registry(reported).find("m")
    kept = [one.path for one in mlflow.MlflowClient().list_artifacts(version.run_id, "reports")]
    assert kept.count(f"reports/{path.name}") == 1
    copy = mlflow.artifacts.download_artifacts(f"runs:/{version.run_id}/reports/{path.name}")
    assert Path(copy).read_bytes() == path.read_bytes()
    assert not list(path.parent.glob("*.partial"))


def test_a_page_that_was_lost_is_written_again(reported, evaluated):
    told = evaluated("--dataset", "plants")
    path = reported / "reports" / f"{told['evaluation_id']}.html"
    path.unlink()
    assert not evaluated("--dataset", "plants")["committed"]
    assert path.is_file()


def test_a_place_that_wants_no_pages_writes_none(reported, evaluated, tmp_path):
    rule = write_rule(tmp_path / "rule.toml", 'species = "one"\npooling = "max"\ncandidates = 3\n')
    told = evaluated("--dataset", "plants", "--rule", rule, reports="false")
    assert told["page"] == ""
    assert not (reported / "reports" / f"{told['evaluation_id']}.html").exists()


@pytest.mark.parametrize("words", [["--dataset", "plants"], ["--dataset", "quadrats", *GRID]])
def test_a_page_says_species_scores_and_rule_and_refers_to_nothing_outside(evaluated, words):
    told = evaluated(*words)
    page = Page(told)
    for name in ("Aster caeruleus", "Crepis flava", "Poa viridis"):
        assert name in page.text
    assert f"m/1 on {'the test split' if 'plants' in words else 'all that is labelled'} of {words[1]}" in page.text
    for fact in (told["decision_id"], told["evaluation_id"], f'"pooling": "{told["rule"]["pooling"]}"'):
        assert fact in page.text
    assert "macro_f1_per_transect" not in page.text, "nobody has said of a quadrat on which transect it lies"
    for metric, value in told["metrics"].items():
        assert metric in page.text or metric == "macro_f1_per_transect"
        assert f"{value:.4f}" in page.text
    assert all(one.startswith(("#", "data:image/")) for one in page.addresses), page.addresses
    assert {"table", "img", "svg"} <= page.tags
    assert not {"script", "link", "iframe", "object"} & page.tags
    assert not re.search(r"https?://", page.source)


def test_calibration_is_shown_of_probabilities_alone_and_else_a_page_says_why_not(evaluated, tmp_path):
    def rule(text):
        return write_rule(tmp_path / "rule.toml", text)

    why = "only the score of one species, pooled by the mean and weighed by no prior, is a probability"
    page = Page(evaluated("--dataset", "plants"))
    assert ("Whether 0.9 is right nine times in ten." in page.text, why in page.text) == (True, False)
    for dataset, said in (
        ("quadrats", 'species = "many"\npooling = "mean"\nthreshold = 0.2\ntilings = "grid-3x3"\n'),
        ("plants", 'species = "one"\npooling = "max"\n'),
    ):
        page = Page(evaluated("--dataset", dataset, "--rule", rule(said)))
        assert ("Whether 0.9 is right nine times in ten." in page.text, why in page.text) == (False, True)


@pytest.mark.parametrize("words", [["--dataset", "plants"], ["--dataset", "quadrats", *GRID]])
def test_names_that_are_markup_stay_text(reported, evaluated, words):
    assert HOSTILE in {row["scientific_name"] for row in content(reported, "species")}, "it came in as it was said"
    page = Page(evaluated(*words))
    assert HOSTILE in page.text
    assert "script" not in page.tags
    assert "onclick" not in page.attributes
    assert "<script" not in page.source


def test_the_name_of_a_quadrat_that_is_markup_stays_text(reported, evaluated):
    assert QUADRAT in {row["observation_id"] for row in content(reported, "image_records")}
    page = Page(evaluated("--dataset", "lonely", *GRID))
    assert "onclick" not in page.attributes
    assert QUADRAT in page.text


def test_a_single_quadrat_has_a_page_without_ranges(evaluated):
    told = evaluated("--dataset", "lonely", *GRID)
    assert told["observations"] == 1
    assert set(map(tuple, told["ranges"].values())) == {(None, None)}
    page = Page(told)
    assert f"{told['metrics']['macro_f1_per_observation']:.4f}" in page.text


@pytest.mark.parametrize("dataset", ["quadrats", "lonely"])
def test_answers_that_are_all_empty_have_a_page(evaluated, tmp_path, dataset):
    rule = write_rule(
        tmp_path / "rule.toml",
        'species = "many"\npooling = "max"\nthreshold = 2.0\nleast_species = 0\ntilings = "grid-3x3"\n',
    )
    told = evaluated("--dataset", dataset, "--rule", rule)
    assert told["metrics"]["macro_f1_per_observation"] == 0
    assert told["metrics"]["mean_species"] == 0
    page = Page(told)
    assert "0.0000" in page.text
    assert "Aster caeruleus" in page.text
    told = evaluated("--dataset", dataset, *GRID, "--min-votes", "999", "--allow-empty")
    assert told["metrics"]["mean_species"] == 0
    assert told["page"]


def test_a_report_for_people_says_where_the_page_is(reported, taxalake):
    told = taxalake("evaluate", "--dataset", "plants", "--model", "m", at=reported, TAXALAKE_REPORTS="true")
    assert f"the report: {reported / 'reports'}" in told.out
