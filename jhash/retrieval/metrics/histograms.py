"""Distance histograms: per query, the numbers of items and of relevant items at each distance.

A Hamming distance has only `bits + 1` values, so that all metrics follow from these counts. A
scatter costs XLA some 5 ns per item on a CPU core. Comparing a tile of distances with each value in
turn, and adding up bytes, costs 0.7 ns at 48 bits. Three steps lead there:

1. Items with the same label and the same code are one *kind*. They have the same counts, so each
   kind is computed once, and codes of trained models have few kinds. That holds for the queries as
   well. In the database, a kind of 5 = 4 + 1 items is entered once with weight 4 and once with
   weight 1.
2. These entries are grouped by (weight, label), and groups are cut into chunks. Either all items of
   a chunk are relevant to a query, or none of them is. So one histogram serves both counts.
3. Within a chunk, distances and counts are bytes. A vector register holds 32 to 64 of them.

Letters in the shapes: Q queries, N items, W words of a code, Y bytes of a code, V words of a label,
D = bits + 1 distances, K kinds, E entries, G groups, M chunks, R rows of a chunk, S rows of a
step. Queries are laid out in P blocks of T lines of 128 lanes.
"""

import functools
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from jhash.errors import InputError
from jhash.retrieval.checks import as_codes
from jhash.retrieval.packed import Array, check_bits, code_bytes

# Rows that a chunk may have. Byte counters hold up to 255; small groups waste less in short chunks.
_CHUNK_ROWS = (8, 16, 32, 64, 128, 224)
# Adding a chunk's counts to the totals costs about as much as this many rows.
_CHUNK_OVERHEAD_ROWS = 40
# Rows that one fused loop adds up while a counter stays in its register.
_UNROLL = 32
# Queries of a line, which is the innermost axis.
_LANES = 128
# The largest number of lines in a block of queries. XLA uses several CPU cores only for long loops.
_BLOCK_LINES = 80


class _Chunks(NamedTuple):
    """The database in chunks. The buffers may hold more chunks than are in use."""

    codes: np.ndarray  # uint8 [M, R, Y]
    unused: np.ndarray  # bool [M, R]: rows that hold no entry.
    labels: np.ndarray  # uint32 [M, V]
    weights: np.ndarray  # int32 [M]
    count: int  # type: ignore[assignment]  # Number of chunks that are in use.


def distance_histograms(
    q_codes: Array,
    db_codes: Array,
    q_labels: Array,
    db_labels: Array,
    bits: int,
) -> tuple[jax.Array, jax.Array]:
    """Counts the items and the relevant items at each distance from each query.

    The counts are exact. They are computed in tiles, so memory never holds Q x N values. The
    database is grouped on the host, so the arguments must be concrete; the counting is done on the
    default device.

    Args:
      q_codes: Packed codes of the queries, uint32 [Q, ceil(bits / 32)].
      db_codes: Packed codes of the database, uint32 [N, ceil(bits / 32)].
      q_labels: Labels of the queries: integer class ids [Q], or 0/1 [Q, C].
      db_labels: Labels of the database: integer class ids [N], or 0/1 [N, C]. Two items are
        relevant to each other when they share a label.
      bits: Code length, 1 to 512.

    Returns:
      (total, relevant), both int32 [Q, bits + 1].

    Raises:
      InputError: The codes have another length, or the labels do not match the codes or each other.
    """
    bits = check_bits(bits)
    q_codes, db_codes = as_codes("q_codes", q_codes, bits), as_codes("db_codes", db_codes, bits)
    multi = np.ndim(q_labels) == 2
    q_labels_QxV = _label_words("q_labels", q_labels, q_codes)
    db_labels_NxV = _label_words("db_labels", db_labels, db_codes)
    if np.shape(q_labels)[1:] != np.shape(db_labels)[1:]:
        raise InputError(
            f"q_labels: shape {np.shape(q_labels)} given, and {np.shape(db_labels)} for db_labels; "
            "allowed: class ids for both, or 0/1 rows over the same classes for both."
        )
    kind_Q = _kinds(q_codes, _kinds(q_labels_QxV))
    # From here on, a query is a kind of queries.
    example_K = _examples(kind_Q)
    lines = _padded_lines(-(-len(example_K) // _LANES))
    blocks = -(-lines // _BLOCK_LINES)
    lines_per_block = -(-lines // blocks)

    def in_blocks(rows: np.ndarray) -> np.ndarray:
        """Lays out rows [K, X] as [P, X, T, 128], padded with zeros."""
        padding = blocks * lines_per_block * _LANES - len(rows)
        rows = np.pad(rows, ((0, padding), (0, 0)))
        return rows.reshape(blocks, lines_per_block, _LANES, -1).transpose(0, 3, 1, 2)

    chunks = _group(db_codes, db_labels_NxV, bits)
    codes_PxYxTx128 = in_blocks(code_bytes(q_codes[example_K], bits))
    labels_PxVxTx128 = in_blocks(q_labels_QxV[example_K])
    total, relevant = _count(codes_PxYxTx128, labels_PxVxTx128, chunks, bits, multi)
    return total[kind_Q], relevant[kind_Q]


def _padded_lines(lines: int) -> int:
    """Rounds up to 1, 2, 4, 8, 16, 24, ..., so that new codes seldom mean a new compilation."""
    return 1 << max(0, lines - 1).bit_length() if lines < 8 else -(-lines // 8) * 8


def _label_words(name: str, labels: Array, codes: Array) -> np.ndarray:
    """Returns labels as words, uint32 [N, V]: the two halves of a class id, or packed 0/1 rows."""
    labels = np.asarray(labels)
    ids = labels.ndim == 1 and np.issubdtype(labels.dtype, np.integer)
    if not (ids or labels.ndim == 2) or len(labels) != codes.shape[0]:
        raise InputError(
            f"{name}: {labels.dtype}{list(labels.shape)} given; allowed: integer class ids [N] or "
            f"0/1 [N, C], where N = {codes.shape[0]}, the number of codes."
        )
    if ids:
        return np.ascontiguousarray(labels, np.int64).view(np.uint32).reshape(-1, 2)
    wrong_NxC = (labels != 0) & (labels != 1)
    if wrong_NxC.any():
        item, label = np.argwhere(wrong_NxC)[0]
        raise InputError(
            f"{name}: {labels[item, label]} given for label {label} of item {item}; allowed: 0 and "
            "1 in rows of labels."
        )
    return _pack_rows(labels)


def _pack_rows(labels_NxC: np.ndarray) -> np.ndarray:
    """Packs 0/1 rows into words, little-endian: uint32 [N, ceil(C / 32)]."""
    classes = labels_NxC.shape[1]
    words = -(-classes // 32)
    on = np.pad(labels_NxC > 0, ((0, 0), (0, words * 32 - classes)))
    packed = np.ascontiguousarray(np.packbits(on, axis=1, bitorder="little"))
    return packed.view("<u4").astype(np.uint32)


def _group(codes_NxW: np.ndarray, labels_NxV: np.ndarray, bits: int) -> _Chunks:
    """Groups the kinds of items by weight and label, and cuts the groups into chunks."""
    label_N = _kinds(labels_NxV)
    kind_N = _kinds(codes_NxW, label_N)
    multiplicity_K = np.bincount(kind_N)
    example_K = _examples(kind_N)

    # A kind has an entry for each binary digit of its multiplicity that is 1. Its weight is the
    # value of the digit. Entries are sorted by (digit, label), because kinds are sorted by label.
    digits = int(multiplicity_K.max(initial=0)).bit_length()
    kinds_by_digit = [np.flatnonzero(multiplicity_K >> digit & 1) for digit in range(digits)]
    digit_E = np.repeat(np.arange(digits), [len(kinds) for kinds in kinds_by_digit])
    item_E = example_K[np.concatenate([*kinds_by_digit, np.empty(0, np.int64)])]

    # A group is a run of entries with the same digit and the same label.
    ends = (np.diff(digit_E) != 0) | (np.diff(label_N[item_E]) != 0)
    start_G = np.flatnonzero(np.concatenate([[len(item_E) > 0], ends]))
    size_G = np.diff(np.append(start_G, len(item_E)))

    # The number of rows of a chunk is the one with which all chunks together cost the least.
    rows = min(
        _CHUNK_ROWS, key=lambda rows: (-(-size_G // rows)).sum() * (rows + _CHUNK_OVERHEAD_ROWS)
    )
    chunks_G = -(-size_G // rows)
    count = int(chunks_G.sum())
    # Buffers grow in powers of two, so that a new database seldom means a new compilation.
    room = 1 << max(0, count - 1).bit_length()

    # Each group begins with a new chunk, and its entries follow one another from there.
    first_chunk_G = np.cumsum(chunks_G) - chunks_G
    row_E = np.arange(len(item_E)) + np.repeat(first_chunk_G * rows - start_G, size_G)
    codes = np.zeros((room * rows, codes_NxW.shape[1]), np.uint32)
    codes[row_E] = codes_NxW[item_E]
    unused = np.ones(room * rows, bool)
    unused[row_E] = False
    labels = np.zeros((room, labels_NxV.shape[1]), np.uint32)
    labels[:count] = np.repeat(labels_NxV[item_E[start_G]], chunks_G, axis=0)
    weights = np.zeros(room, np.int32)
    weights[:count] = np.repeat(1 << digit_E[start_G], chunks_G)
    return _Chunks(
        codes=code_bytes(codes, bits).reshape(room, rows, -1),
        unused=unused.reshape(room, rows),
        labels=labels,
        weights=weights,
        count=count,
    )


def _kinds(words_NxW: np.ndarray, given_N: np.ndarray | None = None) -> np.ndarray:
    """Numbers the kinds of rows, where equal rows are of one kind.

    Args:
      words_NxW: The rows, uint32.
      given_N: Kinds of the same rows by something else; rows are of one kind only if they agree in
        it, too. None for no such condition.

    Returns:
      The kind of each row, int64 [N]: 0, 1, ... in the order of (given, words).
    """
    kind_N = np.zeros(len(words_NxW), np.int64) if given_N is None else given_N
    for word_N in words_NxW.T:
        keys = kind_N.astype(np.uint64) << np.uint64(32) | word_N
        kind_N = np.unique(keys, return_inverse=True)[1]
    return kind_N


def _examples(kind_N: np.ndarray) -> np.ndarray:
    """Returns the index of one item of each kind, int64 [K]."""
    example_K = np.empty(kind_N.max(initial=-1) + 1, np.int64)
    example_K[kind_N] = np.arange(len(kind_N))
    return example_K


@functools.partial(jax.jit, static_argnames=("bits", "multi"))
def _count(
    codes_PxYxTx128: jax.Array,
    labels_PxVxTx128: jax.Array,
    chunks: _Chunks,
    bits: int,
    multi: bool,
) -> tuple[jax.Array, jax.Array]:
    """Counts the items and the relevant items of all chunks, by distance.

    Args:
      codes_PxYxTx128: The bytes of the queries' codes, uint8.
      labels_PxVxTx128: The words of the queries' labels, uint32.
      chunks: The database.
      bits: Code length.
      multi: Whether labels are packed 0/1 rows, not class ids.

    Returns:
      (total, relevant), both int32 [P * T * 128, bits + 1].
    """
    small = jnp.uint8 if bits < 255 else jnp.uint16  # Its largest value marks an unused row.
    rows = chunks.codes.shape[1]
    # Never all rows in one step, because XLA dissolves a loop of one step.
    step = min(rows // 2, _UNROLL)
    bins_Dx1 = jnp.arange(bits + 1, dtype=small)[:, None]

    def count_block(block):
        codes_YxTx128, labels_VxTx128 = block
        code_bytes, lines, _ = codes_YxTx128.shape
        shape_TxDx128 = (lines, bits + 1, _LANES)

        def count_rows(counts_TxDx128, distances_SxTx128):
            for row in range(step):
                hits = distances_SxTx128[row, :, None, :] == bins_Dx1
                counts_TxDx128 += hits.astype(jnp.uint8)
            return counts_TxDx128, None

        def count_chunk(index, sums):
            total_TxDx128, relevant_TxDx128 = sums
            chunk_RxY = chunks.codes[index]
            # Distances come from bytes, as the counts do: a register holds four times as many
            # bytes as words.
            distances_RxTx128 = jnp.zeros((rows, lines, _LANES), small)
            for byte in range(code_bytes):
                differ = chunk_RxY[:, byte, None, None] ^ codes_YxTx128[byte]
                distances_RxTx128 += lax.population_count(differ).astype(small)
            distances_RxTx128 |= -chunks.unused[index].astype(small)[:, None, None]
            steps = distances_RxTx128.reshape(rows // step, step, lines, _LANES)
            # The scan keeps the bytes apart from the int32 sums. In one fusion with these, XLA
            # would widen the bytes to int32.
            counts_TxDx128, _ = lax.scan(count_rows, jnp.zeros(shape_TxDx128, jnp.uint8), steps)
            counts_TxDx128 = counts_TxDx128.astype(jnp.int32) * chunks.weights[index]
            label_Vx1x1 = chunks.labels[index][:, None, None]
            if multi:
                match_Tx128 = jnp.any(labels_VxTx128 & label_Vx1x1, 0)
            else:
                match_Tx128 = jnp.all(labels_VxTx128 == label_Vx1x1, 0)
            hits_TxDx128 = jnp.where(match_Tx128[:, None, :], counts_TxDx128, 0)
            return total_TxDx128 + counts_TxDx128, relevant_TxDx128 + hits_TxDx128

        zeros = jnp.zeros(shape_TxDx128, jnp.int32)
        return lax.fori_loop(0, chunks.count, count_chunk, (zeros, zeros))

    sums = lax.map(count_block, (codes_PxYxTx128, labels_PxVxTx128))
    return tuple(
        sums_PxTxDx128.transpose(0, 1, 3, 2).reshape(-1, bits + 1) for sums_PxTxDx128 in sums
    )
