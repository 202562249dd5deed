"""Settings of heads and objectives: a table of names and values, as a person writes them."""

from collections.abc import Mapping
from difflib import get_close_matches
from typing import Any

from modeling.errors import TrainingError


def checked(kind: str, given: Mapping[str, Any], usual: Mapping[str, Any]) -> dict[str, Any]:
    """Return the settings of a kind: those given over the usual ones.

    Args:
        kind: Of head or objective, for the message.
        given: What somebody has asked for.
        usual: Every setting that there is, with what it is by default.

    Raises:
        TrainingError: If a name is unknown; the one that may be meant is named.
    """
    for name, value in given.items():
        if name not in usual:
            near = get_close_matches(name, usual, 1)
            meant = f"; did you mean {near[0]!r}?" if near else f"; there are {', '.join(usual) or 'none'}"
            raise TrainingError(f"{kind!r} has no setting {name!r}{meant}")
        expected = usual[name]
        if isinstance(expected, float) and isinstance(value, int | float) and not isinstance(value, bool):
            continue
        if expected is not None and (type(value) is not type(expected)):
            raise TrainingError(
                f"the setting {name!r} of {kind!r} is {value!r}; it is a {type(expected).__name__} such as {expected!r}"
            )
    return {**usual, **given}
