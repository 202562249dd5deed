import json
from collections.abc import Callable
from dataclasses import replace
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from drawn_photographs import encoded, noise, plain, scene
from PIL import Image

from modeling.errors import BackboneError
from modeling.preprocess import (
    Pixels,
    Preprocessing,
    cut,
    decode,
    prepare,
    read_preprocessing,
    require_round_trip,
)
from modeling.tiling import Boxes, Grid, Pyramid, Window

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
STEPS = Preprocessing((48,), "bicubic", (42, 42), (0.5, 0.5, 0.5), (0.25, 0.25, 0.25))
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


def whole(content: bytes, steps: Preprocessing) -> Pixels:
    """Return (height, width, 3) uint8 of the whole photograph."""
    (found,) = cut(content, [Grid(1, 1)], steps)
    return found.pixels[0]


def turned(upright: Image.Image, orientation: int) -> bytes:
    """Return a JPEG of a photograph that was taken with the camera held in another way."""
    exif = Image.Exif()
    exif[ORIENTATION] = orientation
    return encoded(upright.transpose(AS_STORED[orientation]), "JPEG", quality=95, exif=exif)


def difference(one: Pixels, other: Pixels) -> float:
    """Return the mean difference of two pictures, of 255."""
    return float(np.abs(one.astype(float) - other).mean())


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


@pytest.mark.parametrize(("width", "height"), [(1600, 1200), (1203, 1601), (1999, 801)])
def test_pixels_of_a_large_photograph_that_is_decoded_in_full_are_those_of_the_models_own_processor(
    folder_of: Callable[..., Path], width: int, height: int
):
    folder = folder_of(BIT)
    steps = replace(read_preprocessing(folder), reducing_gap=None)
    content = encoded(scene(0, width, height), "JPEG", quality=90)
    pixels = (whole(content, steps) * steps.scale - steps.mean) / steps.std
    np.testing.assert_allclose(pixels, theirs(content, folder), atol=1e-6)


@pytest.mark.parametrize("short", [95, 191, 192, 383, 384, 767, 768, 1025])
def test_a_jpeg_is_decoded_no_smaller_than_twice_what_the_network_sees(short: int):
    part = next(part for part in (8, 4, 2, 1) if part == 1 or short / part >= 2 * 48)
    image = scene(1, short + 301, short)
    content = encoded(image, "JPEG", quality=90)
    small = decode(content, part)
    assert small.size == (-(-image.width // part), -(-image.height // part))
    (tile,) = Grid(1, 1).tiles(*image.size)
    np.testing.assert_array_equal(whole(content, STEPS), prepare(small, tile, STEPS, part))


@pytest.mark.parametrize(
    ("content", "part"),
    [
        (encoded(scene(1, 1200, 800), "JPEG"), 8),
        (encoded(scene(1, 1200, 800), "MPO", save_all=True, append_images=[scene(2, 1200, 800)]), 8),
        (encoded(scene(1, 1200, 800).convert("L"), "JPEG"), 8),
        (encoded(scene(1, 1200, 800), "JPEG", progressive=True), 8),
        (encoded(scene(1, 1200, 800)), 1),
        (encoded(scene(1, 1200, 800), "WEBP"), 1),
    ],
    ids=["jpeg", "mpo", "grey", "progressive", "png", "webp"],
)
def test_only_what_holds_a_smaller_picture_in_itself_is_decoded_smaller(content: bytes, part: int):
    assert decode(content, 8).size == (1200 // part, 800 // part)
    (tile,) = Grid(1, 1).tiles(1200, 800)
    np.testing.assert_array_equal(whole(content, STEPS), prepare(decode(content, part), tile, STEPS, part))


# Sizes that no part divides: what is left over must not stretch the picture.
@pytest.mark.parametrize(("width", "height"), [(1600, 1200), (1607, 1201), (809, 1215), (775, 783)])
@pytest.mark.parametrize("image_format", ["JPEG", "PNG"])
def test_a_photograph_that_is_decoded_smaller_looks_as_if_it_were_decoded_in_full(
    width: int, height: int, image_format: str
):
    content = encoded(scene(3, width, height), image_format)
    in_full = whole(content, replace(STEPS, reducing_gap=None))
    assert 0 < difference(whole(content, STEPS), in_full) < 1.2
    assert np.abs(whole(content, STEPS).astype(int) - in_full).max() <= 12


@pytest.mark.parametrize("orientation", AS_STORED)
@pytest.mark.parametrize(("width", "height"), [(1600, 1200), (1607, 1201), (775, 783)])
def test_a_turned_photograph_that_is_decoded_smaller_is_cut_where_it_would_be_upright(
    orientation: int, width: int, height: int
):
    upright = scene(4, width, height)
    (found,) = cut(turned(upright, orientation), [Grid(2, 2)], STEPS)
    (wanted,) = cut(encoded(upright), [Grid(2, 2)], replace(STEPS, reducing_gap=None))
    assert found.tiles == wanted.tiles == Grid(2, 2).tiles(width, height)
    for ours, seen in zip(found.pixels, wanted.pixels, strict=True):
        assert difference(ours, seen) < 1


def test_what_one_scheme_gives_does_not_depend_on_the_others():
    content = encoded(scene(5, 1601, 1203), "JPEG")
    schemes = [Grid(1, 1), Grid(4, 4), Pyramid(84, 3, 1), Window(300, 200, 50), Boxes("b", ((10, 20, 110, 90),))]
    together = cut(content, schemes, STEPS)
    assert [found.scheme_id for found in together] == [scheme.scheme_id for scheme in schemes]
    for scheme, found in zip(schemes, together, strict=True):
        (alone,) = cut(content, [scheme], STEPS)
        assert found.tiles == alone.tiles == scheme.tiles(1601, 1203)
        np.testing.assert_array_equal(found.pixels, alone.pixels)


def test_a_scheme_that_does_not_fit_leaves_the_others_theirs():
    content = encoded(scene(5, 100, 2), "JPEG")
    good, bad, also_good = cut(content, [Grid(1, 1), Grid(3, 3), Grid(2, 2)], STEPS)
    assert (good.failure, also_good.failure) == (None, None)
    assert (bad.tiles, bad.pixels) == ([], [])
    assert bad.failure == "cannot cut a 100x2 px image into 3 rows x 3 cols: a tile would be empty"


def test_at_its_edge_a_tile_is_interpolated_from_what_lies_beyond_it():
    """Else there would be a seam where two tiles of one quadrat meet."""
    square = replace(STEPS, resize=(20, 20), crop=None, reducing_gap=None)
    quadrat = scene(6, 160, 160)
    (found,) = cut(encoded(quadrat), [Grid(2, 2)], square)
    left_above, right_above, left_below, right_below = found.pixels
    joined = np.block([[[left_above], [right_above]], [[left_below], [right_below]]])
    np.testing.assert_array_equal(joined, np.asarray(quadrat.resize((40, 40), Image.Resampling.BICUBIC)))


@pytest.mark.parametrize(
    "steps",
    [STEPS, replace(STEPS, resize=(42, 42), crop=None), replace(STEPS, resize=None, crop=(84, 84))],
    ids=["resized and cropped", "resized", "as it is"],
)
@pytest.mark.parametrize("image_format", ["JPEG", "PNG"])
def test_tiles_of_a_pyramid_are_those_of_the_photograph_scaled_first_and_cut_then(
    steps: Preprocessing, image_format: str
):
    photograph = scene(7, 1700, 1300)
    (found,) = cut(encoded(photograph, image_format), [Pyramid(84, 3, 1)], steps)
    centre = photograph.crop((200, 0, 1500, 1300))
    (alone,) = Grid(1, 1).tiles(84, 84)
    assert len(found.tiles) == 14
    for tile, pixels in zip(found.tiles, found.pixels, strict=True):
        scaled = centre.resize((84 * tile.level, 84 * tile.level), Image.Resampling.LANCZOS)
        x, y = 84 * tile.column, 84 * tile.row
        assert pixels.shape == (*steps.size, 3)
        # Not quite: here a tile begins at a whole pixel of the photograph.
        assert difference(pixels, prepare(scaled.crop((x, y, x + 84, y + 84)), alone, steps)) < 2


def test_the_square_of_a_pyramids_tile_is_scaled_with_lanczos():
    as_it_is = replace(STEPS, resize=None, crop=(84, 84), reducing_gap=None)
    photograph = scene(7, 300, 300)
    (found,) = cut(encoded(photograph), [Pyramid(84, 1, 1)], as_it_is)
    np.testing.assert_array_equal(found.pixels[0], photograph.resize((84, 84), Image.Resampling.LANCZOS))


def test_a_round_trip_encodes_each_tile_as_a_jpeg_of_its_own_and_decodes_it_again():
    quadrat = encoded(noise(8, 200, 200))
    (plainly,) = cut(quadrat, [Grid(2, 2)], STEPS)
    (round_trip,) = cut(quadrat, [Grid(2, 2)], replace(STEPS, jpeg_round_trip="85-4:2:2"))
    for before, after in zip(plainly.pixels, round_trip.pixels, strict=True):
        jpeg = encoded(Image.fromarray(before), "JPEG", quality=85, subsampling="4:2:2")
        np.testing.assert_array_equal(after, np.asarray(Image.open(BytesIO(jpeg))))
        assert not np.array_equal(before, after)


def test_a_round_trip_is_the_same_each_time_and_others_are_others():
    content = encoded(noise(8))
    known = ("85-4:2:2", "85-4:2:0", "85-4:4:4", "30-4:2:2")
    seen = {how: whole(content, replace(STEPS, jpeg_round_trip=how)) for how in known}
    assert len({pixels.tobytes() for pixels in seen.values()}) == len(known)
    for how, pixels in seen.items():
        np.testing.assert_array_equal(pixels, whole(content, replace(STEPS, jpeg_round_trip=how)))


@pytest.mark.parametrize(
    "text", ["", "85", "85-", "-4:2:2", "0-4:2:0", "96-4:2:0", "850-4:2:0", "85-4:1:1", "85-4:2:2 ", "8.5-4:2:2"]
)
def test_a_round_trip_that_is_none_is_refused_with_those_that_are(text: str):
    with pytest.raises(
        BackboneError, match=f"no JPEG round trip '{text}'; say QUALITY-SUBSAMPLING: 1 to 95, and 4:4:4,"
    ):
        require_round_trip(text)


@pytest.mark.parametrize(
    ("text", "kept"), [("1-4:4:4", "1-4:4:4"), ("95-4:2:0", "95-4:2:0"), ("085-4:2:2", "85-4:2:2")]
)
def test_a_round_trip_has_one_spelling(text: str, kept: str):
    assert require_round_trip(text) == kept


def test_of_a_long_strip_only_the_middle_is_scaled_and_comes_out_as_of_the_whole(folder_of: Callable[..., Path]):
    steps = read_preprocessing(folder_of(BIT))  # 48 px short, a crop of 42
    strip = decode(encoded(noise(0, 20, 2000)))
    (tile,) = Grid(1, 1).tiles(*strip.size)
    whole = strip.resize((48, 4800), Image.Resampling.BICUBIC, reducing_gap=steps.reducing_gap)
    expected = np.asarray(whole.crop((3, 2379, 45, 2421))).astype(int)
    scaled: list[tuple[int, int]] = []

    resize = Image.Image.resize
    strip.resize = lambda size, *rest: scaled.append(size) or resize(strip, size, *rest)  # type: ignore[method-assign]
    assert np.abs(prepare(strip, tile, steps).astype(int) - expected).max() <= 1
    assert scaled == [(48, 64 * 42)]
