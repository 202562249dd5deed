from pathlib import Path

import numpy as np
import pytest
from drawn_photographs import plain
from PIL import Image

from modeling.figures import NamedTile, draw_quadrat

QUADRAT = plain("white", "white", width=200, height=100)
TILES = [NamedTile(0, 0, 100, 100, "Poa annua", 0.9), NamedTile(100, 0, 200, 100, "Stellaria media", 0.6)]


def colours(path: Path) -> set[tuple[int, int, int]]:
    """Return what is drawn in colour, not in grey."""
    pixels = np.asarray(Image.open(path).convert("RGB")).reshape(-1, 3)
    return {tuple(pixel) for pixel in np.unique(pixels, axis=0).tolist() if max(pixel) - min(pixel) > 100}


def test_a_quadrat_is_drawn_to_a_png_in_a_folder_that_need_not_be_there(tmp_path: Path):
    path = draw_quadrat(QUADRAT, TILES, ["Poa annua"], ["Poa annua"], "q1", tmp_path / "figures" / "q1.png")
    with Image.open(path) as image:
        image.load()
        assert image.format == "PNG"
        assert min(image.size) > 500


def test_tiles_of_species_that_were_not_kept_are_grey(tmp_path: Path):
    kept = draw_quadrat(QUADRAT, TILES, ["Poa annua"], [], "q1", tmp_path / "kept.png")
    dropped = draw_quadrat(QUADRAT, TILES, [], [], "q1", tmp_path / "dropped.png")
    assert colours(kept)
    assert not colours(dropped)


def test_the_legend_says_what_is_right_wrong_and_missed(tmp_path: Path):
    truths = [[], ["Poa annua"], ["Poa annua", "Bellis perennis"], ["Bellis perennis"]]
    drawings = {
        draw_quadrat(QUADRAT, TILES, ["Poa annua"], truth, "q1", tmp_path / "q1.png").read_bytes() for truth in truths
    }
    assert len(drawings) == 4


@pytest.mark.parametrize("count", [11, 25])
def test_a_quadrat_may_hold_more_species_than_there_are_colours(tmp_path: Path, count: int):
    names = [f"Species {position}" for position in range(count)]
    tiles = [NamedTile(0, 0, 100, 100, name, 0.5) for name in names]
    assert draw_quadrat(QUADRAT, tiles, names, names, "q1", tmp_path / "q1.png").stat().st_size > 0
