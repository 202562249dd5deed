"""A folder whose sub-folders are species. Photographs that lie in the folder itself have no label."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from lake.errors import SourceError
from lake.sources import (
    SPLIT_TAGS,
    SourceIssue,
    SourceRecord,
    SourceSpecies,
    files_below,
    is_image_name,
    printable,
    split_tag,
)


@dataclass(frozen=True)
class FolderSource:
    """``folder/<species>/**/<any name>.<any image extension>``; each photograph is an observation of its own."""

    folder: Path
    split: str | None = None  # the split tag of all its photographs

    @property
    def uri(self) -> str:
        """The folder."""
        return str(self.folder.resolve())

    def __iter__(self) -> Iterator[SourceRecord | SourceIssue]:
        """Yield every file, as a record or as an issue.

        Raises:
            SourceError: If it is no folder or the split tag is none.
        """
        tag = None if self.split is None else split_tag(self.split, "the split tag")
        self._refuse_splits_for_species()
        for path in files_below(self.folder):
            inside = path.relative_to(self.folder)
            # With the tag: train/Poa/1.jpg and test/Poa/1.jpg, taken in one after the other, are two photographs.
            name = inside.as_posix() if tag is None else f"{tag}/{inside.as_posix()}"
            if printable(name) != name:
                yield SourceIssue(printable(name), "name_not_text", "the bytes of its name are no UTF-8: rename it")
                continue
            if not is_image_name(path):
                yield SourceIssue(name, "not_an_image", f"{path.suffix or 'no'} extension is none of an image format")
                continue
            species = inside.parts[0] if len(inside.parts) > 1 else None
            yield SourceRecord(
                image_name=name,
                path=path,
                observation_id=name,
                species=() if species is None else (SourceSpecies(species, species.replace("_", " ")),),
                split_tag=tag,
            )

    def _refuse_splits_for_species(self) -> None:
        """Refuse the folder above train and test: its sub-folders are no species."""
        folders = [path for path in self.folder.iterdir() if path.is_dir()] if self.folder.is_dir() else []
        inside = {path.name.lower() for path in folders if not path.name.startswith(".")}
        if inside and inside <= set(SPLIT_TAGS):
            raise SourceError(
                f"the sub-folders of {self.folder} are splits ({', '.join(sorted(inside))}), not species; take them in "
                f"one by one, each with its --split-tag"
            )
