"""Photographs to vectors: several schemes at once, runs that are killed or race, and which vectors are trusted."""

import json
import multiprocessing
import shutil
import time
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
import torch
from homes import content, differences, versions
from own_processes import at_once, begin_with, killed_after_append, killed_before_append, killed_when
from PIL import Image
from transformers import Dinov2Config, Dinov2Model

from flows import settings
from flows.boxes import boxes
from flows.embed import EmbedReport, embed, embed_pending, ensure_embedded
from flows.embed_shards import Job, OneDevice, SeveralDevices, embed_shard, worker_for
from flows.evaluate import evaluate
from flows.ingest import ingest_folder, ingest_table
from flows.predict import predict
from flows.train import train
from lake import embeddings, tables
from lake.errors import LakeError
from modeling import backbones
from modeling.backbones import EmbeddingSpec
from modeling.errors import BackboneError

begin_with("flows.embed", "modeling.embedding", "modeling.network", "transformers.models.dinov2.modeling_dinov2")

PHOTOGRAPHS = {f"{number}.png": (40 + number, 30) for number in range(5)} | {"small.png": (8, 8)}
FINE = "grid-3x9"  # finer than the small one's pixels
TILES = {"whole": 1, "grid-2x2": 4, FINE: 27}
WRITTEN = ("embedding_specs", "ingest_issues", "embeddings")
needs_compiler = pytest.mark.skipif(
    shutil.which("g++") is None and shutil.which("clang++") is None, reason="there is no C++ compiler here"
)


def photograph(number, size):
    """Draw pixels of which none is like its neighbour: whatever is done differently to them shows."""
    pixels = np.random.default_rng(number).integers(0, 256, (size[1], size[0], 3), dtype=np.uint8)
    file = BytesIO()
    Image.fromarray(pixels).save(file, "PNG")
    return file.getvalue()


def drawn(folder, photographs):
    """Draw photographs of one species into a folder and return it."""
    for number, (name, size) in enumerate(photographs.items()):
        path = folder / "Poa_annua" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(photograph(number, size))
    return folder


def save_backbone(folder, spread=0.2, layers=1, **steps):
    """Save a small encoder with random weights from a fixed seed; return its folder."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = Dinov2Model(
            Dinov2Config(
                hidden_size=32,
                num_hidden_layers=layers,
                num_attention_heads=2,
                image_size=28,
                patch_size=14,
                initializer_range=spread,
            )
        )
    model.save_pretrained(folder)
    usual = {
        "image_processor_type": "BitImageProcessor",
        "size": {"height": 28, "width": 28},
        "resample": 3,
        "image_mean": [0.5, 0.5, 0.5],
        "image_std": [0.25, 0.25, 0.25],
    }
    (folder / "preprocessor_config.json").write_text(json.dumps(usual | steps))
    return str(folder)


@pytest.fixture(scope="module")
def backbone(tmp_path_factory):
    return save_backbone(tmp_path_factory.mktemp("backbones") / "small")


@pytest.fixture(scope="module")
def stocked(tmp_path_factory):
    """A home with six photographs, one of them small, none of them embedded."""
    home = tmp_path_factory.mktemp("stocked") / "home"
    ingest_folder.fn(drawn(home.parent / "photographs", PHOTOGRAPHS), "d", home=home)
    return home


@pytest.fixture
def home(stocked, tmp_path):
    """A home of its own with the same photographs, where vectors are of float32 if nothing else is said."""
    home = shutil.copytree(stocked, tmp_path / "home")
    settle(home, dtype="float32")
    return home


def settle(home, **values):
    """Write the settings of a place; processes of their own read them too."""
    lines = [f"{name} = {json.dumps(value)}\n" for name, value in values.items()]
    (home / "taxalake.toml").write_text("".join(lines))


def run(home, backbone, *schemes):
    """Embed at some schemes and hold what is told against the tables."""
    report = embed.fn("d", backbone, list(schemes), home=home)
    require_account(home, report)
    return report


def run_alone(home, backbone, *schemes):
    """Embed in a process of its own, beside which others may embed too."""
    embed.fn("d", backbone, list(schemes), home=home)


def require_account(home: Path, report: EmbedReport):
    """Hold a report against the tables: images = embedded + reused + set aside + without boxes + waiting."""
    image_of = {row["image_name"]: row["image_id"] for row in content(home, "image_records")}
    images, tiles = set(image_of.values()), content(home, "embeddings")
    for scheme_id, counts in report.schemes.items():
        place = (report.embedding_key, scheme_id)
        done = {row["image_id"] for row in tiles if (row["embedding_key"], row["scheme_id"]) == place}
        kind = f"not_embedded:{report.embedding_key}:{scheme_id}"
        failed = {image_of[row["image_name"]] for row in content(home, "ingest_issues") if row["kind"] == kind}
        boxed = {row["image_id"] for row in content(home, "boxes") if row["scheme_id"] == scheme_id}
        wanted = boxed if scheme_id.startswith("boxes-") else images
        assert counts.embedded + counts.reused == len(done)
        assert counts.set_aside == len(failed)
        assert counts.without_boxes == len(images - wanted)
        assert counts.waiting == len(wanted - done - failed)
        assert counts.images == len(images)


def tiles_per_image(home):
    """How many tiles each image has under each scheme, by the names of both."""
    names = {row["image_id"]: row["image_name"].split("/")[-1] for row in content(home, "image_records")}
    counted = {}
    for row in content(home, "embeddings"):
        place = (names[row["image_id"]], row["scheme_id"])
        counted[place] = counted.get(place, 0) + 1
    return counted


def test_each_photograph_gets_its_tiles_under_each_scheme(home, backbone):
    report = run(home, backbone, "whole", "grid-2x2")
    assert {scheme: (counts.embedded, counts.reused, counts.tiles) for scheme, counts in report.schemes.items()} == {
        "whole": (6, 0, 6),
        "grid-2x2": (6, 0, 24),
    }
    expected = {(name, scheme): TILES[scheme] for name in PHOTOGRAPHS for scheme in ("whole", "grid-2x2")}
    assert tiles_per_image(home) == expected
    assert content(home, "embedding_specs")[0]["embedding_key"] == report.embedding_key


def test_of_schemes_that_are_asked_for_again_only_the_new_one_is_embedded(home, backbone):
    run(home, backbone, "whole")
    (before,) = [row for row in content(home, "stage_runs") if row["stage"] == "embed"]
    report = run(home, backbone, "grid-2x2", "whole")
    counts = {scheme: (counts.embedded, counts.reused) for scheme, counts in report.schemes.items()}
    assert counts == {"grid-2x2": (6, 0), "whole": (0, 6)}
    (ledger,) = [row for row in content(home, "stage_runs") if row["stage"] == "embed" and row != before]
    assert (ledger["rows"], ledger["reused"]) == (6, 6)


def test_a_scheme_that_is_said_twice_or_by_two_names_is_one(home, backbone):
    assert list(run(home, backbone, "whole", "grid-1x1", "whole").schemes) == ["whole"]


@pytest.mark.parametrize("schemes", [None, []])
def test_where_no_scheme_is_said_the_one_of_the_place_is_taken(home, backbone, schemes):
    settle(home, dtype="float32", tiling="grid-2x2")
    assert list(embed.fn("d", backbone, schemes, home=home).schemes) == ["grid-2x2"]


@pytest.fixture(scope="module")
def undisturbed(stocked, backbone, tmp_path_factory):
    """A home in which everything was embedded at once."""
    home = shutil.copytree(stocked, tmp_path_factory.mktemp("undisturbed") / "home")
    settle(home, dtype="float32")
    run(home, backbone, "whole", FINE)
    return home


@pytest.mark.parametrize(
    "values",
    [{"embed_shard_tiles": 1}, {"embed_shard_tiles": 30}, {"batch_size": 1}, {"batch_size": 7}, {"threads": 1}],
    ids=str,
)
def test_vectors_are_the_same_whatever_is_done_at_once(home, backbone, undisturbed, values):
    settle(home, dtype="float32", **values)
    run(home, backbone, "whole", FINE)
    assert differences(home, undisturbed, *WRITTEN) == []


def test_vectors_are_the_same_whichever_schemes_are_asked_for_together(home, backbone, undisturbed):
    run(home, backbone, FINE)
    run(home, backbone, "grid-2x2", "whole", FINE)
    other = shutil.copytree(undisturbed, home.parent / "other")
    run(other, backbone, "grid-2x2")
    assert differences(home, other, *WRITTEN) == []


def test_a_shard_is_one_commit(home, backbone):
    settle(home, dtype="float32", embed_shard_tiles=10)
    run(home, backbone, "whole", "grid-2x2")
    assert versions(home)["embeddings"] == 3


def test_a_photograph_that_fails_under_one_scheme_is_set_aside_under_that_one_alone(home, backbone):
    report = run(home, backbone, "whole", FINE)
    counts = {scheme: (counts.embedded, counts.set_aside) for scheme, counts in report.schemes.items()}
    assert counts == {"whole": (6, 0), FINE: (5, 1)}
    (issue,) = content(home, "ingest_issues")
    assert (issue["image_name"], issue["kind"]) == (
        "Poa_annua/small.png",
        f"not_embedded:{report.embedding_key}:{FINE}",
    )
    assert "cannot cut a 8x8 px image" in issue["detail"]
    again = run(home, backbone, "whole", FINE)
    assert (again.committed, again.schemes[FINE].set_aside) == (False, 1)


def test_where_nothing_is_new_nothing_is_committed_and_no_backbone_is_loaded(home, backbone):
    run(home, backbone, "whole", FINE)
    before = versions(home)
    # Whoever loads a backbone there is told that there is no such device.
    settle(home, dtype="float32", device="nowhere")
    report = run(home, backbone, FINE, "whole")
    assert not report.committed
    assert versions(home) == before
    assert [line.endswith("no backbone was loaded") for line in report.lines()] == [True, True]
    with pytest.raises(RuntimeError, match="nowhere"):
        run(home, backbone, "whole", "grid-2x2")


def test_the_ledger_says_how_long_decoding_network_and_writing_took(home, backbone):
    run(home, backbone, "whole", "grid-2x2")
    spent = {row["stage"]: row for row in content(home, "stage_runs")}
    parts = ("decode_seconds", "forward_seconds", "write_seconds")
    assert all(0 < spent["embed"][part] < spent["embed"]["seconds"] for part in parts)
    assert [spent["ingest"][part] for part in parts] == [None] * 3
    assert spent["embed"]["bytes"] == sum(row["byte_count"] for row in content(home, "images"))


def place_of(home, backbone, dtype="float32"):
    """The settings of a home, a backbone, and the spec of what both make."""
    files = backbones.find(backbone)
    return settings.load(home=home), files, EmbeddingSpec(files.weights_hash, files.preprocessing, dtype)


def test_photographs_that_a_stage_does_not_ask_for_are_told_to_wait(home, backbone):
    place, files, spec = place_of(home, backbone)
    among = ["Poa_annua/1.png", "Poa_annua/small.png"]
    report = embed_pending(place, "d", files, spec, ["whole", FINE], "run", among)
    require_account(home, report)
    counts = {scheme: (counts.embedded, counts.set_aside, counts.waiting) for scheme, counts in report.schemes.items()}
    assert counts == {"whole": (2, 0, 4), FINE: (1, 1, 4)}


def job_of(home, backbone):
    """What all shards of a run have in common, and the whole photographs that wait."""
    place, files, spec = place_of(home, backbone)
    (planned_on,) = tables.latest(place.lake, "embeddings")
    job = Job(place.model_dump(), "d", files, spec.dtype, 6, planned_on, "run")
    return job, embeddings.pending(place.lake, "d", spec.key, ["whole"])


@pytest.mark.timeout(60)
def test_a_shard_that_breaks_off_lets_the_next_one_have_its_turn(home, backbone):
    settle(home, dtype="float32", threads=1, batch_size=1)
    job, images = job_of(home, backbone)

    def broken(count):
        raise ConnectionError("the server is away")

    with OneDevice(job, "cpu") as worker:
        with pytest.raises(ConnectionError) as caught:
            embed_shard(worker, images, broken)
        assert embed_shard(worker, images, lambda count: None).embedded == {"whole": 6}
    assert "server is away" in str(caught.value), "what has failed is still held while the next one is at work"


def test_the_command_takes_several_tilings_and_a_round_trip(home, backbone, taxalake):
    words = ("--tiling", "whole", "--tiling", "grid-2x2", "--jpeg-round-trip", "85-4:2:2", "--json")
    told = taxalake("embed", "--dataset", "d", "--backbone", backbone, *words)
    assert told.code == 0, told.err
    assert {scheme: counts["tiles"] for scheme, counts in told.json["schemes"].items()} == {"whole": 6, "grid-2x2": 24}
    assert round_trips(home) == {told.json["embedding_key"]: "85-4:2:2"}
    assert list(taxalake("embed", "--dataset", "d", "--backbone", backbone, "--json").json["schemes"]) == ["whole"]


# Boxes


def propose(home, name, **boxes_of):
    """Take in boxes of photographs, four numbers each."""
    csv = home.parent / f"{name}.csv"
    rows = [
        f"Poa_annua/{photograph}.png,{','.join(map(str, box))}\n"
        for photograph, proposed in boxes_of.items()
        for box in proposed
    ]
    csv.write_text("image_name,x0,y0,x1,y1\n" + "".join(rows))
    boxes.fn(csv, "d", name, home)


def rectangles(home, scheme_id):
    """The tiles of each photograph under a scheme, by its name."""
    names = {row["image_id"]: Path(row["image_name"]).stem for row in content(home, "image_records")}
    found = {}
    for row in sorted(content(home, "embeddings"), key=lambda row: row["tile_index"]):
        if row["scheme_id"] == scheme_id:
            edges = tuple(row[edge] for edge in ("x0", "y0", "x1", "y1"))
            found.setdefault(names[row["image_id"]], []).append(edges)
    return found


def test_photographs_are_embedded_at_their_boxes_and_those_without_any_are_not(home, backbone):
    proposed = {"1": [(0, 0, 20, 30), (5, 5, 15, 25)], "small": [(2, 2, 8, 8)]}
    propose(home, "sam", **proposed)
    report = run(home, backbone, "boxes-sam", "whole")
    assert rectangles(home, "boxes-sam") == proposed
    counts = report.schemes["boxes-sam"]
    assert (counts.embedded, counts.tiles, counts.without_boxes) == (2, 3, 4)
    assert "4 have no boxes" in report.lines()[0]
    assert report.schemes["whole"].embedded == 6


def test_a_box_has_the_vectors_of_the_tile_that_it_is(home, backbone):
    propose(home, "sam", **{"1": [(0, 0, 41, 30)]})
    run(home, backbone, "boxes-sam", "whole")
    (image,) = {row["image_id"] for row in content(home, "boxes")}
    boxed, whole = [row for row in content(home, "embeddings") if row["image_id"] == image]
    assert (boxed["scheme_id"], whole["scheme_id"]) == ("boxes-sam", "whole")
    np.testing.assert_allclose(boxed["cls"], whole["cls"], atol=1e-5)


def test_boxes_that_come_later_make_their_photographs_wait(home, backbone):
    propose(home, "sam", **{"1": [(0, 0, 20, 30)]})
    run(home, backbone, "boxes-sam")
    assert not run(home, backbone, "boxes-sam").committed
    propose(home, "sam", **{"1": [(0, 0, 20, 30)], "2": [(3, 3, 9, 9)]})
    counts = run(home, backbone, "boxes-sam").schemes["boxes-sam"]
    assert (counts.embedded, counts.reused, counts.without_boxes) == (1, 1, 4)
    assert rectangles(home, "boxes-sam") == {"1": [(0, 0, 20, 30)], "2": [(3, 3, 9, 9)]}


def test_a_name_that_no_boxes_have_is_refused_with_those_there_are(home, backbone):
    propose(home, "sam", **{"1": [(0, 0, 20, 30)]})
    before = versions(home)
    with pytest.raises(LakeError, match=r"boxes under 'boxes-sma'; there are: boxes-sam \(1 images\)"):
        run(home, backbone, "whole", "boxes-sma")
    assert versions(home) == before


# Runs that are killed or race


SMALL_SHARDS = {"dtype": "float32", "embed_shard_tiles": 60}  # three of whole and FINE


@pytest.mark.parametrize("killed", [killed_before_append, killed_after_append])
@pytest.mark.parametrize(
    ("table", "count"),
    [("embedding_specs", 1), ("ingest_issues", 1), ("embeddings", 1), ("embeddings", 2), ("stage_runs", 1)],
)
def test_an_embedding_killed_beside_a_commit_ends_as_if_undisturbed_when_run_again(
    home, backbone, undisturbed, killed, table, count
):
    settle(home, **SMALL_SHARDS)
    assert killed(run_alone, (home, backbone, "whole", FINE), table, count)
    run(home, backbone, "whole", FINE)
    assert differences(home, undisturbed, *WRITTEN) == []
    assert not run(home, backbone, "whole", FINE).committed


def test_an_embedding_that_is_killed_again_and_again_gets_done(home, backbone, undisturbed):
    settle(home, dtype="float32", embed_shard_tiles=1)
    for done in range(1, 4):
        assert killed_after_append(run_alone, (home, backbone, "whole", FINE), "embeddings", 1)
        assert versions(home)["embeddings"] == done
    run(home, backbone, "whole", FINE)
    assert differences(home, undisturbed, *WRITTEN) == []


def test_two_embeddings_of_the_same_photographs_at_once_end_as_one(home, backbone, undisturbed):
    settle(home, dtype="float32", embed_shard_tiles=1)
    assert at_once(run_alone, (home, backbone, "whole", FINE), (home, backbone, FINE, "whole")) == [0, 0]
    assert differences(home, undisturbed, *WRITTEN) == []
    assert not run(home, backbone, "whole", FINE).committed


def test_several_devices_share_the_shards_and_make_the_same_vectors(home, backbone, undisturbed):
    settle(home, dtype="float32", device="cpu,cpu", embed_shard_tiles=30)
    run(home, backbone, "whole", FINE)
    assert differences(home, undisturbed, *WRITTEN) == []
    assert versions(home)["embeddings"] == 6
    (spent,) = [row for row in content(home, "stage_runs") if row["stage"] == "embed"]
    assert all(spent[f"{part}_seconds"] > 0 for part in ("decode", "forward", "write"))


def test_a_device_whose_process_has_died_is_named_and_gets_another(home, backbone):
    job, images = job_of(home, backbone)
    with SeveralDevices(job, ["cpu"]) as worker:
        before = set(multiprocessing.active_children())
        assert embed_shard(worker, images[:2], lambda count: None).embedded == {"whole": 2}
        (process,) = set(multiprocessing.active_children()) - before
        process.kill()
        with pytest.raises(BackboneError, match="the process of cpu has died"):
            embed_shard(worker, images[2:], lambda count: None)
        assert embed_shard(worker, images[2:], lambda count: None).embedded == {"whole": 4}
    assert set(tiles_per_image(home).values()) == {1}


@needs_compiler
@pytest.mark.slow
def test_a_compiled_network_runs_in_a_process_for_each_core_and_makes_the_same_vectors(home, backbone, undisturbed):
    settle(home, dtype="float32", compile="always", threads=2, embed_shard_tiles=30)
    run(home, backbone, "whole", FINE)
    assert differences(home, undisturbed, *WRITTEN, within=1e-4) == []
    (package,) = (home / "compiled").iterdir()
    job, _ = job_of(home, backbone)
    with worker_for(job, ["cpu"]) as worker:
        assert (type(worker), worker.processes) == (SeveralDevices, 2)
    package.write_bytes(package.read_bytes()[:1000])
    with pytest.raises(BackboneError, match="cannot be loaded"), worker_for(job, ["cpu"]):
        pass
    assert not package.exists()


def test_the_processes_of_devices_end_with_the_run_that_was_killed(home, backbone, undisturbed):
    settle(home, dtype="float32", device="cpu,cpu", embed_shard_tiles=1)
    begun = killed_when(run_alone, (home, backbone, "whole", FINE), lambda: versions(home)["embedding_specs"] == 1)
    assert len(begun) >= 2
    deadline = time.monotonic() + 30
    while any(Path(f"/proc/{child}").exists() for child in begun) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not [child for child in begun if Path(f"/proc/{child}").exists()]
    settle(home, dtype="float32")
    run(home, backbone, "whole", FINE)
    assert differences(home, undisturbed, *WRITTEN) == []


# Which vectors are trusted


@pytest.fixture
def fast(monkeypatch):
    """A processor that computes in bfloat16; one that does not does so too, slowly."""
    monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda: True)


@pytest.fixture(scope="module")
def coarse(tmp_path_factory):
    """A backbone whose vectors bfloat16 moves too far: each layer makes much of what was rounded before it."""
    return save_backbone(tmp_path_factory.mktemp("coarse") / "small", spread=1.0, layers=6)


def specs(home):
    """What is on record of each dtype."""
    return {json.loads(row["spec"])["dtype"]: row for row in content(home, "embedding_specs")}


@pytest.mark.usefixtures("fast")
def test_a_fast_dtype_is_held_against_float32_once_and_the_cosine_kept(home, backbone):
    settle(home)
    report = run(home, backbone, "whole")
    (spec,) = content(home, "embedding_specs")
    assert (report.dtype, spec["embedding_key"]) == ("bfloat16", report.embedding_key)
    assert 0.999 <= spec["cosine_to_float32"] < 1
    again = run(home, backbone, "whole", "grid-2x2")
    assert again.embedding_key == report.embedding_key
    assert content(home, "embedding_specs") == [spec]


def test_vectors_of_float32_are_held_against_nothing(home, backbone):
    assert run(home, backbone, "whole").dtype == "float32"
    assert [row["cosine_to_float32"] for row in content(home, "embedding_specs")] == [None]


@pytest.mark.usefixtures("fast")
def test_where_the_fast_dtype_moves_vectors_too_far_auto_computes_in_float32_and_says_so(home, coarse, capsys):
    settle(home)
    report = run(home, coarse, "whole")
    assert report.dtype == "float32"
    measured = specs(home)
    assert measured["bfloat16"]["cosine_to_float32"] < 0.999
    assert measured["float32"]["cosine_to_float32"] is None
    said = f"in bfloat16 have a cosine of only {measured['bfloat16']['cosine_to_float32']:.4f} to those in float32"
    assert f"{said}, and 0.999 is asked for: computing in float32" in capsys.readouterr().err
    assert {row["embedding_key"] for row in content(home, "embeddings")} == {report.embedding_key}
    before = versions(home)
    settle(home, device="nowhere")
    assert not run(home, coarse, "whole").committed
    assert versions(home) == before


def test_a_fast_dtype_that_moves_vectors_too_far_is_refused_when_asked_for_by_name(home, coarse):
    for _ in range(2):
        with pytest.raises(BackboneError, match=r"cosine of only 0\.9\d+ .* 0\.999 is asked for.*--dtype float32"):
            embed.fn("d", coarse, "whole", "bfloat16", home=home)
    assert content(home, "embeddings") == []
    assert len(content(home, "embedding_specs")) == 1


def record(home, backbone, cosine):
    """Put the spec of a backbone in bfloat16 on record."""
    place, files, spec = place_of(home, backbone, "bfloat16")
    row = {"embedding_key": spec.key, "backbone": files.name, "weights_hash": files.weights_hash, "dimension": 32}
    embeddings.append_spec(place.lake, row | {"spec": spec.json, "cosine_to_float32": cosine}, "run")


@pytest.mark.usefixtures("fast")
@pytest.mark.parametrize(("cosine", "dtype"), [(0.5, "float32"), (0.9999, "bfloat16")])
def test_what_was_measured_of_a_spec_is_not_measured_again(home, coarse, capsys, cosine, dtype):
    settle(home)
    record(home, coarse, cosine)
    assert run(home, coarse, "whole").dtype == dtype
    assert ("a cosine of only 0.5000" in capsys.readouterr().err) is (dtype == "float32")


@pytest.mark.usefixtures("fast")
def test_a_spec_that_is_on_record_and_was_never_measured_is_measured(home, coarse):
    settle(home)
    record(home, coarse, None)
    assert run(home, coarse, "whole").dtype == "float32"


def test_a_fast_spec_that_was_made_elsewhere_is_measured_before_it_is_embedded_with(home, backbone, coarse):
    place, _, spec = place_of(home, backbone, "bfloat16")
    ensure_embedded(place, "d", spec.json, backbone, "run")
    assert 0.999 <= specs(home)["bfloat16"]["cosine_to_float32"] < 1
    assert len(content(home, "embeddings")) == 6
    _, _, spec = place_of(home, coarse, "bfloat16")
    with pytest.raises(BackboneError, match=r"cosine of only 0\.9\d+ .* the model has to be made anew"):
        ensure_embedded(place, "d", spec.json, coarse, "run")
    assert len(content(home, "embeddings")) == 6


# JPEG round trips, and backbones that are not what they were


@pytest.fixture(scope="module")
def trained(tmp_path_factory, empty_home, flora, backbone):
    """A home with a head that has learnt from photographs after a JPEG round trip, and quadrats without vectors."""
    home = shutil.copytree(empty_home, tmp_path_factory.mktemp("trained") / "home")
    settle(home, dtype="float32")
    labelled = ("image", "species_id", "observation", "split", "scientific_name")
    ingest_table.fn(flora.plants_csv, "plants", *labelled, home=home)
    ingest_table.fn(flora.quadrats_csv, "quadrats", "image", "species_ids", "quadrat", species_separator="|", home=home)
    embed.fn("plants", backbone, jpeg_round_trip="85-4:2:2", home=home)
    train.fn("plants", "flora", home=home)
    return home


@pytest.fixture
def season(trained, tmp_path):
    """A home of its own with the head and the quadrats."""
    return shutil.copytree(trained, tmp_path / "season")


def round_trips(home):
    return {
        row["embedding_key"]: json.loads(row["spec"])["preprocessing"]["jpeg_round_trip"]
        for row in content(home, "embedding_specs")
    }


def test_a_jpeg_round_trip_is_another_embedding_key_with_other_vectors(home, backbone):
    plain = run(home, backbone, "whole").embedding_key
    kept = embed.fn("d", backbone, "whole", jpeg_round_trip="85-4:2:2", home=home).embedding_key
    coarser = embed.fn("d", backbone, "whole", jpeg_round_trip="30-4:2:0", home=home).embedding_key
    assert round_trips(home) == {plain: None, kept: "85-4:2:2", coarser: "30-4:2:0"}
    vectors = {(row["embedding_key"], row["image_id"]): np.array(row["cls"]) for row in content(home, "embeddings")}
    for image in {row["image_id"] for row in content(home, "images")}:
        own = [vectors[key, image] for key in (plain, kept, coarser)]
        assert min(np.abs(own[0] - own[1]).max(), np.abs(own[1] - own[2]).max()) > 1e-3


def test_a_round_trip_that_is_none_is_refused_before_anything_is_written(home, backbone):
    before = versions(home)
    with pytest.raises(BackboneError, match="no JPEG round trip '101-4:2:2'"):
        embed.fn("d", backbone, "whole", jpeg_round_trip="101-4:2:2", home=home)
    assert versions(home) == before


def test_a_head_that_has_learnt_from_a_round_trip_predicts_with_it_without_being_told(season, backbone):
    told = shutil.copytree(season, season.parent / "told")
    embed.fn("quadrats", backbone, "grid-2x2", jpeg_round_trip="85-4:2:2", home=told)
    # What the place says of its own embeddings is not what the head has learnt from.
    settle(season, dtype="bfloat16", jpeg_round_trip="30-4:2:0")
    assert predict.fn("quadrats", "flora", "grid-2x2", home=season).images_predicted == 3
    assert differences(season, told, "embedding_specs", "embeddings") == []


def altered(backbone, folder, **steps):
    """Copy a backbone whose image processor does something else."""
    shutil.copytree(backbone, folder)
    file = folder / "preprocessor_config.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | steps))
    return str(folder)


def key_of(folder, round_trip="85-4:2:2"):
    files = backbones.with_round_trip(backbones.find(folder), round_trip)
    return EmbeddingSpec(files.weights_hash, files.preprocessing, "float32").key


MEAN = r"they differ in mean \(\[0\.4, 0\.4, 0\.4\], not \[0\.5, 0\.5, 0\.5\]\)"


def test_prediction_refuses_a_backbone_that_sees_photographs_otherwise(season, backbone, tmp_path):
    other = altered(backbone, tmp_path / "other", image_mean=[0.4, 0.4, 0.4])
    before = versions(season)
    needed = f"{other} makes embeddings {key_of(other)}, and {key_of(backbone)} are needed.*{MEAN}"
    for stage in (predict, evaluate):
        with pytest.raises(BackboneError, match=needed):
            stage.fn("quadrats", "flora", "grid-2x2", backbone=other, home=season)
    assert versions(season) == before


@pytest.mark.parametrize("new_photographs", [0, 1])
def test_training_refuses_a_backbone_that_sees_photographs_otherwise(season, backbone, tmp_path, new_photographs):
    other = altered(backbone, tmp_path / "other", image_mean=[0.4, 0.4, 0.4])
    if new_photographs:
        ingest_folder.fn(drawn(tmp_path / "new", {"new.png": (40, 40)}), "plants", home=season)
    needed = f"{other} makes embeddings {key_of(other)}, and {key_of(backbone)} are needed.*{MEAN}"
    with pytest.raises(BackboneError, match=needed):
        train.fn("plants", "flora", other, home=season)


def test_other_weights_are_named_as_what_differs(season, tmp_path):
    other = save_backbone(tmp_path / "other", spread=0.1)
    with pytest.raises(BackboneError, match=f"{key_of(other)}, and .* they differ in the weights"):
        predict.fn("quadrats", "flora", "grid-2x2", backbone=other, home=season)


def test_of_the_vectors_of_the_same_weights_training_takes_those_that_the_backbone_makes(season, backbone, tmp_path):
    other = altered(backbone, tmp_path / "other", image_mean=[0.4, 0.4, 0.4])
    embed.fn("plants", other, home=season)
    assert train.fn("plants", "flora", other, home=season).embedding_key == key_of(other, None)
    assert train.fn("plants", "flora", backbone, home=season).embedding_key == key_of(backbone)


def test_quadrats_are_answered_and_scored_at_their_boxes(season):
    first, second, _ = sorted(
        row["image_name"] for row in content(season, "image_records") if row["dataset"] == "quadrats"
    )
    csv = season.parent / "boxes.csv"
    csv.write_text(
        f"image_name,x0,y0,x1,y1\n{first},0,0,64,64\n{first},64,0,128,64\n{second},0,0,64,64\n{second},9,9,70,70\n"
    )
    boxes.fn(csv, "quadrats", "sam", season)
    report = predict.fn("quadrats", "flora", "boxes-sam", home=season)
    assert (report.images_predicted, report.observations) == (2, 3)
    tiles = {(row["image_id"], row["tile_index"]) for row in content(season, "tile_predictions")}
    assert tiles == {(row["image_id"], row["tile_index"]) for row in content(season, "boxes")}
    scores = evaluate.fn("quadrats", "flora", "boxes-sam", home=season)
    assert (scores.decision_id, scores.observations) == (report.decision_id, 3)
    assert not predict.fn("quadrats", "flora", "boxes-sam", home=season).committed


@pytest.mark.parametrize("stage", [predict, evaluate], ids=["predict", "evaluate"])
def test_no_stage_answers_at_boxes_that_are_not_there(season, stage):
    before = versions(season)
    with pytest.raises(LakeError, match=r"no image of 'quadrats' has boxes under 'boxes-sam'; there are: none"):
        stage.fn("quadrats", "flora", "boxes-sam", home=season)
    assert versions(season) == before
