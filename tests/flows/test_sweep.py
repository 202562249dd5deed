"""Sweeps and rule files on the tile predictions of drawn quadrats."""

import shutil

import pytest
from homes import content, versions
from mosaics import lay, trained_home, write_rule
from own_processes import begin_with, killed_after_append, killed_before_append
from PIL import Image

from flows.evaluate import evaluate
from flows.predict import predict
from flows.sweep import sweep
from lake import tables
from lake.errors import LakeError
from lake.rules import DecisionRule
from lake.tables import Lake
from modeling import backbones

begin_with("flows.sweep")
PYRAMID = "pyramid-24-3..1"
RULES = f"""
[rule]
species = "many"

[matrix]
subsets_of = "{PYRAMID}"
pooling = ["votes", "max", "mean"]
threshold = ["", 0.3]
"""
_ON = ("quadrats", "m")
FEW = {"rule": {"species": "many", "tilings": "pyramid-24-3"}, "matrix": {"min_votes": [1, 2, 3]}}


@pytest.fixture(scope="module")
def swept(empty_home, backbone, tmp_path_factory):
    """A home in which a pyramid was predicted: of quadrats that nobody has divided, and of the same ones divided."""
    home = trained_home(empty_home, tmp_path_factory.mktemp("swept") / "home", backbone)
    lay(home, "quadrats")
    lay(home, "divided", sides=("val", "test"))
    lay(home, "judged", sides=("val",))
    lay(home, "unlabelled", labels={})
    shutil.copytree(home / "lake", home.parent / "unpredicted")
    predict.fn("quadrats", "m", PYRAMID, home=home)
    shutil.copytree(home / "lake", home.parent / "predicted")
    return home


@pytest.fixture
def no_backbone(monkeypatch):
    """Nothing can be embedded."""

    def refuse(folder):
        raise AssertionError(f"{folder} was loaded")

    monkeypatch.setattr(backbones, "_load_model", refuse)


def test_the_best_rule_is_a_file_that_scores_on_unseen_quadrats_what_the_sweep_said(swept, taxalake, tmp_path):
    asked = write_rule(tmp_path / "levels.toml", RULES)
    told = taxalake("sweep", asked, "--dataset", "divided", "--model", "m", "--json", at=swept).json
    assert (told["chosen_on"], told["observations"]) == ("val", 6)
    assert (told["held_out_on"], told["held_out_observations"]) == ("test", 6)
    assert told["best_rule"] == str(swept / "rules" / "divided-levels-best.toml")
    best = DecisionRule.load(swept / "rules" / "divided-levels-best.toml")
    assert best.rule_id == told["rules"][0]["rule_id"] == told["held_out"]["rule_id"]
    scored = taxalake(
        *("evaluate", "--dataset", "divided", "--model", "m", "--rule", told["best_rule"], "--json"), at=swept
    ).json
    assert (scored["split"], scored["rule"], scored["chosen"]) == ("test", best.spec, None)
    said = told["held_out"]["scores"]
    assert {metric: scored["metrics"][metric] for metric in said} == pytest.approx(said, abs=1e-12)
    assert said["macro_f1_per_observation"] < 1, "quadrats on which every rule is right say nothing"


def test_without_a_test_side_the_validation_side_is_halved_and_evaluate_scores_both_halves(swept):
    found = sweep.fn(FEW, "judged", "m", swept)
    assert (found.chosen_on, found.observations) == ("half", 6)
    assert (found.held_out_on, found.held_out_observations) == ("other half", 6)
    scored = evaluate.fn("judged", "m", home=swept, rule=swept / "rules" / "judged-rules-best.toml")
    assert (scored.split, scored.observations) == ("val", 12)
    both = (found.rules[0].scores["macro_f1_per_observation"], found.held_out.scores["macro_f1_per_observation"])
    assert scored.metrics["macro_f1_per_observation"] == pytest.approx(sum(both) / 2, abs=1e-12)
    told = next(line for line in scored.lines() if "was chosen on" in line)
    assert f"chosen on 6 of these observations (half; sweep {found.sweep_id}, m/1): these scores are too good" in told
    assert f"on 6 that it was not chosen on (other half) macro_f1_per_observation was {both[1]:.4f}" in told
    assert scored.chosen.held_out == pytest.approx(found.held_out.scores)


def test_quadrats_that_nobody_has_divided_are_halved_and_the_other_half_is_named(swept, taxalake, tmp_path):
    asked = write_rule(tmp_path / "halves.toml", RULES)
    told = taxalake("sweep", asked, "--dataset", "quadrats", "--model", "m", at=swept)
    assert told.code == 0, told.err
    assert "42 rules on 6 observations (half)" in told.out
    assert "the best one on 6 observations that it was not chosen on (other half)" in told.out
    assert f"--rule {swept / 'rules' / 'quadrats-halves-best.toml'}" in told.out


def test_every_rule_stands_in_the_table_once_with_all_its_metrics(swept):
    found = sweep.fn({"rule": {"species": "many"}, "matrix": {"subsets_of": PYRAMID, "pooling": ["max"]}}, *_ON, swept)
    rows = [row for row in content(swept, "sweeps") if row["sweep_id"] == found.sweep_id]
    keys = {(row["rule_id"], row["metric"]) for row in rows}
    metrics = set(found.rules[0].scores)
    assert len(rows) == len(keys) == 7 * len(metrics), "seven subsets of three levels"
    assert {row["metric"] for row in rows} == metrics >= {"macro_f1_per_observation", "micro_f1", "mean_species"}
    assert {(row["split"], row["observation_count"]) for row in rows} == {("half", 6)}
    unseen = [row for row in content(swept, "sweeps") if row["sweep_id"].startswith(f"{found.sweep_id}-")]
    assert {(row["split"], row["rule_id"]) for row in unseen} == {("other half", found.rules[0].rule_id)}
    tilings = {one.rule["tilings"] for one in found.rules}
    assert {"pyramid-24-3", "pyramid-24-3+pyramid-24-1", "pyramid-24-3+pyramid-24-2+pyramid-24-1"} < tilings


def test_the_same_sweep_again_commits_nothing_and_says_the_same(swept, no_backbone):
    first = sweep.fn(FEW, *_ON, swept)
    before = versions(swept)
    again = sweep.fn(FEW, *_ON, swept)
    assert (first.sweep_id, again.committed) == (again.sweep_id, False)
    assert again.rules == first.rules
    assert versions(swept) == before


def test_rules_are_ranked_by_the_metric_that_was_asked_for(swept, taxalake, tmp_path):
    asked = write_rule(tmp_path / "by.toml", RULES)
    words = ("sweep", asked, "--dataset", "quadrats", "--model", "m", "--json", "--metric")
    for metric in ("recall", "precision"):
        told = taxalake(*words, metric, at=swept).json
        scores = [one["scores"][metric] for one in told["rules"]]
        assert told["metric"] == metric
        assert scores == sorted(scores, reverse=True)
        assert scores[0] > scores[-1]
    assert "there are macro_f1_per_observation" in taxalake(*words, "accuracy", at=swept).err


def test_a_metric_that_there_is_none_of_is_refused_before_anything_is_predicted(swept, no_backbone):
    asked = {"rule": {"species": "many", "tilings": "grid-4x4"}, "matrix": {"min_votes": [1, 2]}}
    for metric in ("f1", "mean_species", "macro_f1_per_transect"):
        with pytest.raises(LakeError, match=f"chosen by '{metric}' .*; there are macro_f1_per_observation, macro_f1"):
            sweep.fn(asked, *_ON, swept, metric)


def test_rules_that_score_the_same_share_a_line_of_the_report(swept):
    found = sweep.fn(FEW, *_ON, swept)
    first = found.rules[0]
    worse = first.model_copy(update={"scores": dict.fromkeys(first.scores, 0.0), "choices": "worse"})
    lines = found.model_copy(update={"rules": [first, worse, first, first], "excluded": {"so": 1}}).lines()
    assert lines[1].endswith(f"{first.choices} (and 2 that score the same)")
    assert lines[2].endswith("worse")
    assert lines[3] == "1 combination was left out: so"
    alone = found.model_copy(update={"rules": [first], "excluded": {"so": 2}}).lines()
    assert "1 rule on 6 observations" in alone[0]
    assert alone[2] == "2 combinations were left out: so"


def test_a_sweep_tells_the_threshold_that_its_mean_came_to_and_identify_takes_it_in_its_place(swept, taxalake):
    asked = {"rule": {"species": "many", "tilings": "grid-3x3", "pooling": "max"}, "matrix": {"mean_species": [2, 3]}}
    found = sweep.fn(asked, *_ON, swept)
    file = swept / "rules" / "quadrats-rules-best.toml"
    assert f"# threshold = {found.threshold!r}\n" in file.read_text()
    assert any(f"threshold = {found.threshold!r}," in line for line in found.lines())
    assert DecisionRule.load(file).mean_species
    words = ("identify", swept.parent / "quadrats" / "0.png", "--model", "m", "--rule")
    refused = taxalake(*words, file, at=swept)
    assert (refused.code, "say threshold = X in its place" in refused.err) == (1, True)
    kept = [line.removeprefix("# ") for line in file.read_text().splitlines() if "mean_species" not in line]
    free = write_rule(file.with_name("free.toml"), "\n".join(line for line in kept if " = " in line))
    assert DecisionRule.load(free).threshold == found.threshold
    assert taxalake(*words, free, at=swept).code == 0


def test_every_rule_is_drawn(swept):
    found = sweep.fn(FEW, *_ON, swept)
    with Image.open(found.figure) as picture:
        picture.load()
        assert (picture.format, found.figure) == ("PNG", str(swept / "figures" / "quadrats-rules-sweep.png"))
        assert min(picture.size) > 300


def test_a_killed_sweep_is_finished_by_the_same_command(swept):
    """SIGKILL before the scores of the rules are committed, and again before those of the best one are."""
    broken, undisturbed = (_predicted_lake(swept, name) for name in ("broken", "undisturbed"))
    assert killed_before_append(_sweep, (swept, broken), "sweeps", 1)
    assert _rows(broken) == []
    assert killed_after_append(_sweep, (swept, broken), "sweeps", 1)
    assert {row["split"] for row in _rows(broken)} == {"half"}
    again, whole = _sweep(swept, broken), _sweep(swept, undisturbed)
    assert (again.committed, again.rules) == (True, whole.rules)
    assert _rows(broken) == _rows(undisturbed)
    assert {row["split"] for row in _rows(broken)} == {"half", "other half"}
    assert not _sweep(swept, broken).committed


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        ({"rule": {"species": "many"}, "matrix": {"poolings": ["max"]}}, "no 'poolings'; did you mean 'pooling'"),
        ({"rule": {"species": "many"}, "matrix": {"pooling": ["median"]}}, "pooling .* 'median'; it is of votes, max"),
        ({"rule": {"species": "many"}, "matrix": {"pooling": "max"}}, "the choices of pooling are 'max'"),
        ({"rule": {"species": "many"}, "matrix": {"pooling": []}}, r"the choices of pooling are \[\]"),
        ({"matrix": {"pooling": ["max"]}}, "a table \\[rule\\].*these have matrix"),
        ({"rule": {"species": "many"}, "matrices": {}}, "these have rule, matrices"),
        (
            {
                "rule": {"species": "many"},
                "matrix": {"threshold": [one / 200 for one in range(200)], "min_votes": [*range(1, 102)]},
            },
            "20,200 rules are more than anyone looks through; ask for at most 20,000",
        ),
        (
            {"rule": {"species": "many"}, "matrix": {"subsets_of": PYRAMID, "tilings": ["whole"]}},
            "subsets_of and tilings both say",
        ),
        (
            {"rule": {"species": "many"}, "matrix": {"subsets_of": "pyramid-24-11..1"}},
            "11 tilings have 2,047 subsets; ask for those of at most 10",
        ),
        (
            {"rule": {"species": "many", "tilings": PYRAMID, "pooling": "max", "priors": [{"prior": "nowhere"}]}},
            "no prior 'nowhere'",
        ),
    ],
)
def test_rules_that_make_no_sense_are_refused_by_their_names(swept, asked, words):
    before = versions(swept)
    with pytest.raises(LakeError, match=words):
        sweep.fn(asked, *_ON, swept)
    assert versions(swept) == before


def test_a_combination_that_makes_no_sense_is_left_out_beside_those_that_do(swept):
    matrix = {"threshold": ["", 0.4], "mean_species": ["", 2]}
    found = sweep.fn(
        {"rule": {"species": "many", "pooling": "max", "tilings": "pyramid-24-3"}, "matrix": matrix}, *_ON, swept
    )
    said = [(one.rule.get("threshold"), one.rule.get("mean_species")) for one in found.rules]
    assert sorted(said, key=str) == [(0.4, None), (None, 2), (None, None)]


def test_a_file_of_rules_that_cannot_be_read_is_named(swept, taxalake, tmp_path):
    broken = write_rule(tmp_path / "broken.toml", "[rule\n")
    for file in (broken, tmp_path / "absent.toml"):
        told = taxalake("sweep", file, "--dataset", "quadrats", "--model", "m", at=swept)
        assert (told.code, str(file) in told.err) == (1, True)
        assert "Traceback" not in told.err


def test_rules_cannot_be_chosen_where_nothing_is_labelled(swept):
    with pytest.raises(LakeError, match="no observation of 'unlabelled' is labelled"):
        sweep.fn(FEW, "unlabelled", "m", swept)


def test_one_species_an_observation_is_swept_by_macro_f1(swept):
    asked = {"rule": {"species": "one", "tilings": "whole"}, "matrix": {"pooling": ["mean", "max", "mode"]}}
    found = sweep.fn(asked, "plants", "m", swept)
    assert (found.metric, found.chosen_on, len(found.rules)) == ("macro_f1", "val", 3)
    assert set(found.rules[0].scores) >= {"accuracy", "macro_f1", "top5_accuracy"}


def test_levels_of_a_predicted_pyramid_are_not_predicted_again(swept, no_backbone, tmp_path):
    rule = write_rule(tmp_path / "level.toml", 'species = "many"\ntilings = "pyramid-24-2"\n')
    before = versions(swept)
    scored = evaluate.fn("quadrats", "m", home=swept, rule=rule)
    after = versions(swept)
    assert (scored.scheme_id, scored.committed) == ("pyramid-24-2", True)
    for table in ("embeddings", "tile_predictions"):
        assert after[table] == before[table]
    stored = {row["scheme_id"] for row in content(swept, "tile_predictions")}
    assert PYRAMID in stored
    assert "pyramid-24-2" not in stored


def test_a_level_of_a_pyramid_answers_as_if_it_had_been_predicted_alone(swept, taxalake, tmp_path):
    rule = write_rule(
        tmp_path / "level.toml", 'species = "many"\npooling = "max"\nthreshold = 0.4\ntilings = "pyramid-24-2"'
    )
    words = ("predict", "--dataset", "quadrats", "--model", "m", "--rule", rule, "--json")
    alone = {"TAXALAKE_LAKE_URI": str(swept.parent / "unpredicted")}
    within, apart = taxalake(*words, at=swept).json, taxalake(*words, at=swept, **alone).json
    assert (within["images_predicted"], apart["images_predicted"]) == (0, 12)
    assert (within["rule"], within["decision_id"]) == (apart["rule"], apart["decision_id"])


def test_a_rule_file_answers_alike_in_predict_evaluate_and_identify(swept, taxalake, tmp_path):
    rule = write_rule(
        tmp_path / "rule.toml",
        'species = "many"\ntilings = "grid-3x3"\npooling = "max"\nmean_species = 2\nmost_species = 3',
    )
    spec = DecisionRule.load(rule).spec
    words = ("--model", "m", "--rule", rule, "--json")
    predicted = taxalake("predict", "--dataset", "quadrats", *words, at=swept).json
    scored = taxalake("evaluate", "--dataset", "quadrats", *words, at=swept).json
    assert predicted["rule"] == scored["rule"] == spec
    assert predicted["decision_id"] == scored["decision_id"]
    quadrat = swept.parent / "quadrats" / "0.png"
    free = write_rule(
        tmp_path / "free.toml", 'species = "many"\ntilings = "grid-3x3"\npooling = "max"\nthreshold = 0.6\n'
    )
    stored = taxalake("predict", "--dataset", "quadrats", "--model", "m", "--rule", free, "--json", at=swept).json
    told = taxalake("identify", quadrat, "--model", "m", "--rule", free, "--json", at=swept).json
    answered = {
        row["species_id"]
        for row in content(swept, "observation_predictions")
        if (row["decision_id"], row["observation_id"]) == (stored["decision_id"], "Q01")
    }
    assert {row["species_id"] for row in told["observations"][0]["species"]} == answered
    assert told["rule"] == stored["rule"]
    assert told["scheme_id"] == "grid-3x3"


@pytest.mark.parametrize("command", ["predict", "evaluate", "identify"])
def test_a_tiling_that_is_asked_for_goes_before_that_of_the_rule_file(swept, taxalake, tmp_path, command):
    rule = write_rule(
        tmp_path / "rule.toml", 'species = "many"\ntilings = "grid-1x1"\npooling = "max"\nthreshold = 0.6\n'
    )
    subject = [swept.parent / "quadrats" / "0.png"] if command == "identify" else ["--dataset", "quadrats"]
    words = (command, *subject, "--model", "m", "--rule", rule, "--json")
    for asked, scheme in ([], "whole"), (["--tiling", "grid-3x3"], "grid-3x3"):
        told = taxalake(*words, *asked, at=swept)
        assert told.code == 0, told.err
        assert told.json["scheme_id"] == told.json["rule"]["tilings"] == scheme
        if command == "identify":
            assert told.json["observations"][0]["species"], "answered with nothing, though one is kept in any case"


@pytest.mark.parametrize("command", ["predict", "evaluate", "identify"])
@pytest.mark.parametrize(
    "beside", [["--min-votes", "2"], ["--min-probability", "0.5"], ["--allow-empty"], ["--species", "many"]]
)
def test_what_a_rule_file_says_is_not_said_beside_it(swept, taxalake, tmp_path, command, beside):
    rule = write_rule(tmp_path / "rule.toml", 'species = "many"\n')
    subject = [swept.parent / "quadrats" / "0.png"] if command == "identify" else ["--dataset", "quadrats"]
    told = taxalake(command, *subject, "--model", "m", "--rule", rule, *beside, at=swept)
    assert told.code == 1
    assert f"{rule} says how species are decided" in told.err


@pytest.mark.parametrize("command", ["predict", "evaluate", "identify"])
def test_a_wrong_rule_file_is_named(swept, taxalake, tmp_path, command):
    subject = [swept.parent / "quadrats" / "0.png"] if command == "identify" else ["--dataset", "quadrats"]
    for text, words in (
        ('species = "many"\npoolling = "max"\n', "did you mean 'pooling'?"),
        ('pooling = "max"\n', "species = 'one' or 'many'"),
        ("species = \n", "cannot be read"),
        ('species = "many"\nmin_probability = 50\n', "never percent"),
        ('species = "many"\ntilings = "grid-3by3"\n', "grid-3by3"),
        ('species = "many"\npriors = [{prior = "a", strength = 1.0, of = 2}]\n', "priors of a decision rule"),
    ):
        rule = write_rule(tmp_path / "wrong.toml", text)
        told = taxalake(command, *subject, "--model", "m", "--rule", rule, at=swept)
        assert told.code == 1, text
        assert words in told.err
        assert str(rule) in told.err, text
        assert "Traceback" not in told.err


def test_identify_refuses_a_rule_that_only_a_data_set_can_be_answered_by(swept, taxalake, tmp_path):
    quadrat = swept.parent / "quadrats" / "0.png"
    for text in (
        'species = "many"\npooling = "max"\npriors = [{prior = "month"}]\n',
        'species = "many"\ngrouping = "max"\n',
        'species = "one"\ncost = "snakeclef"\n',
        'species = "one"\nvenomous_share = 0.1\n',
    ):
        rule = write_rule(tmp_path / "rule.toml", text)
        told = taxalake("identify", quadrat, "--model", "m", "--rule", rule, at=swept)
        assert told.code == 1
        assert f"{rule} asks for priors" in told.err
        assert "ingest the photographs and predict them" in told.err


def test_priors_are_swept_like_any_part(swept, taxalake, monkeypatch):
    lake = {"TAXALAKE_LAKE_URI": _predicted_lake(swept, "with-prior")}
    words = (
        "prior",
        "cluster",
        "--dataset",
        "quadrats",
        "--model",
        "m",
        "--clusters",
        "2",
        "--tiling",
        PYRAMID,
        "--json",
    )
    told = taxalake(*words, at=swept, **lake)
    assert told.code == 0, told.err
    monkeypatch.setenv("TAXALAKE_LAKE_URI", lake["TAXALAKE_LAKE_URI"])
    matrix = {"priors": [[], [{"prior": "cluster", "strength": 0.5}], [{"prior": "cluster", "strength": 8}]]}
    rule = {"species": "many", "tilings": PYRAMID, "pooling": "max", "threshold": 0.4}
    found = sweep.fn({"rule": rule, "matrix": matrix}, *_ON, swept)
    by_strength = {one.rule["priors"][0]["strength"] if "priors" in one.rule else 0: one for one in found.rules}
    assert set(by_strength) == {0, 0.5, 8}
    assert by_strength[8].scores != by_strength[0].scores
    votes = {"species": "many", "tilings": PYRAMID}
    some = sweep.fn({"rule": votes, "matrix": {"pooling": ["votes", "max"], **matrix}}, *_ON, swept)
    assert [count for why, count in some.excluded.items() if "the rule goes by votes" in why] == [2]
    assert len(some.rules) == 4
    with pytest.raises(LakeError, match=r"no rule is left .* the rule goes by votes"):
        sweep.fn({"rule": votes, "matrix": {"priors": matrix["priors"][1:]}}, *_ON, swept)


def _predicted_lake(home, name):
    """Copy the tables as they were before anything was swept."""
    shutil.copytree(home.parent / "predicted", home.parent / name)
    return str(home.parent / name)


def _sweep(home, lake):
    """Sweep on another lake, in a process that may be killed, or in this one."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TAXALAKE_LAKE_URI", lake)
        return sweep.fn(FEW, *_ON, home)


def _rows(lake):
    rows = tables.open_table(Lake(lake), "sweeps").to_pyarrow_table().to_pylist()
    kept = [{name: value for name, value in row.items() if name not in {"swept_at", "flow_run_id"}} for row in rows]
    return sorted(kept, key=lambda row: (row["sweep_id"], row["rule_id"], row["metric"]))
