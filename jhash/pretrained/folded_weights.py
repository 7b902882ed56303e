"""Published PyTorch weights, taken array by array, with BatchNorm folded into its convolution."""

import os

import numpy as np

from jhash.errors import InputError
from jhash.pretrained import torch_file

# BatchNorm's, in the networks that were trained with TensorFlow.
_EPSILON = 1e-3


class FoldedWeights:
    """A state dict from which a loader takes each array once, and nothing is left over."""

    def __init__(self, path: str | os.PathLike, network: str):
        """Reads the file; the network's name is for messages.

        Raises:
          InputError: The file cannot be read, see `torch_file.load`.
        """
        self._path, self._network, self._used = path, network, set()
        self.arrays = torch_file.load(path)

    def take(self, name: str, *shape: int) -> np.ndarray:
        """That array, float64.

        Raises:
          InputError: It is missing or of another shape.
        """
        if name not in self.arrays:
            raise InputError(
                f"{self._path}: no array {name}; the weights of {self._network} have it."
            )
        found = self.arrays[name]
        if found.shape != shape:
            raise InputError(
                f"{self._path}: {name} has shape {found.shape}; {self._network}'s is {shape}."
            )
        self._used.add(name)
        return found.astype(np.float64)

    def fold(self, conv: str, norm: str, shape: tuple[int, ...]) -> tuple[np.ndarray, np.ndarray]:
        """A convolution of shape (out, in, k, k) and the BatchNorm behind it, as one.

        Returns:
          (kernel float32 [k, k, in, out], bias float32 [out]).

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
        """Raises InputError if an array was not taken; BatchNorm's counters do not count."""
        rest = {name for name in self.arrays if not name.endswith("num_batches_tracked")}
        if rest := rest - self._used:
            raise InputError(f"{self._path}: {self._network} has no {', '.join(sorted(rest)[:3])}.")
