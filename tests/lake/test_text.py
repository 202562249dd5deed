import pytest
from hypothesis import given
from hypothesis import strategies as st

from lake.text import plain


@pytest.mark.parametrize("text", ["Poa annua", "Hêtre 日本 🌿", "Mentha × piperita", ""])
def test_what_can_be_shown_stays_as_it_is(text):
    assert plain(text) == text


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("\x1b[2J", "\\x1b[2J"),
        ("a\nb", "a\\nb"),
        ("a\x00b", "a\\x00b"),
        ("jpg.\u202egnp", "jpg.\\u202egnp"),
        ("\x9b1m", "\\x9b1m"),
        ("a\u2028b", "a\\u2028b"),
        ("Poa\u00a0annua\u3000L.", "Poa\\xa0annua\\u3000L."),
        ("a\ud83cb", "a\\ud83cb"),
        ("a\ue000\uffff\U000e0041", "a\\ue000\\uffff\\U000e0041"),
    ],
    ids=ascii,
)
def test_what_cannot_be_printed_is_written_out(text, shown):
    assert plain(text) == shown


@given(st.text(st.characters()), st.text(st.characters(), max_size=3))
def test_nothing_is_shown_that_cannot_be_printed_but_what_is_kept(text, kept):
    assert all(sign.isprintable() or sign in kept for sign in plain(text, kept))


def test_line_ends_are_kept_where_they_are_the_messages_own():
    assert plain("a\n\x1bb", kept="\n") == "a\n\\x1bb"
