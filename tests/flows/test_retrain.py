"""A challenger takes the champion's place when it is better, and only then; who dies on the way is completed."""

import csv
import itertools
import random
import shutil

import pytest
from homes import content, differences, versions

from flows import promote as promoting
from flows.embed import embed
from flows.evaluate import evaluate
from flows.ingest import ingest_table
from flows.predict import predict
from flows.promote import promote, rollback
from flows.renew import renew_answers
from flows.retrain import retrain
from flows.train import train
from lake import ledger, retraining
from lake.errors import LakeError
from modeling.errors import RegistryError
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


@pytest.fixture
def poor(home, flora, backbone, tmp_path):
    """A home whose champion has learnt from labels of which most are wrong; the test split is right."""
    rows = rows_of(flora)
    shuffled = random.Random(0)
    species = sorted({row["species_id"] for row in rows})
    wrong = {row["observation"]: shuffled.choice(species) for row in rows if row["split"] == "train"}
    take_in(
        home,
        flora,
        [{**row, "species_id": wrong.get(row["observation"], row["species_id"])} for row in rows],
        tmp_path / "poor.csv",
    )
    embed.fn("plants", backbone, home=home)
    train.fn("plants", "flora", home=home, recipe=QUICK)
    assert champion(home).number == 1
    return home


def test_the_first_version_is_champion_and_a_better_one_takes_its_place(poor, flora, tmp_path):
    take_in(poor, flora, rows_of(flora), tmp_path / "right.csv")
    outcome = retrained(poor)
    assert outcome.decision == "promoted", outcome.reason
    assert outcome.scores["flora/2"]["macro_f1"] > outcome.scores["flora/1"]["macro_f1"]
    assert aliases(registry_of(poor)) == {CHAMPION: 2, PREVIOUS_CHAMPION: 1}
    assert [row["decision"] for row in content(poor, "retrain_decisions")] == ["promoted"]
    assert [row["step"] for row in content(poor, "promotions")] == ["done", "intended"]
    assert [check["passed"] for check in outcome.checks] == [True] * 7

    again = retrained(poor)
    assert (again.decision, again.committed) == ("nothing to do", True)
    # Saying so is a row; saying it again is none.
    before = versions(poor)
    assert not retrained(poor).committed
    assert versions(poor) == before
    assert len(content(poor, "retrain_decisions")) == 2


def test_a_worse_challenger_is_refused_with_the_reason(home, flora, backbone, tmp_path):
    rows = rows_of(flora)
    take_in(home, flora, rows, tmp_path / "right.csv")
    embed.fn("plants", backbone, home=home)
    train.fn("plants", "flora", home=home, recipe=QUICK)
    take_in(home, flora, turned(rows, {"train"}), tmp_path / "poisoned.csv")
    outcome = retrained(home)
    assert outcome.decision == "refused"
    assert "asked for is +0.0050" in outcome.reason
    assert champion(home).number == 1
    assert evaluate.fn("plants", "flora@challenger", home=home).model_version == "flora/2"
    again = retrained(home)
    assert again.decision == "nothing to do"
    assert "refused" in again.reason


def turned(rows, splits):
    """Give each row of some splits the species after its own."""
    species = sorted({row["species_id"] for row in rows})
    after = dict(zip(species, species[1:] + species[:1], strict=True))
    return [{**row, "species_id": after[row["species_id"]]} if row["split"] in splits else row for row in rows]


def test_labels_that_were_mixed_up_also_where_they_judge_are_refused_until_somebody_stands_for_them(
    home, flora, backbone, tmp_path
):
    rows = rows_of(flora)
    take_in(home, flora, rows, tmp_path / "right.csv")
    embed.fn("plants", backbone, home=home)
    train.fn("plants", "flora", home=home, recipe=QUICK)
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
    assert "since flora/1: 2 new observations, 0 relabelled, 0 withdrawn, 0 new species, drift" in outcome.reason
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
    assert retrain.fn("elsewhere", home=poor).outcomes == []
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


class DiedError(BaseException):
    """As a kill: nothing of ours catches it."""


EFFECTS = (
    (ledger, "record_retrain"),
    (retraining, "intend"),
    (Registry, "tag"),
    (Registry, "set_alias"),
    (retraining, "conclude"),
)


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
