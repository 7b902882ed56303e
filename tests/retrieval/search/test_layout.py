import jax.numpy as jnp
import numpy as np
import pytest

from jhash.errors import InputError
from jhash.retrieval.search import layout
from jhash.retrieval.search.layout import LANE_GROUP, LANES, MAX_GROUP

pytestmark = pytest.mark.usefixtures("quick_compilation")


def random_codes(rng, n, words=1):
    return rng.integers(0, 2**32, (n, words), np.uint32)


def assert_laid_out(prepared, codes, live):
    """Checks every field against codes and live rows; both may be fewer than the padded rows."""
    rows, lanes = np.asarray(prepared.rows), np.asarray(prepared.lanes)
    live = np.pad(live, (0, len(rows) - len(live)))
    bits = np.unpackbits(np.asarray(prepared.live).view(np.uint8), bitorder="little")
    np.testing.assert_array_equal(bits, live)
    assert prepared.count == live.sum()
    np.testing.assert_array_equal(rows[: len(codes)][live[: len(codes)]], codes[live[: len(codes)]])
    settled = live.copy()
    for size in 2 ** np.arange(1, MAX_GROUP.bit_length()):
        blocks, block_live = rows.reshape(-1, size, rows.shape[1]), live.reshape(-1, size)
        equal = (blocks[:, :, None] == blocks[:, None]).all(axis=3)
        copies = (equal & block_live[:, None]).any(axis=2).reshape(-1)
        has_live = np.repeat(block_live.any(axis=1), size)
        assert copies[has_live & ~settled].all()
        settled |= has_live
    if lanes.size:
        by_lane = lanes.transpose(2, 0, 1).reshape(rows.shape)
        np.testing.assert_array_equal(by_lane, rows)
        dead = np.asarray(prepared.dead).T.reshape(-1)
        np.testing.assert_array_equal(dead, ~live.reshape(-1, LANE_GROUP).any(axis=1))


@pytest.mark.parametrize(("n", "words"), [(1, 1), (63, 2), (2048, 1), (2049, 1), (17_000, 2)])
def test_prepare(n, words):
    codes = random_codes(np.random.default_rng(n), n, words)
    for given in (codes, jnp.asarray(codes)):
        prepared = layout.prepare(given)
        assert_laid_out(prepared, codes, np.ones(n, bool))
        assert bool(prepared.lanes.size) == (n > 16_384)
    small = layout.prepare(codes, lanes=False)
    assert_laid_out(small, codes, np.ones(n, bool))
    assert not small.lanes.size
    assert len(small.rows) - n < 2048


def test_prepare_some():
    rng = np.random.default_rng(0)
    for n in (2000, 17_000):
        codes = random_codes(rng, n)
        masks = [np.repeat(rng.random(n) < 0.5, size)[:n] for size in (1, 2, 4, 16, 64, 256)]
        masks += [np.arange(n) == n - 1, np.arange(n) == 0, np.ones(n, bool)]
        for live in masks:
            assert_laid_out(layout.prepare(codes, live), codes, live)
        assert_laid_out(layout.prepare(jnp.asarray(codes), jnp.asarray(live)), codes, live)


def test_padding_holds_for_every_group_size():
    for n in (600_000, 40_000):
        prepared = layout.prepare(np.zeros((n, 1), np.uint32))
        # Selection takes groups in words of 32 hits.
        assert len(prepared.rows) % (32 * MAX_GROUP) == 0
        assert len(prepared.lanes) * LANES == len(prepared.rows)
        assert len(prepared.lanes) % (32 * LANE_GROUP) == 0


@pytest.mark.slow
@pytest.mark.parametrize("n", [2000, 17_000])
def test_replace(n):
    rng = np.random.default_rng(n)
    prepared = layout.prepare(codes := random_codes(rng, n))
    capacity = len(prepared.rows)
    codes = np.pad(codes, ((0, capacity - n), (0, 0)))
    live = np.arange(capacity) < n
    whole_block = np.arange(128, 192)
    steps = [
        ([5], [False]),  # Its neighbors stay.
        (rng.permutation(whole_block), np.zeros(64, bool)),  # A block dies in one go,
        ([130, 131, 190], [True, False, True]),  # and is partly refilled.
        ([n - 1, capacity - 32, capacity - 1], [True, True, True]),  # The last row, and padding.
        ([n - 1, capacity - 1, n], [False, False, True]),
        ([0, 1, 2, 3, 63, 64], [True, False, True, False, False, True]),
        ([5, 5 + 64, 5 + 128], [True, True, True]),  # Live ones as well as dead ones.
        ([], []),
        (rng.choice(capacity, 300, replace=False), rng.random(300) < 0.5),
        (np.arange(capacity), np.arange(capacity) == 77),  # All but one.
        ([77, 1000], [False, True]),
    ]
    for positions, now_live in steps:
        positions, now_live = np.array(positions, int), np.array(now_live, bool)
        new = random_codes(rng, len(positions))
        before = codes.copy(), live.copy()
        replaced = layout.replace(prepared, positions, new, now_live)
        codes[positions], live[positions] = new, now_live
        assert_laid_out(replaced, codes, live)
        assert_laid_out(prepared, *before)  # It is left as it is.
        prepared = replaced


def test_replace_is_compiled_for_powers_of_two(monkeypatch):
    traces = []
    stand_ins = layout._stand_ins
    monkeypatch.setattr(layout, "_stand_ins", lambda live: traces.append(live) or stand_ins(live))
    # No other test has rows of 3 words.
    prepared = layout.prepare(random_codes(np.random.default_rng(0), 100, 3))
    for m in (5, 6, 7, 8):
        layout.replace(prepared, np.arange(m), np.zeros((m, 3), np.uint32), np.ones(m, bool))
    assert len(traces) == 1
    layout.replace(prepared, np.arange(9), np.zeros((9, 3), np.uint32), np.ones(9, bool))
    assert len(traces) == 2


def test_bad_input():
    codes = np.zeros((4, 1), np.uint32)
    with pytest.raises(InputError, match="codes: none given; allowed: at least one"):
        layout.prepare(codes[:0])
    with pytest.raises(InputError, match=r"codes: int64\[4, 1\] given; allowed: packed codes"):
        layout.prepare(codes.astype(np.int64))
    for live in (np.ones(5, bool), np.ones(4, np.int64)):
        with pytest.raises(InputError, match=r"live: \w+\[[45]\] given; allowed: bool \[4\]"):
            layout.prepare(codes, live)
