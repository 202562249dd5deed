import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from io import BytesIO
from pathlib import Path
from typing import Any

import huggingface_hub
import numpy as np
import pytest
import torch
from drawn_photographs import noise
from PIL import Image
from transformers import (
    AutoImageProcessor,
    AutoModel,
    CLIPConfig,
    CLIPModel,
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
from modeling.backbones import Backbone, EmbeddingSpec, find, require_key, resolve_device, resolve_dtype, save_untrained
from modeling.embedding import EncodedImage, embed
from modeling.errors import BackboneError
from modeling.tiling import Grid

SMALL = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2}
TINY = SMALL | {"image_size": 28, "patch_size": 14}
NO_VISION_TRANSFORMER_OF_ONE_IMAGE = {
    "patches without CLS": lambda: SwinModel(
        SwinConfig(image_size=28, patch_size=2, embed_dim=8, depths=[1, 1], num_heads=[1, 1])
    ),
    # As many channels as there would be tokens, by accident.
    "feature maps": lambda: ConvNextModel(ConvNextConfig(hidden_sizes=[8, 50], depths=[1, 1], num_stages=2)),
    "words beside the image": lambda: CLIPModel(
        CLIPConfig(text_config=SMALL | {"intermediate_size": 16, "vocab_size": 9}, vision_config=TINY)
    ),
    "images of another size": lambda: ViTModel(ViTConfig(**TINY | {"image_size": 42})),
}


def key(folder: Path, dtype: str = "float32") -> str:
    files = find(str(folder))
    return EmbeddingSpec(files.weights_hash, files.preprocessing, dtype).key


def change(path: Path, **values: object) -> None:
    path.write_text(json.dumps(json.loads(path.read_text()) | values))


def pixels(size: int, count: int = 3) -> np.ndarray:
    """Return (count, size, size, 3) uint8."""
    return np.stack([np.asarray(noise(seed, size, size)) for seed in range(count)])


@pytest.fixture
def copy(backbone_folder: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(backbone_folder, tmp_path / "copy"))


def test_the_same_weights_in_another_folder_make_the_same_embeddings(backbone_folder: Path, copy: Path):
    assert key(copy) == key(backbone_folder)


def test_other_weights_are_another_key(backbone_folder: Path, tmp_path: Path):
    assert key(save_untrained(tmp_path / "other", seed=1)) != key(backbone_folder)


def test_one_changed_bit_of_the_weights_is_another_key(backbone_folder: Path, copy: Path):
    weights = copy / "model.safetensors"
    content = bytearray(weights.read_bytes())
    content[-1] ^= 1
    weights.write_bytes(content)
    assert key(copy) != key(backbone_folder)


@pytest.mark.parametrize(
    "step",
    [
        {"size": {"shortest_edge": 111}},
        {"crop_size": {"height": 84, "width": 80}},
        {"resample": 2},
        {"rescale_factor": 1 / 127.5},
        {"image_mean": [0.5, 0.5, 0.4]},
        {"image_std": [0.5, 0.5, 0.4]},
        {"do_normalize": False},
    ],
    ids=lambda step: next(iter(step)),
)
def test_another_preprocessing_is_another_key(backbone_folder: Path, copy: Path, step: dict[str, object]):
    change(copy / "preprocessor_config.json", **step)
    assert key(copy) != key(backbone_folder)


def test_another_architecture_around_the_same_weights_is_another_key(backbone_folder: Path, copy: Path):
    change(copy / "config.json", layer_norm_eps=0.1)
    assert key(copy) != key(backbone_folder)


def test_another_dtype_is_another_key(backbone_folder: Path):
    assert key(backbone_folder, "bfloat16") != key(backbone_folder, "float32")


def test_what_only_says_how_a_model_was_saved_leaves_the_key_as_it_is(backbone_folder: Path, copy: Path):
    config = copy / "config.json"
    change(config, transformers_version="4.0.0", _name_or_path="x", torch_dtype="float32", architectures=["Dinov2"])
    reordered = dict(reversed(json.loads(config.read_text()).items()))
    config.write_text(json.dumps(reordered, indent=8))
    change(copy / "preprocessor_config.json", image_processor_type="BitImageProcessorFast", do_convert_rgb=True)
    assert key(copy) == key(backbone_folder)


def test_a_spec_is_found_again_in_its_json(backbone: Backbone):
    spec = json.loads(backbone.spec.json)
    assert spec["weights_hash"] == backbone.files.weights_hash
    assert spec["preprocessing"] == backbone.files.preprocessing.spec
    assert spec["dtype"] == "float32"


def test_a_backbone_that_makes_other_embeddings_is_refused_with_both_keys(backbone: Backbone):
    spec, other = backbone.spec, replace(backbone.spec, dtype="bfloat16")
    require_key(spec, spec.key, "here")
    require_key(spec, None, "here")
    with pytest.raises(BackboneError, match=f"here makes embeddings {spec.key} in float32, and {other.key} are needed"):
        require_key(spec, other.key, "here")


def test_a_hub_name_that_cannot_be_had_offline_is_refused_with_what_to_do():
    with pytest.raises(BackboneError, match=r"'taxalake/nowhere' is no folder .* --backbone, or fetch it once"):
        find("taxalake/nowhere")


def test_a_hub_backbone_is_named_with_its_revision(
    backbone_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """A cache of the hub as it lies on disk, with two revisions of which main is the newer."""
    cached = tmp_path / "models--our--backbone"
    shutil.copytree(backbone_folder, cached / "snapshots" / ("a" * 40))
    save_untrained(cached / "snapshots" / ("b" * 40), seed=1)
    (cached / "refs").mkdir()
    (cached / "refs" / "main").write_text("b" * 40)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path))
    newest, older = find("our/backbone"), find(f"our/backbone@{'a' * 40}")
    assert newest.name == f"our/backbone@{'b' * 40}"
    assert find(newest.name) == newest
    assert older.weights_hash == find(str(backbone_folder)).weights_hash != newest.weights_hash


@pytest.mark.parametrize("name", ["/nowhere/at/all", "./nowhere", "../nowhere", "nowhere/at/all"])
def test_a_path_that_is_not_there_is_not_asked_of_the_hub(name: str):
    with pytest.raises(BackboneError, match=f"there is no backbone folder {name}"):
        find(name)


@pytest.mark.parametrize("missing", ["config.json", "model.safetensors"])
def test_a_folder_without_weights_or_config_is_no_backbone(copy: Path, missing: str):
    (copy / missing).unlink()
    with pytest.raises(BackboneError, match=f"{copy} is no backbone: config.json and .*safetensors are needed"):
        find(str(copy))


def test_weights_that_transformers_cannot_load_are_refused(copy: Path):
    change(copy / "config.json", model_type="nothing-known")
    with pytest.raises(BackboneError, match=f"transformers cannot load {copy}"):
        Backbone(find(str(copy)), "float32", "cpu")


@pytest.mark.parametrize("what", NO_VISION_TRANSFORMER_OF_ONE_IMAGE)
def test_a_model_that_does_not_give_cls_and_patches_for_one_image_is_refused(saved: Callable[..., Path], what: str):
    folder = saved(NO_VISION_TRANSFORMER_OF_ONE_IMAGE[what](), size=28)
    with pytest.raises(BackboneError, match=f"{folder} .* 28x28 px image"):
        Backbone(find(str(folder)), "float32", "cpu")


@pytest.mark.parametrize(
    ("model", "first_patch"),
    [
        (lambda: Dinov2Model(Dinov2Config(**TINY)), 1),
        (lambda: ViTModel(ViTConfig(**TINY)), 1),
        (lambda: Dinov2WithRegistersModel(Dinov2WithRegistersConfig(**TINY, num_register_tokens=3)), 4),
    ],
    ids=["dinov2", "vit", "dinov2 with registers"],
)
def test_poolings_are_the_cls_token_and_the_mean_of_the_patches_alone(
    saved: Callable[..., Path], model: Callable[[], Any], first_patch: int
):
    network = model().eval()
    # Registers begin near zero, and would not show in a mean.
    if first_patch > 1:
        torch.nn.init.normal_(network.embeddings.register_tokens)
    embedded = Backbone(find(str(saved(network, size=28))), "float32", "cpu").embed(pixels(28))
    with torch.inference_mode():
        values = (torch.from_numpy(pixels(28)).permute(0, 3, 1, 2) / 255 - 0.5) / 0.25
        tokens = network(pixel_values=values).last_hidden_state
    assert tokens.shape[1] == first_patch + 4
    np.testing.assert_allclose(embedded["cls"], tokens[:, 0], atol=1e-5)
    np.testing.assert_allclose(embedded["mean_patch"], tokens[:, first_patch:].mean(dim=1), atol=1e-5)


def test_vectors_are_float32_of_the_promised_length(backbone: Backbone):
    embedded = backbone.embed(pixels(backbone.files.preprocessing.size[0]))
    assert set(embedded) == set(backbones.POOLINGS)
    for vectors in embedded.values():
        assert (vectors.shape, vectors.dtype) == ((3, backbone.dimension), np.float32)


def test_real_photographs_embed_as_transformers_embeds_them(
    real_backbone: Backbone, real_backbone_folder: Path, real_photographs: list[bytes]
):
    few = real_photographs[:4]
    processor = AutoImageProcessor.from_pretrained(real_backbone_folder, backend="pil")
    model = AutoModel.from_pretrained(real_backbone_folder).eval()
    with torch.inference_mode():
        inputs = processor(images=[Image.open(BytesIO(content)) for content in few], return_tensors="pt")
        tokens = model(**inputs).last_hidden_state
    ours = embed([EncodedImage(str(at), content) for at, content in enumerate(few)], real_backbone, Grid(1, 1)).vectors
    np.testing.assert_allclose(ours["cls"], tokens[:, 0], atol=1e-4)
    np.testing.assert_allclose(ours["mean_patch"], tokens[:, 1:].mean(dim=1), atol=1e-4)


def test_an_untrained_backbone_is_the_same_wherever_it_is_made(backbone_folder: Path, tmp_path: Path):
    torch.manual_seed(99)
    assert key(save_untrained(tmp_path / "again")) == key(backbone_folder)


def test_making_an_untrained_backbone_leaves_the_callers_random_numbers_alone(tmp_path: Path):
    torch.manual_seed(5)
    undisturbed = torch.rand(1)
    torch.manual_seed(5)
    save_untrained(tmp_path / "backbone")
    assert torch.rand(1) == undisturbed


def test_an_untrained_backbone_that_is_there_is_left_as_it_is(copy: Path):
    before = {path: (path.read_bytes(), path.stat().st_mtime_ns) for path in copy.iterdir()}
    assert save_untrained(copy) == copy
    assert {path: (path.read_bytes(), path.stat().st_mtime_ns) for path in copy.iterdir()} == before


def test_an_untrained_backbone_of_which_only_a_part_was_written_is_made_again(backbone_folder: Path, copy: Path):
    (copy / "preprocessor_config.json").unlink()
    (copy / "model.safetensors").write_bytes(b"half")
    assert key(save_untrained(copy)) == key(backbone_folder)


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_a_dtype_that_is_asked_for_is_taken(dtype: str):
    assert resolve_dtype(dtype, "cpu") == dtype


@pytest.mark.parametrize("dtype", [None, "auto"])
def test_the_dtype_of_the_machine_is_one_that_can_be_asked_for(dtype: str | None):
    assert resolve_dtype(dtype, "cpu") in {"float32", "bfloat16"}


def test_an_unknown_dtype_is_refused():
    with pytest.raises(BackboneError, match="'float16'; say float32, bfloat16 or auto"):
        resolve_dtype("float16")


def test_a_device_that_is_asked_for_is_taken():
    assert resolve_device("cpu") == "cpu"
    assert resolve_device(None) == resolve_device("auto")


def test_finding_a_backbone_needs_no_torch(backbone_folder: Path):
    program = "import sys; from modeling import backbones; backbones.find(sys.argv[1]); print('torch' in sys.modules)"
    answer = subprocess.run(
        [sys.executable, "-c", program, str(backbone_folder)], capture_output=True, text=True, check=True
    )
    assert answer.stdout == "False\n"
