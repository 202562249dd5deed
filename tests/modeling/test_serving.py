from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from drawn_photographs import plain
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from modeling.backbones import Backbone, EmbeddingSpec, Launched, save_untrained
from modeling.errors import BackboneError, EmbeddingMismatchError, ModelingError, TilingError
from modeling.heads import TrainedHead
from modeling.preprocess import Pixels
from modeling.serving import COLUMNS, backbone_of, identify, photographs_of, rank
from modeling.tiling import parse

RED, GREEN, BLUE = plain("red"), plain("lime"), plain("blue")  # the head calls them 11, 22 and 33


def best(answer: pd.DataFrame) -> list[tuple[int, int, str]]:
    """Return (image, tile_index, species_id) of the first rank."""
    first = answer[answer["rank"] == 1]
    return list(zip(first["image"], first["tile_index"], first["species_id"], strict=True))


def test_the_best_class_comes_first():
    ranked = rank(np.array([[0.0, 2.0, 1.0]], np.float32), k=3)
    assert ranked.class_indices.tolist() == [[1, 2, 0]]
    assert ranked.logits.tolist() == [[2, 1, 0]]


def test_a_tie_goes_to_the_lower_class_index():
    assert rank(np.array([[1, 5, 5, 1, 5]], np.float32), k=4).class_indices.tolist() == [[1, 2, 4, 0]]
    assert rank(np.zeros((1, 500), np.float32), k=500).class_indices.tolist() == [list(range(500))]


def test_probabilities_are_shares_among_all_classes_not_only_the_best():
    ranked = rank(np.log(np.array([[1, 2, 5]], np.float32)), k=2)
    np.testing.assert_allclose(ranked.probabilities, [[5 / 8, 2 / 8]], rtol=1e-6)


@given(arrays(np.float32, (3, 4), elements=st.floats(-1e4, 1e4, width=32)))
def test_probabilities_of_any_logits_sum_to_one_in_falling_order(logits: np.ndarray):
    probabilities = rank(logits, k=4).probabilities
    np.testing.assert_allclose(probabilities.sum(axis=1), 1, rtol=1e-5)
    assert (np.diff(probabilities, axis=1) <= 0).all()


def test_no_more_classes_are_returned_than_there_are():
    ranked = rank(np.zeros((2, 3), np.float32), k=10)
    assert ranked.class_indices.shape == ranked.logits.shape == ranked.probabilities.shape == (2, 3)


@pytest.mark.parametrize("k", [0, -1])
def test_fewer_than_one_class_cannot_be_asked_for(k: int):
    with pytest.raises(ModelingError, match=f"at least one species .* not {k}"):
        rank(np.zeros((1, 3), np.float32), k)


def test_answers_come_in_the_order_of_the_photographs(head: TrainedHead, backbone: Backbone):
    answer = identify(head, backbone, [BLUE, RED, GREEN, RED])
    assert best(answer) == [(0, 0, "33"), (1, 0, "11"), (2, 0, "22"), (3, 0, "11")]


def test_more_than_ten_photographs_keep_their_order(head: TrainedHead, backbone: Backbone):
    answer = identify(head, backbone, [RED] * 10 + [BLUE] * 2, top_k=1)
    assert [species for _, _, species in best(answer)] == ["11"] * 10 + ["33"] * 2


def test_each_tile_is_named_where_it_lies(head: TrainedHead, backbone: Backbone):
    answer = identify(head, backbone, [plain("lime", "blue", width=200, height=80)], "grid-1x2", top_k=1)
    assert answer[["tile_index", "x0", "y0", "x1", "y1", "species_id", "scientific_name"]].to_numpy().tolist() == [
        [0, 0, 0, 100, 80, "22", "lime"],
        [1, 100, 0, 200, 80, "33", "blue"],
    ]


@pytest.mark.parametrize("tiling", ["pyramid-84-2..1", "window-60-s40-b5", "grid-3x2"])
def test_a_photograph_can_be_cut_in_any_way(head: TrainedHead, backbone: Backbone, tiling: str):
    answer = identify(head, backbone, [plain("lime", width=200, height=120)], tiling, top_k=1)
    places = [(tile.index, tile.x0, tile.y0, tile.x1, tile.y1) for tile in parse(tiling).tiles(200, 120)]
    assert list(answer[["tile_index", "x0", "y0", "x1", "y1"]].itertuples(index=False, name=None)) == places
    assert set(answer["species_id"]) == {"22"}


def test_a_photograph_that_cannot_be_cut_so_is_one_row_with_an_error(head: TrainedHead, backbone: Backbone):
    answer = identify(head, backbone, [plain("red", width=3), RED], "grid-1x4", top_k=1)
    assert answer["image"].tolist() == [0, 1, 1, 1, 1]
    assert answer["error"][0] == "cannot cut a 3x84 px image into 1 rows x 4 cols: a tile would be empty"


def test_several_tilings_are_answered_side_by_side(head: TrainedHead, backbone: Backbone):
    photographs = [plain("red", width=100), plain("lime", "blue", width=200)]
    answer = identify(head, backbone, photographs, "whole+grid-1x2", top_k=1)
    rows = answer[["image", "scheme_id", "tile_index", "x0", "x1"]].itertuples(index=False, name=None)
    assert list(rows) == [
        *((0, "grid-1x2", 0, 0, 50), (0, "grid-1x2", 1, 50, 100), (0, "whole", 0, 0, 100)),
        *((1, "grid-1x2", 0, 0, 100), (1, "grid-1x2", 1, 100, 200), (1, "whole", 0, 0, 200)),
    ]
    assert answer["species_id"].tolist()[:5] == ["11", "11", "11", "22", "33"]


def test_each_of_several_tilings_is_answered_as_it_is_alone(head: TrainedHead, backbone: Backbone):
    together = identify(head, backbone, [GREEN, BLUE], "grid-2x1+whole")
    for scheme in ("grid-2x1", "whole"):
        alone = identify(head, backbone, [GREEN, BLUE], scheme)
        ours = together[together["scheme_id"] == scheme].reset_index(drop=True)
        pd.testing.assert_frame_equal(ours, alone, rtol=1e-4)


def test_what_cannot_be_cut_in_one_way_is_named_in_the_other(head: TrainedHead, backbone: Backbone):
    answer = identify(head, backbone, [plain("red", width=3)], "grid-1x4+whole", top_k=1)
    assert answer["scheme_id"].tolist() == ["grid-1x4", "whole"]
    assert answer["error"].notna().tolist() == [True, False]
    assert best(answer) == [(0, 0, "11")]


def test_served_probabilities_are_calibrated_and_logits_are_raw(head: TrainedHead, backbone: Backbone):
    plainly = identify(head, backbone, [RED], top_k=3)
    cooled = identify(replace(head, temperature=2.0), backbone, [RED], top_k=3)
    pd.testing.assert_series_equal(cooled["logit"], plainly["logit"])
    halved = np.exp(plainly["logit"] / 2)
    np.testing.assert_allclose(cooled["probability"], halved / halved.sum(), rtol=1e-5)
    assert cooled["probability"][0] < plainly["probability"][0]


def test_each_species_of_a_multi_label_head_has_a_probability_of_its_own(head: TrainedHead, backbone: Backbone):
    answer = identify(replace(head, is_multi_label=True, temperature=2.0), backbone, [RED], top_k=3)
    np.testing.assert_allclose(answer["probability"], 1 / (1 + np.exp(-answer["logit"] / 2)), rtol=1e-5)


def test_a_single_photograph_takes_a_single_pass(head: TrainedHead, backbone: Backbone):
    """Whoever names one photograph does not wait until the best size of a batch is found."""
    passes: list[int] = []

    class Watched(Backbone):
        def launch(self, pixels: Pixels) -> Launched:
            passes.append(len(pixels))
            return super().launch(pixels)

    identify(head, Watched(backbone.files, "float32", "cpu"), [RED])
    assert passes == [1]


def test_a_tile_has_one_row_for_each_of_its_best_species(head: TrainedHead, backbone: Backbone):
    answer = identify(head, backbone, [RED], top_k=2)
    assert answer["rank"].tolist() == [1, 2]
    assert answer["probability"].is_monotonic_decreasing
    assert answer["logit"].is_monotonic_decreasing
    assert len(identify(head, backbone, [RED], top_k=9)) == 3


@pytest.mark.parametrize(
    ("bad", "reason"),
    [(b"no image", "not an image"), ("/nowhere/p.jpg", "the file cannot be read: No such file or directory")],
)
def test_a_photograph_that_cannot_be_used_is_one_row_with_an_error(
    head: TrainedHead, backbone: Backbone, bad: bytes | str, reason: str
):
    answer = identify(head, backbone, [RED, bad, BLUE], top_k=2)
    assert answer["image"].tolist() == [0, 0, 1, 2, 2]
    assert best(answer) == [(0, 0, "11"), (2, 0, "33")]
    row = answer.iloc[2]
    assert reason in row["error"]
    assert row.drop(["image", "scheme_id", "error"]).isna().all()
    assert answer["error"].notna().tolist() == [False, False, True, False, False]


def test_bytes_and_paths_are_named_alike(head: TrainedHead, backbone: Backbone, tmp_path: Path):
    path = tmp_path / "red.png"
    path.write_bytes(RED)
    from_bytes = identify(head, backbone, [RED])
    pd.testing.assert_frame_equal(identify(head, backbone, [path]), from_bytes)
    pd.testing.assert_frame_equal(identify(head, backbone, [str(path)]), from_bytes)


@pytest.mark.parametrize("photographs", [[RED], [RED, b""], [b""], []], ids=["good", "mixed", "bad", "none"])
def test_an_answer_has_the_same_columns_whatever_was_asked(
    head: TrainedHead, backbone: Backbone, photographs: list[bytes]
):
    answer = identify(head, backbone, photographs)
    assert tuple(answer.columns) == COLUMNS
    assert answer["image"].dtype == "int64"
    assert {str(answer[name].dtype) for name in ("tile_index", "x0", "y0", "x1", "y1", "rank")} == {"Int64"}
    assert {str(answer[name].dtype) for name in ("logit", "probability")} == {"float64"}


def test_an_unknown_tiling_is_refused(head: TrainedHead, backbone: Backbone):
    with pytest.raises(TilingError, match="no tiling 'grid'"):
        identify(head, backbone, [RED], "grid")


def test_a_backbone_in_another_dtype_than_in_training_is_refused(head: TrainedHead, backbone: Backbone):
    with pytest.raises(EmbeddingMismatchError, match=head.embedding_key):
        identify(head, Backbone(backbone.files, "bfloat16", "cpu"), [RED])


def test_the_backbone_of_a_head_is_found_where_it_was_in_training(head: TrainedHead):
    assert backbone_of(head).spec.key == head.embedding_key


def test_the_backbone_of_a_head_does_as_in_training(head: TrainedHead, backbone: Backbone):
    steps = replace(backbone.files.preprocessing, reducing_gap=None, jpeg_round_trip="85-4:2:2")
    spec = EmbeddingSpec(backbone.files.weights_hash, steps, "bfloat16")
    found = backbone_of(replace(head, embedding_key=spec.key, embedding_spec=spec.json), device="cpu")
    assert found.spec == spec
    assert found.files.preprocessing == steps


def test_a_backbone_that_has_moved_is_asked_for_by_its_old_name(
    head: TrainedHead, backbone_folder: Path, tmp_path: Path
):
    moved = replace(head, backbone=str(tmp_path / "before"))
    with pytest.raises(BackboneError, match=f"trained with {tmp_path}/before; say where it is now"):
        backbone_of(moved)
    assert backbone_of(moved, str(backbone_folder)).spec.key == head.embedding_key


def test_another_backbone_than_that_of_training_is_refused(head: TrainedHead, tmp_path: Path):
    other = save_untrained(tmp_path / "other", seed=1)
    with pytest.raises(BackboneError, match=f"{head.embedding_key} are needed"):
        backbone_of(head, str(other))


@pytest.mark.parametrize(
    ("model_input", "photographs"),
    [
        (RED, [RED]),
        ("red.png", ["red.png"]),
        (Path("red.png"), [Path("red.png")]),
        ([RED, "blue.png"], [RED, "blue.png"]),
        ((), []),
        (pd.Series([RED, BLUE]), [RED, BLUE]),
        (np.array([RED, BLUE], dtype=object), [RED, BLUE]),
        (pd.DataFrame({"image": [RED, "blue.png"]}), [RED, "blue.png"]),
        (pd.DataFrame({"place": ["here"], "image": [RED]}), [RED]),
        (pd.DataFrame({"whatever": [RED]}), [RED]),
        (pd.DataFrame({"image": ["a.png", "b.png"]}, index=[7, 3]), ["a.png", "b.png"]),
    ],
    ids=["bytes", "text", "path", "list", "none", "series", "array", "frame", "wide frame", "one column", "index"],
)
def test_photographs_come_as_bytes_paths_lists_and_frames(model_input: object, photographs: list[object]):
    assert photographs_of(model_input) == photographs


@pytest.mark.parametrize(
    ("model_input", "words"),
    [
        (5, "not int"),
        (None, "not NoneType"),
        ({"image": [RED]}, "not dict"),
        ([RED, 5], "a photograph is bytes or a path, not int"),
        ([[RED]], "not list"),
        (pd.DataFrame({"a": ["x"], "b": ["y"]}), "needs a column 'image' .* this one has a, b"),
        (pd.DataFrame({"image": [None]}), "a photograph is bytes or a path, not"),
    ],
    ids=["number", "nothing", "dict", "number in a list", "list in a list", "frame without image", "empty cell"],
)
def test_what_is_no_photograph_is_refused(model_input: object, words: str):
    with pytest.raises(ModelingError, match=words):
        photographs_of(model_input)
