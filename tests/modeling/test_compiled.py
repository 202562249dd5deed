import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from drawn_photographs import noise

from modeling import backbones, compiled
from modeling.backbones import Backbone
from modeling.errors import BackboneError

if shutil.which("g++") is None and shutil.which("clang++") is None:
    pytest.skip("there is no C++ compiler here", allow_module_level=True)


def pixels(backbone: Backbone, count: int) -> np.ndarray:
    height, width = backbone.files.preprocessing.size
    return np.stack([np.asarray(noise(seed, width, height)) for seed in range(count)])


@pytest.fixture(scope="module")
def package(backbone: Backbone, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The small backbone as compiled for one thread: it takes half a minute, so that it is done once."""
    path = compiled.package_of(backbone, tmp_path_factory.mktemp("compiled"), threads=1)
    return compiled.compile_ahead(backbone, path, threads=1)


@pytest.mark.parametrize("count", [1, 2, 7])
def test_a_compiled_network_gives_the_vectors_of_the_network(backbone: Backbone, package: Path, count: int):
    plain = backbone.embed(pixels(backbone, count))
    fast = Backbone(backbone.files, "float32", "cpu")
    fast.use(compiled.load(fast, package))
    for pooling, vectors in fast.embed(pixels(backbone, count)).items():
        assert vectors.shape == plain[pooling].shape
        scale = np.abs(plain[pooling]).max()
        np.testing.assert_allclose(vectors / scale, plain[pooling] / scale, atol=1e-4)


@pytest.mark.slow
def test_a_network_compiled_in_bfloat16_gives_nearly_the_vectors_of_the_network(backbone: Backbone, tmp_path: Path):
    half = Backbone(backbone.files, "bfloat16", "cpu")
    made = compiled.compile_ahead(half, compiled.package_of(half, tmp_path, 1), threads=1)
    fast = Backbone(backbone.files, "bfloat16", "cpu")
    fast.use(compiled.load(fast, made))
    for count in (1, 2, 7):
        plain = half.embed(pixels(backbone, count))
        for pooling, vectors in fast.embed(pixels(backbone, count)).items():
            lengths = np.linalg.norm(vectors, axis=1) * np.linalg.norm(plain[pooling], axis=1)
            assert ((vectors * plain[pooling]).sum(axis=1) / lengths).min() >= 0.999


def test_what_is_compiled_lies_alone_in_its_folder(package: Path):
    assert list(package.parent.iterdir()) == [package]


def test_another_network_dtype_or_number_of_threads_is_another_package(backbone: Backbone, tmp_path: Path):
    other = Backbone(backbones.find(str(backbones.save_untrained(tmp_path / "other", seed=1))), "float32", "cpu")
    half = Backbone(backbone.files, "bfloat16", "cpu")
    steps = replace(backbone.files.preprocessing, crop=(80, 80))
    smaller = Backbone(replace(backbone.files, preprocessing=steps), "float32", "cpu")
    packages = [compiled.package_of(one, tmp_path, 1) for one in (backbone, other, half, smaller)]
    packages.append(compiled.package_of(backbone, tmp_path, 2))
    assert len(set(packages)) == len(packages)
    assert compiled.package_of(Backbone(backbone.files, "float32", "cpu"), tmp_path, 1) == packages[0]


@pytest.mark.parametrize("part", [0, 0.5, 0.999], ids=str)
def test_a_damaged_package_is_refused(backbone: Backbone, package: Path, tmp_path: Path, part: float):
    damaged = tmp_path / "damaged.pt2"
    content = package.read_bytes()
    damaged.write_bytes(content[: int(part * len(content))])
    with pytest.raises(BackboneError, match=r"damaged\.pt2 cannot be loaded"):
        compiled.load(backbone, damaged)


def test_a_package_that_is_not_there_is_refused(backbone: Backbone, tmp_path: Path):
    with pytest.raises(BackboneError, match=r"none\.pt2 cannot be loaded"):
        compiled.load(backbone, tmp_path / "none.pt2")


def test_a_package_that_gives_other_vectors_is_refused(package: Path, tmp_path: Path):
    other = Backbone(backbones.find(str(backbones.save_untrained(tmp_path / "other", seed=1))), "float32", "cpu")
    with pytest.raises(BackboneError, match=r"gives other vectors than the network itself: cosine -?0\.\d+"):
        compiled.load(other, package)


def test_without_a_compiler_nothing_is_compiled_and_nothing_left_behind(backbone: Backbone, tmp_path: Path):
    from torch._inductor import config  # seconds

    package, threads = tmp_path / "compiled" / "p.pt2", torch.get_num_threads()
    with (
        config.patch({"cpp.cxx": ("/nowhere/c++",)}),
        pytest.raises(BackboneError, match=f"{backbone.files.name} cannot be compiled here: .*/nowhere/c\\+\\+"),
    ):
        compiled.compile_ahead(backbone, package, threads=1)
    assert list(package.parent.iterdir()) == []
    assert torch.get_num_threads() == threads
