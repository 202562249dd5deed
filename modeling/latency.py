"""How long models take for a photograph, side by side."""

import time
from collections.abc import Callable, Sequence

_TURNS = 7


def seconds_each(models: Sequence[Callable[[list[bytes]], object]], photographs: list[bytes]) -> list[float]:
    """Time models on the same photographs, in turns, so that what else the machine does slows all of them.

    Args:
        models: Each takes photographs and answers them. The first time warms it up and is not counted.
        photographs: Encoded, at least one.

    Returns:
        Of each model the seconds for one photograph in its best turn.
    """
    for model in models:
        model(photographs)
    best = [float("inf")] * len(models)
    for _ in range(_TURNS):
        for at, model in enumerate(models):
            started = time.perf_counter()
            model(photographs)
            best[at] = min(best[at], (time.perf_counter() - started) / len(photographs))
    return best
