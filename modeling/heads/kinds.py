"""Which kinds of heads there are, by name: what a person chooses from, and what a checkpoint is rebuilt by."""

from collections.abc import Callable
from difflib import get_close_matches
from typing import Any

from modeling.errors import TrainingError
from modeling.heads.cosine import CosineHead
from modeling.heads.discriminant import DiscriminantHead
from modeling.heads.head import Head
from modeling.heads.linear import LinearHead
from modeling.heads.logistic import LogisticHead
from modeling.heads.mlp import MlpHead
from modeling.heads.nearest import NearestHead
from modeling.heads.prototype import PrototypeHead
from modeling.heads.taxonomic import TaxonomicHead
from modeling.problem import Problem

_ALL: tuple[type[Head], ...] = (
    LinearHead,
    MlpHead,
    CosineHead,
    PrototypeHead,
    NearestHead,
    TaxonomicHead,
    LogisticHead,
    DiscriminantHead,
)
KINDS: dict[str, type[Head]] = {head.kind: head for head in _ALL}


def of(kind: str, problem: Problem, settings: dict[str, Any]) -> Head:
    """Build a head that has learnt nothing, as a person asks for it.

    Raises:
        TrainingError: If there is no such kind, a setting is unknown or makes no sense, or the problem lacks what
            this kind needs.
    """
    head = _known(kind)
    try:
        return head.of(problem, settings)
    except ValueError as error:
        raise TrainingError(f"a {kind!r} head cannot be made with {settings}: {error}") from error


def rebuilt(kind: str, dimension: int, class_count: int, settings: dict[str, Any]) -> Head:
    """Build a head for the weights of one that was saved.

    Args:
        kind: Of the head that was saved.
        dimension: D.
        class_count: C.
        settings: All that its ``settings()`` returned.

    Raises:
        TrainingError: If there is no such kind, or the settings are not those of this kind.
    """
    head: Callable[..., Head] = _known(kind)
    try:
        return head(dimension, class_count, **settings)
    except (TypeError, ValueError) as error:
        raise TrainingError(
            f"a {kind!r} head cannot be rebuilt with the settings {settings}: {error}; they were saved by another "
            f"version, or changed"
        ) from error


def _known(kind: str) -> type[Head]:
    """Return the class of a kind, or raise an error that names all of them, nearest first."""
    if kind not in KINDS:
        nearest_first = get_close_matches(kind, KINDS, len(KINDS), cutoff=0.0)
        raise TrainingError(f"there is no head {kind!r}; there are {', '.join(nearest_first)}")
    return KINDS[kind]
