"""How a flora comes to lie in a folder, whole or completed after a kill. Leaves the pixels to ``pictures``.

It does not provide for two drawings into one folder at once.
"""

import csv
import io
import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from lake.sources.synthetic.flora import Flora
from lake.sources.synthetic.pictures import (
    PLANT_COLUMNS,
    QUADRAT_COLUMNS,
    PlantPicture,
    QuadratPicture,
    plant_pictures,
    quadrat_pictures,
)

# Raised by hand when a change in this package changes a picture, so that no folder is completed in another hand.
DRAWING = 1


@dataclass(frozen=True)
class Drawn:
    """A finished drawing. ``new_picture_count`` is 0 when the folder was found finished."""

    folder: Path
    plants_csv: Path
    quadrats_csv: Path
    picture_count: int
    new_picture_count: int


def _unheard(count: int) -> None:
    """Let the progress of a drawing pass."""


def draw(flora: Flora, folder: Path, on_drawn: Callable[[int], None] = _unheard) -> Drawn:
    """Draw a flora to a folder: ``plants/`` and ``quadrats/``, then ``plants.csv`` and ``quadrats.csv``.

    A picture that is there is kept, so a finished folder costs no drawing and a killed one is completed to
    the same bytes. The CSV files come last: where they are, every picture they name is. The paths in them
    start at the folder.

    Args:
        flora: What to draw.
        folder: Is made if need be.
        on_drawn: Is told after each picture, drawn or found there; ``flora.picture_count`` times in all.

    Raises:
        ValueError: If the folder holds the drawing of another flora, or files of these names and no drawing.
    """
    _claim(flora, folder)
    plants, quadrats = list(plant_pictures(flora)), list(quadrat_pictures(flora))
    pictures: list[PlantPicture | QuadratPicture] = [*plants, *quadrats]
    new = 0
    for picture in pictures:
        path = folder / picture.image
        if not path.exists():
            _write(path, picture.jpeg(flora))
            new += 1
        on_drawn(1)
    plants_csv, quadrats_csv = folder / "plants.csv", folder / "quadrats.csv"
    if not plants_csv.exists():
        _write(plants_csv, _csv(PLANT_COLUMNS, [plant.row for plant in plants]))
    if not quadrats_csv.exists():
        _write(quadrats_csv, _csv(QUADRAT_COLUMNS, [quadrat.row for quadrat in quadrats]))
    return Drawn(folder, plants_csv, quadrats_csv, len(pictures), new)


def _claim(flora: Flora, folder: Path) -> None:
    """Note in the folder which flora is drawn there, before the first picture."""
    note = folder / "flora.json"
    asked = {"drawing": DRAWING, **asdict(flora)}
    if note.exists():
        found = json.loads(note.read_bytes())
        if found != asked:
            raise ValueError(f"asked to draw {asked} in {folder}, which holds the drawing of {found}")
        return
    # Without the note these are somebody's own, and keeping or replacing them would both be wrong.
    names = ("plants", "quadrats", "plants.csv", "quadrats.csv")
    strange = [name for name in names if (folder / name).exists()]
    if strange:
        raise ValueError(f"asked to draw in {folder}, which holds {', '.join(strange)} but no flora.json")
    _write(note, json.dumps(asked, indent=2).encode())


def _csv(header: Sequence[str], rows: Iterable[Sequence[str]]) -> bytes:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(header)
    writer.writerows(rows)
    return text.getvalue().encode()


def _write(path: Path, content: bytes) -> None:
    """Put a whole file in place or none; what a killed run left under the passing name is written over."""
    path.parent.mkdir(parents=True, exist_ok=True)
    passing = path.with_name(path.name + ".part")
    passing.write_bytes(content)
    passing.replace(path)
