import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from modeling import heads
from modeling.class_map import ClassMap
from modeling.errors import ClassMapMismatchError, EmbeddingMismatchError
from modeling.heads import CONTRACT, WEIGHTS, TrainedHead, join
from modeling.heads.linear import LinearHead

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
    return TrainedHead(network.eval(), classes, KEY, SPEC, "some/backbone", ("cls", "mean_patch"))


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


def test_a_head_knows_the_dtype_of_its_embeddings(small: TrainedHead):
    assert small.dtype == "bfloat16"


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
