import json
import tomllib
from dataclasses import replace
from types import MappingProxyType
from typing import Any

import pytest

from modeling.errors import TrainingError
from modeling.recipe import Recipe

USUAL = Recipe()
ODD = Recipe(
    poolings=("dct", "cls"),
    tilings=("grid-3x3", "whole"),
    head="mlp",
    head_settings={"hidden": [64, 32], "dropout": 0.25},
    objective="expected_cost",
    objective_settings={"cost_matrix": [[0, 1.5], [2, 0]], "cross_entropy_weight": 1e-7},
    learning_rate=None,
    batch_size=48,
    max_epochs=7,
    patience=3,
    sampling="class_balanced",
    mixup=0.2,
    precision="bfloat16",
    refit=True,
    min_images=5,
    seed=11,
)
RECIPES = pytest.mark.parametrize("recipe", [USUAL, ODD, replace(ODD, mixup=0.0, quadrat_species=4)])


# Written and read again


@RECIPES
def test_a_recipe_is_read_as_it_was_written(recipe: Recipe):
    assert Recipe.read(recipe.written()) == recipe


@RECIPES
def test_the_file_that_a_recipe_writes_says_the_same_recipe(recipe: Recipe):
    assert Recipe.read(tomllib.loads(recipe.toml)) == recipe


@RECIPES
def test_a_spec_says_the_whole_recipe(recipe: Recipe):
    assert Recipe.parse(recipe.spec) == recipe


def test_a_spec_is_one_text_for_one_recipe_whatever_the_order_and_the_type_of_its_settings():
    turned = replace(ODD, head_settings=MappingProxyType(dict(reversed(ODD.head_settings.items()))))
    assert turned.spec == ODD.spec
    assert list(json.loads(ODD.spec)) == sorted(json.loads(ODD.spec))


@pytest.mark.parametrize(
    "change",
    [
        {"poolings": ("cls", "dct")},
        {"tilings": ("whole", "grid-3x3")},
        {"head": "linear"},
        {"head_settings": {"dropout": 0.25}},
        {"objective": "cross_entropy"},
        {"objective_settings": {}},
        {"learning_rate": 2e-3},
        {"batch_size": None},
        {"max_epochs": 8},
        {"patience": 4},
        {"sampling": "shuffled"},
        {"mixup": 0.3},
        {"mixup": 0.0, "quadrat_species": 2},
        {"precision": "float32"},
        {"refit": False},
        {"min_images": 1},
        {"seed": 0},
    ],
    ids=lambda change: ",".join(change),
)
def test_every_choice_is_in_the_spec(change: dict[str, Any]):
    assert replace(ODD, **change).spec != ODD.spec


def test_the_file_is_as_a_person_would_write_it():
    lines = ODD.toml.splitlines()
    assert 'learning_rate = "found"' in lines
    assert lines[lines.index("[head]") :] == [
        "[head]",
        'kind = "mlp"',
        "dropout = 0.25",
        "hidden = [64, 32]",
        "",
        "[objective]",
        'name = "expected_cost"',
        "cost_matrix = [[0, 1.5], [2, 0]]",
        "cross_entropy_weight = 1e-07",
    ]
    # What nobody has chosen is not a text that says so: TOML has no null.
    assert not [line for line in USUAL.toml.splitlines() if line.startswith("batch_size")]


# As a person writes it


def test_what_is_not_said_is_as_usual():
    assert Recipe.read({}) == USUAL
    assert Recipe.read({"patience": 4}) == Recipe(patience=4)


def test_the_seed_is_the_place_s_where_the_recipe_has_none():
    assert Recipe.read({}, seed=5).seed == 5
    assert Recipe.read({"seed": 0}, seed=5).seed == 0


def test_a_name_is_short_for_a_table():
    assert Recipe.read({"head": "mlp"}) == Recipe.read({"head": {"kind": "mlp"}}) == Recipe(head="mlp")
    assert Recipe.read({"objective": "seesaw"}) == Recipe.read({"objective": {"name": "seesaw"}})


def test_a_table_without_its_choice_sets_up_the_usual_one():
    assert Recipe.read({"head": {"dropout": 0.1}}) == Recipe(head_settings={"dropout": 0.1})
    assert Recipe.read({"objective": {"label_smoothing": 0.1}}) == Recipe(objective_settings={"label_smoothing": 0.1})


def test_one_pooling_or_tiling_needs_no_list():
    assert Recipe.read({"poolings": "cls", "tilings": "grid-3x3"}) == Recipe(poolings=("cls",), tilings=("grid-3x3",))
    assert Recipe.read({"poolings": ["dct", "cls"]}).poolings == ("dct", "cls")


def test_a_learning_rate_may_be_left_to_be_found():
    assert Recipe.read({"learning_rate": "found"}).learning_rate is None


def test_a_whole_number_is_a_rate_too():
    assert Recipe.read({"learning_rate": 1, "mixup": 1}) == Recipe(learning_rate=1, mixup=1)


def test_what_a_person_gave_is_left_as_it_was():
    given = {"head": {"kind": "mlp", "hidden": [8]}, "learning_rate": "found", "poolings": "cls"}
    kept = json.dumps(given)
    Recipe.read(given)
    assert json.dumps(given) == kept


# Refused


@pytest.mark.parametrize(
    ("key", "neighbour"),
    [
        ("learnig_rate", "learning_rate"),
        ("pooling", "poolings"),
        ("max_epoch", "max_epochs"),
        ("objectiv", "objective"),
        ("heads", "head"),
    ],
)
def test_an_unknown_key_names_its_neighbour(key: str, neighbour: str):
    with pytest.raises(TrainingError, match=f"no setting {key!r}; did you mean {neighbour!r}"):
        Recipe.read({key: 1})


@pytest.mark.parametrize("key", ["head_settings", "objective_settings"])
def test_settings_are_given_in_the_table_and_nowhere_else(key: str):
    with pytest.raises(TrainingError, match=f"no setting {key!r}"):
        Recipe.read({key: {}})


REFUSED = [
    ("poolings", (), "one or more of cls"),
    ("poolings", ("cls", "max"), "of cls"),
    ("tilings", (), "such as whole"),
    ("tilings", ("whole", 3), "such as whole"),
    ("sampling", "stratified", "shuffled or class_balanced"),
    ("precision", "float16", "float32 or bfloat16"),
    ("learning_rate", 0.0, "a positive number, or found"),
    ("learning_rate", -1e-3, "a positive number"),
    ("learning_rate", 100.0, "a positive number"),
    ("learning_rate", float("nan"), "a positive number"),
    ("batch_size", 0, "2 or more"),
    ("batch_size", 1, "2 or more"),  # the batch norm of an mlp has no spread of one
    ("batch_size", 2.5, "2 or more"),
    ("batch_size", True, "2 or more"),
    ("max_epochs", 0, "1 or more"),
    ("patience", 0, "1 or more"),
    ("mixup", -0.1, "0 .none. or a positive alpha"),
    ("mixup", float("nan"), "positive alpha"),
    ("mixup", float("inf"), "positive alpha"),
    ("quadrat_species", -1, "0 .none. or more"),
    ("min_images", 0, "1 or more"),
]


@pytest.mark.parametrize(("name", "value", "words"), REFUSED)
def test_what_makes_no_sense_is_refused_with_what_would(name: str, value: Any, words: str):
    with pytest.raises(TrainingError, match=f"recipe's {name} is .*it is .*{words}"):
        Recipe(**{name: value})
    with pytest.raises(TrainingError, match=f"recipe's {name} is .*it is .*{words}"):
        Recipe.read({name: list(value) if isinstance(value, tuple) else value})


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("max_epochs", "7", "is a int"),
        ("max_epochs", 7.5, "is a int"),
        ("refit", 1, "is a bool"),
        ("seed", True, "is a int"),
        ("learning_rate", "fast", "is a float"),
        ("poolings", 3, "a name or a list of names"),
        ("tilings", {"whole": 1}, "a name or a list of names"),
        ("head", 3, "a name, or a table with kind"),
        ("head", {"kind": 3}, "the name of a kind"),
        ("objective", {"name": None}, "a name"),
        ("objective", ["seesaw"], "a name, or a table with name"),
    ],
)
def test_a_value_of_another_type_is_refused(name: str, value: Any, words: str):
    with pytest.raises(TrainingError, match=f"{name}.*{words}"):
        Recipe.read({name: value})


def test_embeddings_are_mixed_in_one_way_only():
    with pytest.raises(TrainingError, match="mixup and pseudo-quadrats both mix embeddings"):
        Recipe(mixup=0.2, quadrat_species=3)


# Batches


@pytest.mark.parametrize(("count", "size"), [(1, 64), (12_700, 64), (12_800, 128), (60_000, 512), (10_000_000, 1024)])
def test_an_epoch_is_about_a_hundred_steps(count: int, size: int):
    assert USUAL.batch(count) == size


def test_a_batch_size_that_is_asked_for_is_taken():
    assert Recipe(batch_size=7).batch(10_000_000) == 7
