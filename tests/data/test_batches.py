import threading

import numpy as np
import pytest

from jhash.data import ArraySource, batches


def test_batches_keep_every_sample_and_fill_up_from_the_start():
    orders = batches.batch_indices(np.array([5, 3, 8, 1, 9]), 2)
    np.testing.assert_array_equal(orders, [[5, 3], [8, 1], [9, 5]])
    assert batches.batch_indices(np.arange(6), 3).shape == (2, 3)
    np.testing.assert_array_equal(batches.batch_indices(np.array([7, 4]), 5), [[7, 4, 7, 4, 7]])


@pytest.fixture
def source():
    images = np.arange(10, dtype=np.uint8)[:, None, None] * np.ones((1, 2, 2), np.uint8)
    return ArraySource(images, np.arange(10, dtype=np.int32) % 3)


def test_prefetch_gives_images_labels_and_indices_in_order(source):
    orders = np.array([[3, 1], [9, 9], [0, 4]])
    found = list(batches.prefetch(source, orders))
    for batch, order in zip(found, orders, strict=True):
        np.testing.assert_array_equal(batch["images"][:, 0, 0, 0], order)
        np.testing.assert_array_equal(batch["labels"], order % 3)
        np.testing.assert_array_equal(batch["index"], order)


def test_an_error_while_reading_arrives_and_leaves_no_thread(source):
    class Broken:
        labels = source.labels

        def images(self, indices):
            raise OSError(f"cannot read {indices[0]}")

    before = threading.active_count()
    with pytest.raises(OSError, match="cannot read 3"):
        list(batches.prefetch(Broken(), [[3], [4]]))
    assert threading.active_count() == before
