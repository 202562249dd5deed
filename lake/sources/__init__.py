"""Where photographs come from. A source reads one outside format and yields records and issues; it writes nothing."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import Protocol

from PIL import Image

from lake.errors import SourceError

# Common spellings, each of which a source may use.
SPLIT_TAGS = {
    "train": "train",
    "training": "train",
    "tr": "train",
    "val": "val",
    "valid": "val",
    "validation": "val",
    "dev": "val",
    "test": "test",
    "testing": "test",
    "holdout": "test",
}


@dataclass(frozen=True)
class SourceSpecies:
    """A species as the source names it."""

    species_id: str
    scientific_name: str
    genus: str | None = None
    family: str | None = None


@dataclass(frozen=True)
class SourceRecord:
    """One photograph that the source names and holds."""

    image_name: str
    path: Path
    observation_id: str
    # All species of the observation that the source knows, also from its other photographs; empty: not labelled.
    species: tuple[SourceSpecies, ...] = ()
    split_tag: str | None = None
    organ: str | None = None
    latitude: float | None = None
    longitude: float | None = None
    country_code: str | None = None
    observed_on: date | None = None
    license: str | None = None
    author: str | None = None
    extra: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class SourceIssue:
    """Something in the source that cannot become a record."""

    image_name: str
    kind: str
    detail: str
    row_count: int = 1


class Source(Protocol):
    """What intake needs of a source. Iterating twice gives the same items in the same order."""

    @property
    def uri(self) -> str:
        """The place, for people."""

    def __iter__(self) -> Iterator[SourceRecord | SourceIssue]: ...


def split_tag(text: str, where: str) -> str:
    """Return train, val or test for any common spelling.

    Raises:
        SourceError: If it is none. A split that is misread would spoil every score after it.
    """
    try:
        return SPLIT_TAGS[text.strip().lower()]
    except KeyError:
        raise SourceError(
            f"{where} says {text!r} for a split; understood are {', '.join(sorted(SPLIT_TAGS))} in any case"
        ) from None


def is_image_name(path: Path) -> bool:
    """Say whether the extension, in any case, is one of an image format that can be decoded."""
    extensions = Image.registered_extensions()
    return extensions.get(path.suffix.lower()) in Image.OPEN


def printable(name: str) -> str:
    """Return a file's name as text: bytes that are no UTF-8, which no table can hold, are written out."""
    return name.encode("utf-8", "backslashreplace").decode()


def files_below(folder: Path) -> Iterator[Path]:
    """Yield the files below a folder in a fixed order, hidden ones left out (``.DS_Store``, ``.git``).

    Raises:
        SourceError: If it is no folder.
    """
    if not folder.is_dir():
        raise SourceError(f"there is no folder {folder}")
    for path in sorted(folder.rglob("*")):
        if path.is_file() and not any(part.startswith(".") for part in path.relative_to(folder).parts):
            yield path
