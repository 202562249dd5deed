import json
import shutil
from datetime import date

import numpy as np
import pytest
from lake_rows import day, filled, frame, held, rows
from own_processes import killed_after_append, killed_before_append

from lake import priors, query, tables
from lake.errors import LakeError
from lake.priors import Bounds, ClusterPrior, FactPrior, MaskPrior, TaxonPrior, TrainingSide
from lake.tables import Lake

PRIOR_TABLES = ("priors", "prior_places", "prior_specs")
RECORDS = "dataset image_name image_id observation_id latitude longitude country_code observed_on"
PREDICTIONS = "model_version scheme_id image_id tile_index rank species_id probability"
SIDE = TrainingSide("d", "half")
CLUSTER_OF = {"a1": 0, "a2": 0, "a4": 1}
NORTH = MaskPrior(Bounds(55, 0, 90, 30))
LEARNT = [
    ("o1", "s1", 60.0, 10.0, "NO", date(2024, 5, 1)),
    ("o2", "s1", 60.0, 10.0, "NO", date(2024, 5, 2)),
    ("o3", "s2", 44.0, 4.0, "FR", date(2024, 7, 1)),
    ("o4", "s3", None, None, None, None),
]
NAMED = [("s1", "Poa", "Poaceae"), ("s2", "Carex", "Cyperaceae"), ("s3", None, None), ("s4", "Briza", "Poaceae")]
ASKED = [("a1", "NO", date(2025, 5, 9)), ("a2", "FI", None), ("a3", None, date(2025, 1, 9)), ("a4", "FR", None)]


@pytest.fixture(scope="module")
def taken_in(empty_tables, tmp_path_factory):
    """Four observations to learn from, one held out that says otherwise, and four others, three of them answered."""
    folder = shutil.copytree(empty_tables, tmp_path_factory.mktemp("taken_in") / "lake")
    lake = Lake(str(folder))
    # two photographs of o1, and of a1
    learnt = [("d", f"{o}.jpg", f"i-{o}", o, *rest) for o, _, *rest in (LEARNT[0], *LEARNT)]
    learnt[0] = ("d", "o1-2.jpg", "i-o1-2", *learnt[0][3:])
    held_out = ("d", "v1.jpg", "i-v1", "v1", 44.0, 4.0, "NO", date(2024, 5, 3))
    asked = [("new", f"{o}.jpg", f"i-{o}", o, None, None, country, seen) for o, country, seen in ASKED]
    second = ("new", "a1-2.jpg", "i-a1-2", "a1", None, None, "NO", None)
    tables.append(lake, "image_records", filled("image_records", RECORDS, *learnt, held_out, *asked, second))
    columns = "dataset observation_id species_id source status labelled_at"
    labelled = [*((observation, species) for observation, species, *_ in LEARNT), ("v1", "s2")]
    given = [("d", observation, species, "folder", "given", day(1)) for observation, species in labelled]
    tables.append(lake, "labels", filled("labels", columns, *given))
    sides = [("half", one, "val" if one == "v1" else "train", "drawn", one) for one, _ in labelled]
    tables.append(lake, "splits", filled("splits", "split_id observation_id split reason group_id", *sides))
    tables.append(lake, "species", filled("species", "species_id genus family", *NAMED))
    best = [("i-a1", "s1", 0.75), ("i-a1-2", "s2", 0.25), ("i-a2", "s1", 0.5), ("i-a4", "s3", 0.125)]
    tiles = [("m/1", "whole", image, 0, 1, species, probability) for image, species, probability in best]
    tables.append(lake, "tile_predictions", filled("tile_predictions", PREDICTIONS, *tiles))
    return folder


@pytest.fixture
def stocked(taken_in, tmp_path):
    return Lake(str(shutil.copytree(taken_in, tmp_path / "lake")))


@pytest.fixture(scope="module")
def known(taken_in, tmp_path_factory):
    """A lake to look at, and its priors by their kind."""
    lake = Lake(str(shutil.copytree(taken_in, tmp_path_factory.mktemp("known") / "lake")))
    return lake, {
        "country": by_fact(lake),
        "month": by_fact(lake, "month", "when", shrinkage=1.0),
        "cluster": by_cluster(lake, CLUSTER_OF),
        "mask": mask(lake),
        "taxonomy": by_taxon(lake),
    }


def by_fact(lake, fact="country", name="where", shrinkage=10.0, dataset="new", learnt_from=SIDE):
    return priors.learn_by_fact(lake, name, FactPrior(fact, shrinkage), learnt_from, dataset, "run")


def by_cluster(lake, cluster_of, model_version="m/1", dataset="new"):
    spec = ClusterPrior(model_version, "whole", "key", cluster_count=2)
    return priors.learn_by_cluster(lake, "looks", spec, cluster_of, dataset, "run")


def mask(lake, region=NORTH, dataset="new"):
    return priors.learn_mask(lake, "north", region, SIDE, dataset, "run")


def by_taxon(lake, rank="genus", learnt_from=SIDE):
    return priors.learn_by_taxon(lake, "kin", TaxonPrior(rank), learnt_from, "new", "run")


def weights(lake, learnt):
    """What a prior says: (place, species) to weight."""
    found = held(lake, "priors", "prior_id place species_id weight")
    return {(place, species): weight for prior_id, place, species, weight in found if prior_id == learnt.prior_id}


def places(lake, learnt):
    found = held(lake, "prior_places", "prior_id dataset observation_id place")
    return [row[1:] for row in found if row[0] == learnt.prior_id]


def applied(known, kind, *scores, strength=1.0):
    """Weigh (observation_id, species_id, score, votes); return the scores after, and the effect."""
    lake, learnt = known
    prior = {"prior_id": learnt[kind].prior_id, "dataset": "new"}
    before = frame("observation_id species_id score votes", *scores)
    with query.session(lake, tables.latest(lake, "priors", "prior_places"), {"scores": before}) as ask:
        after = ask.answer("priors/weighted_scores", **prior, strength=strength)
        ask.show("scores_before", before)
        ask.show("scores_after", after)
        (effect,) = ask.answer("priors/effect", **prior).to_pylist()
    return rows(after, "observation_id species_id score is_fallback"), effect


def test_a_country_is_learnt_by_observation_from_the_training_side_alone(known):
    # In all: s1 3/7, s2 2/7, s3 2/7. In NO: (2 + 10 * 3/7) / 12 ...; the one that is held out would add s2 to NO.
    lake, learnt = known
    in_norway = {("NO", "s1"): (2 + 30 / 7) / 12, ("NO", "s2"): 20 / 7 / 12, ("NO", "s3"): 20 / 7 / 12}
    in_france = {("FR", "s1"): 30 / 7 / 11, ("FR", "s2"): (1 + 20 / 7) / 11, ("FR", "s3"): 20 / 7 / 11}
    assert weights(lake, learnt["country"]) == pytest.approx({**in_norway, **in_france})
    assert (learnt["country"].kind, learnt["country"].place_count, learnt["country"].species_count) == ("country", 2, 3)


def test_an_observation_without_a_country_or_in_one_that_training_does_not_know_is_in_no_place(known):
    lake, learnt = known
    assert places(lake, learnt["country"]) == [("new", "a1", "NO"), ("new", "a4", "FR")]
    assert (learnt["country"].placed_count, learnt["country"].observation_count) == (2, 4)


def test_a_month_is_that_of_the_day_of_any_year(known):
    lake, learnt = known
    assert places(lake, learnt["month"]) == [("new", "a1", "5")]
    assert weights(lake, learnt["month"])["5", "s1"] == pytest.approx((2 + 3 / 7) / 3)
    assert {place for place, _ in weights(lake, learnt["month"])} == {"5", "7"}


def test_a_data_set_can_learn_from_itself(stocked):
    learnt = by_fact(stocked, dataset="d")
    assert places(stocked, learnt) == [("d", "o1", "NO"), ("d", "o2", "NO"), ("d", "o3", "FR"), ("d", "v1", "NO")]


def test_a_cluster_is_what_a_model_finds_there_and_needs_no_label(known):
    # a1 says 0.375 of s1 and 0.125 of s2 (two photographs), a2 0.5 of s1; a3 was never embedded.
    lake, learnt = known
    assert weights(lake, learnt["cluster"]) == {("0", "s1"): 0.875, ("0", "s2"): 0.125, ("1", "s3"): 1.0}
    assert places(lake, learnt["cluster"]) == [("new", "a1", "0"), ("new", "a2", "0"), ("new", "a4", "1")]
    assert (learnt["cluster"].kind, learnt["cluster"].placed_count) == ("cluster", 3)


def test_a_cluster_that_a_model_has_not_seen_is_no_place(stocked):
    assert places(stocked, by_cluster(stocked, {"a1": 0, "a3": 1})) == [("new", "a1", "0")]
    with pytest.raises(
        LakeError, match="'looks' would change nothing: none of 4 observations of 'new' is in a cluster"
    ):
        by_cluster(stocked, {"a1": 0}, model_version="m/2")


def test_the_photographs_of_an_observation_look_like_their_mean(stocked):
    vectors = [("i-a1", [1.0, 0.0]), ("i-a1-2", [0.0, 1.0]), ("i-a4", [3.0, 3.0])]
    columns = "embedding_key scheme_id image_id tile_index cls"
    whole = [("key", "whole", image, 0, vector) for image, vector in vectors]
    others = [("key", "grid-1x2", "i-a4", 0, [9.0, 9.0]), ("other", "whole", "i-a4", 0, [9.0, 9.0])]
    tables.append(stocked, "embeddings", filled("embeddings", columns, *whole, *others))
    observations, found = priors.vectors_of_observations(stocked, "new", "key")
    assert observations == ["a1", "a4"]
    np.testing.assert_array_equal(found, [[0.5, 0.5], [3.0, 3.0]])


def test_a_mask_keeps_what_was_recorded_there_and_what_nobody_has_placed(known):
    lake, learnt = known
    # s4 is named and was never recorded
    assert weights(lake, learnt["mask"]) == {("all", "s1"): 1, ("all", "s2"): 0, ("all", "s3"): 1, ("all", "s4"): 1}
    assert places(lake, learnt["mask"]) == [("new", observation, "all") for observation, *_ in ASKED]
    assert (learnt["mask"].kind, learnt["mask"].kept_count, learnt["mask"].species_count) == ("mask", 3, 4)


def test_a_mask_does_not_learn_from_what_is_held_out_and_can_leave_out_what_nobody_has_placed(stocked):
    # the only record of s2 in NO is v1
    norway = mask(stocked, MaskPrior(country_codes=("NO",), keep_unplaced=False))
    assert {species for (_, species), weight in weights(stocked, norway).items() if weight} == {"s1"}


@pytest.mark.parametrize(
    ("region", "words"),
    [
        (MaskPrior(Bounds(-90, -180, 90, 180)), "keep every one of 4 species on record"),
        (MaskPrior(country_codes=("JP",), keep_unplaced=False), "remove every one of 4 species on record"),
    ],
)
def test_a_mask_that_keeps_or_removes_every_species_is_refused(stocked, region, words):
    with pytest.raises(LakeError, match=f"the mask 'north' would {words}, by 'd'"):
        mask(stocked, region)
    assert held(stocked, "prior_specs", "prior_id") == []


def test_a_species_weighs_what_its_genus_does_and_one_of_no_genus_is_one_of_its_own(known):
    # Poa 2, Carex 1, the genus of s3 1, and one more of each; s4 is named and was never seen.
    lake, learnt = known
    expected = {"s1": 3 / 8, "s2": 2 / 8, "s3": 2 / 8, "s4": 1 / 8}
    assert weights(lake, learnt["taxonomy"]) == {("all", species): weight for species, weight in expected.items()}
    assert places(lake, learnt["taxonomy"]) == [("new", observation, "all") for observation, *_ in ASKED]
    assert (learnt["taxonomy"].kind, learnt["taxonomy"].place_count) == ("taxonomy", 1)


def test_a_species_that_nobody_has_seen_weighs_what_its_family_does(stocked):
    found = weights(stocked, by_taxon(stocked, "family"))
    assert found["all", "s1"] == found["all", "s4"] == 3 / 7
    assert found["all", "s2"] == found["all", "s3"] == 2 / 7


def test_species_of_a_single_genus_or_of_none_that_is_known_are_refused(stocked):
    names = [(species, "Poa", day(2)) for species, *_ in NAMED]
    tables.append(stocked, "species", filled("species", "species_id genus recorded_at", *names))
    with pytest.raises(
        LakeError, match=r"'kin' would change nothing: of 4 .* of the genus 'Poa', those of 'd' as well; take in"
    ):
        by_taxon(stocked)


def test_a_model_that_says_a_former_id_is_weighed_as_its_accepted_species(stocked):
    changes = [("s2", "s9", "rename"), ("old", "s1", "merge"), ("older", "old", "rename"), ("s4", "x", "split")]
    columns = "old_species_id new_species_id kind"
    tables.append(
        stocked, "taxon_changes", filled("taxon_changes", columns, *changes, ("s4", "y", "split"), ("z", "s8", "merge"))
    )
    tables.append(stocked, "species", filled("species", "species_id genus", ("s9", "Carex")))
    learnt = by_fact(stocked), mask(stocked), by_taxon(stocked)
    for one, place, count in zip(learnt, ("FR", "all", "all"), (3, 4, 4), strict=True):
        found = weights(stocked, one)
        assert found[place, "s2"] == found[place, "s9"]
        assert found[place, "old"] == found[place, "older"] == found[place, "s1"] != found[place, "s9"]
        assert not {(place, "z"), (place, "s8"), (place, "x")} & found.keys()
        assert one.species_count == count, "a species of two ids is one"
    in_its_own_ids = weights(stocked, by_cluster(stocked, CLUSTER_OF))
    assert {species for _, species in in_its_own_ids} == {"s1", "s2", "s3"}


def test_the_same_prior_again_has_the_same_id_and_writes_nothing(known):
    lake, learnt = known
    before = tables.latest(lake, *PRIOR_TABLES)
    for again in (by_fact(lake), by_cluster(lake, CLUSTER_OF), mask(lake), by_taxon(lake)):
        assert (again.prior_id, again.row_count) == (learnt[again.kind].prior_id, 0)
        assert learnt[again.kind].row_count > 0
    assert tables.latest(lake, *PRIOR_TABLES) == before


def test_what_changes_a_prior_changes_its_id_and_what_does_not_does_not(stocked):
    first = by_fact(stocked)
    # another version of a table, in which nothing that matters is different
    tables.append(stocked, "image_records", filled("image_records", RECORDS, ("x", "x.jpg", "i-x", "x", *[None] * 4)))
    assert by_fact(stocked).prior_id == first.prior_id
    tables.append(
        stocked, "image_records", filled("image_records", RECORDS, ("new", "a9", "i-a9", "a9", *[None] * 2, "NO", None))
    )
    grown = by_fact(stocked)
    assert grown.prior_id != first.prior_id
    assert priors.find(stocked, "where", "new") == grown.prior_id
    assert priors.find(stocked, first.prior_id, "new") == first.prior_id


def test_another_shrinkage_makes_another_prior_and_a_longer_name_is_another_name(stocked):
    first, other = by_fact(stocked), by_fact(stocked, name="where-else", shrinkage=5.0)
    assert priors.find(stocked, "where-else", "new") == other.prior_id
    assert priors.find(stocked, "where", "new") == first.prior_id
    assert weights(stocked, first) != weights(stocked, other)


def test_a_prior_says_how_it_was_made_and_what_was_read(known):
    lake, learnt = known
    specs = {row[0]: row[1:] for row in held(lake, "prior_specs", "prior_id kind spec place_count snapshots")}
    kind, spec, count, snapshots = specs[learnt["country"].prior_id]
    assert (kind, count) == ("country", 2)
    assert json.loads(spec) == {
        "kind": "country",
        "shrinkage": 10.0,
        "learnt_from": {"dataset": "d", "split_id": "half"},
        "dataset": "new",
    }
    assert json.loads(snapshots).keys() == {"image_records", "labels", "taxon_changes", "splits", "species"}


@pytest.mark.parametrize(
    ("killed", "table"),
    [(killed_after_append, "priors"), (killed_after_append, "prior_places"), (killed_before_append, "prior_specs")],
)
def test_a_prior_that_is_killed_between_its_commits_is_not_there_and_is_made_whole_by_the_next_run(
    stocked, killed, table
):
    assert killed(by_fact, (stocked,), table, 1)
    with pytest.raises(LakeError, match="there is no prior 'where'"):
        priors.find(stocked, "where", "new")
    learnt = by_fact(stocked)
    assert priors.find(stocked, "where", "new") == learnt.prior_id
    assert len(weights(stocked, learnt)) == len(held(stocked, "priors", "prior_id")) == 6
    assert len(places(stocked, learnt)) == 2


def test_a_prior_that_is_not_there_is_an_error_that_names_those_that_are(lake, known):
    with pytest.raises(
        LakeError,
        match="there is no prior 'when' for 'new'; for it there are none, for other data sets none: `taxalake prior`",
    ):
        priors.find(lake, "when", "new")
    lake, learnt = known
    named = ", ".join(sorted(one.prior_id for one in learnt.values()))
    with pytest.raises(LakeError, match=f"there is no prior 'whence' for 'new'; for it there are {named},"):
        priors.find(lake, "whence", "new")


def test_a_prior_that_changes_scores_has_an_effect(known):
    after, effect = applied(known, "country", ("a1", "s1", 0.25, 1), ("a1", "s2", 0.5, 2), ("a2", "s2", 0.5, 1))
    less = (20 / 7) / (2 + 30 / 7)
    assert after == [
        ("a1", "s1", 0.25, False),
        ("a1", "s2", pytest.approx(0.5 * less), False),
        ("a2", "s2", 0.5, False),
    ]
    assert effect == {
        **{"observation_count": 2, "changed_best_count": 1, "changed_score_count": 1, "removed_count": 0},
        **{"weighted_count": 2, "fallback_count": 0, "unplaced_count": 1},
    }
    priors.require_effect(effect, "it")


def test_an_observation_that_a_mask_would_empty_falls_back_and_is_counted(known):
    after, effect = applied(known, "mask", ("a1", "s1", 0.25, 1), ("a1", "s2", 0.5, 2), ("a2", "s2", 0.5, 1))
    assert after == [("a1", "s1", 0.25, False), ("a2", "s2", 0.5, True)]
    assert (effect["removed_count"], effect["fallback_count"], effect["changed_best_count"]) == (1, 1, 1)
    priors.require_effect(effect, "it")


def refusal(known, kind, *scores, **options):
    _, effect = applied(known, kind, *scores, **options)
    with pytest.raises(LakeError, match=r"^the prior it changes nothing: ") as caught:
        priors.require_effect(effect, "it")
    return str(caught.value)


def test_a_mask_that_removes_nothing_is_an_error(known):
    said = refusal(known, "mask", ("a1", "s1", 0.5, 1), ("a2", "s3", 0.5, 1))
    assert "every species that was answered is as likely as the likeliest one; ask for a narrower region" in said


def test_a_mask_that_would_remove_everything_is_an_error_too(known):
    said = refusal(known, "mask", ("a1", "s2", 0.5, 1), ("a2", "s2", 0.5, 1))
    assert "it would leave 2 of 2 observations without an answer" in said


@pytest.mark.parametrize("kind", ["country", "mask"])
def test_a_prior_that_knows_none_of_the_answers_by_its_ids_is_an_error_though_scores_change(known, kind):
    # positions of classes, where ids were meant
    said = refusal(known, kind, ("a1", "0", 0.5, 1), ("a1", "1", 0.25, 1))
    assert "it knows none of the species that were answered" in said


def test_a_prior_that_knows_no_place_of_the_observations_is_an_error(known):
    said = refusal(known, "country", ("a2", "s1", 0.5, 1), ("a3", "s2", 0.5, 1))
    assert "none of the 2 observations is in a place that it knows" in said


def test_a_prior_without_strength_is_an_error(known):
    assert "a strength above 0" in refusal(known, "country", ("a1", "s2", 0.5, 1), strength=0.0)


def test_where_training_has_nothing_nothing_is_learnt(stocked):
    def masked(lake, learnt_from):
        return priors.learn_mask(lake, "m", NORTH, learnt_from, "new", "run")

    for learn in (by_fact, masked, by_taxon):
        with pytest.raises(LakeError, match="training side of 'other', and 'd' has no labelled observation there"):
            learn(stocked, learnt_from=TrainingSide("d", "other"))


def test_where_nothing_at_all_is_known_no_genus_is_learnt(lake):
    with pytest.raises(LakeError, match="training side of 'half', and 'd' has no labelled observation there"):
        by_taxon(lake)


def test_a_prior_in_which_no_observation_has_a_place_is_refused(stocked):
    nowhere = ("blank", "b.jpg", "i-b", "b", None, None, "JP", date(2025, 1, 9))
    tables.append(stocked, "image_records", filled("image_records", RECORDS, nowhere))
    with pytest.raises(LakeError, match=r"none of 1 observations of 'blank' is in a country .* known \(FR, NO\)"):
        by_fact(stocked, dataset="blank")
    with pytest.raises(LakeError, match=r"none of 1 observations of 'blank' is in a month .* known \(5, 7\)"):
        by_fact(stocked, "month", dataset="blank")


@pytest.mark.parametrize(("fact", "column"), [("month", "observed_on"), ("country", "country_code")])
def test_a_prior_by_what_nobody_has_said_names_the_data_set_and_the_column_that_lacks_it(stocked, fact, column):
    bare = ("bare", "b.jpg", "i-b", "b", None, None, None, None)
    tables.append(stocked, "image_records", filled("image_records", RECORDS, bare))
    columns = "dataset observation_id species_id source status labelled_at"
    tables.append(stocked, "labels", filled("labels", columns, ("bare", "b", "s1", "folder", "given", day(1))))
    sides = ("half", "b", "train", "drawn", "b")
    tables.append(stocked, "splits", filled("splits", "split_id observation_id split reason group_id", sides))
    lacks = rf"of 'bare' has a {fact} \(image_records.{column}\); .*"
    with pytest.raises(LakeError, match=f"none of 1 training observations {lacks}another data set"):
        by_fact(stocked, fact, learnt_from=TrainingSide("bare", "half"))
    with pytest.raises(LakeError, match=f"none of 1 observations {lacks}another kind of prior"):
        by_fact(stocked, fact, dataset="bare")
    assert held(stocked, "prior_specs", "prior_id") == []


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: FactPrior("author"), "by country or month, not by 'author'"),
        (lambda: FactPrior("month", 0.0), "a shrinkage of 0.0"),
        (lambda: FactPrior("month", float("nan")), "a shrinkage of nan"),
        (lambda: TaxonPrior("order"), "by their genus or family, not by their 'order'"),
        (lambda: MaskPrior(), "neither bounds nor countries"),
        (lambda: Bounds(10, 0, 5, 1), "latitudes 10 to 5"),
        (lambda: Bounds(0, 170, 5, -170), "across 180 degrees"),
        (lambda: Bounds(0, 0, 91, 1), "latitudes 0 to 91"),
        (lambda: Bounds(float("nan"), 0, 5, 1), "latitudes nan to 5"),
    ],
)
def test_what_makes_no_sense_is_refused_with_what_does(make, words):
    with pytest.raises(LakeError, match=words):
        make()
