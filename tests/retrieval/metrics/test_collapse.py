import numpy as np

from jhash.retrieval.metrics import collapse


def test_bits_that_say_nothing_new():
    bits = np.random.default_rng(0).random((200, 6)) > 0.5
    found = collapse.count_lost_bits(bits)
    assert (found["constant_bits"], found["duplicate_bits"]) == (0, 0)
    assert found["distinct_codes"] == len({tuple(row) for row in bits})
    ones, none = np.ones((200, 1), bool), np.zeros((200, 1), bool)
    worse = np.hstack([bits, ones, none, bits[:, :1], ~bits[:, 1:2], ones])
    found = collapse.count_lost_bits(worse.astype(np.uint8))
    assert (found["constant_bits"], found["duplicate_bits"]) == (3, 2)


def test_all_collapsed():
    assert collapse.count_lost_bits(np.ones((5, 3))) == {
        "constant_bits": 3,
        "duplicate_bits": 0,
        "distinct_codes": 1,
    }
