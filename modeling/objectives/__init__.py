"""What a head is trained to make smaller. One file for each family; nothing here knows a head."""

from difflib import SequenceMatcher
from typing import Any

from modeling.errors import TrainingError
from modeling.objectives.costs import ExpectedCost, SoftTargets, cost_matrix
from modeling.objectives.long_tail import ClassBalanced, LogitAdjusted, Seesaw
from modeling.objectives.multi_label import SPLC, Asymmetric, BinaryCrossEntropy, Hill, SigmoidF1
from modeling.objectives.objective import Objective
from modeling.objectives.single_label import AsymmetricSingle, CrossEntropy, LogitNorm
from modeling.problem import Problem

__all__ = ["OBJECTIVES", "Objective", "SoftTargets", "cost_matrix", "of"]

_ALL: tuple[type[Objective], ...] = (
    CrossEntropy,
    AsymmetricSingle,
    LogitNorm,
    ClassBalanced,
    LogitAdjusted,
    Seesaw,
    SoftTargets,
    ExpectedCost,
    BinaryCrossEntropy,
    Asymmetric,
    Hill,
    SPLC,
    SigmoidF1,
)
OBJECTIVES: dict[str, type[Objective]] = {kind.name: kind for kind in _ALL}


def of(name: str, problem: Problem, settings: dict[str, Any]) -> Objective:
    """Build an objective by its name.

    Raises:
        TrainingError: If there is none of that name, a setting is unknown or makes no sense, or the problem lacks what
            the objective needs.
    """
    if name not in OBJECTIVES:
        known = sorted(OBJECTIVES, key=lambda other: -SequenceMatcher(None, name, other).ratio())
        raise TrainingError(f"there is no objective {name!r}; there are, nearest first, {', '.join(known)}")
    return OBJECTIVES[name].of(problem, settings)
