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
    values = jnp.array([[0.0, -0.0, 1e-30, -2.0, jnp.nan, jnp.inf]])
    assert retrieval.pack_codes(values).tolist() == [[0b100100]]
    assert retrieval.pack_codes(jnp.array([[True, False, True]])).tolist() == [[0b101]]


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
