import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jhash import retrieval
from jhash.errors import InputError

BITS = [1, 12, 31, 32, 33, 48, 64, 255, 256, 512]


@pytest.mark.slow
@pytest.mark.parametrize("bits", BITS)
@pytest.mark.parametrize("rows", [0, 1, 7])
def test_pack_is_little_endian_and_unpack_undoes_it(bits, rows):
    signs = np.random.default_rng(bits).choice([-1, 1], (rows, bits)).astype(np.int8)
    packed = np.asarray(retrieval.pack_codes(signs))
    assert packed.dtype == np.uint32
    assert packed.shape == (rows, -(-bits // 32))
    on = np.zeros((rows, packed.shape[1] * 32), bool)
    on[:, :bits] = signs > 0
    np.testing.assert_array_equal(packed, np.packbits(on, 1, bitorder="little").view("<u4"))
    back = retrieval.unpack_codes(packed, bits)
    assert back.dtype == jnp.int8
    np.testing.assert_array_equal(back, signs)


def test_bit_is_value_above_zero():
    values = [[0.0, -0.0, 1e-40, -1e-40, 1e-30, -2.0, -np.inf, np.inf]]
    for array in (jnp.array(values), np.array(values), np.float32(values), values):
        assert retrieval.pack_codes(array).tolist() == [[0b10010100]]
    assert retrieval.pack_codes(jnp.array([[True, False, True]])).tolist() == [[0b101]]
    halves = jnp.array([[1e-7, -1e-7, 0, 1]], jnp.float16)  # 1e-7 is below the smallest normal one.
    assert retrieval.pack_codes(halves).tolist() == [[0b1001]]


@pytest.mark.parametrize(
    "values",
    [
        np.array([[1e-50, -1e-50, 1e300, -1e300]]),
        np.array([[2**40, -(2**40), 2**31, -(2**31)]]),
        np.array([[2**63, 0, 2**32, 0]], np.uint64),
    ],
    ids=["float64", "int64", "uint64"],
)
def test_values_of_64_bits_keep_their_signs(values):
    assert retrieval.pack_codes(values).tolist() == [[0b101]]


@pytest.mark.parametrize("dtype", [np.float64, np.float32, np.float16, jnp.bfloat16])
@pytest.mark.parametrize("of", [np.asarray, jnp.asarray], ids=["numpy", "jax"])
def test_nan_is_no_bit(of, dtype):
    values = np.ones((5, 40), dtype)
    values[3, 39], values[4, 0] = np.nan, -np.float32(np.nan)
    message = r"^values: NaN given in 2 of 5 rows, first in row 3; allowed: numbers, infinity in"
    with pytest.raises(InputError, match=message):
        retrieval.pack_codes(of(values))
    # Within jit nothing can be refused, so the bit is not set.
    packed = jax.jit(retrieval.pack_codes)(jnp.asarray(values))
    expected = np.ones((5, 40), bool)
    expected[3, 39] = expected[4, 0] = False
    np.testing.assert_array_equal(packed, retrieval.pack_codes(expected))


def test_bit_balance():
    values = np.array([[1, 1, -1], [1, -1, -1], [1, -1, -1], [1, 1, -1], [1, 1, -1]])
    balance = retrieval.bit_balance(retrieval.pack_codes(values), 3)
    np.testing.assert_allclose(balance, [np.inf, 1.5, 0.0])


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (
            lambda: retrieval.pack_codes(np.ones((2, 513))),
            r"values: \[N, 513\] given; allowed: .* 1 to 512 bits",
        ),
        (
            lambda: retrieval.pack_codes(np.ones((2, 0))),
            r"values: \[N, 0\] given; allowed: .* 1 to 512 bits",
        ),
        (lambda: retrieval.pack_codes([["a"]]), r"values: <U1\[1, 1\] given; allowed: real"),
        (lambda: retrieval.pack_codes([[1, 2], [3]]), "values: rows of unequal lengths given"),
        (lambda: retrieval.pack_codes(np.ones(3)), r"values: float\d+\[3\] given; allowed: real"),
        (
            lambda: retrieval.unpack_codes(np.zeros((2, 2), np.uint32), 32),
            "packed: 2 words per code given; allowed: 1, because 32 bits take 1",
        ),
        (
            lambda: retrieval.unpack_codes(np.zeros((2, 1), np.int32), 32),
            r"packed: int32\[2, 1\] given; allowed: packed codes",
        ),
    ],
)
def test_bad_input(call, message):
    with pytest.raises(InputError, match=message):
        call()
