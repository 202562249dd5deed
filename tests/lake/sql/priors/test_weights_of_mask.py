from lake_rows import frame, rows

from lake.query import answer

RECORDS = (
    ("d", "in", 44.0, 4.0, "FR"),
    ("d", "out", 60.0, 10.0, "NO"),
    ("d", "nowhere", None, None, None),
    ("d", "half", 44.0, None, "NO"),
)
OBSERVED = (("in", "s1"), ("out", "s2"), ("nowhere", "s3"), ("half", "s4"))
EDGES = ("min_latitude", "min_longitude", "max_latitude", "max_longitude")
FRANCE = (41.0, -5.0, 51.0, 10.0)
NONE = (None, None, None, None)


def kept(bounds=NONE, countries=(), keep_unplaced=True, records=RECORDS, observed=OBSERVED, known="s1 s2 s3 s4 s5"):
    frames = {
        "image_records": frame("dataset observation_id latitude longitude country_code", *records),
        "train_observations": frame("observation_id species_id", *observed),
        "known_species": frame("species_id", *((one,) for one in known.split())),
    }
    params = {**dict(zip(EDGES, bounds, strict=True)), "country_codes": list(countries), "keep_unplaced": keep_unplaced}
    found = rows(answer(None, "priors/weights_of_mask", frames=frames, dataset="d", **params))
    assert [species for species, _ in found] == known.split()
    assert {weight for _, weight in found} <= {0.0, 1.0}
    return [species for species, weight in found if weight]


def test_a_species_is_kept_that_was_seen_inside():
    assert kept(FRANCE) == ["s1", "s3", "s4", "s5"]
    assert kept(countries=["NO"]) == ["s2", "s3", "s4", "s5"]


def test_a_species_of_which_nobody_says_where_it_was_is_kept_unless_asked_otherwise():
    assert kept(FRANCE, keep_unplaced=False) == ["s1"]
    # a country says nothing where a box is asked for, nor coordinates where a country is
    assert kept(countries=["FR"], keep_unplaced=False) == ["s1"]
    assert kept(countries=["FR"]) == ["s1", "s3", "s5"]


def test_one_record_inside_is_enough():
    records = (*RECORDS, ("d", "again", 44.0, 4.0, "FR"))
    assert kept(FRANCE, keep_unplaced=False, records=records, observed=(*OBSERVED, ("again", "s2"))) == ["s1", "s2"]


def test_bounds_and_countries_add_up_to_one_region():
    assert kept(FRANCE, ["NO"], keep_unplaced=False) == ["s1", "s2", "s4"]


def test_the_edges_belong_to_the_region():
    assert kept((44.0, 4.0, 44.0, 4.0), keep_unplaced=False) == ["s1"]
    assert kept((44.1, 4.0, 45.0, 4.0), keep_unplaced=False) == []


def test_records_of_another_data_set_say_nothing():
    assert kept(FRANCE, keep_unplaced=False, records=[("other", *row[1:]) for row in RECORDS]) == []
