"""What is joined by pairs hangs together: connected components. Knows no table."""

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc


def components(one: pa.ChunkedArray, other: pa.ChunkedArray) -> tuple[pa.Array, pa.Array]:
    """Return who is in any pair, and for each of them the name of its component: its smallest member.

    Args:
        one: (N,) one side of each pair: numbers or texts, none of them null.
        other: (N,) the other side, of the same type.

    Returns:
        (M,) the members in their order, each once, and (M,) the name of each one's component: the same in whatever
        order the pairs and their sides stand.
    """
    # It takes longer to import than a lake to open.
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    ends = pa.chunked_array([*one.chunks, *other.chunks], one.type)
    members = ends.unique()
    members = members.take(pc.array_sort_indices(members))
    first, second = np.split(pc.index_in(ends, members).to_numpy(), 2)
    joined = coo_array((np.ones(len(first), np.bool_), (first, second)), shape=(len(members), len(members)))
    _, labels = connected_components(joined, directed=False)
    # The members stand in their order: the first one of a component is its smallest.
    _, smallest, component = np.unique(labels, return_index=True, return_inverse=True)
    return members, members.take(pa.array(smallest[component]))
