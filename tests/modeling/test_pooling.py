"""The poolings, held against SciPy's DCT of the tokens that transformers itself gives."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from drawn_photographs import noise
from scipy.fft import dctn
from transformers import (
    ConvNextConfig,
    ConvNextModel,
    Dinov2Config,
    Dinov2Model,
    Dinov2WithRegistersConfig,
    Dinov2WithRegistersModel,
    SwinConfig,
    SwinModel,
    ViTConfig,
    ViTModel,
)

from modeling import backbones
from modeling.backbones import Backbone
from modeling.pooling import POOLINGS, cosines, orthonormal_cosines

PIXELS = np.stack([np.asarray(noise(seed, 56, 56)) for seed in range(3)])
OF_16 = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "image_size": 56, "patch_size": 14}
OF_6 = OF_16 | {"hidden_size": 6}
FEW = OF_16 | {"patch_size": 28}
# The model, and the tokens before its patches.
NETWORKS: dict[str, tuple[Callable[[], Any], int]] = {
    "dinov2": (lambda: Dinov2Model(Dinov2Config(**OF_16)), 1),
    "vit": (lambda: ViTModel(ViTConfig(**OF_16)), 1),
    "registers": (lambda: Dinov2WithRegistersModel(Dinov2WithRegistersConfig(**OF_16, num_register_tokens=3)), 4),
    "4 patches": (lambda: Dinov2Model(Dinov2Config(**FEW)), 1),
    "6 dimensions": (lambda: Dinov2Model(Dinov2Config(**OF_6)), 1),
    "no cls": (
        lambda: SwinModel(SwinConfig(image_size=56, patch_size=2, embed_dim=8, depths=[1, 1], num_heads=[1, 1])),
        0,
    ),
    "a map of features": (
        lambda: ConvNextModel(ConvNextConfig(hidden_sizes=[8, 24], depths=[1, 1], num_stages=2)),
        0,
    ),
}


@pytest.mark.parametrize("what", NETWORKS)
def test_poolings_are_those_of_the_models_own_tokens(saved: Callable[..., Path], what: str):
    make, first_patch = NETWORKS[what]
    torch.manual_seed(0)
    network = make().eval()
    if what == "registers":  # which begin near zero, and would not show in a mean
        torch.nn.init.normal_(network.embeddings.register_tokens)
    found = Backbone(backbones.find(str(saved(network, size=56))), "float32", "cpu").embed(PIXELS)
    with torch.inference_mode():
        output = network(pixel_values=(torch.from_numpy(PIXELS).permute(0, 3, 1, 2) / 255 - 0.5) / 0.25)
    tokens = output.last_hidden_state.numpy()
    if tokens.ndim == 4:
        tokens = tokens.reshape(*tokens.shape[:2], -1).swapaxes(1, 2)
    patches = tokens[:, first_patch:]
    cls = tokens[:, 0] if first_patch else output.pooler_output.numpy().reshape(len(tokens), -1)
    together = np.concatenate([cls[:, None], patches], axis=1)
    wanted = {
        "cls": cls,
        "mean_patch": patches.mean(axis=1),
        "dct": dctn(patches, type=2, norm="ortho", axes=(1, 2))[:, :8, :8].reshape(3, -1),
        "dct_published": dctn(together, type=2, axes=(1, 2))[:, :8, :8].reshape(3, -1),
    }
    assert tuple(found) == POOLINGS
    for pooling, vectors in wanted.items():
        scale = np.abs(vectors).max()
        assert found[pooling].shape == vectors.shape
        np.testing.assert_allclose(found[pooling] / scale, vectors / scale, atol=2e-6, err_msg=pooling)


@pytest.mark.parametrize("what", NETWORKS)
def test_vectors_are_of_the_promised_length(saved: Callable[..., Path], what: str):
    backbone = Backbone(backbones.find(str(saved(NETWORKS[what][0](), size=56))), "float32", "cpu")
    found = backbone.embed(PIXELS)
    assert {pooling: vectors.shape for pooling, vectors in found.items()} == {
        pooling: (3, length) for pooling, length in backbone.lengths.items()
    }
    assert {vectors.dtype for vectors in found.values()} == {np.dtype(np.float32)}
    assert backbone.lengths["cls"] == backbone.lengths["mean_patch"] == backbone.dimension


@pytest.mark.parametrize(("count", "width"), [(1, 1), (4, 16), (8, 8), (9, 7), (257, 768)])
def test_the_transforms_are_scipys(count: int, width: int):
    tokens = np.random.default_rng(0).normal(size=(count, width)).astype(np.float32)
    for transform, norm in ((cosines, None), (orthonormal_cosines, "ortho")):
        ours = transform(count) @ tokens @ transform(width).T
        wanted = dctn(tokens, type=2, norm=norm)[:8, :8]
        assert ours.shape == (min(count, 8), min(width, 8))
        assert transform(count).dtype == np.float32
        np.testing.assert_allclose(ours, wanted, rtol=1e-4, atol=1e-5 * np.abs(wanted).max())
