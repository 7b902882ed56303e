"""Pictures with structure at many scales, in which every place looks different."""

import numpy as np
from PIL import Image


def texture(seed: int, width: int = 300, height: int = 200) -> np.ndarray:
    """Draws noise of several scales, uint8 [height, width, 3]."""
    rng = np.random.default_rng(seed)
    layers = []
    for cells in (4, 9, 20, 45):
        noise = rng.integers(0, 256, (cells, cells, 3), dtype=np.uint8)
        layer = Image.fromarray(noise).resize((width, height), Image.Resampling.BICUBIC)
        layers.append(np.asarray(layer, np.float64))
    return np.clip(127.5 + 1.6 * (np.mean(layers, axis=0) - 127.5), 0, 255).astype(np.uint8)
