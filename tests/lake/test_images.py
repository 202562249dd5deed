import hashlib
import struct
import subprocess
import sys
import zlib
from io import BytesIO
from pathlib import Path
from random import Random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from small_pictures import bomb, cut, layered, picture, several, with_chunk, with_exif

from lake import images
from lake.images import ImageFacts, Refusal, examine

# Between tests pytest takes away the filter that is set once; what is said without it has a test of its own.
pytestmark = pytest.mark.filterwarnings("ignore")
KINDS = ["JPEG", "PNG", "TIFF", "WEBP", "BMP", "GIF"]
REASONS = {"empty", "unreadable", "truncated", "too_small", "too_large", "animated", "unknown_mode"}
# The metadata of a TIFF in which tag 0x0112, a short, is 6: lying on its side.
ON_ITS_SIDE = b"MM\x00*\x00\x00\x00\x08\x00\x01\x01\x12\x00\x03\x00\x00\x00\x01\x00\x06\x00\x00\x00\x00\x00\x00"


def saved(image: Image.Image, kind: str, **options: object) -> bytes:
    file = BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def of_mode(mode: str, kind: str) -> bytes:
    return saved(Image.new(mode, (24, 16)), kind)


def is_told_plainly(found: ImageFacts | Refusal) -> bool:
    """Say whether bytes became facts, or a known kind of refusal in printable words."""
    if isinstance(found, ImageFacts):
        return found.width_px > 0 and found.height_px > 0
    return found.kind in REASONS and found.detail.isprintable() and 0 < len(found.detail) <= 300


def test_an_image_is_known_by_the_sha256_of_its_bytes():
    assert images.identity(b"abc") == hashlib.sha256(b"abc").hexdigest()


@pytest.mark.parametrize("kind", KINDS)
def test_a_photograph_has_its_format_and_size(kind):
    assert examine(picture(1, kind, size=(24, 16))) == ImageFacts(kind, 24, 16)


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "TIFF", "WEBP"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_size_is_that_of_the_upright_photograph(kind, orientation):
    lies_on_its_side = orientation >= 5
    upright = (16, 24) if lies_on_its_side else (24, 16)
    assert examine(picture(1, kind, size=(24, 16), orientation=orientation)) == ImageFacts(kind, *upright)


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "TIFF", "WEBP", "GIF"])
def test_a_broken_download_is_refused(kind):
    whole = picture(1, kind, size=(64, 64))
    refusal = examine(cut(whole))
    assert isinstance(refusal, Refusal)
    assert refusal.kind in {"truncated", "unreadable"}


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF"])
def test_wherever_a_download_breaks_off_it_is_refused(kind):
    whole = saved(Image.effect_noise((64, 64), 50), kind)
    for end in range(1, len(whole) - 200, max(len(whole) // 50, 1)):
        assert examine(whole[:end]).kind in {"truncated", "unreadable"}


@pytest.mark.parametrize("kind", ["JPEG", "PNG"])
def test_a_broken_download_of_a_common_format_is_called_truncated(kind):
    assert examine(cut(picture(1, kind, size=(64, 64)))).kind == "truncated"


def test_a_jpeg_that_lost_its_last_bytes_is_refused():
    assert examine(picture(1)[:-2]).kind == "truncated"


@pytest.mark.parametrize(
    "text",
    [
        b"<html>404 Not Found</html>",
        b'<svg xmlns="http://www.w3.org/2000/svg"><rect width="9" height="9"/></svg>',
        b"\xef\xbb\xbf<!DOCTYPE html>\r\n<html>",
    ],
)
def test_text_is_no_image_and_the_refusal_shows_how_it_begins(text):
    refusal = examine(text)
    assert refusal.kind == "unreadable"
    assert repr(text[:16]) in refusal.detail


def test_a_file_without_bytes_is_empty():
    assert examine(b"").kind == "empty"


def test_whatever_a_decoder_raises_is_a_refusal():
    # a SyntaxError: a chunk of no name
    assert examine(picture(1, "PNG").replace(b"IDAT", b"\x80DAT")).kind == "unreadable"


def test_a_program_is_not_run_to_see_what_it_draws(tmp_path, monkeypatch):
    ghostscript = tmp_path / "gs"
    ghostscript.write_text(f"#!/bin/sh\ntouch {tmp_path}/ran\n")
    ghostscript.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    postscript = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 10 10\n%%EndComments\nshowpage\n"
    refusal = examine(postscript)
    assert refusal.kind == "unreadable"
    assert "b'%!PS-Adobe-3.0 E'" in refusal.detail
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize(
    "content",
    [
        b"\xd7\xcd\xc6\x9a\0\0" + struct.pack("<5h", 0, 0, 1000, 1000, 1440) + bytes(6) + b"\x01\0\t\0" + bytes(40),
        b"BUFR" + bytes(60),
        b"GRIB\0\0\0\1" + bytes(60),
        b"\x89HDF\r\n\x1a\n" + bytes(60),
        b"\0\0\1\xb3" + b"\x40\x04\0" * 30,
    ],
    ids=["wmf", "bufr", "grib", "hdf5", "mpeg"],
)
def test_what_can_be_told_but_not_decoded_is_unreadable(content):
    refusal = examine(content)
    assert refusal.kind == "unreadable"
    assert "load" in refusal.detail


def test_a_decompression_bomb_is_refused_before_it_is_decoded():
    for side in (13_342, 20_000, 60_000):
        refusal = examine(bomb(side, side))
        assert refusal.kind == "too_large"
        assert str(side) in refusal.detail or str(side**2) in refusal.detail


@pytest.mark.parametrize("screen", [8, 60_000])
def test_a_gif_is_as_large_as_its_screen_or_its_frame_says(screen):
    head = b"GIF89a" + struct.pack("<HH", screen, screen) + b"\x80\0\0" + bytes(6)
    frame = b"," + struct.pack("<HHHH", 0, 0, 60_000, 60_000) + b"\0\x02\x02\x4c\x01\0;"
    assert examine(head + frame).kind == "too_large"


@pytest.mark.parametrize(
    ("kind", "data", "times"),
    [
        (b"zTXt", b"Comment\0\0" + zlib.compress(bytes(2 << 20)), 1),
        (b"iTXt", b"Comment\0\1\0en\0\0" + zlib.compress(bytes(2 << 20)), 1),
        (b"iCCP", b"profile\0\0" + zlib.compress(bytes(2 << 20)), 1),
        (b"zTXt", b"Comment\0\0" + zlib.compress(bytes(1 << 20)), 65),
    ],
    ids=["compressed text", "international text", "colour profile", "many texts"],
)
def test_a_few_bytes_that_unpack_to_many_are_refused(kind, data, times):
    refusal = examine(with_chunk(picture(1, "PNG"), kind, data, times))
    assert refusal.kind == "too_large"
    assert "text" in refusal.detail.lower()


def test_the_limit_is_ours_and_not_the_decoders(monkeypatch):
    assert examine(bomb(13_340, 13_340)).detail != examine(bomb(13_342, 13_342)).detail
    monkeypatch.setattr(images, "MAX_PIXELS", 24 * 16)
    assert examine(picture(1, size=(24, 16))) == ImageFacts("JPEG", 24, 16)
    assert examine(picture(1, size=(24, 17))) == Refusal("too_large", "24x17 px; the limit is 384 pixels")


@pytest.mark.parametrize(("size", "is_kept"), [((8, 8), True), ((7, 100), False), ((100, 7), False), ((1, 1), False)])
def test_a_photograph_without_eight_pixels_a_side_is_too_small(size, is_kept):
    found = examine(picture(1, "PNG", size))
    assert isinstance(found, ImageFacts) if is_kept else found.kind == "too_small"


@pytest.mark.parametrize("kind", ["GIF", "WEBP", "PNG", "TIFF"])
def test_of_several_frames_one_has_to_be_chosen(kind):
    refusal = examine(several(kind, 3))
    assert refusal.kind == "animated"
    assert "3 frames" in refusal.detail
    assert "chosen" in refusal.detail


def test_the_first_picture_of_an_mpo_is_the_photograph():
    assert examine(several("MPO", 2)) == ImageFacts("MPO", 24, 16)


def test_the_layers_of_a_picture_are_no_pictures_of_their_own():
    content = layered(3)
    assert Image.open(BytesIO(content)).n_frames == 3
    assert examine(content) == ImageFacts("PSD", 24, 16)


def test_a_smaller_version_in_a_tiff_is_no_second_photograph():
    first, preview = (Image.open(BytesIO(picture(1, "PNG", size))) for size in [(24, 16), (12, 8)])
    preview.encoderinfo = {"tiffinfo": {254: 1}}
    assert examine(saved(first, "TIFF", save_all=True, append_images=[preview])) == ImageFacts("TIFF", 24, 16)
    preview.encoderinfo = {}
    assert examine(saved(first, "TIFF", save_all=True, append_images=[preview])).kind == "animated"


def test_pages_of_a_tiff_are_counted_only_so_far(monkeypatch):
    monkeypatch.setattr(images, "_MOST_COUNTED", 4)
    assert "5 frames" not in examine(several("TIFF", 9)).detail
    assert "more than 4 frames" in examine(several("TIFF", 9)).detail


def test_a_page_that_cannot_be_read_is_no_second_photograph():
    content = bytearray(picture(1, "TIFF"))
    (directory,) = struct.unpack_from("<I", content, 4)
    (entries,) = struct.unpack_from("<H", content, directory)
    struct.pack_into("<I", content, directory + 2 + 12 * entries, 1 << 30)
    assert examine(bytes(content)) == ImageFacts("TIFF", 24, 16)


@pytest.mark.parametrize(
    ("mode", "kind"),
    [
        ("1", "PNG"),
        ("L", "JPEG"),
        ("LA", "PNG"),
        ("P", "PNG"),
        ("PA", "TIFF"),
        ("RGBA", "PNG"),
        ("CMYK", "JPEG"),
        ("YCbCr", "JPEG"),
        ("LAB", "TIFF"),
        ("I;16", "PNG"),
        ("I;16", "TIFF"),
        ("I;16B", "TIFF"),
        ("I", "TIFF"),
    ],
)
def test_a_photograph_may_have_any_mode_whose_colours_are_known(mode, kind):
    assert examine(of_mode(mode, kind)) == ImageFacts(kind, 24, 16)


def test_numbers_that_are_no_colours_are_of_an_unknown_mode():
    refusal = examine(of_mode("F", "TIFF"))
    assert refusal.kind == "unknown_mode"
    assert "mode F" in refusal.detail


@pytest.mark.parametrize(("value", "is_kept"), [(0, True), (65_535, True), (65_536, False), (-1, False)])
def test_grey_of_more_than_sixteen_bits_is_of_an_unknown_mode(value, is_kept):
    found = examine(saved(Image.fromarray(np.full((16, 24), value, np.int32)), "TIFF"))
    assert isinstance(found, ImageFacts) if is_kept else found.kind == "unknown_mode"


@pytest.mark.parametrize(
    "content",
    [
        with_exif(picture(1), b"MM3*" + bytes(20)),
        with_exif(picture(1), ON_ITS_SIDE[:12]),
        with_exif(picture(1), b""),
        with_chunk(picture(1, "PNG"), b"eXIf", b"MM3*" + bytes(20)),
        picture(1, "WEBP", orientation=6).replace(b"MM\x00*", b"MM3*"),
        with_chunk(picture(1, "PNG"), b"tEXt", b"Raw profile type exif\0\nexif\n 4\nno hex"),
    ],
    ids=["no tiff", "cut", "empty", "png", "webp", "no hex"],
)
def test_a_photograph_whose_exif_is_broken_is_taken_as_upright(content):
    found = examine(content)
    assert (found.width_px, found.height_px) == (24, 16)


def test_a_megabyte_of_exif_does_not_hide_how_the_camera_was_held():
    found = examine(with_exif(picture(1), ON_ITS_SIDE, *[bytes(65_000)] * 16))
    assert found == ImageFacts("JPEG", 16, 24)


def test_details_are_plain_text(monkeypatch):
    def fail(*_: object, **__: object) -> None:
        raise OSError("\x1b[31mred\u202e\udcff\n" + "long " * 1000)

    monkeypatch.setattr(images.Image, "open", fail)
    detail = examine(b"x").detail
    assert detail.startswith(r"OSError: \x1b[31mred\u202e\udcff\nlong")
    assert detail.isprintable()
    assert len(detail) == 300


def test_nothing_is_said_on_stderr_from_any_thread(tmp_path):
    # one is between the size at which Pillow warns and that at which it raises, the other one has broken metadata
    (tmp_path / "large").write_bytes(bomb(10_000, 9_000))
    (tmp_path / "broken").write_bytes(with_exif(picture(1), ON_ITS_SIDE[:12]))
    program = (
        "import sys, concurrent.futures as futures, pathlib; from lake.images import examine\n"
        "files = [path.read_bytes() for path in pathlib.Path(sys.argv[1]).iterdir()] * 3\n"
        "found = futures.ThreadPoolExecutor(4).map(examine, files)\n"
        "print(*sorted({getattr(one, 'kind', 'kept') for one in found}))"
    )
    asked = [sys.executable, "-W", "always::UserWarning", "-W", "always::RuntimeWarning", "-c", program, str(tmp_path)]
    said = subprocess.run(asked, capture_output=True, text=True, check=True, cwd=Path(images.__file__).parents[1])
    assert (said.stdout, said.stderr) == ("kept truncated\n", "")


@settings(max_examples=50, deadline=None)
@given(st.sampled_from([b"", *(picture(1, kind)[:12] for kind in KINDS)]), st.binary(max_size=300))
def test_whatever_the_bytes_are_nothing_is_raised(head, content):
    assert is_told_plainly(examine(head + content))


@pytest.mark.parametrize("kind", KINDS)
@settings(max_examples=50, deadline=None)
@given(
    changes=st.lists(st.tuples(st.integers(0, 2000), st.integers(0, 255)), max_size=6),
    end=st.none() | st.integers(0, 2000),
    times=st.integers(1, 2),
)
def test_however_a_photograph_is_broken_nothing_is_raised(kind, changes, end, times):
    content = bytearray(picture(1, kind) * times)
    for position, value in changes:
        content[position % len(content)] = value
    assert is_told_plainly(examine(bytes(content[:end])))


def decodes(content: bytes) -> bool:
    try:
        with Image.open(BytesIO(content)) as image:
            image.load()
    except Exception:
        return False
    return True


@settings(max_examples=50, deadline=None)
@given(st.integers(0, 10**6), st.sampled_from(["RGB", "L", "CMYK"]), st.booleans())
def test_a_damaged_jpeg_is_refused_exactly_where_decoding_it_in_full_fails(seed, mode, is_progressive):
    random = Random(seed)
    noise = Image.frombytes(mode, (120, 80), random.randbytes(120 * 80 * len(mode)))
    content = bytearray(saved(noise, "JPEG", progressive=is_progressive))
    if random.random() < 0.5:
        content = content[: random.randrange(1, len(content))]
    for _ in range(random.choice([0, 1, 9])):
        content[random.randrange(len(content))] = random.randrange(256)
    found = examine(bytes(content))
    is_image = isinstance(found, ImageFacts) or found.kind in {"too_small", "too_large"}
    assert is_image == decodes(bytes(content))
