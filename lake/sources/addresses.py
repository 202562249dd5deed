"""What a photograph at a web address is called."""

import polars as pl

_IN_ADDRESS = r"(?is)^https?://[^/?#]+/+([^?#]*[^/?#])"


def name_in_address(column: str) -> pl.Expr:
    """Return the path of a web address, without the host and what is asked of it; null where it is none."""
    return pl.col(column).str.strip_chars().str.extract(_IN_ADDRESS)


def name_of_download(column: str) -> pl.Expr:
    """Return what the file at a web address is called on a disk: the last part of its path.

    iNaturalist calls every file after its size, so that its photographs are known by the folder: ``129275.jpg`` for
    ``photos/129275/medium.jpg``.
    """
    path = name_in_address(column).str.normalize("NFC")
    return path.str.replace(r"(?is)^(?:.*/)?photos/(\d+)/[a-z]+(\.[^./]*)?$", "${1}${2}").str.replace("(?s)^.*/", "")
