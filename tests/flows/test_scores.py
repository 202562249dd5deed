"""Stored decisions: scored again, compared, joined; and those that weigh venomous species."""

import csv

import pytest
from coloured import COLOURS, NAMES, settle
from homes import content, versions
from mosaics import TRUTH, another_lake, draw_plant, lay, trained_home, write_rule

from flows.evaluate import evaluate
from flows.ingest import ingest_snakeclef
from flows.train import train
from lake import tables
from lake.tables import Lake

TILING = "grid-3x3"
# From the loosest to the strictest; sharp and sharper differ in what hardly matters.
RULES = {
    "everything": "least_species = 4",
    "sharp": "threshold = 0.6",
    "sharper": "threshold = 0.62",
    "single": "most_species = 1",
}


@pytest.fixture(scope="module")
def decided(empty_home, backbone, tmp_path_factory):
    """A home with a model, and quadrats that are labelled."""
    home = trained_home(empty_home, tmp_path_factory.mktemp("decided") / "home", backbone)
    lay(home, "quadrats")
    return home


@pytest.fixture
def taxalake_here(decided, taxalake):
    """The command in the home, or on another lake of it."""

    def run(*words, **variables):
        return taxalake(*words, at=decided, **variables)

    return run


@pytest.fixture(scope="module")
def reports(decided):
    """What was said of each rule when it was decided."""
    return {
        name: evaluate.fn("quadrats", "m", home=decided, rule=_rule(decided, name)).model_dump(mode="json")
        for name in RULES
    }


@pytest.fixture
def decision(reports):
    return reports.__getitem__


def test_a_stored_decision_scored_again_scores_the_same_and_commits_nothing(decided, taxalake_here, decision):
    first = decision("sharp")
    before = versions(decided)
    again = taxalake_here("score", first["decision_id"], "--json").json
    assert again["metrics"] == first["metrics"]
    assert again["ranges"] == first["ranges"]
    assert (again["evaluation_id"], again["committed"]) == (first["evaluation_id"], False)
    assert versions(decided) == before
    assert "(scored before, nothing new)" in taxalake_here("score", first["decision_id"]).out


def test_a_corrected_label_changes_the_score_and_the_day_before_has_the_old_one(
    decided, taxalake_here, decision, monkeypatch
):
    place, first = another_lake(decided, "corrected"), decision("sharp")
    with monkeypatch.context() as patch:
        for name, value in place.items():
            patch.setenv(name, value)
        old = _version_of_labels(place)
        lay(decided, "quadrats", labels={**TRUTH, "Q01": ("9", "33"), "Q05": ("10",)})
    assert _version_of_labels(place) > old
    now = taxalake_here("score", first["decision_id"], "--json", **place).json
    assert now["committed"]
    assert now["evaluation_id"] != first["evaluation_id"]
    assert now["metrics"]["micro_f1"] < first["metrics"]["micro_f1"]
    then = taxalake_here("score", first["decision_id"], "--at", f"labels@{old}", "--json", **place).json
    assert then["metrics"] == first["metrics"]
    assert then["evaluation_id"] == first["evaluation_id"]
    assert then["snapshots"]["labels"] == old
    assert not then["committed"]
    # The correction changes no answer: what was decided is decided.
    words = ("evaluate", "--dataset", "quadrats", "--model", "m", "--rule", _rule(decided, "sharp"), "--json")
    answered = taxalake_here(*words, **place).json
    assert (answered["decision_id"], answered["evaluation_id"]) == (first["decision_id"], now["evaluation_id"])


def test_what_scores_do_not_hang_on_has_no_other_day(taxalake_here, decision):
    known = decision("sharp")["decision_id"]
    for at, words in (
        ("labels", "'labels' names no table at a version, as labels@5 does"),
        ("labels@new", "'labels@new' names no table at a version"),
        ("embeddings@1", "scores do not hang on embeddings"),
        ("labels@999", "999"),
    ):
        told = taxalake_here("score", known, "--at", at)
        assert told.code == 1, at
        assert words in told.err
        assert "Traceback" not in told.err


def test_a_clearly_better_decision_is_better_by_more_than_chance(taxalake_here, decision):
    bad, good = decision("everything"), decision("sharp")
    told = taxalake_here("compare", bad["decision_id"], good["decision_id"], "--json").json
    by_metric = {one["metric"]: one for one in told["differences"]}
    gain = by_metric["macro_f1_per_observation"]
    assert gain["is_real"]
    assert 0 < gain["low"] <= gain["difference"] <= gain["high"]
    assert gain["a"] == pytest.approx(bad["metrics"]["macro_f1_per_observation"])
    assert gain["b"] == pytest.approx(good["metrics"]["macro_f1_per_observation"])
    assert told["better"] + told["worse"] + told["same"] == told["observations"] == 12
    assert told["better"] > told["worse"]
    assert "more than chance" in taxalake_here("compare", bad["decision_id"], good["decision_id"]).out
    back = taxalake_here("compare", good["decision_id"], bad["decision_id"], "--json").json
    turned = {one["metric"]: one for one in back["differences"]}["macro_f1_per_observation"]
    assert turned["difference"] == pytest.approx(-gain["difference"])
    assert (back["better"], back["worse"]) == (told["worse"], told["better"])


def test_nearly_equal_decisions_differ_by_chance_and_nothing_is_written(decided, taxalake_here, decision):
    one, other = decision("sharp"), decision("sharper")
    assert one["decision_id"] != other["decision_id"]
    before = versions(decided)
    told = taxalake_here("compare", one["decision_id"], other["decision_id"], "--json").json
    assert not any(found["is_real"] for found in told["differences"])
    assert "may be chance" in taxalake_here("compare", one["decision_id"], other["decision_id"]).out
    assert versions(decided) == before


def test_a_decision_is_named_by_how_its_id_begins(taxalake_here, decision):
    first, second = decision("sharp")["decision_id"], decision("single")["decision_id"]
    told = taxalake_here("score", first[:9], "--json").json
    assert told["decision_id"] == first
    told = taxalake_here("compare", first[:9], second[:9], "--json").json
    assert (told["decision_a"], told["decision_b"]) == (first, second)
    told = taxalake_here("score", "nothing")
    assert told.code == 1
    assert "there is no decision 'nothing'" in told.err
    told = taxalake_here("score", "")
    assert told.code == 1
    assert "decisions begin with ''" in told.err


@pytest.mark.parametrize("how", ["union", "intersection", "jaccard"])
def test_decisions_are_answered_together_and_scored_afterwards(decided, taxalake_here, decision, how):
    # Single holds one species of a quadrat, everything all four: they agree on a quarter.
    members = [decision("single")["decision_id"], decision("sharp")["decision_id"]]
    told = taxalake_here("ensemble", *(one[:9] for one in members), "--how", how, "--json")
    assert told.code == 0, told.err
    found = told.json
    assert (found["members"], found["how"], found["dataset"], found["committed"]) == (members, how, "quadrats", True)
    ours, theirs, joined = (_answers(decided, one) for one in (*members, found["decision_id"]))
    for quadrat in TRUTH:
        every, common = ours[quadrat] | theirs[quadrat], ours[quadrat] & theirs[quadrat]
        agree = len(common) / len(every) >= 0.5
        expected = {"union": every, "intersection": common or ours[quadrat], "jaccard": common if agree else every}[how]
        assert joined[quadrat] == expected
    assert found["mean_species"] == sum(map(len, joined.values())) / 12
    scored = taxalake_here("score", found["decision_id"], "--json").json
    assert (scored["observations"], scored["committed"]) == (12, True)
    assert scored["metrics"]["mean_species"] == pytest.approx(found["mean_species"])
    again = taxalake_here("ensemble", *members, "--how", how)
    assert f"taxalake score {found['decision_id']}" in again.out
    assert "(known, nothing new)" in again.out


def test_from_where_on_decisions_agree_is_said(decided, taxalake_here, decision):
    members = [decision("single")["decision_id"], decision("everything")["decision_id"]]
    sizes = []
    for least in ("0.2", "0.3"):
        words = ("ensemble", *members, "--how", "jaccard", "--least-jaccard", least, "--json")
        sizes.append(taxalake_here(*words).json["mean_species"])
    assert sizes == [1, 4], "one of four species is a quarter"


def test_what_does_not_go_together_is_no_ensemble(taxalake_here, decision):
    one, other = decision("single")["decision_id"], decision("sharp")["decision_id"]
    single = taxalake_here("evaluate", "--dataset", "plants", "--model", "m", "--json").json["decision_id"]
    for words, said in (
        ([one, other, "--how", "vote"], "joined by union, intersection, jaccard, not by 'vote'"),
        ([one, "--how", "union"], "needs two decisions at least"),
        ([one, one[:9], "--how", "union"], "needs two decisions at least, and different ones"),
        ([one, single, "--how", "union"], "answers one species an observation"),
        ([one, other, "--how", "jaccard", "--least-jaccard", "1.5"], "lies in 0 to 1"),
    ):
        told = taxalake_here("ensemble", *words)
        assert told.code == 1
        assert said in told.err
    told = taxalake_here("compare", one, single)
    assert told.code == 1
    assert "compared on the same observations" in told.err


def test_venomous_species_weigh_in_a_rule_and_in_the_tracks(home, backbone, tmp_path, taxalake):
    """A SnakeCLEF table of coloured snakes, one of them venomous."""
    _learn_snakes(home, tmp_path, backbone)
    words = ("evaluate", "--dataset", "snakes", "--model", "s", "--json")
    plain = taxalake(*words, at=home).json
    assert plain["split"] == "val"
    assert plain["metrics"]["snakeclef_track1"] == pytest.approx(100)
    assert plain["metrics"]["snakeclef_track2"] == 0
    careful = write_rule(tmp_path / "careful.toml", 'species = "one"\ncost = "snakeclef"\n')
    told = taxalake(*words, "--rule", careful, at=home)
    assert told.code == 0, told.err
    assert told.json["rule"]["cost"] == "snakeclef"
    assert told.json["decision_id"] != plain["decision_id"]
    anxious = write_rule(tmp_path / "anxious.toml", 'species = "one"\nvenomous_share = 0.5\n')
    told = taxalake(*words, "--rule", anxious, at=home)
    assert told.code == 0, told.err
    surest_last, before = _best(home, plain["decision_id"])
    _, after = _best(home, told.json["decision_id"])
    # The less sure half of eight answers are now the venomous species, whatever they were.
    changed = [one for one in surest_last[:4] if before[one] != "9"]
    assert after == {**before, **dict.fromkeys(changed, "9")}
    assert len(changed) >= 2, "two of the eight are venomous"
    assert told.json["metrics"]["accuracy"] == 1 - len(changed) / 8
    assert told.json["metrics"]["snakeclef_track2"] == 2 * len(changed), "a false warning costs 2"
    compared = taxalake("compare", told.json["decision_id"], plain["decision_id"], "--json", at=home).json
    assert (compared["better"], compared["worse"], compared["same"]) == (len(changed), 0, 8 - len(changed))


def test_a_rule_by_venom_is_refused_where_no_species_is_known_to_be_venomous(taxalake_here, tmp_path):
    rule = write_rule(tmp_path / "rule.toml", 'species = "one"\ncost = "snakeclef"\n')
    told = taxalake_here("evaluate", "--dataset", "plants", "--model", "m", "--rule", rule)
    assert told.code == 1
    assert "no species is known to be venomous" in told.err


def _learn_snakes(home, folder, backbone):
    settle(home)
    columns = ("observation_id", "endemic", "binomial_name", "code", "image_path", "class_id", "subset")
    for side, count in (("train", 4), ("val", 2)):
        rows = []
        for species in COLOURS:
            for number in range(count):
                path = folder / "snakes" / side / f"{species}-{number}.png"
                draw_plant(path, species, number if side == "train" else 50 + number)
                name = f"{side}/{species}-{number}.png"
                rows.append((f"{side}-{species}-{number}", "False", NAMES[species], "NO", name, species, side))
        _write(folder / f"{side}.csv", [columns, *rows])
    _write(folder / "venomous.csv", [("class_id", "MIVS"), *((one, int(one == "9")) for one in COLOURS)])
    for side in ("train", "val"):
        ingest_snakeclef.fn(folder / f"{side}.csv", "snakes", folder / "snakes", folder / "venomous.csv", home=home)
    train.fn("snakes", "s", backbone, home, {"head": "nearest"})


def _rule(home, name):
    text = f'species = "many"\ntilings = "{TILING}"\npooling = "max"\n{RULES[name]}\n'
    return write_rule(home.parent / f"{name}.toml", text)


def _write(path, rows):
    with path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows(rows)


def _best(home, decision_id):
    """Return the observations, the least sure first, and the answer to each."""
    rows = [
        row
        for row in content(home, "observation_predictions")
        if row["decision_id"] == decision_id and row["rank"] == 1
    ]
    rows.sort(key=lambda row: (row["score"], row["observation_id"]))
    return [row["observation_id"] for row in rows], {row["observation_id"]: row["species_id"] for row in rows}


def _version_of_labels(place):
    (snapshot,) = tables.latest(Lake(place["TAXALAKE_LAKE_URI"]), "labels")
    return snapshot.version


def _answers(home, decision_id):
    found = {}
    for row in content(home, "observation_predictions"):
        if row["decision_id"] == decision_id and row["is_answer"]:
            found.setdefault(row["observation_id"], set()).add(row["species_id"])
    return found
