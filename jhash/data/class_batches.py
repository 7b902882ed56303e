"""Class-balanced batches: every batch has equally many images of every class."""

from collections.abc import Sequence

import jax
import numpy as np

from jhash.errors import InputError


def epoch(
    labels: np.ndarray, batch_size: int, class_names: Sequence[str], number: int, key: jax.Array
) -> np.ndarray:
    """The order of one epoch: batch after batch, and in a batch class after class.

    The images of a class are an endless stream of random permutations, and an epoch goes on where
    the one before stopped. So after any number of epochs the images of a class were seen equally
    often to within one, and each once an epoch if the classes are of one size that the images a
    class in a batch divide. No batch has an image twice, unless it needs more than its class has.

    Args:
      labels: Class ids of the training images, int [N].
      batch_size: A positive multiple of the number of classes, C.
      class_names: The C classes.
      number: Of the epoch, from 0.
      key: Typed PRNG key, the same for all epochs: the order is a function of it and `number`.

    Returns:
      int64 positions in `labels`, [batches * batch_size]. Every epoch has the same number of
      batches, with which the largest class is seen once.

    Raises:
      InputError: Labels are not class ids, the batch size does not fit, or a class has no image.

    Source: DAH, section III.C: batches of 2n images, n the number of classes.
    """
    classes = len(class_names)
    if np.ndim(labels) != 1:
        raise InputError(
            f"labels: {np.ndim(labels)} dimensions given; class-balanced batches need one class "
            "id an image."
        )
    if batch_size < 1 or batch_size % classes:
        raise InputError(
            f"batch_size: {batch_size} given; allowed is a positive multiple of the number of "
            f"classes, {classes}."
        )
    counts = np.bincount(labels, minlength=classes)
    if not counts.all():
        missing = ", ".join(str(class_names[label]) for label in np.flatnonzero(counts == 0))
        raise InputError(
            f"labels: no training image of class {missing}; class-balanced batches need all "
            "classes."
        )
    share = batch_size // classes
    batches = -(-int(counts.max()) // share)
    members = np.split(np.argsort(labels, kind="stable"), np.cumsum(counts)[:-1])
    seed = np.asarray(jax.random.key_data(key)).tolist()
    columns = [
        _stream(len(images), number * batches * share, batches * share, share, [*seed, label])
        for label, images in enumerate(members)
    ]
    columns = [
        images[places].reshape(batches, share)
        for images, places in zip(members, columns, strict=True)
    ]
    return np.concatenate(columns, axis=1).ravel()


def _stream(size, start, count, share, seed):
    """Elements `start` to `start + count` of a class's endless stream of 0..size-1."""
    if size < 2 * share:
        # Two seams can meet in one batch. One order, repeated, has no image twice within `size`.
        return _permutation(size, 0, seed)[np.arange(start, start + count) % size]
    first, last = start // size, (start + count - 1) // size
    orders = [_order(size, number, share, seed) for number in range(first, last + 1)]
    return np.concatenate(orders)[start - first * size :][:count]


def _order(size, number, share, seed):
    """A permutation of which no image was in the part of a batch that the one before left over.

    Only what lies before the last `share` images moves, so that a permutation's end, on which the
    next one depends, is known without the permutations before it.
    """
    order = _permutation(size, number, seed)
    left_over = number * size % share
    if not left_over:
        return order
    head, tail = np.split(order, [size - share])
    seen = np.isin(head, _permutation(size, number - 1, seed)[size - left_over :])
    return np.concatenate([head[~seen], head[seen], tail])


def _permutation(size, number, seed):
    return np.random.default_rng([*seed, number]).permutation(size)
