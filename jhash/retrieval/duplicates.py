"""Groups of codes that lie within a radius of each other: exact and near duplicates."""

import numpy as np
from scipy import sparse

from jhash.retrieval.checks import as_codes, as_whole
from jhash.retrieval.packed import Array

_BATCH = 1024  # number of distinct codes whose neighbors are searched at a time


def groups(codes: Array, bits: int, radius: int) -> list[np.ndarray]:
    """Finds the groups of codes that are linked by steps of a radius at most.

    Two codes of a group may lie further apart than the radius, if others lie between them: groups
    are the connected components of the graph of all pairs within the radius.

    Args:
      codes: Packed codes, uint32 [N, ceil(bits / 32)].
      bits: Code length.
      radius: Hamming radius, 0 to bits.

    Returns:
      The positions in each group of two codes or more, int64, ascending. The groups are in the
      order of their first positions.

    Raises:
      InputError: `codes` does not hold codes of that length, or the radius is out of range.
    """
    codes = as_codes("codes", codes, bits)
    radius = as_whole("radius", radius, 0, bits, "the code length")
    if not len(codes):
        return []
    # Equal codes are linked anyway, so that pairs of distinct ones are enough.
    distinct, of_row = np.unique(codes, axis=0, return_inverse=True)
    component_of = _components(distinct, bits, radius)[of_row.ravel()]
    order = np.argsort(component_of, kind="stable")
    starts = np.flatnonzero(np.diff(component_of[order], prepend=-1))
    found = np.split(order, starts[1:])
    return sorted((group for group in found if len(group) > 1), key=lambda group: group[0])


def _components(codes, bits, radius):
    """Returns the number of the component of each of some distinct codes."""
    if radius == 0 or len(codes) == 1:
        return np.arange(len(codes))
    from jhash.retrieval.index import HammingIndex

    index = HammingIndex.build(codes, bits)
    component_of = np.arange(len(codes))
    for start in range(0, len(codes), _BATCH):
        batch = codes[start : start + _BATCH]
        limits, _, near = index.search_radius(batch, radius)
        row = np.repeat(np.arange(start, start + len(batch)), np.diff(limits))
        # Components so far are joined, so that no more than a batch of pairs is in memory.
        ends = component_of[row], component_of[near]
        graph = sparse.coo_array((np.ones(len(row), bool), ends), shape=(len(codes),) * 2)
        _, joined = sparse.csgraph.connected_components(graph, directed=False)
        component_of = joined[component_of]
    return component_of


def distances(codes: np.ndarray, group: np.ndarray) -> list[int]:
    """Returns the Hamming distances of a group's codes to its first.

    Args:
      codes: Packed codes, uint32 [N, words].
      group: Positions of the group, int64 [n].
    """
    return np.bitwise_count(codes[group] ^ codes[group[0]]).sum(axis=1, dtype=np.int64).tolist()
