"""The protocols on sources of the true sizes, whose images are made when asked for."""

import zlib

import numpy as np
import pytest

from jhash.data import ArraySource, Data, idx, splits
from jhash.data.sources import check_source
from jhash.errors import InputError


class Synthetic:
    """Labels of the true size; an image is filled with its index modulo 256."""

    image_shape = (2, 2, 3)

    def __init__(self, labels, parts=None):
        self.labels = labels
        classes = labels.shape[1] if labels.ndim == 2 else labels.max() + 1
        self.class_names = tuple(f"class {number}" for number in range(classes))
        self.parts = parts or {}

    def __len__(self):
        return len(self.labels)

    def images(self, indices):
        return np.broadcast_to((indices % 256).astype(np.uint8)[:, None, None, None], (1, 2, 2, 3))


def multi_hot(rng, count, classes, density, unlabeled=0):
    """Rows with class frequencies from `density` to a twentieth of it, in random order."""
    density = rng.permutation(np.linspace(density, density / 20, classes))
    labels = (rng.random((count, classes), np.float32) < density).astype(np.uint8)
    labels[np.arange(count), rng.integers(0, classes, count)] = 1
    labels[rng.choice(count, unlabeled, replace=False)] = 0
    return labels


@pytest.fixture(scope="module")
def cifar10():
    labels = np.random.default_rng(0).permutation(np.repeat(np.arange(10, dtype=np.int32), 6000))
    return Synthetic(labels, {"train": np.arange(50000), "test": np.arange(50000, 60000)})


@pytest.fixture(scope="module")
def nus_wide():
    return Synthetic(multi_hot(np.random.default_rng(1), 269648, 81, 0.1, unlabeled=30000))


def assert_deterministic(split, source):
    first, again, other = split(source, 0), split(source, 0), split(source, 1)
    for name in ("train", "database", "queries"):
        np.testing.assert_array_equal(getattr(first, name), getattr(again, name))
    assert not np.array_equal(first.queries, other.queries)


def assert_balanced(data, indices, count):
    np.testing.assert_array_equal(np.bincount(data.labels(indices)), np.full(10, count))


@pytest.mark.parametrize("name", ["embedded", "cifar10_fdah"])
def test_training_is_the_database(name, cifar10):
    source = idx.embedded() if name == "embedded" else cifar10
    split = splits.PROTOCOLS[name]
    data = split(source, 0)
    assert_balanced(data, data.queries, 100)
    assert_balanced(data, data.database, len(source) // 10 - 100)
    np.testing.assert_array_equal(data.train, data.database)
    together = np.sort(np.concatenate([data.database, data.queries]))
    np.testing.assert_array_equal(together, np.arange(len(source)))
    assert_deterministic(split, source)


def test_draws_follow_the_documented_generator(cifar10):
    rng = np.random.default_rng([7, zlib.crc32(b"cifar10_fdah")])
    first = rng.permutation(np.flatnonzero(cifar10.labels == 0))[:100]
    queries = splits.cifar10_fdah(cifar10, 7).queries
    np.testing.assert_array_equal(queries[cifar10.labels[queries] == 0], np.sort(first))


def test_cifar10_dhn(cifar10):
    data = splits.cifar10_dhn(cifar10, 0)
    for indices, count in ((data.queries, 100), (data.train, 500), (data.database, 5400)):
        assert_balanced(data, indices, count)
    assert np.unique(np.concatenate([data.queries, data.train, data.database])).size == 60000
    assert_deterministic(splits.cifar10_dhn, cifar10)

    wide = splits.cifar10_dhn59k(cifar10, 0)
    np.testing.assert_array_equal(wide.queries, data.queries)
    np.testing.assert_array_equal(wide.train, data.train)
    np.testing.assert_array_equal(wide.database, np.setdiff1d(np.arange(60000), data.queries))


def test_official_parts(cifar10):
    data = splits.cifar10_dah(cifar10, 0)
    for indices in (data.train, data.database):
        np.testing.assert_array_equal(indices, np.arange(50000))
    np.testing.assert_array_equal(data.queries, np.arange(50000, 60000))

    source = Synthetic(
        np.repeat(np.arange(10, dtype=np.int32), 7000),
        {"train": np.arange(60000), "test": np.arange(60000, 70000)},
    )
    data = splits.fashion_mnist(source, 0)
    assert (len(data.train), len(data.database), len(data.queries)) == (60000, 60000, 10000)
    with pytest.raises(
        InputError,
        match=r"60000 and 10000 .*; allowed: 50000 and 10000, .* cifar10_dah",
    ):
        splits.cifar10_dah(source, 0)


def test_official_prefers_a_database_part():
    parts = {"train": [0, 1], "database": [1, 2, 3], "test": [4, 5]}
    source = ArraySource(np.zeros((6, 2, 2), np.uint8), np.arange(6), parts=parts)
    data = splits.official(source, 0)
    np.testing.assert_array_equal(data.train, [0, 1])
    np.testing.assert_array_equal(data.database, [1, 2, 3])
    np.testing.assert_array_equal(data.queries, [4, 5])
    del source.parts["database"]
    np.testing.assert_array_equal(splits.official(source, 0).database, [0, 1])
    del source.parts["test"]
    with pytest.raises(InputError, match="source: the parts train given, so no part 'test'"):
        splits.official(source, 0)


@pytest.mark.slow
def test_nus_wide21(nus_wide):
    data = splits.nus_wide21(nus_wide, 0)
    counts = nus_wide.labels.sum(0, dtype=int)
    top = sorted(sorted(range(81), key=lambda column: (-counts[column], column))[:21])
    check_source(data.source)
    assert data.num_classes == 21
    assert data.multi_label
    assert data.source.class_names == tuple(f"class {column}" for column in top)
    np.testing.assert_array_equal(data.source.labels, nus_wide.labels[:, top])
    assert len(data.queries) == 2100
    assert (data.labels(data.queries).sum(0) >= 100).all()
    np.testing.assert_array_equal(data.train, data.database)
    assert len(data.database) > 190000
    # Together exactly the images that have one of the classes.
    together = np.sort(np.concatenate([data.database, data.queries]))
    np.testing.assert_array_equal(together, np.flatnonzero(nus_wide.labels[:, top].any(1)))
    assert_deterministic(splits.nus_wide21, nus_wide)


@pytest.mark.slow
def test_nus_wide21_takes_a_source_of_21_classes(nus_wide):
    data = splits.nus_wide21(nus_wide, 0)
    kept = np.flatnonzero(data.source.labels.any(1))
    again = splits.nus_wide21(Synthetic(data.source.labels[kept]), 0)
    np.testing.assert_array_equal(kept[again.queries], data.queries)


def test_nus_wide21_lets_rare_classes_draw_first():
    # The rarest class has just its 100, all in a class of 200 that would take half of them.
    labels = np.zeros((192200, 21), np.uint8)
    labels[:, 0] = 1
    for column in range(1, 19):
        labels[1000 * column : 1000 * column + 500, column] = 1
    labels[:200, 19] = 1
    labels[:100, 20] = 1
    data = splits.nus_wide21(Synthetic(labels), 0)
    assert np.isin(np.arange(100), data.queries).all()
    labels[99, 20] = 0
    with pytest.raises(InputError, match="source: 99 images of class class 20 given"):
        splits.nus_wide21(Synthetic(labels), 0)


@pytest.mark.slow
def test_nus_wide81(nus_wide):
    data = splits.nus_wide81(nus_wide, 0)
    assert (len(data.queries), len(data.train), len(data.database)) == (5000, 10000, 254648)
    everything = np.concatenate([data.queries, data.train, data.database])
    assert np.unique(everything).size == 269648
    assert data.labels(data.queries).any(1).all()
    assert data.labels(data.train).any(1).all()
    assert_deterministic(splits.nus_wide81, nus_wide)


@pytest.mark.parametrize("queries", ["validation", "test"])
def test_coco(queries):
    labels = multi_hot(np.random.default_rng(2), 118287 + 5000, 80, 0.05, unlabeled=1100)
    parts = {"train": np.arange(118287), queries: np.arange(118287, len(labels))}
    source = Synthetic(labels, parts)
    data = splits.coco(source, 0)
    labeled = np.flatnonzero(labels.any(1))
    np.testing.assert_array_equal(data.database, labeled[labeled < 118287])
    np.testing.assert_array_equal(data.queries, labeled[labeled >= 118287])
    assert len(data.train) == 50000
    assert np.isin(data.train, data.database).all()
    np.testing.assert_array_equal(data.train, splits.coco(source, 0).train)
    assert not np.array_equal(data.train, splits.coco(source, 1).train)


def test_flickr25k():
    source = Synthetic(multi_hot(np.random.default_rng(3), 25000, 24, 0.3, unlabeled=2000))
    data = splits.flickr25k(source, 0)
    assert (len(data.queries), len(data.train), len(data.database)) == (2000, 10000, 23000)
    assert np.isin(data.train, data.database).all()
    together = np.sort(np.concatenate([data.database, data.queries]))
    np.testing.assert_array_equal(together, np.arange(25000))
    assert data.labels(data.queries).any(1).all()
    assert_deterministic(splits.flickr25k, source)


@pytest.mark.parametrize(
    ("name", "shape", "message"),
    [
        ("embedded", None, r"classes of \[60, 60.* given; allowed: ten classes of 1000 images"),
        ("cifar10_fdah", None, r"classes of \[60, 60.* given; allowed: ten classes of 6000 images"),
        ("cifar10_dhn", (600, 10), "classes of multi-label images given"),
        ("fashion_mnist", None, "parts of 500 and 100 images given; allowed: 60000 and 10000"),
        ("nus_wide21", (600, 21), "600 images .* given; allowed: more than 192,100"),
        ("nus_wide21", (600, 20), r"labels \[600, 20\] given; allowed: 21 or 81 columns"),
        ("nus_wide81", (600, 81), "600 labeled images given; allowed: 15001 and more"),
        ("nus_wide81", None, r"labels \[600\] given; allowed: 81 columns"),
        ("coco", (600, 80), "500 labeled images in the part train given; allowed: 50000 and more"),
        ("flickr25k", (600, 24), "600 labeled images given; allowed: 12001 and more"),
    ],
)
def test_protocols_reject_other_sources(name, shape, message):
    labels = np.ones(shape, np.uint8) if shape else np.repeat(np.arange(10, dtype=np.int32), 60)
    source = Synthetic(labels, {"train": np.arange(500), "test": np.arange(500, 600)})
    with pytest.raises(InputError, match=f"^source: {message}.*, for the split {name}"):
        splits.PROTOCOLS[name](source, 0)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"train": []}, "train: float64 .* given; allowed: integers"),
        ({"train": np.zeros(0, int)}, "train: an empty set given"),
        ({"queries": [5, 6]}, "queries: indices from 5 to 6 given; allowed: 0 to 5"),
        ({"database": [-1, 2]}, "database: indices from -1"),
        ({"database": [2, 3, 3]}, "database: 3 indices with 1 duplicates given"),
        ({"database": [[2, 3]]}, "database: .* given; allowed: integers in one dimension"),
        ({"train": [0, 4]}, "train: 1 images given that are queries"),
        ({"database": [4, 5, 2]}, "database: 2 images given that are queries"),
    ],
)
def test_data_names_the_offending_set(changes, message):
    source = ArraySource(np.zeros((6, 2, 2), np.uint8), np.arange(6))
    with pytest.raises(InputError, match=message):
        Data(**{"source": source, "train": [0], "database": [2, 3], "queries": [4, 5], **changes})


def test_data_properties():
    source = ArraySource(np.zeros((6, 2, 2), np.uint8), np.array([0, 1, 2, 0, 1, 2]))
    data = Data(source, [0], [0, 1, 2], np.array([4, 5], np.int32))
    assert data.num_classes == 3
    assert not data.multi_label
    assert data.queries.dtype == np.int64
    np.testing.assert_array_equal(data.labels(data.queries), [1, 2])


def test_validation_leaves_the_training_set_and_the_database(cifar10):
    data = splits.cifar10_fdah(cifar10, 0)
    held = splits.hold_out(data, 30, seed=0, per_class=True)
    assert_balanced(held, held.validation, 30)
    np.testing.assert_array_equal(held.queries, data.queries)
    for name in ("train", "database"):
        np.testing.assert_array_equal(
            getattr(held, name), np.setdiff1d(getattr(data, name), held.validation)
        )
    other = splits.hold_out(data, 30, seed=1, per_class=True)
    assert not np.array_equal(other.validation, held.validation)
    # The draw depends on the training set alone, and a database apart from it stays as it is.
    apart = splits.cifar10_dhn(cifar10, 0)
    moved = Data(cifar10, apart.train, apart.queries, apart.database)
    one, two = (splits.hold_out(split, 100, seed=0) for split in (apart, moved))
    np.testing.assert_array_equal(one.validation, two.validation)
    np.testing.assert_array_equal(one.database, apart.database)
    assert np.isin(one.validation, apart.train).all()
    assert (len(one.validation), len(one.train)) == (100, 4900)
    view = one.of_validation
    np.testing.assert_array_equal(view.database, one.train)
    np.testing.assert_array_equal(view.queries, one.validation)


@pytest.mark.parametrize("per_class", [False, True])
def test_validation_of_several_labels_is_labeled(nus_wide, per_class):
    data = Data(nus_wide, np.arange(9000), np.arange(8000, 10_000), np.arange(10_000, 10_100))
    held = splits.hold_out(data, 5, seed=0, per_class=per_class)
    labels = data.labels(held.validation)
    assert labels.any(axis=1).all()
    assert len(held.validation) == (5 * 81 if per_class else 5)
    if per_class:
        assert (labels.sum(0) >= 5).all()


@pytest.mark.parametrize(
    ("labels", "count", "per_class", "message"),
    [
        ("001122", 8, False, r"8 given; allowed: 1 to 5, less than .* images with a label, 6"),
        ("-00112", 5, False, r"5 given; allowed: 1 to 4, less than .* images with a label, 5"),
        ("000112", 1, True, r"1 given; allowed: 0, less than .* images of a class, 1"),
        ("------", 1, True, r"1 given; allowed: 0, as no training image is labeled"),
    ],
)
def test_too_large_a_validation_is_refused(labels, count, per_class, message):
    rows = np.array([[label == name for name in "012"] for label in labels + "00"], np.uint8)
    source = ArraySource(np.zeros((8, 2, 2, 1), np.uint8), rows)
    data = Data(source, np.arange(6), np.arange(6), np.arange(6, 8))
    with pytest.raises(InputError, match=rf"^validation: {message}"):
        splits.hold_out(data, count, seed=0, per_class=per_class)
