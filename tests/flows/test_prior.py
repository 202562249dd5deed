import json
import shutil
from datetime import UTC, date, datetime

import pyarrow as pa
import pytest
from coloured import lake_of, new_home, rows, take_in
from homes import content, versions

from flows.prior import prior
from flows.settings import SettingsError
from flows.train import train
from lake import priors, tables
from lake.errors import LakeError
from lake.schemas import TABLES
from modeling.errors import RegistryError, TrainingError

NORTH = (55.0, 0.0, 90.0, 30.0)
# Two species, one in Norway in May and one in France in July, five observations of each.
SEEN = {"1": ("NO", 60.0, date(2024, 5, 1)), "2": ("FR", 45.0, date(2024, 7, 1))}


def append(home, table, given):
    fixed = {"flow_run_id": "run", "ingested_at": datetime(2026, 1, 1, tzinfo=UTC), "source_uri": ""}
    fixed |= {"source": "folder", "status": "given"}
    fixed |= dict.fromkeys(("labelled_at", "recorded_at"), fixed["ingested_at"])
    columns = TABLES[table].columns
    kept = [{name: value for name, value in {**fixed, **row}.items() if name in columns.names} for row in given]
    tables.append(lake_of(home), table, pa.Table.from_pylist(kept, schema=columns))


def record(home, dataset, observations):
    """Put observations on record: (observation_id, species_id), where and when that species is seen."""
    places = [(*one, *SEEN[one[1]]) for one in observations]
    append(
        home,
        "image_records",
        [
            {
                **{"dataset": dataset, "image_name": f"{name}.jpg", "image_id": f"i-{name}", "observation_id": name},
                **{"country_code": country, "latitude": latitude, "longitude": 10.0, "observed_on": seen},
            }
            for name, _, country, latitude, seen in places
        ],
    )


@pytest.fixture(scope="module")
def recorded(empty_home, tmp_path_factory):
    """A home with ten labelled observations of d, and two of new that nobody has labelled."""
    home = shutil.copytree(empty_home, tmp_path_factory.mktemp("recorded") / "home")
    tables.create_missing(lake_of(home))
    labelled = [(f"o{species}{number}", species) for species in SEEN for number in range(5)]
    record(home, "d", labelled)
    append(
        home, "labels", [{"dataset": "d", "observation_id": one, "species_id": species} for one, species in labelled]
    )
    record(home, "new", [("a1", "1"), ("a2", "2")])
    genera = {"1": "Poa", "2": "Poa", "3": "Carex"}
    append(home, "species", [{"species_id": one, "genus": genus, "family": "Poales"} for one, genus in genera.items()])
    return home


@pytest.fixture
def placed(recorded, tmp_path):
    """The same, to write into."""
    return shutil.copytree(recorded, tmp_path / "placed")


@pytest.fixture(scope="module")
def trained(tmp_path_factory, empty_home, backbone):
    """A home in which two colours were learnt."""
    home = new_home(empty_home, tmp_path_factory.mktemp("trained") / "home")
    take_in(home, [*rows("10", 5), *rows("9", 5)])
    train.fn("d", "m", backbone, home, {"head": "nearest"})
    return home


def test_a_prior_by_country_is_learnt_from_the_training_side_of_another_data_set(placed):
    report = prior.fn("new", "country", learn_from="d", home=placed)
    assert (report.kind, report.places, report.species) == ("country", 2, 2)
    assert (report.observations_placed, report.observations, report.committed) == (2, 2, True)
    assert report.prior_id == priors.find(lake_of(placed), "country", report.dataset)
    # one observation of each species is held out: (4 + 10 / 2) / (4 + 10)
    by_place = {(row["place"], row["species_id"]): row["weight"] for row in content(placed, "priors")}
    assert by_place["NO", "1"] == by_place["FR", "2"] == pytest.approx(9 / 14)
    assert report.lines() == [f"{report.prior_id}: 2 species in 2 places, for 2 of 2 observations of new"]


def test_a_prior_again_writes_nothing_and_says_so(placed):
    asked = {"dataset": "new", "kind": "month", "learn_from": "d", "name": "when", "home": placed}
    first = prior.fn(**asked)
    before = versions(placed)
    again = prior.fn(**asked)
    assert (first.committed, again.committed, again.prior_id) == (True, False, first.prior_id)
    assert versions(placed) == before
    assert "(known before, nothing new)" in again.lines()[0]
    assert [(row["stage"], row["dataset"]) for row in content(placed, "stage_runs")] == [("prior", "new")]


def test_a_data_set_learns_from_itself_if_no_other_is_named(placed):
    report = prior.fn("d", "country", shrinkage=2.0, home=placed)
    assert (report.observations_placed, report.observations) == (10, 10)
    in_france = [row["weight"] for row in content(placed, "priors") if row["place"] == "FR"]
    assert in_france == pytest.approx([(0 + 2 / 2) / (4 + 2), (4 + 2 / 2) / (4 + 2)])


def test_a_mask_says_how_many_species_it_keeps(placed):
    report = prior.fn("new", "mask", learn_from="d", bounds=NORTH, home=placed)
    assert (report.species_possible, report.species) == (2, 3)
    assert report.lines() == [f"{report.prior_id}: keeps 2 of 3 species on record, for 2 of 2 observations of new"]
    strict = prior.fn("new", "mask", learn_from="d", countries=["FR"], drop_unplaced=True, home=placed)
    assert strict.species_possible == 1


def test_a_mask_that_keeps_everything_is_refused_and_nothing_is_written(placed):
    with pytest.raises(LakeError, match="would keep every one of 3 species on record"):
        prior.fn("new", "mask", learn_from="d", countries=["FR", "NO"], home=placed)
    assert content(placed, "prior_specs") == content(placed, "priors") == []


def test_a_box_is_told_by_south_west_north_and_east_though_they_are_below_zero(taxalake, placed):
    here = ("prior", "mask", "--dataset", "new", "--learn-from", "d", "--drop-unplaced")
    found = taxalake(*here, "--bounds", "-10", "-20.5", "50", "20", "--json", at=placed).json
    assert (found["kind"], found["species_possible"], found["species"]) == ("mask", 1, 3)
    (spec,) = content(placed, "prior_specs")
    assert json.loads(spec["spec"])["bounds"] == {
        **{"min_latitude": -10.0, "min_longitude": -20.5, "max_latitude": 50.0, "max_longitude": 20.0}
    }
    assert "--bounds SOUTH WEST NORTH EAST" in " ".join(taxalake("prior", "--help", at=placed).out.split())


def test_a_prior_by_taxonomy_is_by_genus_unless_told_otherwise(taxalake, placed):
    # Four of each of two species are learnt from: (8 + 1) / (8 + 2) of their genus, and 1 / 10 of the other.
    words = ("prior", "taxonomy", "--dataset", "new", "--learn-from", "d")
    assert ": 3 species, for 2 of 2 observations of new" in taxalake(*words, at=placed).out
    assert {row["species_id"]: row["weight"] for row in content(placed, "priors")} == {"1": 0.9, "2": 0.9, "3": 0.1}
    assert not taxalake(*words, "--rank", "genus", "--json", at=placed).json["committed"]
    assert "every one is of the family 'Poales'" in taxalake(*words, "--rank", "family", at=placed).err


def test_a_rank_that_parts_nothing_is_refused_and_nothing_is_written(placed):
    with pytest.raises(LakeError, match="of 3 species that are known, every one is of the family 'Poales'"):
        prior.fn("new", "taxonomy", learn_from="d", rank="family", home=placed)
    assert content(placed, "prior_specs") == content(placed, "priors") == []


def test_a_split_that_nobody_has_drawn_is_an_error(placed):
    with pytest.raises(LakeError, match="the training side of 'other', and 'd' has no labelled observation there"):
        prior.fn("new", "country", learn_from="d", split_id="other", home=placed)


def test_data_sets_that_are_not_there_are_errors(placed):
    with pytest.raises(LakeError, match="no photograph of a data set 'animals'"):
        prior.fn("animals", "country", learn_from="d", home=placed)
    with pytest.raises(LakeError, match="no photograph of a data set 'animals'"):
        prior.fn("new", "country", learn_from="animals", home=placed)


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        ({"kind": "author"}, "no prior by 'author'; there is one by country, month, mask, taxonomy, cluster"),
        ({"kind": "country", "countries": ["NO"], "clusters": 2}, "by country does not use clusters, countries"),
        ({"kind": "cluster", "shrinkage": 1.0}, "by cluster does not use shrinkage; it uses model, clusters"),
        ({"kind": "month", "rank": "genus"}, "by month does not use rank"),
        ({"kind": "taxonomy", "bounds": NORTH}, "by taxonomy does not use bounds; it uses learn_from, split_id, rank"),
        ({"kind": "cluster"}, "say --model"),
        ({"kind": "month", "name": "a b"}, "'a b' is no name for a prior"),
    ],
)
def test_what_a_kind_cannot_be_told_is_refused(placed, asked, words):
    with pytest.raises(SettingsError, match=words):
        prior.fn("new", home=placed, **asked)


def test_a_prior_by_cluster_parts_what_looks_different_by_what_the_model_says(trained):
    take_in(trained, [*rows("10", 3, side=""), *rows("9", 3, side="")], "new")
    report = prior.fn("new", "cluster", "looks", model="m", clusters=2, home=trained)
    assert (report.places, report.observations_placed, report.committed) == (2, 6, True)
    place_of = {row["observation_id"]: row["place"] for row in content(trained, "prior_places")}
    assert place_of == {
        f"{species}-{number}": str(int(species == "9")) for species in ("10", "9") for number in range(3)
    }
    weight_of = {(row["place"], row["species_id"]): row["weight"] for row in content(trained, "priors")}
    assert weight_of["0", "10"] > 0.5 > weight_of["1", "10"]
    assert weight_of["0", "10"] + weight_of["0", "9"] == pytest.approx(1)
    before = versions(trained)
    again = prior.fn("new", "cluster", "looks", model="m", clusters=2, home=trained)
    assert (again.committed, again.prior_id) == (False, report.prior_id)
    assert versions(trained) == before


def test_a_prior_by_cluster_needs_a_model_and_photographs_that_differ(trained):
    with pytest.raises(RegistryError):
        prior.fn("d", "cluster", model="nobody", home=trained)
    with pytest.raises(TrainingError, match="11 clusters were asked for, of 10 vectors"):
        prior.fn("d", "cluster", model="m", clusters=11, home=trained)
