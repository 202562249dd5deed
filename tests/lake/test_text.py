import pytest

from lake.text import plain


@pytest.mark.parametrize("text", ["Poa annua", "Hêtre 日本 🌿", "a\u00a0b".replace("\u00a0", " ")])
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
    ],
)
def test_what_a_terminal_acts_on_is_written_out(text, shown):
    assert plain(text) == shown


def test_line_ends_are_kept_where_they_are_the_messages_own():
    assert plain("a\n\x1bb", kept="\n") == "a\n\\x1bb"
