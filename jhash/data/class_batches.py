"""Class-balanced batches: every batch has the same number of images of every class."""

from collections.abc import Sequence

import jax
import numpy as np

from jhash.errors import InputError


def epoch(
    labels: np.ndarray, batch_size: int, class_names: Sequence[str], number: int, key: jax.Array
) -> np.ndarray:
    """Computes the order of one epoch: batch after batch, and class after class in each batch.

    The images of each class form an endless stream of random permutations. An epoch goes on where
    the epoch before it stopped. After any number of epochs, the numbers of times that two images of
    a class were seen differ by at most 1. If all classes have the same size, and it is a multiple
    of the images per class in a batch, each image is seen once per epoch. No batch has an image
    twice, unless it takes more images of a class than there are.

    Args:
      labels: Class ids of the training images, int [N].
      batch_size: Number of images per batch, a positive multiple of the number of classes C.
      class_names: Names of the C classes.
      number: Number of the epoch, from 0.
      key: Typed PRNG key, the same for all epochs. The order is a function of it and `number`.

    Returns:
      int64 positions in `labels`, [batches * batch_size]. Every epoch has the same number of
      batches: as few as show the largest class once.

    Raises:
      InputError: Labels are not class ids, the batch size does not fit, or a class has no image.

    References:
      DAH (Li et al. 2020), section III.C: batches of 2n images, n the number of classes.
    """
    classes = len(class_names)
    if np.ndim(labels) != 1:
        raise InputError(
            f"labels: {np.ndim(labels)} dimensions given; allowed: 1, as class-balanced batches "
            "need one class id per image."
        )
    if batch_size < 1 or batch_size % classes:
        raise InputError(
            f"batch_size: {batch_size} given; allowed: positive multiples of the number of "
            f"classes, {classes}."
        )
    counts = np.bincount(labels, minlength=classes)
    if not counts.all():
        missing = ", ".join(str(class_names[label]) for label in np.flatnonzero(counts == 0))
        raise InputError(
            f"labels: no training image of class {missing} given; allowed: 1 and more of every "
            "class, as class-balanced batches need all classes."
        )
    share = batch_size // classes
    batches = -(-int(counts.max()) // share)
    members = np.split(np.argsort(labels, kind="stable"), np.cumsum(counts)[:-1])
    seed = np.asarray(jax.random.key_data(key)).tolist()
    columns = []
    for label, images in enumerate(members):
        start = number * batches * share
        places = _stream(len(images), start, batches * share, share, [*seed, label])
        columns.append(images[places].reshape(batches, share))
    return np.concatenate(columns, axis=1).ravel()


def _stream(size, start, count, share, seed):
    """Returns elements `start` to `start + count - 1` of a class's endless stream of 0..size-1.

    The stream is made of permutations, one after another; `share` of its elements go to each batch.
    """
    if size < 2 * share:
        # `_order` has too few images to move here. One permutation, repeated, has no image twice
        # within `size` elements.
        return _permutation(size, 0, seed)[np.arange(start, start + count) % size]
    lowest = start // size
    highest = (start + count - 1) // size
    orders = [_order(size, number, share, seed) for number in range(lowest, highest + 1)]
    return np.concatenate(orders)[start - lowest * size :][:count]


def _order(size, number, share, seed):
    """Returns permutation `number` of a stream, arranged so that no batch has an image twice.

    Where a batch begins in the permutation before this one, its images must not come again in the
    rest of the batch, at the start of this one. They are moved back, though not into the last
    `share` places: so the end of a permutation, on which the next one depends, is known without the
    permutations before it.
    """
    order = _permutation(size, number, seed)
    # Elements of the batch at the seam that the permutation before this one gives.
    begun = number * size % share
    if not begun:
        return order
    head, tail = np.split(order, [size - share])
    seen = np.isin(head, _permutation(size, number - 1, seed)[size - begun :])
    return np.concatenate([head[~seen], head[seen], tail])


def _permutation(size, number, seed):
    """Draws permutation `number` of 0..size-1."""
    return np.random.default_rng([*seed, number]).permutation(size)
