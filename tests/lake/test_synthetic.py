import csv
import shutil
from collections import Counter, defaultdict
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from lake.sources import synthetic
from lake.sources.synthetic import Flora, draw, species_of

SMALL = Flora(2, plants_per_species=5, quadrat_count=1, quadrat_rows=2, quadrat_cols=2, tile_px=32)


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as lines:
        return list(csv.DictReader(lines))


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return draw(SMALL, tmp_path_factory.mktemp("small")).folder


@pytest.fixture
def copy(small: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(small, tmp_path / "copy"))


def without_pictures(monkeypatch: pytest.MonkeyPatch) -> None:
    """Write the tables of a flora only: what they say needs no pixels."""
    monkeypatch.setattr(synthetic.PlantPicture, "jpeg", lambda picture, flora: b"")
    monkeypatch.setattr(synthetic.QuadratPicture, "jpeg", lambda picture, flora: b"")


def test_the_same_flora_is_drawn_byte_for_byte_again(small, tmp_path):
    assert contents(draw(SMALL, tmp_path).folder) == contents(small)


def test_another_seed_is_another_flora(small, tmp_path):
    other = contents(draw(replace(SMALL, seed=8), tmp_path).folder)
    pictures = {image for name, image in contents(small).items() if name.endswith(".jpg")}
    assert pictures.isdisjoint(other.values())


def test_a_larger_flora_draws_the_plants_of_a_smaller_alike(small, tmp_path):
    larger = contents(draw(replace(SMALL, species_count=3, plants_per_species=6), tmp_path).folder)
    plants = {name: image for name, image in contents(small).items() if name.startswith("plants/")}
    assert plants.items() <= larger.items()


def test_the_tables_name_every_picture_and_no_other(small):
    named = [row["image"] for table in ("plants.csv", "quadrats.csv") for row in rows(small / table)]
    assert sorted(named) == sorted(name for name in contents(small) if name.endswith(".jpg"))
    assert len(named) == SMALL.picture_count


def test_a_plant_is_a_square_of_one_tile_and_a_quadrat_of_rows_by_cols(tmp_path):
    flora = replace(SMALL, plants_per_species=3, quadrat_rows=2, quadrat_cols=3)
    drawn = draw(flora, tmp_path)
    plant, quadrat = rows(drawn.plants_csv)[0]["image"], rows(drawn.quadrats_csv)[0]["image"]
    assert Image.open(tmp_path / plant).size == (32, 32)
    assert Image.open(tmp_path / quadrat).size == (3 * 32, 2 * 32)


def test_a_finished_drawing_is_left_alone(copy):
    before = {path: path.stat().st_mtime_ns for path in copy.rglob("*")}
    assert draw(SMALL, copy).new_picture_count == 0
    assert {path: path.stat().st_mtime_ns for path in copy.rglob("*")} == before


def test_a_killed_drawing_is_completed_to_the_same_bytes(small, tmp_path):
    def kill(count: int) -> None:
        if count == 4:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        draw(SMALL, tmp_path, kill)
    assert not (tmp_path / "plants.csv").exists()
    assert draw(SMALL, tmp_path).new_picture_count == SMALL.picture_count - 4
    assert contents(tmp_path) == contents(small)


def test_a_picture_cut_short_by_a_kill_is_never_under_its_own_name(small, copy, monkeypatch):
    lost = copy / rows(copy / "plants.csv")[0]["image"]
    lost.unlink()

    def killed(path: Path, target: Path) -> None:
        raise KeyboardInterrupt

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


def test_progress_counts_the_pictures_that_are_there(copy):
    (copy / rows(copy / "plants.csv")[2]["image"]).unlink()
    heard: list[int] = []
    assert draw(SMALL, copy, heard.append).new_picture_count == 1
    assert heard == list(range(1, SMALL.picture_count + 1))


def test_a_plant_is_on_one_side_of_the_split_with_all_its_photographs(tmp_path, monkeypatch):
    without_pictures(monkeypatch)
    splits, photographs = defaultdict(set), Counter()
    for row in rows(draw(Flora(), tmp_path).plants_csv):
        splits[row["observation"]].add(row["split"])
        photographs[row["observation"]] += 1
    assert all(len(split) == 1 for split in splits.values())
    assert set(photographs.values()) == {1, 2}


@pytest.mark.parametrize("plants_per_species", [3, 4, 40])
def test_every_species_has_plants_to_train_and_to_test_on(tmp_path, monkeypatch, plants_per_species):
    without_pictures(monkeypatch)
    flora = Flora(plants_per_species=plants_per_species)
    species_ids = [species.species_id for species in species_of(flora)]
    seen = {(row["species_id"], row["split"]) for row in rows(draw(flora, tmp_path).plants_csv)}
    assert seen == {(species_id, split) for species_id in species_ids for split in ("train", "test")}


def test_two_photographs_of_a_plant_differ(small):
    first, second = rows(small / "plants.csv")[:2]
    assert first["observation"] == second["observation"]
    assert (small / first["image"]).read_bytes() != (small / second["image"]).read_bytes()


def test_every_species_of_a_quadrat_stands_in_two_cells():
    flora = Flora(quadrat_count=50)
    for quadrat in synthetic._quadrat_pictures(flora):
        standing = Counter(species.species_id for species in quadrat.cells if species is not None)
        assert 2 <= len(standing) <= 5
        assert min(standing.values()) >= 2
        assert quadrat.species_ids == sorted(standing)
        assert len(quadrat.cells) == flora.quadrat_rows * flora.quadrat_cols


def test_species_have_names_and_identifiers_of_their_own():
    species = species_of(Flora(species_count=synthetic.SPECIES_LIMIT))
    assert len({s.scientific_name for s in species}) == len({s.species_id for s in species}) == len(species)


def test_a_species_keeps_its_identifier_under_another_seed():
    floras = (Flora(species_count=48, seed=seed) for seed in (7, 8))
    one, other = ({s.scientific_name: s.species_id for s in species_of(flora)} for flora in floras)
    shared = one.keys() & other.keys()
    assert shared
    assert all(one[name] == other[name] for name in shared)


def test_every_fourth_species_is_a_sister_of_the_one_before():
    genera = [species.genus.name for species in species_of(Flora(species_count=8))]
    assert genera[2] == genera[3]
    assert genera[6] == genera[7]
    assert len(set(genera)) == 6


def test_the_ground_of_a_quadrat_has_no_seams():
    light = synthetic.Light(1, 0, (1, 1, 1))
    ground = synthetic._ground(4 * 48, 4 * 48, 48, light, synthetic._rng(7, "ground"))
    steps = np.abs(np.diff(ground.mean(axis=0), axis=1)).mean(axis=0)
    assert steps[47::48].mean() < 1.5 * steps.mean()


@pytest.mark.parametrize("genus", synthetic.GENERA, ids=lambda genus: genus.name)
def test_a_plant_of_every_genus_stays_near_its_tile(genus):
    rng = synthetic._rng(7, genus.name)
    for _ in range(5):
        for stand in genus.habit.stands(rng):
            assert np.hypot(*stand.point(1.0)) < 0.6


@pytest.mark.parametrize(
    "asked",
    [
        {"species_count": 1},
        {"species_count": synthetic.SPECIES_LIMIT + 1},
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
