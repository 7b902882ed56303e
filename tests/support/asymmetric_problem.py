"""A small problem for FDAH's closed forms and loss, and the paper's matrices of it in float64."""

import types

import numpy as np

G1, G2, G3 = 1e-3, 10.0, 1.0
# Images, queries, classes and bits.
N, M, C, L = 60, 17, 4, 6


def random_labels(rng, n, multi_label):
    if not multi_label:
        return rng.permutation(np.arange(n) % C).astype(np.int32)
    labels = (rng.random((n, C)) < 0.35).astype(np.uint8)
    labels[labels.sum(1) == 0, 0] = 1
    return labels


def one_hot(labels):
    return (np.eye(C)[labels] if labels.ndim == 1 else labels).astype(np.float64)


def make(multi_label):
    """Labels of the images, those of a draw of queries, and random U, B and W."""
    rng = np.random.default_rng(1)
    labels = random_labels(rng, N, multi_label)
    drawn = rng.choice(N, M, replace=False)
    return types.SimpleNamespace(
        labels=labels,
        query_labels=labels[drawn],
        u=np.tanh(rng.normal(size=(M, L))),
        b=np.sign(rng.normal(size=(N, L))),
        w=rng.normal(size=(C, L)),
        rng=rng,
    )


def matrices(p):
    """Y, A, S~ and A~ as the paper has them, built in full."""
    y, yq = one_hot(p.labels), one_hot(p.query_labels)
    a = (y @ yq.T > 0).astype(np.float64)
    return y, a, L * (2 * a - 1), a / a.sum(0)
