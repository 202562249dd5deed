"""What is joined by pairs hangs together: connected components. Knows no table."""

from collections.abc import Iterable
from typing import TypeVar

Member = TypeVar("Member", int, str)


def components(pairs: Iterable[tuple[Member, Member]]) -> dict[Member, Member]:
    """Return for each member of any pair the name of its component: the smallest member, whatever the order."""
    above: dict[Member, Member] = {}

    def top(member: Member) -> Member:
        above.setdefault(member, member)
        while (higher := above[member]) != member:
            above[member] = above[higher]  # halves the way for the next one who asks
            member = above[member]
        return member

    for one, other in pairs:
        first, second = top(one), top(other)
        if first != second:
            above[max(first, second)] = min(first, second)
    return {member: top(member) for member in above}
