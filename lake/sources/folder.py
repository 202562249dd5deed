"""A folder whose sub-folders are species. Photographs that lie in the folder itself have no label."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from lake.errors import SourceError
from lake.files import Files
from lake.sources import ROWS, SPECIES, SPLIT_TAGS, Batch, conform, split_tag


@dataclass(frozen=True)
class FolderSource:
    """``<species>/**/<any name>.<any image extension>``; each photograph is an observation of its own."""

    files: Files
    split: str | None = None  # the split tag of all its photographs
    names_are_unique: bool = False

    @property
    def uri(self) -> str:
        """The folder, or the archive."""
        return self.files.uri

    def __iter__(self) -> Iterator[Batch]:
        """Yield every file with the row that its place says.

        Raises:
            SourceError: If there is no such folder, the split tag is none, or the sub-folders are splits.
        """
        tag = None if self.split is None else split_tag(self.split, "the split tag")
        wrapped = self._wrapping_folder()
        seen = 0
        folders: set[str] = set()
        for listing in self.files.listing():
            numbered = listing.with_row_index("row_number", seen + 1)
            seen += len(listing)
            inside = pl.col("file_name").str.strip_prefix(wrapped)
            folders.update(_first_folders(listing.with_columns(inside)))
            rows = numbered.select(
                "row_number",
                # With the tag: train/Poa/1.jpg and test/Poa/1.jpg, taken in one after the other, are two photographs.
                image_name=inside if tag is None else pl.concat_str(pl.lit(f"{tag}/"), inside),
                file_name=pl.col("file_name"),
                split_tag=pl.lit(tag, pl.String),
                kind=pl.when(pl.col("kind").is_null() & ~pl.col("is_image"))
                .then(pl.lit("not_an_image"))
                .otherwise(pl.col("kind")),
                detail=pl.when(pl.col("kind").is_null() & ~pl.col("is_image"))
                .then(pl.lit("its extension is none of an image format"))
                .otherwise(pl.col("detail")),
            )
            species = (
                numbered.filter(inside.str.contains("/", literal=True))
                .with_columns(species_id=inside.str.split("/").list.first())
                .select("row_number", "species_id", scientific_name=pl.col("species_id").str.replace_all("_", " "))
            )
            yield Batch(conform(rows, ROWS), conform(species, SPECIES), listing)
        self._refuse_splits_for_species(folders)

    def _wrapping_folder(self) -> str:
        """Return the one folder, with its slash, that an archive of a folder begins with; "" where there is none.

        Packing ``photographs/`` puts that name before each member. It is taken for no species if nothing lies in it
        but several folders.
        """
        if not Path(self.files.uri).is_file():
            return ""
        seen: set[tuple[str, ...]] = set()
        for listing in self.files.listing():
            parts = listing["file_name"].str.split("/")
            seen.update(tuple(parts_of[:2]) if len(parts_of) > 2 else ("",) for parts_of in parts.to_list())
        first = {parts[0] for parts in seen}
        return f"{first.pop()}/" if len(first) == 1 and len(seen) > 1 else ""

    def _refuse_splits_for_species(self, folders: set[str]) -> None:
        """Refuse the folder above train and test: its sub-folders are no species."""
        if folders and {name.lower() for name in folders} <= set(SPLIT_TAGS):
            raise SourceError(
                f"the sub-folders of {self.uri} are splits ({', '.join(sorted(folders))}), not species; take them in "
                f"one by one, each with its --split-tag"
            )


def _first_folders(listing: pl.DataFrame) -> list[str]:
    inside = listing.filter(pl.col("file_name").str.contains("/", literal=True))
    return inside["file_name"].str.split("/").list.first().unique().to_list()
