import jax
import numpy as np
import pytest

from jhash import retrieval
from jhash.errors import InputError
from jhash.retrieval.metrics import histograms

pytestmark = pytest.mark.usefixtures("quick_compilation")


def reference(q, db, related, bits):
    distances = (bits - q @ db.T) // 2
    total = [np.bincount(row, minlength=bits + 1) for row in distances]
    relevant = [
        np.bincount(row[mask], minlength=bits + 1)
        for row, mask in zip(distances, related, strict=True)
    ]
    shape = len(q), bits + 1
    return np.reshape(total, shape), np.reshape(relevant, shape)


def make(seed, bits, queries, n, distinct=None):
    rng = np.random.default_rng(seed)
    q = rng.choice([-1, 1], (queries, bits)).astype(np.int32)
    db = rng.choice([-1, 1], (distinct or n, bits)).astype(np.int32)
    if distinct:
        # The first code is by far the most frequent, so that multiplicities have many digits.
        db = db[np.minimum(rng.geometric(0.3, n), distinct) - 1]
    return rng, q, db


def check(q, db, q_labels, db_labels, related, bits):
    counted = retrieval.distance_histograms(
        retrieval.pack_codes(q), retrieval.pack_codes(db), q_labels, db_labels, bits
    )
    expected = reference(q, db, related, bits)
    for histogram, expected_histogram in zip(counted, expected, strict=True):
        assert histogram.dtype == np.int32
        np.testing.assert_array_equal(histogram, expected_histogram)


@pytest.mark.slow
@pytest.mark.parametrize("bits", [1, 12, 31, 32, 33, 48, 64, 254, 255, 256, 512])
def test_single_and_multi_label(bits):
    rng, q, db = make(bits, bits, 7, 700)
    q_labels, db_labels = rng.integers(-1, 3, 7), rng.integers(-1, 3, 700)
    check(q, db, q_labels, db_labels, q_labels[:, None] == db_labels, bits)
    q_labels = rng.random((7, 40)) < 0.05
    db_labels = (rng.random((700, 40)) < 0.05).astype(np.float32)
    check(q, db, q_labels, db_labels, q_labels @ db_labels.T > 0, bits)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("queries", "n", "classes", "distinct"),
    [
        (1, 1, 1, None),
        (0, 50, 2, None),
        (3, 0, 2, None),
        (129, 900, 5, 6),  # Many equal codes.
        (300, 400, 400, None),  # Hardly two items of a class.
        (300, 3000, 1, None),  # More than byte counters hold.
        (10_300, 600, 1000, 40),  # Several blocks of queries, some of which coincide.
        (500, 600, 2, 600),
    ],
)
def test_sizes_and_multiplicities(queries, n, classes, distinct):
    rng, q, db = make(n, 12, queries, n, distinct)
    q[queries // 2 :] = q[: queries - queries // 2]
    q_labels, db_labels = rng.integers(0, classes, queries), rng.integers(0, classes, n)
    check(q, db, q_labels, db_labels, q_labels[:, None] == db_labels, 12)


def test_equal_items_overflow_no_counter():
    n = 100_000
    same, label = np.zeros((n, 2), np.uint32), np.zeros(n, np.int64)
    total, relevant = retrieval.distance_histograms(same[:2], same, label[:2], label, 48)
    assert total[0, 0] == relevant[1, 0] == n
    assert total.sum() == 2 * n


def test_class_ids_of_64_bits_stay_apart():
    code = np.zeros((2, 1), np.uint32)
    label = np.array([1, 1 + 2**32])
    _, relevant = retrieval.distance_histograms(code, code, label, label, 8)
    np.testing.assert_array_equal(relevant[:, 0], [1, 1])


def test_memory_is_bounded_by_tiles():
    chunks = histograms._Chunks(
        jax.ShapeDtypeStruct((1024, 224, 6), np.uint8),
        jax.ShapeDtypeStruct((1024, 224), bool),
        jax.ShapeDtypeStruct((1024, 2), np.uint32),
        jax.ShapeDtypeStruct((1024,), np.int32),
        1024,
    )
    codes = jax.ShapeDtypeStruct((1, 6, 80, 128), np.uint8)
    labels = jax.ShapeDtypeStruct((1, 2, 80, 128), np.uint32)
    compiled = histograms._count.lower(codes, labels, chunks, 48, False).compile()
    assert compiled.memory_analysis().temp_size_in_bytes < 50e6  # Byte distances take 2.3 GB.


def test_another_database_of_the_same_size_compiles_nothing():
    def run(seed):
        rng, q, db = make(seed, 16, 20, 1000)
        labels = rng.integers(0, 4, 1000)
        packed = retrieval.pack_codes(q), retrieval.pack_codes(db)
        retrieval.distance_histograms(*packed, labels[:20], labels, 16)

    run(0)
    before = histograms._count._cache_size()
    run(1)
    assert histograms._count._cache_size() == before


def test_codes_of_another_length_are_refused():
    """Of 48 bits, as if they had 40 or 44: the number of words is the same."""
    codes = np.asarray(retrieval.pack_codes(np.ones((3, 48), bool)))
    labels = np.arange(3)
    for bits in (33, 40, 44):
        with pytest.raises(InputError, match=rf"q_codes: row 0, with bits set beyond the {bits}"):
            retrieval.mean_average_precision(codes, codes, labels, labels, bits)
        shorter = codes & np.uint32([2**32 - 1, 1])
        with pytest.raises(InputError, match=rf"db_codes: row 0, with bits set beyond the {bits}"):
            retrieval.mean_average_precision(shorter, codes, labels, labels, bits)


def test_bad_input():
    codes, labels = np.zeros((4, 1), np.uint32), np.zeros(4, np.int32)
    count = retrieval.distance_histograms
    with pytest.raises(InputError, match=r"q_codes: 1 words .*: 2, because 48 bits take 2"):
        count(codes, codes, labels, labels, 48)
    with pytest.raises(InputError, match=r"db_labels: int32\[3\] given; allowed: .* N = 4"):
        count(codes, codes, labels, labels[:3], 32)
    with pytest.raises(InputError, match=r"q_labels: float64\[4\] given; allowed: integer"):
        count(codes, codes, np.zeros(4), labels, 32)
    with pytest.raises(
        InputError, match=r"q_labels: shape \(4,\) given, and \(4, 3\) for db_labels"
    ):
        count(codes, codes, labels, np.zeros((4, 3), bool), 32)
    for wrong in (-1.0, 2.0, 0.5, np.nan):
        rows = np.zeros((4, 40))
        rows[2, 39] = wrong
        message = rf"^db_labels: {wrong} given for label 39 of item 2; allowed: 0 and 1"
        with pytest.raises(InputError, match=message):
            count(codes, codes, np.zeros((4, 40)), rows, 32)
    with pytest.raises(InputError, match="bits: 513 given; allowed: 1 to 512"):
        count(codes, codes, labels, labels, 513)
