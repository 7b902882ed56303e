"""Per query: how many items, and how many relevant ones, lie at every Hamming distance.

Every metric of `metrics.py` follows from these counts, because a Hamming distance has only
`bits + 1` values. A scatter costs XLA some 5 ns an item on a CPU core; comparing a tile of
distances with every value in turn and adding up bytes costs 0.7 ns at 48 bits. Three steps lead
there:

1. Items with the same code and the same label count alike, so each such kind is computed once, of
   the queries as of the database, where trained networks leave few kinds. One of multiplicity
   5 = 4 + 1 stands once in the group of weight 4 and once in that of weight 1.
2. Items are grouped by (weight, label) and groups are cut into chunks. A whole chunk is relevant
   to a query or none of it is, so that one histogram serves both counts.
3. Within a chunk distances and counts are bytes: a vector register holds 32 to 64 of them.
"""

import functools
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from jhash.errors import InputError
from jhash.retrieval.codes import check_packed

# Rows of a chunk. Byte counters hold up to 255; small groups waste less with short chunks.
_CHUNK_ROWS = (8, 16, 32, 64, 128, 224)
# Adding a chunk's counts to the totals costs about as much as this many rows.
_CHUNK_OVERHEAD_ROWS = 40
# Rows that one fused loop adds up while a counter stays in its register.
_UNROLL = 32
_LANES = 128
# Queries at a time, in rows of _LANES: XLA's CPU loops use several cores only when they are long.
_BLOCK_LANES = 80


class _Chunks(NamedTuple):
    """The database, grouped; buffers may hold more chunks than are in use."""

    codes: np.ndarray  # uint8 [chunks, rows, bytes]
    unused: np.ndarray  # bool [chunks, rows]
    labels: np.ndarray  # uint32 [chunks, label words]
    weights: np.ndarray  # int32 [chunks]
    count: int


def distance_histograms(
    q_codes: jax.Array,
    db_codes: jax.Array,
    q_labels: jax.Array,
    db_labels: jax.Array,
    bits: int,
) -> tuple[jax.Array, jax.Array]:
    """Counts items and relevant items at every distance from every query.

    Exact, in tiles, never Q x N in memory. Groups the database on the host (so the arguments must
    be concrete) and counts on the default device.

    Args:
      q_codes: Packed queries, uint32 [Q, ceil(bits / 32)].
      db_codes: Packed database, uint32 [N, ceil(bits / 32)].
      q_labels: Integer class ids [Q], or 0/1 [Q, C].
      db_labels: Integer class ids [N], or 0/1 [N, C]. Two items are relevant to each other when
        they share a label.
      bits: Code length, 1 to 512.

    Returns:
      (total, relevant), both int32 [Q, bits + 1].

    Raises:
      InputError: Codes of another length, or labels that do not match the codes or each other.
    """
    check_packed("q_codes", q_codes, bits)
    check_packed("db_codes", db_codes, bits)
    multi = np.ndim(q_labels) == 2
    q_words = _label_words("q_labels", q_labels, q_codes)
    db_words = _label_words("db_labels", db_labels, db_codes)
    if np.shape(q_labels)[1:] != np.shape(db_labels)[1:]:
        raise InputError(
            f"q_labels: got shape {np.shape(q_labels)}, and {np.shape(db_labels)} in db_labels; "
            "both must be class ids, or both 0/1 rows over the same classes."
        )
    q_kinds = _ranks(np.asarray(q_codes), _ranks(q_words))
    query = _examples(q_kinds)
    lanes = _room(-(-len(query) // _LANES))
    blocks = -(-lanes // _BLOCK_LANES)
    lanes = -(-lanes // blocks)

    def tiled(rows: np.ndarray) -> np.ndarray:
        rows = np.pad(rows, ((0, blocks * lanes * _LANES - len(rows)), (0, 0)))
        return rows.reshape(blocks, lanes, _LANES, -1).transpose(0, 3, 1, 2)

    chunks = _group(np.asarray(db_codes), db_words, bits)
    q_bytes = _code_bytes(np.asarray(q_codes)[query], bits)
    total, relevant = _count(tiled(q_bytes), tiled(q_words[query]), chunks, bits, multi)
    return total[q_kinds], relevant[q_kinds]


def _room(count: int) -> int:
    """Rounds up to 1, 2, 4, 8, 16, 24, ..., so that new codes seldom mean a new compilation."""
    return 1 << max(0, count - 1).bit_length() if count < 8 else -(-count // 8) * 8


def _code_bytes(codes: np.ndarray, bits: int) -> np.ndarray:
    """The bytes of a code that are in use, uint8 [N, ceil(bits / 8)]."""
    codes = np.ascontiguousarray(codes, "<u4")
    return codes.view(np.uint8)[:, : -(-bits // 8)]


def _label_words(name: str, labels: jax.Array, codes: jax.Array) -> np.ndarray:
    """Labels as uint32 words: a class id's two halves, or the packed 0/1 row."""
    labels = np.asarray(labels)
    ids = labels.ndim == 1 and np.issubdtype(labels.dtype, np.integer)
    if not (ids or labels.ndim == 2) or len(labels) != codes.shape[0]:
        raise InputError(
            f"{name}: got {labels.dtype}{list(labels.shape)} for {codes.shape[0]} codes; allowed "
            "are integer class ids [N] or 0/1 [N, C]."
        )
    if ids:
        return np.ascontiguousarray(labels, np.int64).view(np.uint32).reshape(-1, 2)
    return _pack_rows(labels)


def _pack_rows(labels: np.ndarray) -> np.ndarray:
    words = -(-labels.shape[1] // 32)
    on = np.pad(labels > 0, ((0, 0), (0, words * 32 - labels.shape[1])))
    packed = np.ascontiguousarray(np.packbits(on, axis=1, bitorder="little"))
    return packed.view("<u4").astype(np.uint32)


def _group(codes: np.ndarray, labels: np.ndarray, bits: int) -> _Chunks:
    """Groups distinct (label, code) pairs by (binary digit of their multiplicity, label)."""
    label_of = _ranks(labels)
    kind_of = _ranks(codes, label_of)
    multiplicity = np.bincount(kind_of)
    example = _examples(kind_of)
    digits = int(multiplicity.max(initial=0)).bit_length()
    picked = [np.flatnonzero(multiplicity >> digit & 1) for digit in range(digits)]
    digit_of = np.repeat(np.arange(digits), [len(kinds) for kinds in picked])
    items = example[np.concatenate([*picked, np.empty(0, np.int64)])]
    # Kinds are ranked by label first, so that groups are runs.
    ends = (np.diff(digit_of) != 0) | (np.diff(label_of[items]) != 0)
    starts = np.flatnonzero(np.concatenate([[len(items) > 0], ends]))
    sizes = np.diff(np.append(starts, len(items)))

    rows = min(
        _CHUNK_ROWS, key=lambda rows: (-(-sizes // rows)).sum() * (rows + _CHUNK_OVERHEAD_ROWS)
    )
    chunks = -(-sizes // rows)
    count = int(chunks.sum())
    # Buffers grow in powers of two, so that a new database seldom means a new compilation.
    room = 1 << max(0, count - 1).bit_length()
    first = np.cumsum(chunks) - chunks
    place = np.arange(len(items)) + np.repeat(first * rows - starts, sizes)

    grouped = np.zeros((room * rows, codes.shape[1]), np.uint32)
    grouped[place] = codes[items]
    unused = np.ones(room * rows, bool)
    unused[place] = False
    chunk_labels = np.zeros((room, labels.shape[1]), np.uint32)
    chunk_labels[:count] = np.repeat(labels[items[starts]], chunks, axis=0)
    weights = np.zeros(room, np.int32)
    weights[:count] = np.repeat(1 << digit_of[starts], chunks)
    grouped = _code_bytes(grouped, bits).reshape(room, rows, -1)
    return _Chunks(grouped, unused.reshape(room, rows), chunk_labels, weights, count)


def _ranks(words: np.ndarray, ranks: np.ndarray | None = None) -> np.ndarray:
    """Numbers the distinct rows 0, 1, ...; given earlier ranks, rows with these in front."""
    if ranks is None:
        ranks = np.zeros(len(words), np.int64)
    for word in words.T:
        keys = ranks.astype(np.uint64) << np.uint64(32) | word
        ranks = np.unique(keys, return_inverse=True)[1]
    return ranks


def _examples(ranks: np.ndarray) -> np.ndarray:
    """For every rank, the index of an item that has it."""
    examples = np.empty(ranks.max(initial=-1) + 1, np.int64)
    examples[ranks] = np.arange(len(ranks))
    return examples


@functools.partial(jax.jit, static_argnames=("bits", "multi"))
def _count(
    q_codes: jax.Array, q_labels: jax.Array, chunks: _Chunks, bits: int, multi: bool
) -> tuple[jax.Array, jax.Array]:
    """Counts over blocks of queries: [blocks, bytes, lanes, 128] -> two [Q, bits + 1]."""
    small = jnp.uint8 if bits < 255 else jnp.uint16  # The largest value marks an unused row.
    rows = chunks.codes.shape[1]
    step = min(rows // 2, _UNROLL)  # XLA dissolves a loop of one step: never that.
    bins = jnp.arange(bits + 1, dtype=small)[:, None]

    def count_block(block):
        codes, labels = block
        shape = (codes.shape[1], bits + 1, _LANES)

        def count_rows(counts, distances):
            for row in range(step):
                counts += (distances[row, :, None, :] == bins).astype(jnp.uint8)
            return counts, None

        def count_chunk(index, sums):
            total, relevant = sums
            chunk = chunks.codes[index]
            # Bytes, as the counts: four times as many in a register as words.
            distances = jnp.zeros((rows, *codes.shape[1:]), small)
            for byte in range(codes.shape[0]):
                differ = lax.population_count(chunk[:, byte, None, None] ^ codes[byte])
                distances += differ.astype(small)
            distances |= -chunks.unused[index].astype(small)[:, None, None]
            distances = distances.reshape(rows // step, step, *codes.shape[1:])
            # The scan keeps bytes apart from the int32 sums; one fusion would widen them all.
            counts = lax.scan(count_rows, jnp.zeros(shape, jnp.uint8), distances)[0]
            counts = counts.astype(jnp.int32) * chunks.weights[index]
            label = chunks.labels[index][:, None, None]
            match = jnp.any(labels & label, 0) if multi else jnp.all(labels == label, 0)
            return total + counts, relevant + jnp.where(match[:, None, :], counts, 0)

        zeros = jnp.zeros(shape, jnp.int32)
        return lax.fori_loop(0, chunks.count, count_chunk, (zeros, zeros))

    total, relevant = lax.map(count_block, (q_codes, q_labels))
    return tuple(sums.transpose(0, 1, 3, 2).reshape(-1, bits + 1) for sums in (total, relevant))
