"""A challenger takes the champion's place when it is better, and only then; who dies on the way is completed."""

import csv
import itertools
import random
import re
import shutil

import pyarrow as pa
import pytest
from homes import content, differences, versions
from PIL import Image

from flows import promote as promoting
from flows import retrain_judgement, settings, train_judgement
from flows.embed import embed
from flows.evaluate import evaluate
from flows.ingest import ingest_table
from flows.predict import predict
from flows.promote import promote, rollback
from flows.renew import renew_answers
from flows.retrain import retrain
from flows.train import train
from lake import ledger, retraining, tables
from lake.errors import LakeError
from lake.schemas import TABLES
from modeling.errors import ProbeError, RegistryError
from modeling.registry import CHALLENGER, CHAMPION, PREVIOUS_CHAMPION, Registry

COLUMNS = ("image", "species_id", "observation", "split", "scientific_name")
QUICK = {"head": "discriminant"}  # solved, not fitted step by step; who comes after is trained alike


def take_in(home, flora, rows, path):
    """Take in some rows of a flora's table, as a table of its own."""
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, rows[0].keys())
        writer.writeheader()
        writer.writerows(rows)
    ingest_table.fn(path, "plants", *COLUMNS, root=flora.folder, home=home)


def unlabelled(home, dataset, folder, colours):
    """Take in photographs of one colour each that nobody has labelled."""
    folder.mkdir()
    for number, colour in enumerate(colours):
        Image.new("RGB", (64, 64), colour).save(folder / f"{number}.png")
    (folder / "photographs.csv").write_text(
        "".join(["image\n", *(f"{number}.png\n" for number in range(len(colours)))])
    )
    ingest_table.fn(folder / "photographs.csv", dataset, "image", home=home)


def rows_of(flora):
    with flora.plants_csv.open() as file:
        return list(csv.DictReader(file))


def registry_of(home):
    return Registry(f"sqlite:///{home / 'mlflow.db'}", home / "mlartifacts")


def champion(home):
    return registry_of(home).find("flora@champion")


def aliases(registry):
    return {alias: version.number for version in registry.versions("flora") for alias in version.aliases}


def retrained(home, **options):
    """Retrain the one model."""
    (outcome,) = retrain.fn("plants", "flora", home=home, **options).outcomes
    return outcome


@pytest.fixture(autouse=True)
def without_figures_and_clock(monkeypatch):
    # Seconds for each training and each verdict; no promotion hangs on a picture, and one test has the models timed.
    monkeypatch.setattr(train_judgement, "draw", lambda *_: [])
    monkeypatch.setattr(retrain_judgement, "_TIMED", 0)


@pytest.fixture(scope="module")
def embedded(tmp_path_factory, empty_home, flora, backbone):
    """A home with the right labels, and one in which most are wrong, but for the test split: both embedded."""
    rows = rows_of(flora)
    shuffled = random.Random(0)
    species = sorted({row["species_id"] for row in rows})
    wrong = {row["observation"]: shuffled.choice(species) for row in rows if row["split"] == "train"}
    homes = {}
    for name, of in (("right", {}), ("poor", wrong)):
        homes[name] = shutil.copytree(empty_home, tmp_path_factory.mktemp("embedded") / name)
        labelled = [{**row, "species_id": of.get(row["observation"], row["species_id"])} for row in rows]
        take_in(homes[name], flora, labelled, homes[name] / "labels.csv")
        embed.fn("plants", backbone, home=homes[name])
    return homes


@pytest.fixture
def right(embedded, tmp_path):
    """A home whose champion has learnt from right labels."""
    home = shutil.copytree(embedded["right"], tmp_path / "home")
    train.fn("plants", "flora", home=home, recipe=QUICK)
    return home


@pytest.fixture
def poor(embedded, tmp_path):
    """A home whose champion has learnt from labels of which most are wrong; the test split is right."""
    home = shutil.copytree(embedded["poor"], tmp_path / "home")
    train.fn("plants", "flora", home=home, recipe=QUICK)
    assert champion(home).number == 1
    return home


def test_the_first_version_is_champion_and_a_better_one_takes_its_place(poor, flora, tmp_path, monkeypatch):
    monkeypatch.setattr(retrain_judgement, "_TIMED", 2)
    take_in(poor, flora, rows_of(flora), tmp_path / "right.csv")
    outcome = retrained(poor)
    assert outcome.decision == "promoted", outcome.reason
    assert outcome.scores["flora/2"]["macro_f1"] > outcome.scores["flora/1"]["macro_f1"]
    assert aliases(registry_of(poor)) == {CHAMPION: 2, PREVIOUS_CHAMPION: 1}
    assert [row["decision"] for row in content(poor, "retrain_decisions")] == ["promoted"]
    assert [row["step"] for row in content(poor, "promotions")] == ["done", "intended"]
    assert [check["passed"] for check in outcome.checks] == [True] * 7
    assert re.fullmatch(
        r"\d+\.\d{3} s for a photograph against \d+\.\d{3} s, 3 times is allowed", outcome.checks[6]["words"]
    )

    again = retrained(poor)
    assert (again.decision, again.committed) == ("nothing to do", True)
    # Saying so is a row; saying it again is none.
    before = versions(poor)
    assert not retrained(poor).committed
    assert versions(poor) == before
    assert len(content(poor, "retrain_decisions")) == 2


def test_a_worse_challenger_is_refused_with_the_reason(right, flora, tmp_path):
    home, rows = right, rows_of(flora)
    take_in(home, flora, turned(rows, {"train"}), tmp_path / "poisoned.csv")
    outcome = retrained(home)
    assert outcome.decision == "refused"
    assert "on 12 observations of the test side, asked for is +0.0050" in outcome.reason
    assert champion(home).number == 1
    assert evaluate.fn("plants", "flora@challenger", home=home).model_version == "flora/2"
    again = retrained(home)
    assert again.decision == "nothing to do"
    assert "refused" in again.reason
    # As a run leaves it that is killed between the two tags: the reason is there, and no verdict yet.
    registry = registry_of(home)
    registry._client.delete_model_version_tag("flora", "2", "verdict")
    assert retrained(home).decision == "refused"


def turned(rows, splits):
    """Give each row of some splits the species after its own."""
    species = sorted({row["species_id"] for row in rows})
    after = dict(zip(species, species[1:] + species[:1], strict=True))
    return [{**row, "species_id": after[row["species_id"]]} if row["split"] in splits else row for row in rows]


def test_labels_that_were_mixed_up_also_where_they_judge_are_refused_until_somebody_stands_for_them(
    right, flora, tmp_path
):
    home, rows = right, rows_of(flora)
    take_in(home, flora, turned(rows, {"train", "val", "test"}), tmp_path / "poisoned.csv")
    outcome = retrained(home)
    # By the labels of today it is far better: they have taught it.
    assert outcome.scores["flora/2"]["macro_f1"] > outcome.scores["flora/1"]["macro_f1"]
    assert outcome.decision == "refused"
    assert [check["name"] for check in outcome.checks if not check["passed"]] == ["as_it_was"]
    assert "labels have changed their species since" in outcome.reason
    assert champion(home).number == 1
    report = promote.fn("flora@challenger", home=home, reason="the old names were wrong")
    assert (report.champion, report.before) == ("flora/2", "flora/1")
    assert champion(home).tags["verdict_reason"] == "the old names were wrong"


def test_too_little_new_is_not_worth_a_training_unless_it_is_asked_for(home, flora, backbone, tmp_path):
    rows = rows_of(flora)
    later = [row for row in rows if row["split"] == "train"][:4]
    take_in(home, flora, [row for row in rows if row not in later], tmp_path / "first.csv")
    embed.fn("plants", backbone, home=home)
    train.fn("plants", "flora", home=home, recipe=QUICK)
    take_in(home, flora, rows, tmp_path / "all.csv")
    outcome = retrained(home)
    assert outcome.decision == "nothing to do"
    # Of two observations no drift is told: what one looks like says nothing of a season.
    assert "since flora/1: 2 new observations, 0 relabelled, 0 withdrawn, 0 new species; the champion" in outcome.reason
    assert outcome.signals["new_observations"] == 2
    assert len(registry_of(home).versions("flora")) == 1
    assert retrained(home, anyway=True).challenger == "flora/2"


def test_a_new_species_is_worth_a_training_however_rare_it_is(home, flora, backbone, tmp_path):
    rows = rows_of(flora)
    rare = rows[0]["species_id"]
    first = [row for row in rows if row["species_id"] != rare]
    few = [row for row in rows if row["species_id"] == rare and row["split"] == "train"][:2]
    take_in(home, flora, first, tmp_path / "first.csv")
    embed.fn("plants", backbone, home=home)
    train.fn("plants", "flora", home=home, recipe=QUICK)
    take_in(home, flora, first + few, tmp_path / "all.csv")
    outcome = retrained(home)
    assert outcome.challenger == "flora/2"
    assert outcome.signals["new_species"] == [rare]


def test_every_model_of_a_data_set_is_retrained_where_none_is_named(poor, flora, tmp_path):
    train.fn("plants", "other", home=poor, recipe=QUICK)
    take_in(poor, flora, rows_of(flora), tmp_path / "right.csv")
    report = retrain.fn("plants", home=poor)
    assert [(outcome.model, outcome.decision) for outcome in report.outcomes] == [
        ("flora", "promoted"),
        ("other", "promoted"),
    ]
    with pytest.raises(LakeError, match=r"no photograph of a data set 'elsewhere'.*data sets: plants"):
        retrain.fn("elsewhere", home=poor)
    assert [outcome.decision for outcome in retrain.fn(home=poor).outcomes] == ["nothing to do"] * 2


def test_a_retrain_that_died_before_its_verdict_is_judged_by_the_next(poor, flora, tmp_path):
    take_in(poor, flora, rows_of(flora), tmp_path / "right.csv")
    # As a run leaves it that was killed after the registration: a version that nobody has judged.
    assert train.fn("plants", "flora", home=poor, recipe=QUICK).model_version == "flora/2"
    assert champion(poor).number == 1
    assert retrained(poor).decision == "promoted"
    assert champion(poor).number == 2


def test_champion_and_challenger_are_scored_on_the_same_observations(poor, flora, tmp_path, monkeypatch):
    take_in(poor, flora, [{**row, "split": "train"} for row in rows_of(flora)], tmp_path / "again.csv")
    monkeypatch.setenv("TAXALAKE_SEED", "3")
    retrained(poor, anyway=True)
    scores = [row for row in content(poor, "evaluations") if row["slice"] == "all"]
    scored = [row for row in scores if row["metric"] == "macro_f1"]
    assert len(scored) == 2
    decided = {row["decision_id"]: row["model_version"] for row in content(poor, "decisions")}
    observations = {
        decided[decision]: {
            row["observation_id"] for row in content(poor, "observation_predictions") if row["decision_id"] == decision
        }
        for decision in {row["decision_id"] for row in scored}
    }
    first, second = observations.values()
    assert first == second


def test_answers_are_given_anew_by_the_new_champion_and_what_changes_is_said(poor, flora, tmp_path):
    old = predict.fn("plants", "flora", home=poor)
    take_in(poor, flora, rows_of(flora), tmp_path / "right.csv")
    outcome = retrained(poor)
    assert outcome.decision == "promoted", outcome.reason
    (renewed,) = outcome.renewed.answers
    assert (renewed.dataset, renewed.before, renewed.observations) == ("plants", old.decision_id, 45)
    assert renewed.changed > 0
    assert sum(renewed.gained.values()) == sum(renewed.lost.values()) == renewed.changed
    assert f"{renewed.changed} of 45 observations are answered otherwise" in "\n".join(outcome.lines())
    assert renew_answers.fn("flora", home=poor).answers == []


def test_an_answer_that_cannot_be_given_anew_is_told_and_keeps_no_other_from_it(poor, flora, tmp_path):
    for dataset, colour in (("one", "green"), ("two", "brown")):
        unlabelled(poor, dataset, tmp_path / dataset, [colour])
        predict.fn(dataset, "flora", home=poor)
    train.fn("plants", "flora", home=poor, recipe={**QUICK, "seed": 1})
    lake = settings.load(home=poor).lake
    (seen,) = tables.latest(lake, "decisions")
    # A rule that nobody understands any more.
    (broken,) = [row for row in tables.scan(lake, seen).collect().to_dicts() if row["dataset"] == "one"]
    strange = {**broken, "decision_id": "f" * 16, "rule_id": "strange", "rule": '{"species":"no such"}'}
    tables.append(lake, "decisions", pa.Table.from_pylist([strange], schema=TABLES["decisions"].columns))
    report = promote.fn("flora/2", home=poor)
    assert [one.dataset for one in report.renewed.answers] == ["one", "two"]
    assert list(report.renewed.problems) == ["one by the rule strange"]
    assert any(line.startswith("PROBLEM: one by the rule strange cannot be answered anew") for line in report.lines())


def test_a_rollback_gives_the_name_back_and_the_same_version_is_not_promoted_again(poor, flora, tmp_path):
    with pytest.raises(RegistryError, match="nothing to roll back to"):
        rollback.fn("flora", home=poor)
    take_in(poor, flora, rows_of(flora), tmp_path / "right.csv")
    retrained(poor)
    report = rollback.fn("flora", home=poor, reason="wrong in the field")
    assert (report.champion, report.before) == ("flora/1", "flora/2")
    assert aliases(registry_of(poor)) == {CHAMPION: 1}
    assert retrained(poor).decision == "nothing to do"
    assert champion(poor).number == 1
    promote.fn("flora/2", home=poor)
    assert aliases(registry_of(poor)) == {CHAMPION: 2, PREVIOUS_CHAMPION: 1}
    assert not promote.fn("flora/2", home=poor).committed
    rollback.fn("flora", home=poor)
    assert champion(poor).number == 1


def test_who_was_judged_against_another_champion_is_not_promoted(poor, flora, tmp_path, monkeypatch):
    take_in(poor, flora, rows_of(flora), tmp_path / "right.csv")
    hand_over = promoting.hand_over

    def late(*arguments):
        """Between the verdict and the promotion somebody promotes the version, sees what it does, and takes it back."""
        monkeypatch.undo()
        promote.fn("flora/2", home=poor, reason="somebody was faster")
        rollback.fn("flora", home=poor, reason="and was sorry")
        hand_over(*arguments)

    monkeypatch.setattr("flows.retrain.hand_over", late)
    with pytest.raises(LakeError, match=r"since it was judged flora/1:[0-9a-f]+ has become champion"):
        retrained(poor)
    assert champion(poor).number == 1
    decided = [row["decision"] for row in content(poor, "retrain_decisions")]
    assert sorted(decided) == ["overtaken", "promoted"]  # what was judged, and what came of it


def three_versions(home):
    """Let three versions have been champion, one after the other."""
    for seed in ("1", "2"):
        train.fn("plants", "flora", home=home, recipe={**QUICK, "seed": int(seed)})
        promote.fn(f"flora/{1 + int(seed)}", home=home)
    assert aliases(registry_of(home)) == {CHAMPION: 3, PREVIOUS_CHAMPION: 2}
    return registry_of(home)


def test_a_rollback_that_died_goes_one_version_back_when_it_is_run_again(poor, monkeypatch):
    predict.fn("plants", "flora", home=poor)
    registry = three_versions(poor)
    with monkeypatch.context() as patch:
        patch.setattr(retraining, "conclude", dying(None, itertools.repeat(0), []))
        with pytest.raises(DiedError):
            rollback.fn("flora", home=poor, reason="worse in the field")
    report = rollback.fn("flora", home=poor)
    assert (report.champion, report.before) == ("flora/2", "flora/3")
    assert report.reason == "rolled back: worse in the field"
    assert aliases(registry) == {CHAMPION: 2, PREVIOUS_CHAMPION: 1}
    # Who says which version is left goes back once, however often.
    assert not rollback.fn("flora/3", home=poor).committed
    with pytest.raises(RegistryError, match="flora/1 was to be rolled back, and flora/2 is the champion"):
        rollback.fn("flora/1", home=poor)
    assert rollback.fn("flora/2", home=poor).champion == "flora/1"


def test_a_version_that_is_gone_keeps_nobody_from_the_others(poor):
    registry = three_versions(poor)
    registry._client.delete_model_version("flora", "1")
    assert rollback.fn("flora", home=poor).champion == "flora/2"
    assert aliases(registry) == {CHAMPION: 2}
    with pytest.raises(RegistryError, match="flora/1, which is not in the registry any more"):
        rollback.fn("flora", home=poor)
    # As a run leaves it that died before an alias moved, and somebody has deleted the version since.
    lake = settings.load(home=poor).lake
    (seen,) = tables.latest(lake, "promotions")
    gone = registry.find("flora/3")
    retraining.intend(lake, "flora", "promote", champion(poor).recorded_as, gone.recorded_as, "", seen, "run")
    registry._client.delete_model_version("flora", "3")
    assert retrained(poor).champion == "flora/2"
    assert {row["step"] for row in content(poor, "promotions")} == {"intended", "done", "given up"}


def test_whoever_comes_last_in_the_record_is_champion_whatever_stood_still_meanwhile(poor, monkeypatch):
    for seed in (1, 2):
        train.fn("plants", "flora", home=poor, recipe={**QUICK, "seed": seed})
    move = Registry.set_alias

    def late(registry, version, alias):
        """Before the alias moves, another run completes the promotion and promotes the version after it."""
        if alias == CHAMPION and version.number == 2:
            monkeypatch.undo()
            promote.fn("flora/3", home=poor)
        return move(registry, version, alias)

    monkeypatch.setattr(Registry, "set_alias", late)
    promote.fn("flora/2", home=poor)
    assert aliases(registry_of(poor)) == {CHAMPION: 3, PREVIOUS_CHAMPION: 2}


def test_who_comes_while_another_promotion_is_not_carried_out_is_refused(poor):
    for seed in (1, 2):
        train.fn("plants", "flora", home=poor, recipe={**QUICK, "seed": seed})
    place, registry = settings.load(home=poor), registry_of(poor)
    first, second, third = registry.versions("flora")
    (seen,) = tables.latest(place.lake, "promotions")
    retraining.intend(place.lake, "flora", "promote", first.recorded_as, second.recorded_as, "", seen, "run")
    (seen,) = tables.latest(place.lake, "promotions")
    with pytest.raises(LakeError, match="another run is making flora/2:"):
        promoting.hand_over(place, registry, "promote", first, third, "", seen, "other")
    assert champion(poor).number == 1


def test_new_photographs_without_labels_are_said_to_want_some(right, backbone, tmp_path):
    home = right
    unlabelled(home, "plants", tmp_path / "strange", [(255, 255, 240 + number) for number in range(12)])
    embed.fn("plants", backbone, home=home)
    outcome = retrained(home)
    assert outcome.decision == "nothing to do"
    assert "drift of at least" in outcome.reason
    assert "label some of what came" in outcome.reason
    assert outcome.signals["due"][0].startswith("drift of at least")
    assert not retrained(home).committed


def test_a_training_that_calls_species_by_wrong_names_is_not_begun_again_by_itself(poor, flora, tmp_path, monkeypatch):
    take_in(poor, flora, rows_of(flora), tmp_path / "right.csv")
    with monkeypatch.context() as patch:
        patch.setattr(Registry, "species_of", lambda *asked: ["nobody"] * len(asked[2]))
        with pytest.raises(ProbeError, match="do not mean the species"):
            retrained(poor)
    outcome = retrained(poor)
    assert outcome.decision == "nothing to do"
    assert "a training on exactly this has failed" in outcome.reason
    assert "do not mean the species" in outcome.reason
    assert retrained(poor, anyway=True).decision == "promoted"


class DiedError(BaseException):
    """As a kill: nothing of ours catches it."""


EFFECTS = (
    (ledger, "record_retrain"),
    (retraining, "intend"),
    (Registry, "tag"),
    (Registry, "set_alias"),
    (retraining, "conclude"),
)


@pytest.mark.timeout(900)
def test_a_retrain_that_dies_at_any_step_of_the_promotion_is_completed_by_the_next(poor, flora, tmp_path, monkeypatch):
    predict.fn("plants", "flora", home=poor)
    take_in(poor, flora, rows_of(flora), tmp_path / "right.csv")
    train.fn("plants", "flora", home=poor, recipe=QUICK)
    ended, steps = {}, []
    for step in itertools.count():
        copy, place = tmp_path / f"died{step}", tmp_path / f"died{step}.db"
        shutil.copytree(poor / "lake", copy / "lake")
        shutil.copy(poor / "mlflow.db", place)
        monkeypatch.setenv("TAXALAKE_LAKE_URI", str(copy / "lake"))
        monkeypatch.setenv("TAXALAKE_TRACKING_URI", f"sqlite:///{place}")
        left = itertools.count(step, -1)
        with monkeypatch.context() as patch:
            for owner, name in EFFECTS:
                patch.setattr(owner, name, dying(getattr(owner, name), left, steps))
            try:
                retrained(poor)
                is_whole = True
            except DiedError:
                is_whole = False
        if not is_whole:
            assert retrained(poor).champion == "flora/2"
        ended[step] = copy, state_of(f"sqlite:///{place}")
        if is_whole:
            break
    undisturbed, state = ended.pop(step)
    assert steps[-7:] == ["set_alias", "record_retrain", "intend", "tag", "set_alias", "set_alias", "conclude"]
    assert len(ended) == 7
    assert state["aliases"] == {CHAMPION: 2, PREVIOUS_CHAMPION: 1}
    for copy, found in ended.values():
        assert found == state
        kept = ("promotions", "evaluations", "decisions", "observation_predictions")
        assert not differences(copy, undisturbed, *kept)
        verdicts = [row for row in content(copy, "retrain_decisions") if row["decision"] != "nothing to do"]
        assert [row["decision"] for row in verdicts] == ["promoted"]


def dying(function, left, steps):
    """Return a function that dies instead of being called, when so many others have been."""

    def call(*arguments, **options):
        if next(left) == 0:
            raise DiedError
        steps.append(function.__name__)
        return function(*arguments, **options)

    return call


def state_of(uri):
    registry = Registry(uri)
    found = registry.versions("flora")
    return {
        "aliases": aliases(registry),
        "verdicts": [
            (version.number, version.tags.get("verdict"), version.tags.get("verdict_reason")) for version in found
        ],
        "challenger": [version.number for version in found if CHALLENGER in version.aliases],
    }
