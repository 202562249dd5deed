import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from io import BytesIO
from pathlib import Path

import huggingface_hub
import numpy as np
import pytest
import torch
from drawn_photographs import encoded, noise, scene
from PIL import Image
from safetensors.torch import load_file, save_file
from transformers import (
    AutoImageProcessor,
    AutoModel,
    BertConfig,
    BertModel,
    CLIPConfig,
    CLIPModel,
    SegformerConfig,
    SegformerModel,
    ViTConfig,
    ViTMAEConfig,
    ViTMAEModel,
    ViTModel,
)

from modeling.backbones import (
    Backbone,
    EmbeddingSpec,
    as_recorded,
    find,
    key_of,
    resolve_devices,
    resolve_dtype,
    save_untrained,
    with_round_trip,
)
from modeling.embedding import EncodedImage, embed
from modeling.errors import BackboneError

SMALL = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2}
TINY = SMALL | {"image_size": 28, "patch_size": 14}
WORDS = SMALL | {"intermediate_size": 16, "vocab_size": 9}
NOT_OF_ONE_IMAGE = {
    "a map of features and no more": lambda: SegformerModel(
        SegformerConfig(
            num_encoder_blocks=1,
            depths=[1],
            sr_ratios=[1],
            hidden_sizes=[8],
            num_attention_heads=[1],
            decoder_hidden_size=8,
        )
    ),
    # Of which it sees a few, other ones each time.
    "some of the patches": lambda: ViTMAEModel(ViTMAEConfig(**TINY, intermediate_size=16)),
    "words": lambda: BertModel(BertConfig(**WORDS)),
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


def normalised(
    images: np.ndarray, mean: tuple[float, ...] = (0.5, 0.5, 0.5), std: tuple[float, ...] = (0.25, 0.25, 0.25)
) -> torch.Tensor:
    """Return (count, 3, size, size) as a model takes it; by default with the steps of ``saved``."""
    values = (torch.from_numpy(images) / 255 - torch.tensor(mean)) / torch.tensor(std)
    return values.permute(0, 3, 1, 2)


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


def test_the_key_is_the_hash_of_the_json(backbone: Backbone):
    assert key_of(backbone.spec.json) == backbone.spec.key


def test_a_round_trip_is_another_key(backbone: Backbone):
    def key_with(jpeg_round_trip: str | None) -> str:
        files = with_round_trip(backbone.files, jpeg_round_trip)
        return EmbeddingSpec(files.weights_hash, files.preprocessing, "float32").key

    assert key_with(None) == backbone.spec.key
    assert key_with("085-4:2:2") == key_with("85-4:2:2")
    assert len({key_with(how) for how in (None, "85-4:2:2", "86-4:2:2", "85-4:2:0")}) == 4


def test_a_round_trip_that_is_none_is_refused(backbone: Backbone):
    with pytest.raises(BackboneError, match="no JPEG round trip '85'"):
        with_round_trip(backbone.files, "85")


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
@pytest.mark.parametrize("options", [{}, {"reducing_gap": None}, {"reducing_gap": 3.0, "jpeg_round_trip": "85-4:2:2"}])
def test_a_backbone_does_as_was_recorded(backbone: Backbone, dtype: str, options: dict[str, object]):
    recorded = EmbeddingSpec(backbone.files.weights_hash, replace(backbone.files.preprocessing, **options), dtype)
    files, spec = as_recorded(with_round_trip(backbone.files, "30-4:2:0"), recorded.json, "here")
    assert spec == recorded
    assert Backbone(files, spec.dtype, "cpu").spec.key == key_of(recorded.json)


@pytest.mark.parametrize(
    ("weights", "steps", "differing"),
    [
        ("0" * 64, {}, "the weights$"),
        (None, {"interpolation": "bilinear"}, r"interpolation \(bicubic, not bilinear\)$"),
        ("0" * 64, {"crop": (42, 42)}, r"the weights, crop \(\[84, 84\], not \[42, 42\]\)$"),
    ],
    ids=["weights", "steps", "both"],
)
def test_a_backbone_that_cannot_do_as_was_recorded_is_refused_with_both_keys_and_what_differs(
    backbone: Backbone, weights: str | None, steps: dict[str, object], differing: str
):
    files = backbone.files
    recorded = EmbeddingSpec(weights or files.weights_hash, replace(files.preprocessing, **steps), "float32")
    words = f"here makes embeddings {backbone.spec.key}, and {recorded.key} are needed, .* they differ in {differing}"
    with pytest.raises(BackboneError, match=words):
        as_recorded(files, recorded.json, "here")


def test_vectors_that_were_recorded_before_photographs_were_decoded_smaller_are_others(backbone: Backbone):
    before = json.loads(backbone.spec.json)
    del before["preprocessing"]["reducing_gap"], before["preprocessing"]["jpeg_round_trip"]
    with pytest.raises(BackboneError, match=r"they differ in reducing_gap \(2\.0, not None\)"):
        as_recorded(backbone.files, json.dumps(before), "here")


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


@pytest.mark.parametrize("what", NOT_OF_ONE_IMAGE)
def test_a_model_without_cls_and_without_a_pooled_output_of_one_image_is_refused(saved: Callable[..., Path], what: str):
    folder = saved(NOT_OF_ONE_IMAGE[what](), size=28)
    with pytest.raises(BackboneError, match=f"{folder} .* 28x28 px image"):
        Backbone(find(str(folder)), "float32", "cpu")


def test_of_a_model_of_images_and_words_the_images_half_is_taken(saved: Callable[..., Path]):
    model = CLIPModel(CLIPConfig(text_config=WORDS, vision_config=TINY)).eval()
    embedded = Backbone(find(str(saved(model, size=28))), "float32", "cpu").embed(pixels(28))
    with torch.inference_mode():
        tokens = model.vision_model(pixel_values=normalised(pixels(28))).last_hidden_state
    np.testing.assert_allclose(embedded["mean_patch"], tokens[:, 1:].mean(dim=1), atol=1e-5)


def test_weights_that_are_not_all_there_are_refused(copy: Path):
    weights = load_file(copy / "model.safetensors")
    lost = "embeddings.patch_embeddings.projection.weight"
    del weights[lost]
    save_file(weights, copy / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(BackboneError, match=f"the weights in {copy} lack 1 of the model's, such as {lost}"):
        Backbone(find(str(copy)), "float32", "cpu")


def test_a_head_over_the_tokens_may_be_lacking_where_there_is_a_cls_token(saved: Callable[..., Path]):
    model = ViTModel(ViTConfig(**TINY), add_pooling_layer=False).eval()
    embedded = Backbone(find(str(saved(model, size=28))), "float32", "cpu").embed(pixels(28))
    with torch.inference_mode():
        tokens = model(pixel_values=normalised(pixels(28))).last_hidden_state
    np.testing.assert_allclose(embedded["cls"], tokens[:, 0], atol=1e-5)


def test_in_bfloat16_matrices_and_convolutions_are_held_in_it_and_all_else_in_float32(backbone: Backbone):
    fast = Backbone(backbone.files, "bfloat16", "cpu").network
    matrices = torch.nn.Linear | torch.nn.Conv2d
    held = {parameter for layer in fast.modules() if isinstance(layer, matrices) for parameter in layer.parameters()}
    assert {parameter.dtype for parameter in held} == {torch.bfloat16}
    others = [*(set(fast.parameters()) - held), *fast.buffers()]
    assert {value.dtype for value in others} == {torch.float32}
    assert {parameter.dtype for parameter in backbone.network.parameters()} == {torch.float32}


def test_in_bfloat16_vectors_are_those_of_plain_autocast(backbone: Backbone, backbone_folder: Path):
    embedded = Backbone(backbone.files, "bfloat16", "cpu").embed(pixels(84))
    steps = backbone.files.preprocessing
    with torch.inference_mode(), torch.autocast("cpu", dtype=torch.bfloat16):
        values = normalised(pixels(84), steps.mean, steps.std)
        tokens = AutoModel.from_pretrained(backbone_folder)(pixel_values=values).last_hidden_state.float()
    np.testing.assert_allclose(embedded["cls"], tokens[:, 0], atol=0.01)
    np.testing.assert_allclose(embedded["mean_patch"], tokens[:, 1:].mean(dim=1), atol=0.01)
    assert np.abs(embedded["cls"] - backbone.embed(pixels(84))["cls"]).max() > 0


def test_a_pass_that_was_launched_can_be_collected_after_others(backbone: Backbone):
    batches = [pixels(84)[:1], pixels(84)[1:]]
    launched = [backbone.launch(batch) for batch in batches]
    backbone.release_memory()
    for batch, one in reversed(list(zip(batches, launched, strict=True))):
        for pooling, vectors in backbone.embed(batch).items():
            np.testing.assert_array_equal(backbone.collect(one)[pooling], vectors)


def test_real_photographs_embed_as_transformers_embeds_them(
    real_backbone: Backbone, real_backbone_folder: Path, real_photographs: list[bytes]
):
    few = real_photographs[:4]
    processor = AutoImageProcessor.from_pretrained(real_backbone_folder, backend="pil")
    model = AutoModel.from_pretrained(real_backbone_folder).eval()
    with torch.inference_mode():
        inputs = processor(images=[Image.open(BytesIO(content)) for content in few], return_tensors="pt")
        tokens = model(**inputs).last_hidden_state
    ours = embed([EncodedImage(str(at), content) for at, content in enumerate(few)], real_backbone).vectors
    np.testing.assert_allclose(ours["cls"], tokens[:, 0], atol=1e-4)
    np.testing.assert_allclose(ours["mean_patch"], tokens[:, 1:].mean(dim=1), atol=1e-4)


def cosines_to_transformers(backbone: Backbone, jpegs: list[bytes]) -> list[float]:
    """Hold photographs that are decoded smaller against the model's own processor, which decodes them in full."""
    processor = AutoImageProcessor.from_pretrained(backbone.files.folder, backend="pil")
    model = AutoModel.from_pretrained(backbone.files.folder).eval()
    with torch.inference_mode():
        inputs = processor(images=[Image.open(BytesIO(jpeg)) for jpeg in jpegs], return_tensors="pt")
        tokens = model(**inputs).last_hidden_state
    ours = embed([EncodedImage(str(at), jpeg) for at, jpeg in enumerate(jpegs)], backbone, batch_size=8).vectors
    pairs = [(ours["cls"], tokens[:, 0]), (ours["mean_patch"], tokens[:, 1:].mean(dim=1))]
    return [
        float(cosine)
        for found, wanted in pairs
        for cosine in torch.nn.functional.cosine_similarity(torch.from_numpy(found), wanted)
    ]


def enlarged(image: Image.Image, width: int, height: int) -> bytes:
    return encoded(image.convert("RGB").resize((width, height), Image.Resampling.BICUBIC), "JPEG", quality=90)


@pytest.mark.parametrize(("width", "height"), [(2049, 1025), (1800, 1200), (2449, 3265)])
def test_large_photographs_embed_as_if_they_were_decoded_in_full(backbone: Backbone, width: int, height: int):
    jpegs = [encoded(scene(seed, width, height), "JPEG", quality=90) for seed in range(2)]
    assert min(cosines_to_transformers(backbone, jpegs)) >= 0.9995


@pytest.mark.parametrize(("width", "height"), [(2049, 1025), (1800, 1200), (2449, 3265)])
def test_large_real_photographs_embed_as_if_they_were_decoded_in_full(
    real_backbone: Backbone, real_photographs: list[bytes], real_mosaics: list[Path], width: int, height: int
):
    small = [Image.open(BytesIO(content)) for content in real_photographs[:3]] + [Image.open(real_mosaics[0])]
    jpegs = [enlarged(image, width, height) for image in small]
    assert min(cosines_to_transformers(real_backbone, jpegs)) >= 0.9995


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


def test_devices_that_are_asked_for_are_taken():
    assert resolve_devices("cpu") == ["cpu"]
    assert resolve_devices("cuda:1, cuda:0") == ["cuda:1", "cuda:0"]


def test_without_being_asked_every_gpu_is_taken_or_the_cpu():
    gpus = [f"cuda:{at}" for at in range(torch.cuda.device_count())]
    assert resolve_devices(None) == resolve_devices("auto") == (gpus or ["cpu"])


def test_finding_a_backbone_needs_no_torch(backbone_folder: Path):
    program = "import sys; from modeling import backbones; backbones.find(sys.argv[1]); print('torch' in sys.modules)"
    answer = subprocess.run(
        [sys.executable, "-c", program, str(backbone_folder)], capture_output=True, text=True, check=True
    )
    assert answer.stdout == "False\n"
