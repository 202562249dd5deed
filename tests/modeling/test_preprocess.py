import json
from collections.abc import Callable
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from drawn_photographs import encoded, noise, plain
from PIL import Image

from modeling.errors import BackboneError
from modeling.preprocess import Preprocessing, decode, prepare, read_preprocessing
from modeling.tiling import Grid

ORIENTATION = 0x0112  # EXIF
# How the pixels of an upright picture lie in a file that says so.
AS_STORED = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_90,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_270,
}
BIT = {
    "image_processor_type": "BitImageProcessor",
    "do_resize": True,
    "size": {"shortest_edge": 48},
    "resample": 3,
    "do_center_crop": True,
    "crop_size": {"height": 42, "width": 42},
    "do_rescale": True,
    "rescale_factor": 1 / 255,
    "do_normalize": True,
    "image_mean": [0.485, 0.456, 0.406],
    "image_std": [0.229, 0.224, 0.225],
    "do_convert_rgb": True,
}
VIT = {
    "do_resize": True,
    "resample": 2,
    "do_normalize": True,
    "image_mean": [0.5, 0.5, 0.5],
    "image_std": [0.5, 0.5, 0.5],
}


@pytest.fixture
def folder_of(tmp_path: Path) -> Callable[..., Path]:
    """Write the steps of an image processor as they lie beside a model's weights."""

    def write(steps: dict[str, object], without: tuple[str, ...] = ()) -> Path:
        (tmp_path / "config.json").write_text('{"model_type": "vit"}')
        kept = {name: value for name, value in steps.items() if name not in without}
        (tmp_path / "preprocessor_config.json").write_text(json.dumps(kept))
        return tmp_path

    return write


def ours(content: bytes, steps: Preprocessing) -> np.ndarray:
    """Return (height, width, 3) as it enters the network."""
    image = decode(content)
    (tile,) = Grid(1, 1).tiles(*image.size)
    return (prepare(image, tile, steps) * steps.scale - steps.mean) / steps.std


def theirs(content: bytes, folder: Path) -> np.ndarray:
    """Return the same by the model's own image processor, of transformers."""
    from transformers import AutoImageProcessor

    processor = AutoImageProcessor.from_pretrained(folder, backend="pil")
    pixels = processor(images=Image.open(BytesIO(content)), return_tensors="np")["pixel_values"]
    return pixels[0].transpose(1, 2, 0)


def two_colours(mode: str) -> Image.Image:
    """Draw 32 x 16 px: (200, 40, 90) at the left, (40, 90, 200) at the right, as far as a mode can say it."""
    seen = Image.new("RGB", (32, 16), (200, 40, 90))
    seen.paste((40, 90, 200), (16, 0, 32, 16))
    if mode == "1":
        return seen.convert("L").point(lambda grey: 255 * (grey > 90), "1")
    if mode == "I;16":
        return Image.fromarray(np.asarray(seen.convert("L")).astype(np.uint16) * 257)
    return seen.quantize(2) if mode == "P" else seen.convert(mode)


@pytest.mark.parametrize(
    ("width", "height"),
    [(90, 60), (60, 90), (64, 64), (300, 7), (7, 300), (9, 5), (1, 1), (49, 48), (48, 55), (123, 77), (77, 123)],
)
@pytest.mark.parametrize("crop", [42, 41, 64])  # even, odd, and larger than what it is cut from
def test_pixels_are_those_of_the_models_own_processor_for_any_size(
    folder_of: Callable[..., Path], width: int, height: int, crop: int
):
    folder = folder_of(BIT | {"crop_size": {"height": crop, "width": crop}})
    content = encoded(noise(0, width, height))
    np.testing.assert_allclose(ours(content, read_preprocessing(folder)), theirs(content, folder), atol=1e-6)


@pytest.mark.parametrize(
    "content",
    [
        encoded(noise(0).convert("L")),
        encoded(noise(0).convert("1")),
        encoded(noise(0).convert("P")),
        encoded(noise(0).convert("CMYK"), "JPEG"),
        encoded(noise(0), "JPEG"),
        encoded(noise(0), "WEBP"),
        encoded(noise(0).convert("P"), "GIF"),
        encoded(noise(0), "TIFF"),
    ],
    ids=["grey", "bilevel", "palette", "cmyk", "jpeg", "webp", "gif", "tiff"],
)
def test_pixels_are_those_of_the_models_own_processor_for_any_kind_of_file(
    folder_of: Callable[..., Path], content: bytes
):
    folder = folder_of(BIT)
    np.testing.assert_allclose(ours(content, read_preprocessing(folder)), theirs(content, folder), atol=1e-6)


@pytest.mark.parametrize(
    "steps",
    [
        VIT | {"image_processor_type": "ViTImageProcessor", "size": {"height": 42, "width": 56}},
        VIT | {"feature_extractor_type": "ViTFeatureExtractor", "size": 42},
        VIT | {"image_processor_type": "BeitImageProcessor", "size": 48, "do_center_crop": True, "crop_size": 42},
        BIT | {"size": 48, "crop_size": 42},
        BIT | {"image_processor_type": "CLIPImageProcessor", "size": 48, "crop_size": 42},
        BIT | {"image_processor_type": None, "feature_extractor_type": "CLIPFeatureExtractor", "size": 48},
        BIT | {"do_rescale": False},
        BIT | {"do_normalize": False},
        BIT | {"do_resize": False},
        BIT | {"rescale_factor": 1 / 127.5, "image_mean": [1, 1, 1], "image_std": [1, 1, 1]},
    ],
    ids=[
        "vit",
        "old vit",
        "old beit",
        "old bit",
        "old clip",
        "oldest clip",
        "unscaled",
        "unnormalised",
        "unresized",
        "minus one to one",
    ],
)
def test_pixels_are_those_of_the_models_own_processor_for_any_steps(
    folder_of: Callable[..., Path], steps: dict[str, object]
):
    folder = folder_of(steps)
    content = encoded(noise(0, 123, 77))
    np.testing.assert_allclose(ours(content, read_preprocessing(folder)), theirs(content, folder), rtol=1e-6, atol=1e-6)


def test_pixels_of_real_photographs_are_those_of_the_models_own_processor(
    real_photographs: list[bytes], real_backbone_folder: Path
):
    steps = read_preprocessing(real_backbone_folder)
    for content in real_photographs:
        np.testing.assert_allclose(ours(content, steps), theirs(content, real_backbone_folder), atol=1e-6)


@pytest.mark.parametrize(
    "content",
    [
        encoded(Image.new("RGBA", (8, 8), (255, 0, 0, 0))),
        encoded(Image.new("LA", (8, 8), (0, 0))),
        encoded(Image.new("RGB", (8, 8), (255, 0, 0)), transparency=(255, 0, 0)),
        encoded(Image.new("P", (8, 8), 3), "GIF", transparency=3),
    ],
    ids=["rgba", "grey with alpha", "see-through colour", "gif"],
)
def test_what_is_see_through_stands_on_white_as_the_processor_puts_it(folder_of: Callable[..., Path], content: bytes):
    folder = folder_of(BIT)
    assert decode(content).getcolors() == [(64, (255, 255, 255))]
    np.testing.assert_allclose(ours(content, read_preprocessing(folder)), theirs(content, folder), atol=1e-6)


def test_half_transparent_pixels_are_mixed_with_white():
    assert decode(encoded(Image.new("RGBA", (1, 1), (255, 0, 0, 51)))).getpixel((0, 0)) == (255, 204, 204)


@pytest.mark.parametrize(
    ("byte_order", "image_format"), [("<u2", "PNG"), ("<u2", "TIFF"), (">u2", "TIFF"), ("<i4", "TIFF")]
)
def test_sixteen_bits_a_channel_are_scaled_to_eight_not_clipped(byte_order: str, image_format: str):
    grey = np.array(noise(0).convert("L"))
    deep = Image.fromarray((grey.astype(np.uint16) * 257).astype(byte_order))
    np.testing.assert_array_equal(decode(encoded(deep, image_format)), decode(encoded(Image.fromarray(grey))))


@pytest.mark.parametrize("orientation", AS_STORED)
def test_a_photograph_stands_upright_however_the_camera_was_held(orientation: int):
    upright = noise(0, 30, 20)
    exif = Image.Exif()
    exif[ORIENTATION] = orientation
    as_stored = encoded(upright.transpose(AS_STORED[orientation]), "PNG", exif=exif)
    np.testing.assert_array_equal(decode(as_stored), upright)


@pytest.mark.parametrize(
    ("mode", "image_format", "options", "left", "right"),
    [
        ("CMYK", "JPEG", {"quality": 95}, (200, 40, 90), (40, 90, 200)),
        ("RGB", "JPEG", {"quality": 95, "progressive": True}, (200, 40, 90), (40, 90, 200)),
        ("RGB", "JPEG", {"quality": 95, "orientation": 6}, (200, 40, 90), (40, 90, 200)),
        ("LAB", "TIFF", {}, (200, 40, 90), (40, 90, 200)),
        ("P", "PNG", {"transparency": 1}, (200, 40, 90), (255, 255, 255)),
        ("L", "PNG", {}, (94, 94, 94), (88, 88, 88)),
        ("LA", "PNG", {}, (94, 94, 94), (88, 88, 88)),
        ("I;16", "PNG", {}, (94, 94, 94), (88, 88, 88)),
        ("1", "PNG", {}, (255, 255, 255), (0, 0, 0)),
    ],
    ids=[
        "cmyk",
        "progressive",
        "held sideways",
        "lab",
        "see-through colour",
        "grey",
        "grey with alpha",
        "16 bits",
        "1 bit",
    ],
)
def test_a_photograph_of_any_mode_is_decoded_upright_and_in_its_colours(
    mode: str, image_format: str, options: dict[str, object], left: tuple[int, ...], right: tuple[int, ...]
):
    stored = two_colours(mode)
    if "orientation" in options:
        exif = Image.Exif()
        exif[ORIENTATION] = options["orientation"]
        stored, options = stored.transpose(AS_STORED[6]), {"quality": 95, "exif": exif}
    decoded = decode(encoded(stored, image_format, **options))
    assert (decoded.mode, decoded.size) == ("RGB", (32, 16))
    np.testing.assert_allclose([decoded.getpixel((4, 8)), decoded.getpixel((28, 8))], [left, right], atol=3)


def test_a_tile_is_prepared_as_if_it_were_a_photograph_of_its_own(folder_of: Callable[..., Path]):
    steps = read_preprocessing(folder_of(BIT))
    quadrat = noise(0, 100, 70)
    for tile in Grid(2, 3).tiles(*quadrat.size):
        alone = quadrat.crop((tile.x0, tile.y0, tile.x1, tile.y1))
        (whole,) = Grid(1, 1).tiles(*alone.size)
        np.testing.assert_array_equal(prepare(quadrat, tile, steps), prepare(alone, whole, steps))


def test_a_prepared_tile_has_the_size_that_was_promised(folder_of: Callable[..., Path]):
    steps = read_preprocessing(folder_of(BIT | {"crop_size": {"height": 28, "width": 42}}))
    image = decode(plain("red", width=100, height=70))
    assert steps.size == (28, 42)
    assert prepare(image, Grid(1, 1).tiles(100, 70)[0], steps).shape == (28, 42, 3)


def test_a_truncated_photograph_is_no_photograph():
    whole = encoded(noise(0), "JPEG")
    with pytest.raises(OSError, match="truncated"):
        decode(whole[: len(whole) // 2])


def test_a_model_without_the_steps_of_its_images_is_refused(tmp_path: Path):
    with pytest.raises(BackboneError, match=f"{tmp_path} has no preprocessor_config.json"):
        read_preprocessing(tmp_path)


@pytest.mark.parametrize("step", ["size", "resample", "crop_size", "image_mean", "image_std"])
def test_a_step_that_is_left_open_is_not_guessed(folder_of: Callable[..., Path], step: str):
    with pytest.raises(BackboneError, match=r"preprocessor_config\.json"):
        read_preprocessing(folder_of(BIT, without=(step,)))


@pytest.mark.parametrize(
    "steps",
    [
        {"size": {"longest_edge": 224}},
        {"size": {"shortest_edge": 224, "longest_edge": 512}},
        {"size": "large"},
        {"crop_size": {"height": 224}},
        {"do_center_crop": False},
        {"resample": 99},
        {"image_mean": [0.5]},
        {"image_mean": None},
    ],
    ids=str,
)
def test_steps_that_are_not_known_are_refused_with_the_file_that_asks_for_them(
    folder_of: Callable[..., Path], steps: dict[str, object]
):
    with pytest.raises(BackboneError, match=r"preprocessor_config\.json"):
        read_preprocessing(folder_of(BIT | steps))


def test_steps_that_are_no_json_are_refused(tmp_path: Path):
    (tmp_path / "preprocessor_config.json").write_text("{")
    with pytest.raises(BackboneError, match=r"preprocessor_config\.json"):
        read_preprocessing(tmp_path)
