import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from modeling import heads
from modeling.class_map import ClassMap
from modeling.errors import ClassMapMismatchError, EmbeddingMismatchError, TrainingError
from modeling.heads import CONTRACT, WEIGHTS, TrainedHead, join, kinds
from modeling.heads.head import Head
from modeling.heads.linear import LinearHead
from modeling.problem import Problem

KEY = "a0a0a0a0a0a0a0a0"
SPEC = '{"dtype":"bfloat16","weights_hash":"w"}'
VECTORS = {
    "cls": np.array([[1, 2], [3, 4], [5, 6]], np.float32),
    "mean_patch": np.array([[-1, 0], [0, -1], [1, 1]], np.float32),
}


@pytest.fixture
def small() -> TrainedHead:
    """A head of two poolings of length 2 and three classes, no two of whose numbers are alike."""
    network = LinearHead(4, 3)
    network.standardise(torch.tensor([[0.0, 1, 2, 3], [4, 6, 8, 10]]))
    with torch.no_grad():
        network.layer.weight.copy_(torch.arange(12.0).reshape(3, 4))
        network.layer.bias.copy_(torch.tensor([0.5, -0.5, 0.25]))
    classes = ClassMap.of({"9": "Poa annua", "10": "Lolium", "HM 1954": "Vipère"})
    return TrainedHead(network.eval(), classes, KEY, SPEC, "some/backbone", ("cls", "mean_patch"), 2.5)


@pytest.fixture
def folder(small: TrainedHead, tmp_path: Path) -> Path:
    return small.save(tmp_path / "new" / "head")


def change(folder: Path, **values: object) -> None:
    contract = json.loads((folder / CONTRACT).read_text(encoding="utf-8"))
    (folder / CONTRACT).write_text(json.dumps(contract | values), encoding="utf-8")


def test_logits_are_the_linear_layer_of_standardised_poolings(small: TrainedHead):
    joined = np.concatenate([VECTORS["cls"], VECTORS["mean_patch"]], axis=1)
    standardised = (joined - [2, 3.5, 5, 6.5]) / [2, 2.5, 3, 3.5]
    expected = standardised @ np.arange(12).reshape(3, 4).T + [0.5, -0.5, 0.25]
    np.testing.assert_allclose(small.predict(VECTORS, KEY), expected, rtol=1e-5)


def test_a_head_that_was_saved_predicts_alike(small: TrainedHead, folder: Path):
    loaded = heads.load(folder)
    np.testing.assert_array_equal(loaded.predict(VECTORS, KEY), small.predict(VECTORS, KEY))
    assert replace(loaded, network=small.network) == small


def examples(dimension: int = 4) -> tuple[torch.Tensor, torch.Tensor]:
    """Draw four features of each of three classes."""
    targets = torch.arange(12) % 3
    features = torch.randn(12, dimension, generator=torch.Generator().manual_seed(0))
    features[torch.arange(12), targets] += 3
    return features, targets


def of_kind(kind: str, **settings: Any) -> Head:
    """A head of a kind, no two of whose numbers are alike."""
    problem = Problem(4, (4, 4, 4), ("Poa", "Poa", "Vipera"), ("Poaceae", "Poaceae", "Viperidae"))
    torch.manual_seed(0)
    network = kinds.of(kind, problem, settings)
    network.begin(*examples())
    for parameter in network.parameters():
        torch.nn.init.normal_(parameter)
    return network.eval()


@pytest.mark.parametrize("kind", kinds.KINDS)
def test_a_head_of_every_kind_that_was_saved_predicts_alike(kind: str, small: TrainedHead, tmp_path: Path):
    head = replace(small, network=of_kind(kind), temperature=1.7, is_multi_label=kind == "mlp")
    loaded = heads.load(head.save(tmp_path))
    np.testing.assert_array_equal(loaded.predict(VECTORS, KEY), head.predict(VECTORS, KEY))
    assert loaded.network.kind == kind
    assert loaded.network.settings() == head.network.settings()
    assert loaded.network.weights_hash == head.network.weights_hash
    assert replace(loaded, network=head.network) == head


def test_the_contract_says_all_that_is_needed_to_use_the_weights(folder: Path, small: TrainedHead):
    contract = json.loads((folder / CONTRACT).read_text(encoding="utf-8"))
    assert contract == {
        "kind": "linear",
        "settings": {"dropout": 0.0},
        "dimension": 4,
        "weights_hash": small.network.weights_hash,
        "temperature": 2.5,
        "is_multi_label": False,
        "class_map_id": small.class_map.class_map_id,
        "species_ids": list(small.class_map.species_ids),
        "scientific_names": list(small.class_map.scientific_names),
        "embedding_key": KEY,
        "embedding_spec": SPEC,
        "backbone": "some/backbone",
        "poolings": ["cls", "mean_patch"],
    }


@pytest.mark.parametrize("is_multi_label", [False, True])
def test_probabilities_are_those_of_the_temperature_of_the_contract(folder: Path, is_multi_label: bool):
    change(folder, is_multi_label=is_multi_label)
    loaded = heads.load(folder)
    logits = np.array([[1.0, 2, 4]], np.float32)
    odds = np.exp(logits / 2.5)
    expected = odds / (1 + odds) if is_multi_label else odds / odds.sum()
    np.testing.assert_allclose(loaded.probabilities(logits), expected, rtol=1e-5)
    assert loaded.probabilities(logits).dtype == np.float32


def test_a_loaded_head_drops_nothing_out(tmp_path: Path, small: TrainedHead):
    trained = LinearHead(4, 3, dropout=0.9)
    trained.load_state_dict(small.network.state_dict())
    loaded = heads.load(replace(small, network=trained).save(tmp_path))
    np.testing.assert_array_equal(loaded.predict(VECTORS, KEY), small.predict(VECTORS, KEY))


def test_embeddings_of_another_kind_are_refused_with_both_keys(small: TrainedHead):
    with pytest.raises(EmbeddingMismatchError, match=f"trained on embeddings {KEY}, and was given b1b1"):
        small.predict(VECTORS, "b1b1")


def test_a_pooling_that_is_not_there_is_refused(small: TrainedHead):
    with pytest.raises(EmbeddingMismatchError, match="'mean_patch' is needed; there are cls"):
        small.predict({"cls": VECTORS["cls"]}, KEY)


def test_poolings_are_joined_in_the_order_of_the_head_not_of_the_vectors():
    turned = dict(reversed(VECTORS.items()))
    np.testing.assert_array_equal(join(turned, ("cls", "mean_patch"))[0], [1, 2, -1, 0])
    np.testing.assert_array_equal(join(turned, ("mean_patch", "cls"))[0], [-1, 0, 1, 2])
    np.testing.assert_array_equal(join(turned, ("cls",))[0], [1, 2])


def test_a_head_whose_species_were_put_in_another_order_is_refused(folder: Path):
    change(folder, species_ids=["9", "10", "HM 1954"])
    with pytest.raises(ClassMapMismatchError, match=r"head\.json was made with class map"):
        heads.load(folder)


def test_a_head_that_lost_a_species_is_refused(folder: Path):
    change(folder, species_ids=["10", "9"], scientific_names=["Lolium", "Poa annua"])
    with pytest.raises(ClassMapMismatchError):
        heads.load(folder)


@pytest.mark.parametrize(("name", "shape"), [("layer.weight", (3, 5)), ("layer.bias", (4,)), ("mean", (5,))])
def test_weights_of_another_shape_are_refused(folder: Path, name: str, shape: tuple[int, ...]):
    save_file(load_file(folder / WEIGHTS) | {name: torch.zeros(shape)}, folder / WEIGHTS)
    with pytest.raises(RuntimeError, match=f"size mismatch for {name}"):
        heads.load(folder)


@pytest.mark.parametrize("name", ["mean", "std", "layer.weight", "layer.bias"])
def test_weights_of_which_some_are_missing_are_refused(folder: Path, name: str):
    rest = load_file(folder / WEIGHTS)
    del rest[name]
    save_file(rest, folder / WEIGHTS)
    with pytest.raises(RuntimeError, match=f'Missing key.*"{name}"'):
        heads.load(folder)


@pytest.mark.parametrize("name", ["mean", "std", "layer.weight", "layer.bias"])
def test_weights_that_are_not_those_of_the_contract_are_refused(folder: Path, name: str):
    weights = load_file(folder / WEIGHTS)
    weights[name][0] += 1e-6
    save_file(weights, folder / WEIGHTS)
    with pytest.raises(TrainingError, match=r"head\.safetensors holds weights \w{16}, and head\.json beside it says"):
        heads.load(folder)


def test_the_contract_of_another_head_of_the_same_shape_is_refused(folder: Path, small: TrainedHead, tmp_path: Path):
    other = LinearHead(4, 3)
    other.standardise(torch.randn(9, 4))
    (replace(small, network=other).save(tmp_path / "other") / WEIGHTS).replace(folder / WEIGHTS)
    with pytest.raises(TrainingError, match="one of the two was changed or mixed up"):
        heads.load(folder)


@pytest.mark.parametrize("kind", ["mlp", "nearest", "prototype"])
def test_two_heads_have_the_same_hash_only_if_all_their_weights_are_alike(kind: str):
    usual = of_kind(kind)
    assert of_kind(kind).weights_hash == usual.weights_hash
    for name in usual.state_dict():
        moved = of_kind(kind)
        moved.state_dict()[name].view(-1)[-1] += 1
        assert moved.weights_hash != usual.weights_hash


def test_a_kind_that_nobody_knows_is_refused(folder: Path):
    change(folder, kind="linaer")
    with pytest.raises(TrainingError, match="there is no head 'linaer'"):
        heads.load(folder)


def test_settings_of_another_version_are_refused(folder: Path):
    change(folder, settings={"dropout": 0.0, "depth": 3})
    with pytest.raises(TrainingError, match="saved by another version, or changed"):
        heads.load(folder)


def test_a_head_that_has_learnt_nothing_prefers_nothing():
    assert torch.equal(LinearHead(4, 3)(torch.randn(5, 4)), torch.zeros(5, 3))


def test_a_dimension_that_never_moved_in_training_says_nothing_when_it_moves_later():
    # 3.3 has no exact float32, so that the mean of many is not quite 3.3.
    network = LinearHead(2, 3)
    network.standardise(torch.tensor([[0.0, 3.3], [1, 3.3], [2, 3.3]] * 33))
    torch.nn.init.ones_(network.layer.weight)
    assert torch.equal(network(torch.tensor([[1.0, 3.3]])), network(torch.tensor([[1.0, 4.4]])))


def test_a_dimension_that_moves_little_is_heard_like_any_other():
    network = LinearHead(2, 1)
    network.standardise(torch.tensor([[0.0, 0.001], [1000, 0.002]]))
    torch.nn.init.ones_(network.layer.weight)
    assert network(torch.tensor([[1000, 0.001]])).item() == pytest.approx(0, abs=1e-3)


# A new head that begins with the weights of an older one

GROWN = ClassMap.of({"0": "Abies", "9": "Poa annua", "99": "Zea", "HM 1954": "Vipère"})
ROWS = [kind for kind, head in kinds.KINDS.items() if head.class_rows]


def begun(kind: str, class_count: int, dimension: int = 4, **settings: Any) -> Head:
    """A head before it learns, of other examples than those of the older one."""
    network = kinds.of(kind, Problem(dimension, (4,) * class_count), settings)
    features, targets = examples(dimension)
    network.begin(features * 2 + 1, targets)
    return network.eval()


@pytest.mark.parametrize("kind", ROWS)
def test_species_keep_their_logits_when_others_came_before_and_between_them(kind: str, small: TrainedHead):
    older = replace(small, network=of_kind(kind))
    network = begun(kind, len(GROWN))
    assert heads.inherit(network, GROWN, older) == 2
    here = [GROWN.index[species] for species in ("9", "HM 1954")]
    there = [older.class_map.index[species] for species in ("9", "HM 1954")]
    assert here != there
    features = examples()[0]
    with torch.inference_mode():
        torch.testing.assert_close(network(features)[:, here], older.network(features)[:, there])


@pytest.mark.parametrize("kind", ROWS)
def test_species_that_the_older_head_lacks_begin_as_in_any_new_head(kind: str, small: TrainedHead):
    network, other = begun(kind, len(GROWN)), begun(kind, len(GROWN))
    heads.inherit(network, GROWN, replace(small, network=of_kind(kind)))
    new = [GROWN.index[species] for species in ("0", "99")]
    for name in network.class_rows:
        assert torch.equal(network.state_dict()[name][new], other.state_dict()[name][new])


def test_the_older_head_stays_as_it_was(small: TrainedHead):
    before = small.network.weights_hash
    network = begun("linear", len(GROWN))
    heads.inherit(network, GROWN, small)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter += 1
    assert small.network.weights_hash == before


def test_heads_that_share_no_species_share_what_is_of_all_species(small: TrainedHead):
    classes = ClassMap.of({"1": "Abies", "2": "Acer"})
    network = begun("linear", 2)
    assert heads.inherit(network, classes, small) == 0
    assert torch.equal(network.mean, small.network.mean)


@pytest.mark.parametrize("kind", sorted(kinds.KINDS.keys() - {"linear"}))
def test_weights_of_another_kind_are_refused(kind: str, small: TrainedHead):
    words = f"a 'linear' head cannot begin with the weights of a '{kind}' head"
    with pytest.raises(TrainingError, match=words):
        heads.inherit(LinearHead(4, 3), small.class_map, replace(small, network=of_kind(kind)))


@pytest.mark.parametrize("kind", sorted(kinds.KINDS.keys() - set(ROWS)))
def test_a_kind_without_weights_for_each_species_hands_none_on(kind: str, small: TrainedHead):
    with pytest.raises(TrainingError, match=f"cannot begin with the weights of a '{kind}' head"):
        heads.inherit(of_kind(kind), small.class_map, replace(small, network=of_kind(kind)))


@pytest.mark.parametrize(
    ("kind", "dimension", "settings", "words"),
    [
        ("linear", 5, {}, r"mean is \(4,\), and the new one's is \(5,\)"),
        ("mlp", 4, {"hidden": [6]}, r"is \(512, 4\), and the new one's is \(6, 4\)"),
        ("mlp", 4, {"hidden": [512, 8]}, r"layers\.1\..* is None, and the new one's is"),
    ],
)
def test_weights_of_another_shape_are_not_handed_on(
    kind: str, dimension: int, settings: dict[str, Any], words: str, small: TrainedHead
):
    network = begun(kind, len(GROWN), dimension, **settings)
    with pytest.raises(TrainingError, match=words):
        heads.inherit(network, GROWN, replace(small, network=of_kind(kind)))
