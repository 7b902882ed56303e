"""Exact search of a database that is split over several devices of this process.

Every device holds a contiguous part and finds the nearest of it; what they find is gathered and
merged by (distance, position), so that the result is that of one device.
"""

import dataclasses
import functools

import jax
import numpy as np
from jax import lax
from jax.sharding import Mesh, NamedSharding
from jax.sharding import PartitionSpec as P

from jhash.errors import InputError
from jhash.retrieval.checks import as_whole
from jhash.retrieval.codes import check_packed
from jhash.retrieval.search import hamming, layout, selection, tiles

_AXIS = "parts"


@dataclasses.dataclass(frozen=True)
class Sharded:
    """A database laid out for searching, split over devices. Positions are as in `prepare`."""

    parts: layout.Prepared  # Of every device, one behind the other; count is int32 [devices].
    size: int  # How many codes there are.
    part_size: int  # How many codes a part has; the last ones may have fewer, or none.


def prepare(codes: jax.Array, devices=None) -> Sharded:
    """Splits a database over devices, each of which lays out its part for searching.

    Args:
      codes: Packed, uint32 [N, words]; N at least 1.
      devices: The devices, at least one, all of this process; its `jax.local_devices()`, if None.

    Returns:
      The database for `search`. Compiled once for every size of a part.

    Raises:
      InputError: Not packed codes, or none; no devices.
    """
    check_packed("codes", codes)
    devices = jax.local_devices() if devices is None else list(devices)
    if not devices:
        raise InputError("devices: got none; a database is split over at least one.")
    size = codes.shape[0]
    part_size = -(-size // len(devices))
    rows = part_size * len(devices)
    mesh = Mesh(np.array(devices), (_AXIS,))
    # From the host's memory, so that a device is given its own part alone.
    codes = np.pad(np.asarray(codes), ((0, rows - size), (0, 0)))
    codes, live = jax.device_put((codes, np.arange(rows) < size), NamedSharding(mesh, P(_AXIS)))
    return Sharded(_prepare(codes, live, mesh=mesh), size, part_size)


def search(sharded: Sharded, queries: jax.Array, k: int) -> tuple[jax.Array, jax.Array]:
    """Finds the k nearest codes of every query; the same as `hamming.hamming_topk`.

    A device's memory holds a tile of queries x (its part / group size), and of the tile's queries
    the nearest k of every part.

    Args:
      sharded: The database.
      queries: Packed, uint32 [Q, words]. Q may be 0.
      k: How many, 1 to N.

    Returns:
      Distances and positions, both int32 [Q, k], ordered by (distance, position).

    Raises:
      InputError: k is out of range, not packed codes, or codes of another length than the
        database's.
    """
    parts, mesh = sharded.parts, sharded.parts.rows.sharding.mesh
    hamming.check(queries, "sharded", parts.rows)
    k = as_whole("k", k, 1, sharded.size, "the database's size")
    # Gathered are k candidates of every part: no more than one device would select from.
    tile = tiles.search_tile_size(parts, k * mesh.size, queries.shape[0])
    part_size = np.int32(sharded.part_size)
    return tiles.over_tiles(_search, parts, queries, tile, part_size, mesh=mesh, k=k)


@functools.partial(jax.jit, static_argnames="mesh")
def _prepare(codes, live, mesh):
    def lay_out(codes, live):
        prepared = layout.prepare(codes, live)
        return prepared._replace(count=prepared.count[None])

    return jax.shard_map(lay_out, mesh=mesh, in_specs=P(_AXIS), out_specs=P(_AXIS))(codes, live)


def _search(parts, queries, part_size, mesh, k):
    """See `search`: queries [Q, words] -> two int32 [Q, k]."""

    def search_part(part, queries, part_size):
        part = part._replace(count=part.count[0])
        # Where a part has fewer codes than k, distances of more bits than a code has follow.
        found, positions = hamming.search(part, queries, min(k, len(part.rows)))
        positions += lax.axis_index(_AXIS) * part_size
        found = found.astype(hamming.value_type(queries.shape[1]))
        found, positions = lax.all_gather((found.T, positions.T), _AXIS, tiled=True)
        # Among equal distances they lie in the order of positions: parts do, and so do theirs.
        slots = lax.broadcasted_iota(np.int32, found.shape, 0)
        return selection.in_order(slots, found[:, None], positions, k)

    # Unchecked: that all devices hold the same result, which all_gather does not tell.
    return jax.shard_map(
        search_part, mesh=mesh, in_specs=(P(_AXIS), P(), P()), out_specs=P(), check_vma=False
    )(parts, queries, part_size)
