"""Packed codes: packing bits into words, unpacking them, and the balance of each bit.

Letters in the shapes: N codes, L bits of a code, W = ceil(L / 32) words of a code.
"""

import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jhash.errors import InputError
from jhash.retrieval.limits import MAX_BITS, WORD_BITS
from jhash.retrieval.packed import Array, check_bits, check_packed


def pack_codes(values: Array) -> jax.Array:
    """Packs the bits of each code into words, little-endian.

    Bit j of a code is bit `j % 32` of word `j // 32`. Unused bits are 0. A value that is not a
    number has no sign, so it is refused. Within jit it cannot be: there, its bit is not set.

    Args:
      values: [N, bits] with 1 to 512 bits. Real numbers (a bit is set where the value is above 0,
        so it is set at infinity and not set at 0), -1 and +1, or bool (a bit is set where the value
        is True). N may be 0.

    Returns:
      uint32 [N, ceil(bits / 32)].

    Raises:
      InputError: `values` is not such an array, or holds NaN.
    """
    # Arrays of NumPy stay with NumPy, as JAX would take 64 bits for 32: 1e-50 would become 0.
    values_NxL = values if isinstance(values, jax.Array) else _as_array(values)
    real = any(
        jnp.issubdtype(values_NxL.dtype, kind) for kind in (jnp.bool_, jnp.integer, jnp.floating)
    )
    if values_NxL.ndim != 2 or not real:
        raise InputError(
            f"values: {values_NxL.dtype}{list(values_NxL.shape)} given; allowed: real numbers or "
            "bool, [N, bits]."
        )
    if not 1 <= values_NxL.shape[1] <= MAX_BITS:
        raise InputError(
            f"values: [N, {values_NxL.shape[1]}] given; allowed: [N, bits] with 1 to {MAX_BITS} "
            "bits."
        )
    if isinstance(values_NxL, jax.core.Tracer):
        return _pack(values_NxL)[0]
    if isinstance(values_NxL, jax.Array):
        packed_NxW, largest = _pack(values_NxL)
    else:
        packed_NxW, _ = _pack(values_NxL > 0)
        largest = values_NxL.max(initial=0)
    if np.isnan(largest):  # The maximum is NaN if any value is.
        nan_N = np.isnan(np.asarray(values_NxL, np.float64)).any(1)
        raise InputError(
            f"values: NaN given in {nan_N.sum()} of {len(values_NxL)} rows, first in row "
            f"{nan_N.argmax()}; allowed: numbers, infinity included."
        )
    return packed_NxW


def _as_array(values: Any) -> np.ndarray:
    try:
        return np.asarray(values)
    except ValueError as error:
        raise InputError(
            f"values: rows of unequal lengths given; allowed: real numbers or bool, [N, bits] "
            f"({error})."
        ) from error


@jax.jit
def _pack(values_NxL: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Returns packed codes, and the largest value, which is NaN if any value is."""
    n, bits = values_NxL.shape
    words = -(-bits // WORD_BITS)
    padded = jnp.pad(_above_zero(values_NxL), ((0, 0), (0, words * WORD_BITS - bits)))
    on_NxWx32 = padded.reshape(n, words, WORD_BITS)
    weights_32 = jnp.uint32(1) << jnp.arange(WORD_BITS, dtype=jnp.uint32)
    packed_NxW = jnp.sum(jnp.where(on_NxWx32, weights_32, jnp.uint32(0)), axis=-1, dtype=jnp.uint32)
    return packed_NxW, values_NxL.max(initial=0)


def _above_zero(values: jax.Array) -> jax.Array:
    """Marks the values above 0, which NaN is not."""
    if not jnp.issubdtype(values.dtype, jnp.floating):
        return values if values.dtype == bool else values > 0
    # XLA takes numbers below the smallest normal one for 0. The bits of a number above 0, read as
    # an integer, are always above 0.
    integers = jax.lax.bitcast_convert_type(values, f"int{8 * values.dtype.itemsize}")
    return (integers > 0) & ~jnp.isnan(values)


def unpack_codes(packed: Array, bits: int) -> jax.Array:
    """Unpacks the codes that `pack_codes` returned.

    Args:
      packed: Packed codes, uint32 [N, ceil(bits / 32)].
      bits: Code length.

    Returns:
      int8 [N, bits] in {-1, +1}.

    Raises:
      InputError: `packed` does not hold packed codes of that length.
    """
    packed_NxW = jnp.asarray(packed)
    bits = check_bits(bits)
    check_packed("packed", packed_NxW, bits)
    return _unpack(packed_NxW, bits)


@functools.partial(jax.jit, static_argnames="bits")
def _unpack(packed_NxW: jax.Array, bits: int) -> jax.Array:
    n, words = packed_NxW.shape
    shifts_32 = jnp.arange(WORD_BITS, dtype=jnp.uint32)
    on_NxWx32 = (packed_NxW[:, :, None] >> shifts_32) & 1
    on_NxL = on_NxWx32.reshape(n, words * WORD_BITS)[:, :bits]
    return (2 * on_NxL.astype(jnp.int8) - 1).astype(jnp.int8)


def bit_balance(codes: Array, bits: int) -> jax.Array:
    """Computes the ratio of ones to zeros of each bit; a balanced bit has 1.

    Args:
      codes: Packed codes, uint32 [N, ceil(bits / 32)].
      bits: Code length.

    Returns:
      float32 [bits], ones / zeros. The ratio is infinite for a bit that is set in every code, and
      NaN when N = 0.

    Raises:
      InputError: `codes` does not hold packed codes of that length.

    References:
      DAH, Table 5.
    """
    ones_L = jnp.sum(unpack_codes(codes, bits) > 0, axis=0)
    return ones_L / (codes.shape[0] - ones_L)
