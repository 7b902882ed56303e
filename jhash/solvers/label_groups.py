"""Images grouped by equal labels, and labels as rows of 0/1."""

import jax
import jax.numpy as jnp
import numpy as np


def group_by_label(labels, num_classes):
    """The distinct label vectors and each image's place among them.

    Args:
      labels: int [n] class ids or 0/1 [n, c].
      num_classes: c.

    Returns:
      (float32 0/1 [K, c], int [n] in 0..K-1). For class ids the groups are the classes, absent
      ones included.
    """
    labels = np.asarray(labels)
    if labels.ndim == 1:
        return np.eye(num_classes, dtype=np.float32), labels
    packed = np.ascontiguousarray(np.packbits(labels.astype(bool), axis=1))
    rows = packed.view(np.dtype((np.void, packed.shape[1])))[:, 0]
    _, first, index = np.unique(rows, return_index=True, return_inverse=True)
    return labels[first].astype(np.float32), index


def one_hot(labels, num_classes):
    """Class ids [n] or 0/1 [n, c] as float32 0/1 [n, c]."""
    labels = jnp.asarray(labels)
    if labels.ndim == 1:
        return jax.nn.one_hot(labels, num_classes)
    return labels.astype(jnp.float32)
