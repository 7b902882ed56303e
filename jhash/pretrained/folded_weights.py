"""Published PyTorch weights, taken array by array, with BatchNorm folded into convolutions."""

import os

import numpy as np

from jhash.errors import InputError
from jhash.pretrained import torch_file

# BatchNorm's epsilon in the models that were trained with TensorFlow.
_EPSILON = 1e-3


class FoldedWeights:
    """A state dict from which a loader takes arrays by name, until none is left over.

    Attributes:
      arrays: All arrays of the file by name.
    """

    def __init__(self, path: str | os.PathLike, model: str):
        """Reads the file.

        Args:
          path: PyTorch checkpoint.
          model: Name of the model, for messages.

        Raises:
          InputError: The file cannot be read, see `torch_file.load`.
        """
        self._path = path
        self._model = model
        self._taken = set()
        self.arrays = torch_file.load(path)

    def take(self, name: str, *shape: int) -> np.ndarray:
        """Takes an array.

        Args:
          name: Name of the array in the file.
          *shape: Shape that the array must have.

        Returns:
          The array, float64.

        Raises:
          InputError: The array is missing or of another shape.
        """
        if name not in self.arrays:
            raise self._refusal(f"it has no array {name}")
        array = self.arrays[name]
        if array.shape != shape:
            raise self._refusal(f"{name} has shape {array.shape} in place of {shape}")
        self._taken.add(name)
        return array.astype(np.float64)

    def fold(self, conv: str, norm: str, shape: tuple[int, ...]) -> tuple[np.ndarray, np.ndarray]:
        """Takes a convolution and the BatchNorm behind it, as one convolution with a bias.

        Args:
          conv: Name of the convolution in the file.
          norm: Name of the BatchNorm in the file.
          shape: Shape of the convolution's weights in the file, (out, in, height, width).

        Returns:
          (kernel float32 [height, width, in, out], bias float32 [out]).

        Raises:
          InputError: As for `take`.
        """
        scale, bias, mean, var = (
            self.take(f"{norm}.{part}", shape[0])
            for part in ("weight", "bias", "running_mean", "running_var")
        )
        factor = scale / np.sqrt(var + _EPSILON)
        kernel = self.take(f"{conv}.weight", *shape).transpose(2, 3, 1, 0) * factor
        return np.float32(kernel), np.float32(bias - mean * factor)

    def check_all_taken(self):
        """Raises InputError if an array was not taken, apart from BatchNorm's counters."""
        wanted = {name for name in self.arrays if not name.endswith("num_batches_tracked")}
        if surplus := sorted(wanted - self._taken):
            raise self._refusal(f"it has {', '.join(surplus[:3])}, which {self._model} has not")

    def _refusal(self, reason):
        """Makes the error that the file raises."""
        return InputError(
            f"path: {self._path} given; allowed: files with the weights of {self._model}, but "
            f"{reason}."
        )
