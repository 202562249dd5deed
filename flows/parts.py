"""Which stored tiles a rule means: a level of a pyramid that was predicted whole need not be predicted again."""

from collections.abc import Collection, Sequence

from lake import decisions
from lake.decisions import Part
from modeling.tiling import Pyramid, parse_all


def needed(tilings: Sequence[str], stored: Collection[str]) -> list[str]:
    """Return the schemes that have to be predicted for some tilings, each of one or more schemes joined by a plus.

    Levels of one pyramid are read from a pyramid that holds them, of those that are stored or of those that are asked.

    Args:
        tilings: What rules name.
        stored: The schemes that a model has predictions of.
    """
    schemes = list(dict.fromkeys(scheme for tiling in tilings for scheme in parse_all(tiling)))
    held = [*parse_all("+".join(stored))] if stored else []
    wanted = []
    for scheme in schemes:
        within = next((one for one in (*held, *schemes) if one != scheme and _holds(one, scheme)), None)
        wanted.append(scheme if within is None or scheme.scheme_id in stored else within)
    return list(dict.fromkeys(scheme.scheme_id for scheme in wanted))


def parts_of(tilings: str, stored: Collection[str]) -> list[Part]:
    """Return where the predictions of a tiling stand: of a level within a pyramid by the numbers of its tiles.

    Args:
        tilings: One scheme or more, joined by a plus.
        stored: The schemes that there are predictions of.
    """
    found: list[Part] = []
    for scheme in parse_all(tilings):
        within = next((one for one in parse_all("+".join(stored)) if one != scheme and _holds(one, scheme)), None)
        if scheme.scheme_id in stored or within is None or not isinstance(scheme, Pyramid):
            found += decisions.parts_of(scheme.scheme_id)
        elif isinstance(within, Pyramid):
            found += [_level(within, level) for level in _levels(scheme)]
    return found


def levels_of(tiling: str) -> list[str]:
    """Return the levels of a pyramid as tilings of their own; of several schemes each one."""
    schemes = parse_all(tiling)
    if len(schemes) == 1 and isinstance(schemes[0], Pyramid):
        whole = schemes[0]
        return [Pyramid(whole.tile_px, level, level).scheme_id for level in _levels(whole)]
    return [scheme.scheme_id for scheme in schemes]


def _holds(one: object, other: object) -> bool:
    return (
        isinstance(one, Pyramid)
        and isinstance(other, Pyramid)
        and one.tile_px == other.tile_px
        and set(_levels(other)) <= set(_levels(one))
    )


def _levels(pyramid: Pyramid) -> list[int]:
    step = 1 if pyramid.first <= pyramid.last else -1
    return list(range(pyramid.first, pyramid.last + step, step))


def _level(pyramid: Pyramid, level: int) -> Part:
    levels = _levels(pyramid)
    start = sum(before * before for before in levels[: levels.index(level)])
    name = Pyramid(pyramid.tile_px, level, level).scheme_id
    return Part(name, pyramid.scheme_id, start, start + level * level - 1)
