import jax
import numpy as np
import pytest

from jhash.data import class_batches
from jhash.errors import InputError

KEY = jax.random.key(5)


def orders(counts, batch_size, epochs, key=KEY):
    """Labels in a random order, and the batches of some epochs, [epochs, batches, batch_size]."""
    labels = np.repeat(np.arange(len(counts), dtype=np.int32), counts)
    labels = np.random.default_rng(0).permutation(labels)
    names = [f"class {label}" for label in range(len(counts))]
    found = [class_batches.epoch(labels, batch_size, names, n, key) for n in range(epochs)]
    assert all(order.dtype == np.int64 for order in found)
    return labels, np.stack(found).reshape(epochs, -1, batch_size)


# Odd counts, many images per class, classes of fewer images than a batch takes: seams everywhere.
@pytest.mark.parametrize(
    ("counts", "share"),
    [
        ([6, 6, 6], 2),
        ([7, 7], 2),
        ([9, 12, 5, 3], 2),
        ([10, 25, 31], 5),
        ([4, 13, 7], 4),
        ([2, 3, 9], 3),
        ([1, 8], 2),
        ([11], 4),
    ],
)
def test_every_batch_is_balanced_and_every_image_seen_equally_often(counts, share):
    labels, epochs = orders(counts, share * len(counts), 7)
    assert epochs.shape[1] == -(-max(counts) // share)
    for order in epochs.reshape(-1, share * len(counts)):
        np.testing.assert_array_equal(np.bincount(labels[order]), share)
        for label, count in enumerate(counts):
            distinct = len(np.unique(order[labels[order] == label]))
            assert distinct == min(share, count)
    for end in range(1, 8):
        seen = np.bincount(epochs[:end].ravel(), minlength=len(labels))
        for label in range(len(counts)):
            assert np.ptp(seen[labels == label]) <= 1


def test_classes_of_one_size_are_seen_once_an_epoch_in_a_new_order():
    labels, epochs = orders([12, 12, 12], 9, 4)
    for epoch in epochs:
        np.testing.assert_array_equal(np.sort(epoch.ravel()), np.arange(len(labels)))
    assert len(np.unique(epochs.reshape(4, -1), axis=0)) == 4
    ranks = np.argsort(np.argsort(labels, kind="stable"), kind="stable")
    in_class = ranks[epochs[0]] - 12 * labels[epochs[0]]
    assert not np.array_equal(in_class[:, :3], in_class[:, 3:6]), "classes share an order"


def test_an_order_depends_on_key_and_epoch_alone():
    labels, epochs = orders([9, 12, 5], 6, 5)
    names = ["a", "b", "c"]
    np.testing.assert_array_equal(class_batches.epoch(labels, 6, names, 3, KEY), epochs[3].ravel())
    other = class_batches.epoch(labels, 6, names, 3, jax.random.key(6))
    assert not np.array_equal(other, epochs[3].ravel())


@pytest.mark.parametrize(
    ("labels", "batch_size", "message"),
    [
        (
            np.array([0, 2, 2]),
            6,
            "labels: no training image of class bag given; allowed: 1",
        ),
        (np.eye(3, dtype=np.uint8), 6, "labels: 2 dimensions given; allowed: 1"),
        (np.array([0, 1, 2]), 7, "batch_size: 7 given; allowed: .* classes, 3"),
        (np.array([0, 1, 2]), 0, "batch_size: 0 given; allowed: .* classes, 3"),
    ],
)
def test_what_cannot_be_balanced_is_refused(labels, batch_size, message):
    with pytest.raises(InputError, match=message):
        class_batches.epoch(labels, batch_size, ["boot", "bag", "coat"], 0, KEY)
