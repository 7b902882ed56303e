"""Groups of images with equal labels, and labels as rows of 0/1."""

import jax
import jax.numpy as jnp
import numpy as np


def group_by_label(
    labels: jax.Array | np.ndarray, num_classes: int
) -> tuple[np.ndarray, np.ndarray]:
    """Returns the distinct label rows, and for each image the row that is its own.

    Args:
      labels: Class ids int [n], or 0/1 [n, c].
      num_classes: Number of classes c; used for class ids only.

    Returns:
      (label rows of the K groups, float32 0/1 [K, c]; each image's group, int [n] in 0..K-1). For
      class ids the groups are the classes, absent ones included.
    """
    labels = np.asarray(labels)
    if labels.ndim == 1:
        return np.eye(num_classes, dtype=np.float32), labels
    _, representatives, groups = np.unique(_packed(labels), return_index=True, return_inverse=True)
    return labels[representatives].astype(np.float32), groups


def find_groups(labels: jax.Array | np.ndarray, group_labels: jax.Array | np.ndarray) -> np.ndarray:
    """Returns the group of each image, of groups that `group_by_label` has made.

    Args:
      labels: Class ids int [n], or 0/1 [n, c], of images that are in the groups.
      group_labels: Label rows of the K groups, 0/1 [K, c].

    Returns:
      int [n] in 0..K-1.

    Raises:
      KeyError: An image is in none of the groups.
    """
    labels = np.asarray(labels)
    if labels.ndim == 1:
        return labels
    groups = {row: group for group, row in enumerate(_packed(np.asarray(group_labels)).tolist())}
    return np.array([groups[row] for row in _packed(labels).tolist()])


def _packed(labels):
    """Returns each row 0/1 as one string of bytes, so that rows are compared as single values."""
    packed = np.ascontiguousarray(np.packbits(labels.astype(bool), axis=1))
    return packed.view(np.dtype((np.void, packed.shape[1])))[:, 0]


def one_hot(labels: jax.Array | np.ndarray, num_classes: int) -> jax.Array:
    """Returns labels, class ids [n] or 0/1 [n, c], as float32 0/1 [n, c]."""
    labels = jnp.asarray(labels)
    if labels.ndim == 1:
        return jax.nn.one_hot(labels, num_classes)
    return labels.astype(jnp.float32)


def rows(labels: jax.Array | np.ndarray) -> jax.Array:
    """Returns labels, class ids [n] or 0/1 [n, c], as float32 0/1 [n, c].

    For class ids c is 1 + the largest id.
    """
    labels = np.asarray(labels)
    return one_hot(labels, 0 if labels.ndim == 2 else int(labels.max()) + 1)
