"""A matrix of choices: each cell once, whatever happens, and differences that come from one choice alone."""

from collections import Counter
from pathlib import Path

import mlflow
import numpy as np
import pytest
from coloured import copied, lake_of, new_home, registry, rows, take_in
from homes import content, versions
from own_processes import begin_with, killed_after_append, killed_before_append

from flows import train_judgement
from flows.ablate import ablate
from flows.embed import embed
from flows.train import train
from lake import ablations
from modeling import training
from modeling.errors import TrainingError

begin_with("flows.ablate", "modeling.registry", "modeling.training")

HEADS, POOLINGS = ["linear", "nearest"], ["cls", "cls+mean_patch"]
MATRIX = {"dataset": "d", "matrix": {"head": HEADS, "poolings": POOLINGS}, "recipe": {"max_epochs": 2}}
PLANTS = [*rows("10", 9, side=""), *rows("2", 9, side=""), *rows("9", 9, side=""), *rows("33", 5, side="")]


@pytest.fixture(scope="module")
def embedded(tmp_path_factory, empty_home, backbone):
    """A home whose labels are partly wrong, so that heads differ."""
    home = new_home(empty_home, tmp_path_factory.mktemp("embedded") / "home")
    take_in(home, [("2" if row[1] in ("10-1", "10-4", "9-2") else row[0], *row[1:]) for row in PLANTS])
    embed.fn("d", backbone, home=home)
    return home


@pytest.fixture
def home(embedded, tmp_path):
    return copied(embedded, tmp_path / "home")


@pytest.fixture(scope="module")
def ablated(embedded, tmp_path_factory):
    """A home in which the matrix was tried, and the report."""
    home = copied(embedded, tmp_path_factory.mktemp("ablated") / "home")
    return home, ablate.fn(MATRIX, home)


def small(**matrix):
    """A matrix of heads that have learnt as soon as they have seen the examples."""
    return {"dataset": "d", "matrix": matrix, "recipe": {"head": "nearest"} if "head" not in matrix else {}}


def cell_runs(home):
    """The MLflow runs of cells and those that hold them."""
    client = mlflow.MlflowClient(f"sqlite:///{home / 'mlflow.db'}")
    runs = client.search_runs([client.get_experiment_by_name("ablate d").experiment_id])
    nested = [run for run in runs if "mlflow.parentRunId" in run.data.tags]
    return nested, [run for run in runs if run not in nested]


def test_the_cells_are_all_combinations_of_the_choices(ablated):
    home, report = ablated
    asked = {(head, pooling) for head in HEADS for pooling in POOLINGS}
    assert {(cell.choices["head"], cell.choices["poolings"]) for cell in report.cells} == asked
    assert (len(report.cells), report.trained, report.reused, report.refused) == (4, 4, 0, {})
    assert len(content(home, "ablations")) == 4
    answers = Counter(row["cell_id"] for row in content(home, "ablation_answers"))
    assert set(answers) == {cell.cell_id for cell in report.cells}
    assert set(answers.values()) == {row["observation_count"] for row in content(home, "ablations")}


def test_each_cell_is_one_run_under_one_parent(ablated):
    home, report = ablated
    nested, (parent,) = cell_runs(home)
    assert {run.data.tags["mlflow.parentRunId"] for run in nested} == {parent.info.run_id}
    assert {run.info.run_id for run in nested} == {cell.mlflow_run_id for cell in report.cells}
    for cell in report.cells:
        (run,) = (run for run in nested if run.info.run_id == cell.mlflow_run_id)
        assert run.data.metrics["val_accuracy"] == cell.accuracy
        assert (run.data.params["head"], run.data.params["poolings"]) == tuple(
            cell.choices[name] for name in ("head", "poolings")
        )


def test_a_matrix_that_was_tried_trains_nothing_and_commits_nothing(ablated, monkeypatch):
    home, first = ablated
    before, runs = versions(home), len(cell_runs(home)[0])
    monkeypatch.setattr(training, "fit", None)
    again = ablate.fn(MATRIX, home)
    assert (again.trained, again.reused, again.committed) == (0, 4, False)
    assert (versions(home), len(cell_runs(home)[0])) == (before, runs)
    assert (again.cells, again.effects) == (first.cells, first.effects)


def test_of_a_larger_matrix_only_the_new_cells_are_trained(home):
    ablate.fn(small(poolings=["cls"]), home)
    report = ablate.fn(small(poolings=["cls", "mean_patch"]), home)
    assert (report.trained, report.reused) == (1, 1)


def test_a_matrix_whose_tilings_were_embedded_on_the_way_is_known_afterwards(home):
    matrix = small(tilings=["whole", "grid-1x2"])
    first = ablate.fn(matrix, home)
    assert len({row["embedding_key"] for row in content(home, "ablations")}) == 1, "one backbone for all"
    again = ablate.fn(matrix, home)
    assert (first.trained, again.trained, again.reused) == (2, 0, 2)


def test_a_choice_is_compared_with_the_first_over_pairs_that_differ_in_it_alone(ablated):
    home, report = ablated
    assert [(effect.dimension, effect.choice, effect.instead_of, effect.cells) for effect in report.effects] == [
        ("head", "nearest", "linear", 2),
        ("poolings", "cls+mean_patch", "cls", 2),
    ]
    cells = {(cell.choices["head"], cell.choices["poolings"]): cell for cell in report.cells}
    right = ablations.is_right(lake_of(home), [cell.cell_id for cell in report.cells])
    head, pooling = report.effects
    gains = [cells["nearest", one].accuracy - cells["linear", one].accuracy for one in POOLINGS]
    assert head.gain == pytest.approx(np.mean(gains))
    gains = [right[cells[one, POOLINGS[1]].cell_id][1] - right[cells[one, "cls"].cell_id][1] for one in HEADS]
    assert pooling.gain == pytest.approx(np.mean(gains))
    assert all(effect.low <= effect.gain <= effect.high for effect in report.effects)


def test_cells_that_were_validated_on_other_observations_are_not_compared(home):
    # Without its rarest species the data set has fewer observations to be validated on.
    report = ablate.fn(small(min_images=[1, 5], poolings=["cls", "mean_patch"]), home)
    counts = {row["choices"]: row["observation_count"] for row in content(home, "ablations")}
    assert len(set(counts.values())) == 2
    assert [(effect.dimension, effect.cells) for effect in report.effects] == [("poolings", 2)]


def test_choices_that_do_not_go_together_are_reported_with_the_reason(home, monkeypatch):
    matrix = small(head=["nearest", "linear"], objective=["cross_entropy", "seesaw"])
    matrix["recipe"] = {"max_epochs": 1}
    report = ablate.fn(matrix, home)
    assert len(report.cells) == 3
    (choices, reason), *others = report.refused.items()
    assert (choices, others) == ("head nearest, objective seesaw", [])
    assert "a 'nearest' head does not learn by steps" in reason
    assert f"not possible: {choices}: {reason}" in report.lines()
    (head, objective) = report.effects
    assert (head.cells, objective.cells) == (1, 1), "the refused cell has no pair"
    before = versions(home)
    monkeypatch.setattr(training, "fit", None)
    again = ablate.fn(matrix, home)
    assert (again.refused, again.trained, again.committed, versions(home)) == (report.refused, 0, False, before)


def test_choices_of_which_a_recipe_takes_one_are_refused_together_alone(home):
    matrix = {"mixup": [0.0, 0.2], "quadrat_species": [0, 3]}
    report = ablate.fn({"dataset": "d", "matrix": matrix, "recipe": {"max_epochs": 1}}, home)
    assert len(report.cells) == 2
    assert "ask for one of them" in report.refused["mixup 0.2, quadrat_species 3"]
    assert "'cross_entropy' is for one" in report.refused["mixup 0.0, quadrat_species 3"]


def test_a_cell_that_leaves_nothing_to_tell_apart_is_refused_and_the_others_are_not(home):
    report = ablate.fn(small(min_images=[1, 50]), home)
    assert [cell.choices for cell in report.cells] == [{"min_images": "1"}]
    assert "min_images = 50 leaves 0 of 4 species" in report.refused["min_images 50"]


def test_where_no_cell_can_be_trained_it_is_an_error_with_the_reason(home):
    with pytest.raises(TrainingError, match="none of the 2 cells could be trained: min_images = 50 leaves 0 of 4"):
        ablate.fn(small(min_images=[50, 60]), home)


@pytest.mark.parametrize(
    ("matrix", "said"),
    [
        ({"dataset": "d", "matrix": {"heads": ["linear"]}}, "heads"),
        ({"dataset": "d", "matrix": {"poolings": ["cls", "mean"]}}, "poolings is 'mean'"),
        ({"dataset": "d", "recipe": {"epochs": 3}}, "epochs"),
        ({"dataset": "d", "matrix": {"head": "linear"}}, "the choices of head are 'linear'; they are a list"),
        ({"dataset": "d", "matrix": {"head": []}}, r"the choices of head are \[\]; they are a list of one or more"),
        ({"dataset": "d", "head": ["linear"]}, r"a matrix has dataset, \[matrix\] and \[recipe\]; this one has .*head"),
        ({"matrix": {"head": ["linear"]}}, "this one has matrix"),
    ],
    ids=["dimension", "choice", "recipe", "no list", "empty list", "key", "no data set"],
)
def test_a_matrix_that_makes_no_sense_is_refused_by_name_before_any_training(home, matrix, said):
    before = versions(home)
    with pytest.raises(TrainingError, match=said):
        ablate.fn(matrix, home)
    assert versions(home) == before


def test_a_matrix_that_cannot_be_read_is_an_error_that_names_the_file(home, tmp_path):
    (tmp_path / "broken.toml").write_text("dataset = ")
    with pytest.raises(TrainingError, match=r"the matrix .*broken\.toml cannot be read"):
        ablate.fn(tmp_path / "broken.toml", home)


def test_the_best_recipe_is_a_file_that_train_takes(ablated, monkeypatch):
    home, report = ablated
    monkeypatch.setattr(train_judgement, "draw", lambda *_: [])
    best = report.cells[0]
    assert best.accuracy == max(cell.accuracy for cell in report.cells)
    trained = train.fn("d", "best", home=home, recipe=Path(report.best_recipe))
    assert trained.head == best.choices["head"]
    assert trained.val_accuracy == pytest.approx(best.accuracy, abs=1e-6)
    assert report.lines()[-1].endswith(f"--recipe {report.best_recipe}")
    assert "+".join(registry(home).head(registry(home).find("best")).poolings) == best.choices["poolings"]


def ablate_alone(home):
    ablate.fn(MATRIX, home)


@pytest.mark.parametrize("killed", [killed_after_append, killed_before_append], ids=["after a cell", "in mid-cell"])
def test_a_matrix_that_was_killed_is_finished_with_each_cell_once(home, ablated, killed):
    assert killed(ablate_alone, (home,), "ablations", 2)
    done = 2 if killed is killed_after_append else 1
    report = ablate.fn(MATRIX, home)
    assert (report.trained, report.reused) == (4 - done, done)
    cells = content(home, "ablations")
    assert len({row["cell_id"] for row in cells}) == len(cells) == 4
    answers = [(row["cell_id"], row["observation_id"]) for row in content(home, "ablation_answers")]
    assert len(set(answers)) == len(answers)
    _, undisturbed = ablated
    assert {cell.cell_id: cell.accuracy for cell in report.cells} == {
        cell.cell_id: cell.accuracy for cell in undisturbed.cells
    }
    assert report.effects == undisturbed.effects
    assert len(cell_runs(home)[1]) == 1
