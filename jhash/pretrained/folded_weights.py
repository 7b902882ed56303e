"""Published weights with BatchNorm folded into convolutions."""

from collections.abc import Sequence

import numpy as np

from jhash.pretrained.named_weights import NamedWeights

# BatchNorm's epsilon in the models that were trained with TensorFlow, and in those with PyTorch.
TENSORFLOW = 1e-3
PYTORCH = 1e-5


class FoldedWeights(NamedWeights):
    """Named arrays from which convolutions are taken with the BatchNorm behind them."""

    def fold(
        self, conv: str, norm: str, shape: Sequence[int], epsilon: float = TENSORFLOW
    ) -> tuple[np.ndarray, np.ndarray]:
        """Takes a convolution and the BatchNorm behind it, as one convolution with a bias.

        Args:
          conv: Name of the convolution in the file.
          norm: Name of the BatchNorm in the file.
          shape: Shape of the convolution's weights in the file, (out, in, height, width).
          epsilon: The BatchNorm's epsilon.

        Returns:
          (kernel float32 [height, width, in, out], bias float32 [out]).
        """
        scale, bias, mean, var = (
            np.float64(self.take(f"{norm}.{part}", shape[0]))
            for part in ("weight", "bias", "running_mean", "running_var")
        )
        factor = scale / np.sqrt(var + epsilon)
        kernel = self.take(f"{conv}.weight", *shape).transpose(2, 3, 1, 0) * factor
        return np.float32(kernel), np.float32(bias - mean * factor)
