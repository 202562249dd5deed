"""Words of strangers, made fit to be shown."""

import unicodedata

_HIDDEN = {"Cc", "Cf", "Zl", "Zp"}  # controls, signs that turn the direction of what follows, and line ends


def plain(text: str, kept: str = "") -> str:
    """Return a text without signs that a terminal acts on: those are written out, but for some that are kept."""
    if text.isprintable():
        return text
    return "".join(
        sign.encode("unicode_escape").decode() if unicodedata.category(sign) in _HIDDEN and sign not in kept else sign
        for sign in text
    )
