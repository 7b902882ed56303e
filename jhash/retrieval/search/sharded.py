"""Exact search of a database that is split over several devices of this process.

Each device holds a contiguous part of the database and finds the nearest codes of its part. These
candidates are gathered and merged by (distance, position), so that the result is the same as on one
device.
"""

import dataclasses
import functools
from collections.abc import Sequence

import jax
import numpy as np
from jax import lax
from jax.sharding import Mesh, NamedSharding
from jax.sharding import PartitionSpec as P

from jhash.errors import InputError
from jhash.retrieval.checks import as_whole, check_queries
from jhash.retrieval.packed import Array, check_packed
from jhash.retrieval.search import hamming, layout, selection, tiles

_AXIS = "parts"


@dataclasses.dataclass(frozen=True)
class Sharded:
    """A database split over devices and laid out for searching.

    Attributes:
      parts: The parts of all devices, one behind the other along the first axis. Its `count` is
        int32 [devices].
      size: Number of codes.
      part_size: Number of codes of a part. The last parts may have fewer, or none.
    """

    parts: layout.Prepared
    size: int
    part_size: int


def prepare(codes: Array, devices: Sequence[jax.Device] | None = None, room: int = 0) -> Sharded:
    """Splits a database over devices, each of which lays out its part for searching.

    The layout is compiled once per size of a part.

    Args:
      codes: Packed codes, uint32 [N, words]; N is at least 1.
      devices: Devices of this process, at least one; None for all, `jax.local_devices()`.
      room: Number of codes that the layout is made for, if there are fewer. Databases of several
        sizes then share the compiled programs.

    Returns:
      The database for `search`. Positions are those of the codes given here.

    Raises:
      InputError: `codes` does not hold packed codes, or holds none, or there are no devices.
    """
    check_packed("codes", codes)
    devices = jax.local_devices() if devices is None else list(devices)
    if not devices:
        raise InputError("devices: none given; allowed: at least one.")
    size = codes.shape[0]
    part_size = -(-max(size, room) // len(devices))
    rows = part_size * len(devices)
    mesh = Mesh(np.array(devices), (_AXIS,))
    # Put from the host's memory, so that each device is given no more than its own part.
    codes = np.pad(np.asarray(codes), ((0, rows - size), (0, 0)))
    codes, live = jax.device_put((codes, np.arange(rows) < size), NamedSharding(mesh, P(_AXIS)))
    return Sharded(_prepare(codes, live, mesh=mesh), size, part_size)


def search(sharded: Sharded, queries: Array, k: int) -> tuple[jax.Array, jax.Array]:
    """Finds the k nearest codes of each query, with the same result as `hamming.hamming_topk`.

    The memory of a device holds an array of (queries of a tile) x (size of its part / group size),
    and for these queries the nearest k codes of every part.

    Args:
      sharded: The database.
      queries: Packed queries, uint32 [Q, words]. Q may be 0.
      k: Number of results per query, 1 to N.

    Returns:
      Distances and positions, both int32 [Q, k], in the order of (distance, position).

    Raises:
      InputError: `k` is out of range, `queries` does not hold packed codes, or their number of
        words is not that of the database.
    """
    parts = sharded.parts
    mesh = parts.rows.sharding.mesh  # type: ignore[attr-defined]  # As `prepare` put them.
    check_queries(queries, "sharded", parts.rows)
    k = as_whole("k", k, 1, sharded.size, "the size of the database")
    # Each part contributes k candidates. The tile is the one for as many results on one device.
    tile = tiles.search_tile_size(parts, k * mesh.size, queries.shape[0])
    part_size = np.int32(sharded.part_size)
    return tiles.over_tiles(_search, parts, queries, tile, part_size, mesh=mesh, k=k)


@functools.partial(jax.jit, static_argnames="mesh")
def _prepare(codes_NxW, live_N, mesh):
    def lay_out(codes_NxW, live_N):
        prepared = layout.prepare(codes_NxW, live_N)
        return prepared._replace(count=prepared.count[None])

    specs = P(_AXIS)
    return jax.shard_map(lay_out, mesh=mesh, in_specs=specs, out_specs=specs)(codes_NxW, live_N)


def _search(parts, queries_QxW, part_size, mesh, k):
    """Searches with one tile of queries; see `search`. Returns two arrays, int32 [Q, k].

    Below, C is the number of candidates per query, those of all parts together.
    """

    def search_part(part, queries_QxW, part_size):
        part = part._replace(count=part.count[0])
        # A part with fewer than k codes fills up with distances larger than any two codes have.
        candidates = min(k, len(part.rows))
        distances_Qxk, positions_Qxk = hamming.search(part, queries_QxW, candidates)
        positions_Qxk += lax.axis_index(_AXIS) * part_size
        distances_Qxk = distances_Qxk.astype(hamming.distance_dtype(queries_QxW.shape[1]))
        distances_CxQ, positions_CxQ = lax.all_gather(
            (distances_Qxk.T, positions_Qxk.T), _AXIS, tiled=True
        )
        # Candidates at equal distances lie in the order of positions, because the parts do and the
        # candidates of each part do.
        slots_CxQ = lax.broadcasted_iota(np.int32, distances_CxQ.shape, 0)
        return selection.in_order(slots_CxQ, distances_CxQ[:, None], positions_CxQ, k)

    # check_vma=False, because JAX does not see that after all_gather all devices have one result.
    return jax.shard_map(
        search_part, mesh=mesh, in_specs=(P(_AXIS), P(), P()), out_specs=P(), check_vma=False
    )(parts, queries_QxW, part_size)
