"""From image files to codes, with nothing but a run's folder: no data set, no optimiser.

`encoder.bin` in the run's folder holds what that takes beside `config.json`: the parameters, the
BatchNorm statistics, the mean image, and the shape to which image files are brought, as Flax's
msgpack behind its SHA-256. The evaluation writes it, so the network in it is the one whose codes
are in `codes/`.
"""

import hashlib
import os
from collections.abc import Iterator, Sequence
from concurrent import futures

import flax.serialization
import jax
import numpy as np

from jhash import algorithms, experiment, files, parallel, retrieval, workdirs
from jhash.data import augment, sources
from jhash.errors import InputError

_NAME = "encoder.bin"
_CHECKSUM_BYTES = 32
_THREADS = 16  # As many as decode the images of a source.


def network(config, model, mean):
    """The network in evaluation mode, on all devices.

    Args:
      config: The config.
      model: Its network.
      mean: The mean image, float32 [H, W, channels].

    Returns:
      (variables, images) -> outputs: the variables replicated, images uint8 [B, H, W, channels]
      with B a multiple of the number of devices, outputs [B, ...] as the model has them.
    """

    def apply(variables, images):
        x = augment.eval_images(images, mean, **config.image)
        return model.apply(variables, x, train=False)

    mapped = parallel.map_devices(apply)

    def forward(variables, images):
        outputs = mapped(variables, parallel.shard(images))
        return jax.tree.map(lambda leaf: leaf.reshape(-1, *leaf.shape[2:]), outputs)

    return forward


def save(run: experiment.Experiment, variables, workdir: str) -> None:
    """Writes what `load` needs; `variables` are the network's, on the host."""
    content = flax.serialization.msgpack_serialize(
        {
            "variables": variables,
            "mean": run.mean,
            "image_shape": [int(size) for size in run.data.source.image_shape],
        }
    )
    with files.replacing(os.path.join(workdir, _NAME), "wb") as file:
        file.write(hashlib.sha256(content).digest() + content)


def load(workdir: str) -> "FileEncoder":
    """The trained network of a run, to encode image files.

    Raises:
      InputError: The folder holds no evaluated run, or its images are neither grey nor RGB.
    """
    checksum, content = _read(workdir)
    restored = flax.serialization.msgpack_restore(content)
    return FileEncoder(workdirs.load(workdir), **restored, digest=checksum)


def digest(workdir: str) -> str:
    """What tells the trained network of a run from every other; only like codes can be compared.

    Raises:
      InputError: The folder holds no evaluated run.
    """
    return _read(workdir)[0]


def _read(workdir):
    path = os.path.join(workdir, _NAME)
    try:
        with open(path, "rb") as file:
            content = file.read()
    except FileNotFoundError as error:
        raise InputError(
            f"--run: there is no {path}. The end of a run writes it; for a run of an earlier "
            f"version, or one that still trains: python launch.py --mode=eval --workdir={workdir}"
        ) from error
    checksum, content = content[:_CHECKSUM_BYTES], content[_CHECKSUM_BYTES:]
    if hashlib.sha256(content).digest() != checksum:
        raise InputError(
            f"--run: {path} is damaged; python launch.py --mode=eval --workdir={workdir} writes it "
            "again."
        )
    return checksum.hex(), content


class FileEncoder:
    """A trained network with all that leads from an image file to its code.

    A file is decoded as the sources with image files do it: converted to grey or RGB as the run's
    images are, and, if it has another size than they, resized to theirs, bilinearly, antialiased
    and without regard to its aspect ratio. From there on it is the evaluation's way. Transparency
    and EXIF orientation are ignored.

    Attributes:
      bits: Code length.
      image_shape: (height, width, channels) of the run's images.
      digest: See the function `digest`.
    """

    def __init__(self, config, variables, mean, image_shape, digest):
        """Takes the config and the content of the file that `save` wrote, with its digest."""
        if image_shape[-1] not in (1, 3):
            raise InputError(
                f"--run: it was trained on images of {image_shape[-1]} channels; image files can "
                "be encoded for 1 (grey) or 3 (RGB)."
            )
        self.bits, self.image_shape, self.digest = config.bits, tuple(image_shape), digest
        self._batch_size = config.eval_batch_size
        self._method = algorithms.load(config.method.name)
        self._network = network(config, experiment.build_model(config), mean)
        self._variables = parallel.replicate(variables)

    def encode(
        self, paths: Sequence[str], batch_size: int | None = None
    ) -> Iterator[tuple[np.ndarray, list[str | None]]]:
        """Encodes image files, batch after batch in their order.

        With the evaluation's batch size a code is the evaluation's, bit for bit. With another one
        an output may differ in its last digit, and so a bit whose output is as good as 0.

        Args:
          paths: The files, at least one.
          batch_size: Images at a time; by default the run's `eval_batch_size`. Either is lowered
            to the number of paths and raised to a multiple of the number of devices.

        Yields:
          (codes, errors): the codes of the readable files of a batch, packed uint32 [R, words],
          and for each file of the batch None or why it cannot be read.
        """
        devices = parallel.device_count()
        size = min(batch_size or self._batch_size, len(paths))
        size = -(-size // devices) * devices
        late = None
        with futures.ThreadPoolExecutor(_THREADS) as pool:
            for start in range(0, len(paths), size):
                images, errors = self._read(paths[start : start + size], size, pool)
                outputs = self._network(self._variables, images)
                # Fetched a batch late: the next one is read while the devices work.
                if late:
                    yield self._codes(*late)
                late = outputs, errors
        yield self._codes(*late)

    def _read(self, paths, size, pool):
        images = np.zeros((size, *self.image_shape), np.uint8)

        def read(slot):
            file = [paths[slot]]
            try:
                images[slot] = sources.decode_images(file, file, self.image_shape)[0]
            except InputError as error:
                return str(error)

        return images, list(pool.map(read, range(len(paths))))

    def _codes(self, outputs, errors):
        packed = np.asarray(retrieval.pack_codes(self._method.logits(outputs)))
        return packed[[slot for slot, error in enumerate(errors) if error is None]], errors
