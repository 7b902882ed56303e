"""The normalization of images for weights of PyTorch's networks.

These networks take (bytes / 255 - mean) / std, with a std for each color. The models of jhash take
(bytes - MEAN) * SCALE, with the one factor for all colors that `config.image.scale` is by default.
The quotients of the two are multiplied into the kernels of the first layer. What that layer
computes is the same, as padding is 0 in either case.
"""

import numpy as np

# Of ImageNet's colors, as torchvision's networks and most of timm's expect them.
IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)
# Those of timm's vision transformers, from -1 to 1.
HALF = (0.5, 0.5, 0.5)
# What models expect whose first layer has zeros as padding: MEAN cannot be folded into it.
MEAN = np.float32([255 * mean for mean in IMAGENET_MEAN])
SCALE = 1 / 64


def fold_scale(kernel: np.ndarray, std: tuple[float, ...] = IMAGENET_STD) -> np.ndarray:
    """Makes the kernel of a first layer take SCALE in place of a standard deviation per color.

    Args:
      kernel: float32 [height, width, 3, out].
      std: The standard deviations, of colors from 0 to 1.

    Returns:
      float32, of the same shape.
    """
    factors = 1 / (255 * SCALE * np.array(std))
    return np.float32(kernel * factors[:, None])


def fold_mean(
    kernel: np.ndarray, bias: np.ndarray, mean: tuple[float, ...], expected: float
) -> np.ndarray:
    """Makes the bias of a first layer without padding take another mean.

    Args:
      kernel: Kernel of the layer as `fold_scale` returns it, [height, width, 3, out].
      bias: Bias of the layer, [out].
      mean: The mean colors that the weights expect, from 0 to 1.
      expected: The mean that is subtracted from the bytes in their place, from 0 to 255.

    Returns:
      The new bias, float32 [out].
    """
    difference = (expected - 255 * np.array(mean)) * SCALE
    return np.float32(bias + np.einsum("hwio,i->o", np.float64(kernel), difference))
