"""Closed forms and fits that methods and models are built from."""

from jhash.solvers import (
    asymmetric,
    class_codes,
    eigenmaps,
    factored_graph,
    knn_graph,
    label_groups,
    pca,
    rotation,
    thresholds,
)

__all__ = [
    "asymmetric",
    "class_codes",
    "eigenmaps",
    "factored_graph",
    "knn_graph",
    "label_groups",
    "pca",
    "rotation",
    "thresholds",
]
