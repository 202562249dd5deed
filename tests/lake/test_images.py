import hashlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from small_pictures import bomb, cut, picture

from lake import images
from lake.images import ImageFacts, Refusal, examine

KINDS = ["JPEG", "PNG", "TIFF", "WEBP", "BMP", "GIF"]
ORIGINALS = [picture(1, kind) for kind in KINDS]


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


@pytest.mark.parametrize("kind", ["JPEG", "PNG"])
def test_a_broken_download_of_a_common_format_is_called_truncated(kind):
    assert examine(cut(picture(1, kind, size=(64, 64)))).kind == "truncated"


def test_a_jpeg_that_lost_its_last_bytes_is_refused():
    assert examine(picture(1)[:-2]).kind == "truncated"


def test_text_is_no_image_and_the_refusal_shows_how_it_begins():
    refusal = examine(b"<html>404 Not Found</html>")
    assert refusal.kind == "unreadable"
    assert "<html>404" in refusal.detail


def test_a_file_without_bytes_is_empty():
    assert examine(b"").kind == "empty"


@pytest.mark.parametrize(
    "content",
    [
        picture(1, "PNG").replace(b"IDAT", b"\x80DAT"),
        picture(1, "WEBP", orientation=6).replace(b"MM\x00*", b"MM3*"),
    ],
    ids=["a chunk of no name", "an orientation that cannot be read"],
)
def test_whatever_a_decoder_raises_is_a_refusal(content):
    # both raise a SyntaxError
    assert examine(content).kind == "unreadable"


def test_a_program_is_not_run_to_see_what_it_draws():
    postscript = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 10 10\n%%EndComments\nshowpage\n"
    assert examine(postscript) == Refusal("unreadable", "not an image: the file begins with b'%!PS-Adobe-3.0 E'")


def test_a_decompression_bomb_is_refused_before_it_is_decoded():
    for side in (13_342, 20_000, 60_000):
        refusal = examine(bomb(side, side))
        assert refusal.kind == "too_large"
        assert str(side) in refusal.detail or str(side**2) in refusal.detail


def test_the_limit_is_ours_and_not_the_decoders(monkeypatch):
    assert examine(bomb(13_340, 13_340)).detail != examine(bomb(13_342, 13_342)).detail
    monkeypatch.setattr(images, "MAX_PIXELS", 24 * 16)
    assert examine(picture(1, size=(24, 16))) == ImageFacts("JPEG", 24, 16)
    assert examine(picture(1, size=(24, 17))) == Refusal("too_large", "24x17 px; the limit is 384 pixels")


def test_a_large_photograph_below_the_limit_is_decoded_without_a_warning(recwarn):
    # between the size at which Pillow warns and that at which it raises
    assert examine(bomb(10_000, 9_000)).kind == "truncated"
    assert not recwarn.list


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=300))
def test_whatever_the_bytes_are_nothing_is_raised(content):
    assert isinstance(examine(content), ImageFacts | Refusal)


@pytest.mark.filterwarnings("ignore::UserWarning")
@settings(max_examples=300, deadline=None)
@given(
    st.sampled_from(ORIGINALS),
    st.lists(st.tuples(st.integers(0, 2000), st.integers(0, 255)), max_size=6),
    st.none() | st.integers(0, 2000),
)
def test_however_a_photograph_is_broken_nothing_is_raised(original, changes, end):
    content = bytearray(original)
    for position, value in changes:
        content[position % len(content)] = value
    assert isinstance(examine(bytes(content[:end])), ImageFacts | Refusal)
