"""Photographs in, ranked species out: what a registered model does, wherever it is loaded."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from modeling import backbones, tiling
from modeling.backbones import Backbone
from modeling.calibration import softmax
from modeling.embedding import EmbeddedTiles, EncodedImage, Engine
from modeling.errors import BackboneError, ModelingError
from modeling.heads import TrainedHead
from modeling.tiling import Scheme

Photograph = bytes | str | Path
COLUMNS = (
    "image",
    "scheme_id",
    "tile_index",
    "x0",
    "y0",
    "x1",
    "y1",
    "rank",
    "species_id",
    "scientific_name",
    "logit",
    "probability",
    "error",
)
_BATCH_SIZE = 16  # finding the best one takes longer than most calls
_TYPES = {
    "image": "int64",
    **dict.fromkeys(("tile_index", "x0", "y0", "x1", "y1", "rank"), "Int64"),
    "logit": "float64",
    "probability": "float64",
}


@dataclass(frozen=True)
class Ranked:
    """The best k classes of many tiles."""

    class_indices: NDArray[np.int64]  # (N, k), best first
    logits: NDArray[np.float32]  # (N, k)
    probabilities: NDArray[np.float32]  # (N, k), calibrated


def rank(
    logits: NDArray[np.float32],
    k: int,
    probability: Callable[[NDArray[np.float32]], NDArray[np.float32]] = softmax,
) -> Ranked:
    """Return the best k classes of each row; ties go to the lower class index.

    Args:
        logits: (N, C).
        k: At most C are returned.
        probability: Logits to probabilities, such as the calibrated ones of a head.

    Raises:
        ModelingError: If k is less than one.
    """
    if k < 1:
        raise ModelingError(f"at least one species has to be asked for, not {k}")
    # Stable, so that equal logits keep their order and a rerun ranks alike.
    order = np.argsort(-logits, axis=1, kind="stable")[:, :k]
    return Ranked(
        order, np.take_along_axis(logits, order, axis=1), np.take_along_axis(probability(logits), order, axis=1)
    )


def backbone_of(head: TrainedHead, folder: str | None = None, device: str | None = None) -> Backbone:
    """Load the backbone that a head was trained on.

    Args:
        head: The head.
        folder: Where the backbone is now, if not where it was found in training.
        device: cpu or cuda; by default CUDA where there is one.

    Raises:
        BackboneError: If it is not there, or gives other embeddings than those of training.
    """
    place = folder or head.backbone
    try:
        files = backbones.find(place)
    except BackboneError as error:
        raise BackboneError(f"{error} The model was trained with {head.backbone}; say where it is now.") from error
    files, spec = backbones.as_recorded(files, head.embedding_spec, place)
    return Backbone(files, spec.dtype, device)


def identify(
    head: TrainedHead,
    backbone: Backbone,
    photographs: Sequence[Photograph],
    scheme_id: str = "whole",
    top_k: int = 5,
) -> pd.DataFrame:
    """Name the species of photographs, tile by tile.

    Args:
        head: What tells species apart.
        backbone: The encoder that the head was trained on.
        photographs: Encoded bytes, or paths of files.
        scheme_id: How each photograph is cut; ``whole`` gives one tile. Several are joined by a plus.
        top_k: Species for each tile.

    Returns:
        One row per (image, scheme_id, tile_index, rank) with the columns of ``COLUMNS``: image is the position in
        ``photographs``, probability is 0 to 1. A photograph that cannot be used is one row with an error and
        nothing else.
    """
    unreadable: dict[str, str] = {}
    failures: dict[tuple[int, str], list[str]] = {}
    rows: list[dict[str, Any]] = []
    with Engine(backbone, batch_size=_BATCH_SIZE) as engine:
        schemes = tiling.parse_all(scheme_id)
        for embedded in engine.embed(_encoded(photographs, schemes, unreadable)):
            rows += _rows(head, backbone, embedded, top_k)
            for (image_id, scheme), text in embedded.failures.items():
                # What no tiling can use is said once.
                failures.setdefault((int(image_id), text), []).append(scheme)
    rows += [
        {"image": image, "scheme_id": "+".join(failed), "error": text} for (image, text), failed in failures.items()
    ]
    rows += [{"image": int(image_id), "error": text} for image_id, text in unreadable.items()]
    # Typed, so that a call in which all photographs are bad gives columns like any other.
    frame = pd.DataFrame(rows, columns=list(COLUMNS)).astype(_TYPES)
    return frame.sort_values(["image", "scheme_id", "tile_index", "rank"], kind="stable").reset_index(drop=True)


def photographs_of(model_input: Any) -> list[Photograph]:
    """Return the photographs of whatever MLflow hands over: bytes, a path, a list of them, a column of a frame.

    Raises:
        ModelingError: If it is none of these.
    """
    if isinstance(model_input, bytes | str | Path):
        return [model_input]
    if isinstance(model_input, pd.DataFrame):
        if "image" not in model_input and model_input.shape[1] != 1:
            raise ModelingError(
                f"a data frame of photographs needs a column 'image' with bytes or paths; this one has "
                f"{', '.join(map(str, model_input.columns))}"
            )
        model_input = model_input["image"] if "image" in model_input else model_input.iloc[:, 0]
    if not isinstance(model_input, Sequence | np.ndarray | pd.Series):
        raise ModelingError(f"photographs are a list or a data frame, not {type(model_input).__name__}")
    photographs = list(model_input)
    for photograph in photographs:
        if not isinstance(photograph, bytes | str | Path):
            raise ModelingError(f"a photograph is bytes or a path, not {type(photograph).__name__}")
    return photographs


def _encoded(
    photographs: Sequence[Photograph], schemes: tuple[Scheme, ...], failures: dict[str, str]
) -> Iterable[EncodedImage]:
    """Yield the bytes of photographs under their position; what cannot be read goes to failures."""
    for position, photograph in enumerate(photographs):
        try:
            content = photograph if isinstance(photograph, bytes) else Path(photograph).expanduser().read_bytes()
        except OSError as error:
            failures[str(position)] = f"the file cannot be read: {error.strerror}"
            continue
        yield EncodedImage(str(position), content, schemes)


def _rows(head: TrainedHead, backbone: Backbone, embedded: EmbeddedTiles, top_k: int) -> list[dict[str, Any]]:
    if not embedded.tiles:
        return []
    ranked = rank(head.predict(embedded.vectors, backbone.spec.key), top_k, head.probabilities)
    return [
        {
            "image": int(image_id),
            "scheme_id": scheme,
            "tile_index": tile.index,
            "x0": tile.x0,
            "y0": tile.y0,
            "x1": tile.x1,
            "y1": tile.y1,
            "rank": place + 1,
            "species_id": head.class_map.species_ids[class_index],
            "scientific_name": head.class_map.scientific_names[class_index],
            "logit": float(ranked.logits[row, place]),
            "probability": float(ranked.probabilities[row, place]),
            "error": None,
        }
        for row, (image_id, scheme, tile) in enumerate(
            zip(embedded.image_ids, embedded.scheme_ids, embedded.tiles, strict=True)
        )
        for place, class_index in enumerate(ranked.class_indices[row].tolist())
    ]
