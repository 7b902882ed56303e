"""Published weights as arrays by name, taken one by one, and compared as a whole at the end."""

import os
from collections.abc import Sequence

import numpy as np

from jhash.errors import InputError
from jhash.pretrained import safetensors_file, torch_file
from jhash.system import reading, text

# Max number of differences of a kind that an error names.
_SHOWN = 3
# BatchNorm's counter of batches, which no model needs.
_COUNTER = "num_batches_tracked"


def read(path: str | os.PathLike) -> dict[str, np.ndarray]:
    """Reads a file of PyTorch or of safetensors, whichever it is; no code in it runs.

    Raises:
      InputError: The file cannot be read.
    """
    try:
        with reading.open_regular(path) as file:
            start = file.read(9)
    except OSError as error:
        raise InputError(
            f"path: {path} given; allowed: PyTorch checkpoints and .safetensors files, but it is "
            f"not readable ({error.strerror})."
        ) from error
    return (safetensors_file if safetensors_file.is_one(start) else torch_file).load(path)


class NamedWeights:
    """Arrays by name from which a loader takes those of its model.

    An array that does not fit is noted, and zeros are taken in its place, so that `check` can name
    all that differs in a file of another model.

    Attributes:
      arrays: All arrays of the file by name.
    """

    def __init__(self, path: str | os.PathLike, model: str):
        """Reads the file.

        Args:
          path: File of weights; see `read`.
          model: Name of the model, for messages.

        Raises:
          InputError: The file cannot be read.
        """
        self.arrays = read(path)
        self._path = path
        self._model = model
        self._taken: set[str] = set()
        self._missing: list[str] = []
        self._unlike: list[str] = []

    def take(self, name: str, *shape: int) -> np.ndarray:
        """Takes an array.

        Args:
          name: Name of the array in the file.
          *shape: Shape that the array must have.

        Returns:
          float32, or zeros of that shape where the file has no such array.
        """
        if name not in self.arrays:
            self._missing.append(name)
            return np.zeros(shape, np.float32)
        self._taken.add(name)
        array = self.arrays[name]
        if array.shape != shape:
            self._unlike.append(f"{name} has shape {array.shape} in place of {shape}")
            return np.zeros(shape, np.float32)
        array = np.asarray(array, np.float32)
        # Minimum and maximum are NaN if a number is, and take no memory.
        if array.size and not np.isfinite([array.min(), array.max()]).all():
            self._unlike.append(f"{name} has numbers that are not finite")
        return array

    def conv(self, name: str, shape: Sequence[int]) -> np.ndarray:
        """Takes the kernel of a convolution.

        Args:
          name: Name of the layer in the file.
          shape: Shape of the kernel here, [height, width, in, out].

        Returns:
          float32, of that shape.
        """
        height, width, inputs, outputs = shape
        return self.take(f"{name}.weight", outputs, inputs, height, width).transpose(2, 3, 1, 0)

    def dense(self, name: str, shape: Sequence[int], pixels: int = 1) -> np.ndarray:
        """Takes the kernel of a dense layer.

        Args:
          name: Name of the layer in the file.
          shape: Shape of the kernel here, [in, out].
          pixels: Number of pixels that the inputs are. In the file the inputs are in the order
            (channel, pixel), and here in the order (pixel, channel).

        Returns:
          float32, of that shape.
        """
        inputs, outputs = shape
        kernel = self.take(f"{name}.weight", outputs, inputs)
        kernel = kernel.reshape(outputs, inputs // pixels, pixels)
        return kernel.transpose(2, 1, 0).reshape(inputs, outputs)

    def layer(self, name: str, params, pixels: int = 1) -> dict[str, np.ndarray]:
        """Takes the kernel and the bias of a layer.

        Args:
          name: Name of the layer in the file.
          params: {"kernel": ..., "bias": ...} of the layer here, of which only the shapes matter.
          pixels: As for `dense`.

        Returns:
          {"kernel": float32, "bias": float32}.
        """
        shape = params["kernel"].shape
        convolves = len(shape) == 4
        kernel = self.conv(name, shape) if convolves else self.dense(name, shape, pixels)
        return {"kernel": kernel, "bias": self.take(f"{name}.bias", shape[-1])}

    def check(self, *others: str) -> None:
        """Checks that everything was there, and that nothing is left over.

        Args:
          *others: Beginnings of further names that the file may have, such as those of classes.

        Raises:
          InputError: The file has other arrays than were taken; the message says which.
        """
        surplus = [
            name
            for name in self.arrays
            if name not in self._taken and not name.endswith(_COUNTER)
            if not name.startswith(others)
        ]
        differences = []
        if self._missing:
            differences.append(f"it has no array {_listed(self._missing)}")
        if self._unlike:
            differences.append(_listed(self._unlike))
        if surplus:
            differences.append(f"it has {_listed(sorted(surplus))}, which {self._model} has not")
        if differences:
            raise InputError(
                f"path: {self._path} given; allowed: files with the weights of {self._model}, but "
                f"{'; '.join(differences)}."
            )


def _listed(names):
    more = len(names) - _SHOWN
    shown = ", ".join(text.shortened(name) for name in names[:_SHOWN])
    return f"{shown} and {more:,} more" if more > 0 else shown
