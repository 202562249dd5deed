"""The last check of a new model, before it is registered: does it call species by their right names?"""

from typing import TYPE_CHECKING

import numpy as np

from flows.settings import Settings
from flows.train_inputs import Gathered, Inputs
from lake import embeddings, tables
from modeling.promotion import Probe
from modeling.recipe import Recipe

if TYPE_CHECKING:
    from modeling.heads import TrainedHead
    from modeling.registry import Registry

_CANDIDATES = 50  # rows looked at for each photograph that is wanted


def probed(
    place: Settings,
    registry: "Registry",
    logged: str,
    inputs: Inputs,
    gathered: Gathered,
    recipe: Recipe,
    head: "TrainedHead",
) -> Probe:
    """Send labelled photographs through a logged model, as a user would, and hold the names against the labels.

    They are photographs that the head answers right by class index: of validation, and of training where those are
    too few.

    Raises:
        ProbeError: If names and class indices disagree.
    """
    from modeling import probe

    if not place.probe_photographs:
        return Probe("not asked for", passed=False)
    tiling = recipe.tilings[0]
    right = _answered_right(gathered, tiling, head, _CANDIDATES * place.probe_photographs)
    chosen = right[: place.probe_photographs]
    if not chosen:
        return Probe("no photograph is answered right, so that names cannot be told from class indices", passed=False)
    label_of = dict(zip(inputs.photographs.image_ids, inputs.photographs.species_ids, strict=True))
    (images,) = tables.latest(place.lake, "images")
    content = embeddings.images_of(place.lake, images, chosen)
    found = probe.probe(
        lambda photographs: registry.species_of(logged, photographs, tiling, head.backbone, place.device),
        [content[image_id] for image_id in chosen],
        [label_of[image_id] for image_id in chosen],
        inputs.class_map.species_ids,
    )
    return Probe(found.words, passed=True)


def _answered_right(gathered: Gathered, tiling: str, head: "TrainedHead", most: int) -> list[str]:
    """Return images whose tiles have their own class index best, on average; species take turns."""
    from modeling.judging import logits_of

    examples = gathered.examples
    # Validation lies behind training.
    rows = np.array([row for row in range(len(gathered.image_ids)) if gathered.scheme_ids[row] == tiling][-most:])
    probabilities = head.probabilities(logits_of(head.network, np.ascontiguousarray(examples.features[rows])))
    by_image: dict[str, list[int]] = {}
    for at, row in enumerate(rows):
        by_image.setdefault(gathered.image_ids[row], []).append(at)
    turns: dict[int, int] = {}
    right = []
    # The surest first: what hangs on rounding says nothing of names.
    surest = sorted(by_image.items(), key=lambda item: -float(probabilities[item[1]].mean(axis=0).max()))
    for image_id, tiles in surest:
        target = int(examples.class_indices[rows[tiles[0]]])
        if int(probabilities[tiles].mean(axis=0).argmax()) == target:
            turns[target] = turns.get(target, 0) + 1
            right.append((turns[target], image_id))
    return [image_id for _, image_id in sorted(right, key=lambda pair: pair[0])]
