"""Checkpoints that timm has saved, held against what timm itself made of them (tests/data/timm/make_golden.py)."""

import argparse
import os
import pickle
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import AutoModel

from modeling import backbones, timm_checkpoints
from modeling.backbones import Backbone
from modeling.class_map import ClassMap
from modeling.errors import BackboneError
from modeling.timm_checkpoints import Architecture, CheckpointError, TimmCheckpoint, read_class_mapping

GOLDEN = Path(__file__).parents[1] / "data" / "timm"
PIXELS = np.load(GOLDEN / "pixels.npz")["pixels"]
SPECIES = ("30", "4", "200", "1", "05")  # in no order but that of the classes
CLASS_MAP = ClassMap(SPECIES, SPECIES)
# Attention heads that are narrower than those of timm's own models have to be said.
CHECKPOINTS = {"ema.pth.tar": 2, "positions_of_all.pth": 2, "no_registers.pth": 2, "wide.safetensors": None}
SMALL = {"width": 16, "depth": 3, "attention_heads": 2, "mlp_width": 32, "patch_size": 14, "class_count": 5}
ARCHITECTURES = {
    "ema.pth.tar": Architecture(**SMALL, grid=5, registers=4, own_positions=0),
    "positions_of_all.pth": Architecture(**SMALL, grid=7, registers=4, own_positions=5),
    "no_registers.pth": Architecture(**SMALL, grid=5, registers=0, own_positions=1),
    "wide.safetensors": Architecture(
        width=128,
        depth=1,
        attention_heads=2,
        mlp_width=128,
        patch_size=7,
        grid=5,
        registers=4,
        own_positions=0,
        class_count=5,
    ),
}


@dataclass(frozen=True)
class Converted:
    """A golden checkpoint, the folder that was made of it, and what timm says of the pixels."""

    source: TimmCheckpoint
    folder: Path
    golden: dict[str, np.ndarray]
    pixels: np.ndarray  # (2, height, width, 3) uint8

    @property
    def first_patch(self) -> int:
        return 1 + self.source.architecture.registers


@pytest.fixture(scope="module", params=CHECKPOINTS)
def converted(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Converted:
    return convert(request.param, tmp_path_factory.mktemp("backbones"))


def convert(name: str, parent: Path) -> Converted:
    source = TimmCheckpoint(GOLDEN / name, CHECKPOINTS[name])
    size = source.architecture.image_size
    golden = dict(np.load(GOLDEN / f"{name.partition('.')[0]}.npz"))
    pixels = np.ascontiguousarray(PIXELS[:, :size, :size])
    return Converted(source, source.save_backbone(parent), golden, pixels)


def tokens(folder: Path, pixels: np.ndarray) -> np.ndarray:
    """Return what transformers makes of the folder: (N, tokens, D)."""
    steps = backbones.find(str(folder)).preprocessing
    values = (torch.from_numpy(pixels) / 255 - torch.tensor(steps.mean)) / torch.tensor(steps.std)
    with torch.inference_mode():
        found = AutoModel.from_pretrained(folder)(pixel_values=values.permute(0, 3, 1, 2)).last_hidden_state
    return found.numpy()


def state_dict(name: str = "no_registers.pth") -> dict[str, Any]:
    return torch.load(GOLDEN / name, weights_only=True)


@pytest.fixture
def saved(tmp_path: Path) -> Callable[..., TimmCheckpoint]:
    """Save a checkpoint as timm and others save it."""

    def save(content: Any, **options: Any) -> TimmCheckpoint:
        torch.save(content, tmp_path / "model_best.pth.tar", **options)
        return TimmCheckpoint(tmp_path / "model_best.pth.tar", attention_heads=2)

    return save


def test_a_converted_model_gives_timms_features_and_logits(converted: Converted):
    backbone = Backbone(backbones.find(str(converted.folder)), "float32", "cpu")
    vectors = backbone.embed(converted.pixels)
    logits = converted.source.head(CLASS_MAP, backbone.spec, "here").predict(vectors, backbone.spec.key)
    timms = converted.golden["tokens"]
    np.testing.assert_allclose(vectors["cls"], timms[:, 0], atol=1e-4)
    np.testing.assert_allclose(vectors["mean_patch"], timms[:, converted.first_patch :].mean(axis=1), atol=1e-4)
    np.testing.assert_allclose(logits, converted.golden["logits"], atol=1e-4)


def test_every_token_is_timms(converted: Converted):
    ours = tokens(converted.folder, converted.pixels)
    assert ours.shape == converted.golden["tokens"].shape
    np.testing.assert_allclose(ours, converted.golden["tokens"], atol=1e-4)


def test_positions_are_interpolated_to_another_image_size_as_timm_does(tmp_path: Path):
    ema = convert("ema.pth.tar", tmp_path)
    assert PIXELS.shape[1] != ema.source.architecture.image_size
    np.testing.assert_allclose(tokens(ema.folder, PIXELS), ema.golden["tokens_98"], atol=1e-4)


def test_the_architecture_is_read_from_the_shapes(converted: Converted):
    assert converted.source.architecture == ARCHITECTURES[converted.source.path.name]
    assert converted.source.architecture.image_size == converted.pixels.shape[1]


def test_images_are_prepared_as_timm_prepares_them(converted: Converted):
    size = converted.pixels.shape[1]
    steps = backbones.find(str(converted.folder)).preprocessing
    assert (steps.resize, steps.crop, steps.interpolation) == ((size,), (size, size), "bicubic")
    assert (steps.mean, steps.std) == ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))


def test_the_head_takes_cls_tokens_as_they_are_in_the_order_of_the_class_mapping(converted: Converted):
    spec = Backbone(backbones.find(str(converted.folder)), "float32", "cpu").spec
    head = converted.source.head(CLASS_MAP, spec, "here")
    assert head.class_map.species_ids == SPECIES
    assert (head.poolings, head.backbone, head.embedding_key) == (("cls",), "here", spec.key)
    assert torch.equal(head.network.mean, torch.zeros(converted.source.architecture.width))
    assert torch.equal(head.network.std, torch.ones(converted.source.architecture.width))


@pytest.mark.parametrize("order", [("state_dict_ema", "state_dict"), ("model_ema", "model"), ("state_dict", "model")])
def test_moving_averages_are_taken_before_the_weights_of_the_last_step(
    saved: Callable[..., TimmCheckpoint], order: tuple[str, str]
):
    best, last = state_dict(), {name: tensor + 1 for name, tensor in state_dict().items()}
    source = saved({"epoch": 3, order[1]: last, order[0]: best})
    assert torch.equal(source.tensors["head.weight"], best["head.weight"])


def test_moving_averages_that_were_not_kept_are_no_weights(saved: Callable[..., TimmCheckpoint]):
    source = saved({"state_dict_ema": None, "state_dict": state_dict()})
    assert torch.equal(source.tensors["head.weight"], state_dict()["head.weight"])


@pytest.mark.parametrize("prefix", ["module.", "_orig_mod.", "module._orig_mod.", "_orig_mod.module."])
def test_what_training_has_wrapped_around_a_model_is_not_in_the_names(
    saved: Callable[..., TimmCheckpoint], prefix: str
):
    source = saved({"state_dict": {f"{prefix}{name}": tensor for name, tensor in state_dict().items()}})
    assert source.tensors.keys() == state_dict().keys()


def test_half_precision_is_stored_as_the_float32_that_embedding_begins_with(tmp_path: Path):
    wide = convert("wide.safetensors", tmp_path)
    assert {tensor.dtype for tensor in load_file(wide.source.path).values()} == {torch.float16}
    assert {tensor.dtype for tensor in load_file(wide.folder / "model.safetensors").values()} == {torch.float32}


class Intruder:
    """Pickles to a call of anything."""

    def __init__(self, call: Callable[..., object], *args: object) -> None:
        self.call = (call, args)

    def __reduce__(self) -> tuple[Callable[..., object], tuple[object, ...]]:
        return self.call


# Each makes the file or folder that it is given, and says what has to be named when it is refused.
INTRUDERS: dict[str, Callable[[str], Intruder]] = {
    "posix.mkdir": lambda made: Intruder(os.mkdir, made),
    "exec": lambda made: Intruder(exec, f"open({made!r}, 'w').close()"),
    "shutil.copytree": lambda made: Intruder(shutil.copytree, str(GOLDEN), made),
}


@pytest.mark.parametrize("zipped", [True, False])
@pytest.mark.parametrize("called", INTRUDERS)
def test_a_checkpoint_that_would_run_something_is_refused_by_name_and_runs_nothing(
    saved: Callable[..., TimmCheckpoint], tmp_path: Path, called: str, zipped: bool
):
    unguarded, guarded = tmp_path / "unguarded", tmp_path / "guarded"
    pickle.loads(pickle.dumps(INTRUDERS[called](str(unguarded))))
    assert unguarded.exists(), "it does what it says where nobody stops it"
    options = argparse.Namespace(hidden=INTRUDERS[called](str(guarded)))
    source = saved({"state_dict": state_dict(), "args": options}, _use_new_zipfile_serialization=zipped)
    with pytest.raises(CheckpointError, match=f"wants {re.escape(called)} when it is read.*nothing of it was run"):
        _ = source.tensors
    assert not guarded.exists()


def test_what_timms_saver_writes_beside_the_weights_is_let_through_without_being_made(
    saved: Callable[..., TimmCheckpoint], tmp_path: Path
):
    beside = {"epoch": 3, "metric": np.float32(0.5), "args": argparse.Namespace(lr=np.float64(0.1), betas=(0.9, 0.99))}
    source = saved({**beside, "state_dict": state_dict()}, _use_new_zipfile_serialization=False)
    assert source.tensors.keys() == state_dict().keys()
    # The same as numpy 1 has written it.
    older = tmp_path / "older.pth.tar"
    content = source.path.read_bytes()
    assert b"cnumpy._core.multiarray\nscalar" in content
    older.write_bytes(content.replace(b"cnumpy._core.multiarray\nscalar", b"cnumpy.core.multiarray\nscalar"))
    assert TimmCheckpoint(older, attention_heads=2).tensors.keys() == state_dict().keys()


@pytest.mark.parametrize("content", [b"", b"no checkpoint", b"PK\x03\x04 half an archive", b"\x80\x02}q\x00."])
@pytest.mark.parametrize("suffix", [".pth.tar", ".safetensors"])
def test_a_file_that_is_no_checkpoint_is_refused(tmp_path: Path, content: bytes, suffix: str):
    file = tmp_path / f"model{suffix}"
    file.write_bytes(content)
    with pytest.raises(CheckpointError, match=f"{file} (cannot be read as a checkpoint|holds no state dict)"):
        _ = TimmCheckpoint(file).tensors


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ({"epoch": 3, "model": "vit"}, "it holds epoch, model"),
        ({"state_dict": {"head.weight": 1.5}}, "it holds state_dict"),
        ({}, "it holds nothing"),
        (torch.zeros(3), "holds no state dict but a Tensor"),
    ],
    ids=["no weights", "numbers", "nothing", "one tensor"],
)
def test_a_checkpoint_without_a_state_dict_is_refused(saved: Callable[..., TimmCheckpoint], content: object, said: str):
    with pytest.raises(CheckpointError, match=said):
        _ = saved(content).tensors


def test_a_checkpoint_that_is_not_there_is_refused(tmp_path: Path):
    with pytest.raises(CheckpointError, match=f"there is no checkpoint {tmp_path}/nowhere"):
        TimmCheckpoint(tmp_path / "nowhere.pth").save_backbone(tmp_path)


def changed(**changes: torch.Tensor | None) -> dict[str, torch.Tensor]:
    """Return a state dict in which some tensors are others, or gone."""
    whole = state_dict() | {name.replace("__", "."): tensor for name, tensor in changes.items()}
    return {name: tensor for name, tensor in whole.items() if tensor is not None}


@pytest.mark.parametrize(
    ("state", "said"),
    [
        (changed(blocks__2__attn__qkv__bias=None), "missing: blocks.2.attn.qkv.bias$"),
        (changed(blocks__1__ls1__gamma=None, norm__bias=None), "missing: norm.bias, blocks.1.ls1.gamma$"),
        (changed(fc_norm__weight=torch.ones(16)), "left over: fc_norm.weight$"),
        (changed(reg_token=torch.ones(16)), "left over: reg_token$"),
        (changed(blocks__0__attn__q_norm__weight=torch.ones(8)), "left over: blocks.0.attn.q_norm.weight$"),
        (
            # A gated MLP, which is half as wide inside.
            changed(blocks__1__mlp__fc2__weight=torch.zeros(16, 16)),
            r"of another shape: blocks.1.mlp.fc2.weight \(16, 16\) instead of \(16, 32\)$",
        ),
        (changed(head__bias=torch.full((5,), torch.nan)), "not finite: head.bias$"),
        (changed(head__bias=torch.zeros(1).expand(5)), "larger than what is stored: head.bias$"),
        (changed(head__weight=None, head__bias=None), "head.weight missing or of other dimensions; it holds cls_token"),
        ({"conv1.weight": torch.zeros(8, 3, 7, 7)}, "cls_token, pos_embed, .* it holds conv1.weight$"),
        ({f"layer{at}.weight": torch.zeros(1) for at in range(11)}, "layer7.weight and 3 more$"),
        (changed(pos_embed=torch.zeros(1, 1 + 5 * 4, 16)), "21 positions and 0 registers: .* do not form a square"),
        (changed(blocks__0__mlp__fc1__weight=torch.zeros(40, 16)), "MLP of width 40, which is no multiple of .* 16$"),
    ],
)
def test_a_checkpoint_of_another_architecture_is_refused_with_the_names(
    saved: Callable[..., TimmCheckpoint], state: dict[str, torch.Tensor], said: str, tmp_path: Path
):
    with pytest.raises(CheckpointError, match=said):
        saved({"state_dict": state}).save_backbone(tmp_path / "backbones")
    assert not (tmp_path / "backbones").exists()


def test_nine_positions_of_a_model_with_registers_are_those_of_nine_patches(saved: Callable[..., TimmCheckpoint]):
    """And not of four patches, CLS and four registers."""
    source = saved(changed(pos_embed=torch.zeros(1, 9, 16), reg_token=torch.zeros(1, 4, 16)))
    assert (source.architecture.grid, source.architecture.own_positions) == (3, 0)


def test_a_width_that_does_not_tell_the_attention_heads_asks_for_them(tmp_path: Path):
    shapes = replace(ARCHITECTURES["ema.pth.tar"], width=96, mlp_width=96).shapes
    save_file({name: torch.zeros(shape) for name, shape in shapes.items()}, tmp_path / "model.safetensors")
    with pytest.raises(CheckpointError, match="width of 96, which is no multiple of 64: say how many attention heads"):
        _ = TimmCheckpoint(tmp_path / "model.safetensors").architecture
    assert TimmCheckpoint(tmp_path / "model.safetensors", 3).architecture.attention_heads == 3


@pytest.mark.parametrize("count", [0, 3])
def test_attention_heads_that_do_not_share_the_width_are_refused(count: int):
    with pytest.raises(CheckpointError, match=f"width of 16, which {count} attention heads cannot share"):
        _ = TimmCheckpoint(GOLDEN / "ema.pth.tar", count).architecture


@pytest.mark.parametrize("count", [4, 6])
def test_a_class_mapping_of_another_model_is_refused_with_both_numbers(backbone: Backbone, count: int):
    species = tuple(map(str, range(count)))
    with pytest.raises(CheckpointError, match=f"tells 5 classes apart, and the class mapping names {count} species"):
        TimmCheckpoint(GOLDEN / "ema.pth.tar", 2).head(ClassMap(species, species), backbone.spec, "here")


@pytest.mark.parametrize("text", ["30\n4\n200\n1\n05\n", "30\n4\n200\n1\n05", "\ufeff30\r\n4\r\n200\r\n1\r\n05\r\n"])
def test_the_order_of_the_classes_is_the_order_of_the_lines(tmp_path: Path, text: str):
    file = tmp_path / "class_mapping.txt"
    file.write_bytes(text.encode())
    assert read_class_mapping(file) == SPECIES


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"30\n\n200\n", "line 2: it is empty"),
        (b"30\n200\n\n", "line 3: it is empty"),
        (b"30\n4\n200\n30\n", "line 4: 30 is in line 1 already"),
        (b"30\n\xff\n", "cannot be read"),
    ],
)
def test_a_class_mapping_that_leaves_a_class_in_doubt_is_refused(tmp_path: Path, content: bytes, said: str):
    file = tmp_path / "class_mapping.txt"
    file.write_bytes(content)
    with pytest.raises(CheckpointError, match=said):
        read_class_mapping(file)


def test_a_class_mapping_that_is_not_there_is_refused(tmp_path: Path):
    with pytest.raises(CheckpointError, match=f"{tmp_path}/class_mapping.txt cannot be read"):
        read_class_mapping(tmp_path / "class_mapping.txt")


def test_a_backbone_that_is_there_is_left_as_it_is(tmp_path: Path):
    first = convert("ema.pth.tar", tmp_path)
    before = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")}
    assert convert("ema.pth.tar", tmp_path).folder == first.folder
    assert {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")} == before


def test_another_checkpoint_and_other_heads_are_another_backbone(tmp_path: Path):
    ema, other = (GOLDEN / name for name in ("ema.pth.tar", "no_registers.pth"))
    sources = [TimmCheckpoint(ema, 2), TimmCheckpoint(ema, 4), TimmCheckpoint(other, 2)]
    folders = [source.save_backbone(tmp_path) for source in sources]
    assert len({backbones.find(str(folder)).weights_hash for folder in folders}) == len(set(folders)) == 3


def test_a_backbone_whose_writing_was_cut_short_is_not_there(tmp_path: Path):
    program = (
        "import sys; from pathlib import Path; from modeling.timm_checkpoints import TimmCheckpoint;"
        "TimmCheckpoint(Path(sys.argv[1]), 2).save_backbone(Path(sys.argv[2]))"
    )
    source = TimmCheckpoint(GOLDEN / "ema.pth.tar", 2)
    writing = subprocess.Popen([sys.executable, "-c", program, str(source.path), str(tmp_path)])
    written = wait_for(lambda: tmp_path.rglob("model.safetensors"))
    writing.kill()
    assert writing.wait() < 0, "it was killed in the middle"
    folder = tmp_path / written.parent.name
    assert not folder.exists()
    assert source.save_backbone(tmp_path) == folder
    assert sorted(path.name for path in folder.iterdir()) == [
        *("config.json", "model.safetensors", "preprocessor_config.json")
    ]
    assert tokens(folder, PIXELS).shape == (2, 1 + 4 + 49, 16)


def wait_for(look: Callable[[], Iterator[Path]]) -> Path:
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline:
        found = next(look(), None)
        if found is not None:
            return found
        time.sleep(0.01)
    raise TimeoutError("nothing was written")


def test_whoever_may_read_the_config_of_a_backbone_may_read_its_weights(converted: Converted):
    modes = {path.stat().st_mode for path in converted.folder.iterdir()}
    assert len(modes) == 1


def test_a_backbone_of_which_transformers_would_draw_a_part_by_chance_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """As with a release of transformers that calls its parts by other names."""
    known = timm_checkpoints._renamed

    def renamed(*given: Any) -> dict[str, torch.Tensor]:
        weights = known(*given)
        return weights | {"last_norm.bias": weights.pop("layernorm.bias")}

    monkeypatch.setattr(timm_checkpoints, "_renamed", renamed)
    with pytest.raises(BackboneError, match=r"lack 1 of the model's, such as layernorm.bias"):
        convert("ema.pth.tar", tmp_path)
    assert list(tmp_path.iterdir()) == []
