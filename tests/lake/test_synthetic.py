import csv
import shutil
from collections import Counter, defaultdict
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from lake.sources.synthetic import Flora, draw, species_of
from lake.sources.synthetic.flora import SPECIES_LIMIT, generator
from lake.sources.synthetic.ground import bare_ground
from lake.sources.synthetic.painting import Light
from lake.sources.synthetic.pictures import plant_pictures, quadrat_pictures
from lake.sources.synthetic.species import GENERA

SMALL = Flora(2, plants_per_species=5, quadrat_count=1, quadrat_rows=2, quadrat_cols=3, tile_px=32)
TABLES = ("plants.csv", "quadrats.csv")


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def rows(path: Path) -> list[dict[str, str]]:
    return list(csv.DictReader(path.read_text().splitlines()))


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return draw(SMALL, tmp_path_factory.mktemp("small")).folder


@pytest.fixture
def copy(small: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(small, tmp_path / "copy"))


def test_another_seed_is_another_flora(small, tmp_path):
    other = draw(replace(SMALL, seed=8), tmp_path).folder
    assert set(contents(small).values()).isdisjoint(contents(other).values())


def test_a_larger_flora_draws_the_plants_of_a_smaller_alike(small, tmp_path):
    larger = contents(draw(replace(SMALL, species_count=3, plants_per_species=6), tmp_path).folder)
    plants = {name: image for name, image in contents(small).items() if name.startswith("plants/")}
    assert plants.items() <= larger.items()


def test_the_tables_name_every_picture_and_no_two_are_alike(small):
    pictures = {name: image for name, image in contents(small).items() if name.endswith(".jpg")}
    assert sorted(row["image"] for table in TABLES for row in rows(small / table)) == sorted(pictures)
    assert len(set(pictures.values())) == SMALL.picture_count


def test_the_tables_call_a_species_alike(small):
    plants, (quadrat,) = (rows(small / table) for table in TABLES)
    species = sorted((s.species_id, s.scientific_name) for s in species_of(SMALL))
    assert sorted({(row["species_id"], row["scientific_name"]) for row in plants}) == species
    assert quadrat["species_ids"].split("|") == [species_id for species_id, _ in species]


def test_a_plant_is_a_square_of_one_tile_and_a_quadrat_of_rows_by_cols(small):
    plant, quadrat = (small / rows(small / table)[0]["image"] for table in TABLES)
    assert Image.open(plant).size == (32, 32)
    assert Image.open(quadrat).size == (3 * 32, 2 * 32)


def test_a_finished_drawing_is_left_alone_and_counted(copy):
    before = {path: path.stat().st_mtime_ns for path in copy.rglob("*")}
    heard: list[int] = []
    assert draw(SMALL, copy, heard.append).new_picture_count == 0
    assert heard == [1] * SMALL.picture_count
    assert {path: path.stat().st_mtime_ns for path in copy.rglob("*")} == before


def killed(*_):
    raise KeyboardInterrupt


def test_a_killed_drawing_is_completed_to_the_same_bytes(small, tmp_path):
    told: list[int] = []

    def kill(count):
        told.append(count)
        if len(told) == 4:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        draw(SMALL, tmp_path, kill)
    assert not (tmp_path / "plants.csv").exists()
    assert draw(SMALL, tmp_path).new_picture_count == SMALL.picture_count - 4
    assert contents(tmp_path) == contents(small)


def test_a_picture_cut_short_by_a_kill_is_never_under_its_own_name(small, copy, monkeypatch):
    lost = copy / rows(copy / "plants.csv")[0]["image"]
    lost.unlink()
    with monkeypatch.context() as patch:
        patch.setattr(Path, "replace", killed)
        with pytest.raises(KeyboardInterrupt):
            draw(SMALL, copy)
    assert not lost.exists()
    draw(SMALL, copy)
    assert contents(copy) == contents(small)


def test_a_folder_with_another_flora_is_refused(copy):
    with pytest.raises(ValueError, match=r"'seed': 8.*which holds the drawing of.*'seed': 7"):
        draw(replace(SMALL, seed=8), copy)


def test_files_of_somebody_else_are_neither_kept_nor_replaced(tmp_path):
    (tmp_path / "plants.csv").write_text("mine")
    with pytest.raises(ValueError, match=r"holds plants\.csv but no flora\.json"):
        draw(SMALL, tmp_path)
    assert contents(tmp_path) == {"plants.csv": b"mine"}


def test_a_plant_is_on_one_side_of_the_split_with_all_its_photographs():
    splits = defaultdict(list)
    for picture in plant_pictures(Flora()):
        splits[picture.observation].append(picture.split)
    assert {tuple(split) for split in splits.values()} == {("train",), ("train", "train"), ("test",), ("test", "test")}


def test_every_species_has_plants_to_train_and_to_test_on():
    flora = Flora(plants_per_species=3)
    seen = {(picture.species, picture.split) for picture in plant_pictures(flora)}
    assert seen == {(species, split) for species in species_of(flora) for split in ("train", "test")}


def test_every_species_of_a_quadrat_stands_in_two_cells():
    for quadrat in quadrat_pictures(Flora(quadrat_count=50)):
        standing = Counter(species.species_id for species in quadrat.cells if species is not None)
        assert 2 <= len(standing) <= 5
        assert min(standing.values()) >= 2
        assert len(quadrat.cells) == 4 * 4


def test_a_species_has_an_identifier_of_its_own_whatever_the_seed():
    floras = [species_of(Flora(SPECIES_LIMIT, seed=seed)) for seed in (7, 8)]
    names = {(s.scientific_name, s.species_id) for flora in floras for s in flora}
    assert SPECIES_LIMIT < len(names) < 2 * SPECIES_LIMIT  # some species are in both
    assert len({name for name, _ in names}) == len({species_id for _, species_id in names}) == len(names)


def test_every_fourth_species_is_a_sister_of_the_one_before():
    genera = [species.genus.name for species in species_of(Flora(8))]
    assert (genera[2], genera[6]) == (genera[3], genera[7])
    assert len(set(genera)) == 6


def test_the_ground_of_a_quadrat_has_no_seams():
    ground = bare_ground(4 * 48, 4 * 48, 48, Light(1, 0, (1, 1, 1)), generator(7, "ground"))
    steps = np.abs(np.diff(ground.mean(axis=0), axis=1)).mean(axis=0)
    assert steps[47::48].mean() < 1.5 * steps.mean()


def test_a_plant_of_every_genus_stays_near_its_tile():
    for genus in GENERA:
        rng = generator(7, genus.name)
        stands = [stand for _ in range(5) for stand in genus.habit.stands(rng)]
        assert max(np.hypot(*stand.point(1.0)) for stand in stands) < 0.6, genus.name


@pytest.mark.parametrize(
    "asked",
    [
        {"species_count": SPECIES_LIMIT + 1},
        {"plants_per_species": 2},
        {"quadrat_rows": 1, "quadrat_cols": 3},
        {"quadrat_rows": -2, "quadrat_cols": -2},
        {"quadrat_count": -1},
        {"tile_px": 8},
    ],
)
def test_a_flora_that_cannot_be_drawn_is_refused_with_its_values(asked):
    with pytest.raises(ValueError, match=str(next(iter(asked.values())))):
        Flora(**asked)
