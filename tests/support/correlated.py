"""Correlated features, and their principal components in float64."""

import numpy as np


def features():
    """600 features of unequal variances and a mean far from 0, float32 [600, 20]."""
    rng = np.random.default_rng(0)
    mixing = rng.normal(size=(20, 20)) * np.linspace(3, 0.3, 20)[:, None]
    return (rng.normal(size=(600, 20)) @ mixing + 5).astype(np.float32)


def float64_components(features, count):
    centered = features.astype(np.float64) - features.mean(0, dtype=np.float64)
    return centered, np.linalg.svd(centered, full_matrices=False)[2][:count].T
