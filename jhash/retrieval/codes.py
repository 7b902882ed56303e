"""Codes as bits: packing, unpacking and the balance of a bit."""

import functools

import jax
import jax.numpy as jnp

from jhash.errors import InputError

WORD_BITS = 32
MAX_BITS = 512


def check_bits(bits: int) -> int:
    """Returns `bits`, or raises InputError when it is no code length that jhash knows."""
    if not 1 <= bits <= MAX_BITS:
        raise InputError(f"bits: got {bits}; a code has 1 to {MAX_BITS} bits.")
    return bits


def check_packed(name: str, codes: jax.Array, bits: int | None = None) -> None:
    """Raises InputError unless `codes` is uint32 [N, words], with the words that `bits` take."""
    if codes.ndim != 2 or codes.dtype != jnp.uint32:
        raise InputError(
            f"{name}: got {codes.dtype}{list(codes.shape)}; allowed are packed codes, uint32 "
            "[N, words], as pack_codes returns them."
        )
    most = MAX_BITS // WORD_BITS
    if not 1 <= codes.shape[1] <= most:
        raise InputError(f"{name}: got {codes.shape[1]} words a code; allowed are 1 to {most}.")
    if bits is not None and codes.shape[1] != -(-check_bits(bits) // WORD_BITS):
        raise InputError(
            f"{name}: got {codes.shape[1]} words a code; {bits} bits take "
            f"{-(-bits // WORD_BITS)} words of {WORD_BITS}."
        )


def pack_codes(values: jax.Array) -> jax.Array:
    """Packs a code's bits into words, little-endian.

    Bit j of a code is bit `j % 32` of word `j // 32`; unused bits are 0.

    Args:
      values: [N, bits], 1 to 512 bits: real (bit = value > 0, so 0 is no bit), in {-1, +1}, or
        bool (taken as it is). N may be 0.

    Returns:
      uint32 [N, ceil(bits / 32)].

    Raises:
      InputError: `values` is not such an array.
    """
    values = jnp.asarray(values)
    if values.ndim != 2 or jnp.issubdtype(values.dtype, jnp.complexfloating):
        raise InputError(
            f"values: got {values.dtype}{list(values.shape)}; allowed are real numbers or bool "
            "[N, bits]."
        )
    check_bits(values.shape[1])
    return _pack(values)


@jax.jit
def _pack(values: jax.Array) -> jax.Array:
    n, bits = values.shape
    words = -(-bits // WORD_BITS)
    on = values if values.dtype == bool else values > 0
    on = jnp.pad(on, ((0, 0), (0, words * WORD_BITS - bits))).reshape(n, words, WORD_BITS)
    weights = jnp.uint32(1) << jnp.arange(WORD_BITS, dtype=jnp.uint32)
    return jnp.sum(jnp.where(on, weights, jnp.uint32(0)), axis=-1, dtype=jnp.uint32)


def unpack_codes(packed: jax.Array, bits: int) -> jax.Array:
    """Undoes `pack_codes`.

    Args:
      packed: uint32 [N, ceil(bits / 32)].
      bits: Code length.

    Returns:
      int8 [N, bits] in {-1, +1}.

    Raises:
      InputError: `packed` holds no codes of that length.
    """
    packed = jnp.asarray(packed)
    check_packed("packed", packed, bits)
    return _unpack(packed, bits)


@functools.partial(jax.jit, static_argnames="bits")
def _unpack(packed: jax.Array, bits: int) -> jax.Array:
    shifts = jnp.arange(WORD_BITS, dtype=jnp.uint32)
    on = (packed[:, :, None] >> shifts) & 1
    on = on.reshape(packed.shape[0], packed.shape[1] * WORD_BITS)[:, :bits]
    return (2 * on.astype(jnp.int8) - 1).astype(jnp.int8)


def bit_balance(codes: jax.Array, bits: int) -> jax.Array:
    """The ratio of ones to zeros of every bit; 1 is balanced.

    Args:
      codes: Packed, uint32 [N, ceil(bits / 32)].
      bits: Code length.

    Returns:
      float32 [bits]: ones / zeros; infinite for a bit that is always set, NaN when N = 0.

    Raises:
      InputError: `codes` holds no codes of that length.

    Source: DAH, Table 5.
    """
    ones = jnp.sum(unpack_codes(codes, bits) > 0, axis=0)
    return ones / (codes.shape[0] - ones)
