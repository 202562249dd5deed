"""Words of strangers, made fit to be shown."""


def plain(text: str, kept: str = "") -> str:
    """Return a text in which every sign that cannot be printed is written out, but for some that are kept.

    Such are controls, signs that turn the direction of what follows, all spaces but the common one, and what stands
    for no sign: a terminal would act on them, or a reader not see them.
    """
    if text.isprintable():
        return text
    return "".join(
        sign if sign.isprintable() or sign in kept else sign.encode("unicode_escape").decode() for sign in text
    )
