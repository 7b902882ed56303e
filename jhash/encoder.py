"""From image files to codes, with nothing but one file of a run: no data set, no optimiser.

The file, `encoder.bin` in the run's folder, is the SHA-256 of what follows, then Flax's msgpack of

    version       of this layout
    config        what shapes the forward pass: bits, image, model, the method's name
    batch_size    the evaluation's
    variables     the parameters and the BatchNorm statistics
    mean          the mean image
    image_shape   to which image files are brought

So the SHA-256 tells networks apart. The evaluation writes the file and then `codes/`, which name
the SHA-256 as their `network`.
"""

import hashlib
import os
from collections.abc import Iterator, Sequence
from concurrent import futures

import flax.serialization
import jax
import ml_collections
import numpy as np

from jhash import algorithms, experiment, files, parallel, retrieval, workdirs
from jhash.data import augment, sources
from jhash.errors import InputError

_NAME = "encoder.bin"
_VERSION = 2  # 1 had no `version` and took the config from config.json.
_CHECKSUM_BYTES = 32
_THREADS = 16  # As many as decode the images of a source.


def build_forward(image, model, mean, devices=None):
    """The forward pass in evaluation mode.

    Args:
      image: `config.image`.
      model: The network.
      mean: The mean image, float32 [H, W, channels].
      devices: How many devices share a batch; by default all.

    Returns:
      (variables, images) -> outputs: the variables replicated, images uint8 [B, H, W, channels]
      with B a multiple of the number of devices, outputs [B, ...] as the model has them.
    """

    def apply(variables, images):
        x = augment.eval_images(images, mean, **image)
        return model.apply(variables, x, train=False)

    mapped = parallel.map_devices(apply)

    def forward(variables, images):
        outputs = mapped(variables, parallel.shard(images, devices))
        return jax.tree.map(lambda leaf: leaf.reshape(-1, *leaf.shape[2:]), outputs)

    return forward


def save(run: experiment.Experiment, variables, workdir: str) -> str:
    """Writes what `load` needs.

    Args:
      run: The experiment.
      variables: The network's, on the host.
      workdir: The run's folder.

    Returns:
      The network's digest; see the function `digest`.
    """
    config = workdirs.plain(run.config)
    content = flax.serialization.msgpack_serialize(
        {
            "version": _VERSION,
            "config": {
                "bits": config["bits"],
                "image": config["image"],
                "model": config["model"],
                "method": {"name": config["method"]["name"]},
            },
            "batch_size": config["eval_batch_size"],
            # In one order, also after a restart: the bytes are compared.
            "variables": jax.tree.map(np.asarray, variables),
            "mean": run.mean,
            "image_shape": [int(size) for size in run.data.source.image_shape],
        }
    )
    checksum = hashlib.sha256(content)
    with files.replacing(os.path.join(workdir, _NAME), "wb") as file:
        file.write(checksum.digest() + content)
    return checksum.hexdigest()


def load(workdir: str) -> "FileEncoder":
    """The trained network of a run, to encode image files.

    Raises:
      InputError: The folder holds no evaluated run, or one of another version of jhash, or its
        images are neither grey nor RGB.
    """
    path = os.path.join(workdir, _NAME)
    checksum, content = _read(path, workdir)
    restored = flax.serialization.msgpack_restore(content)
    version = restored.pop("version", 1)
    if version != _VERSION:
        raise InputError(
            f"{path}: the file has format version {version}; this jhash reads version {_VERSION}. "
            f"{_rewrite(workdir)} writes that."
        )
    if restored["image_shape"][-1] not in sources.CHANNELS:
        raise InputError(
            f"{path}: the run was trained on images of {restored['image_shape'][-1]} channels; "
            "image files can be encoded for 1 (grey) or 3 (RGB)."
        )
    return FileEncoder(**restored, digest=checksum)


def digest(workdir: str) -> str:
    """What tells the trained network of a run from every other; only like codes can be compared.

    Raises:
      InputError: The folder holds no evaluated run.
    """
    return _read(os.path.join(workdir, _NAME), workdir)[0]


def _read(path, workdir):
    try:
        with open(path, "rb") as file:
            content = file.read()
    except (FileNotFoundError, NotADirectoryError) as error:
        raise InputError(
            f"{path}: there is no such file. The end of a run writes it; for a run of an earlier "
            f"version, or one that still trains: {_rewrite(workdir)}"
        ) from error
    checksum, content = content[:_CHECKSUM_BYTES], content[_CHECKSUM_BYTES:]
    if hashlib.sha256(content).digest() != checksum:
        raise InputError(f"{path}: the file is damaged; {_rewrite(workdir)} writes it again.")
    return checksum.hex(), content


def _rewrite(workdir):
    return f"python launch.py --mode=eval --workdir={workdir}"


class FileEncoder:
    """A trained network with all that leads from an image file to its code.

    A file is decoded as the sources with image files do it (`sources.decode_image`), to the shape
    of the run's images. From there on it goes the evaluation's way.

    Attributes:
      bits: Code length.
      image_shape: (height, width, channels) of the run's images.
      digest: See the function `digest`.
    """

    def __init__(self, config, batch_size, variables, mean, image_shape, digest):
        """Takes the content of a file.

        Args:
          config: bits, image, model and method, as a run's config has them.
          batch_size: Images at a time, unless `encode` is told otherwise.
          variables: The network's.
          mean: The mean image, float32 [H, W, channels].
          image_shape: (height, width, channels), of 1 or 3 channels.
          digest: The network's.
        """
        config = ml_collections.FrozenConfigDict(config)
        self.bits, self.image_shape, self.digest = config.bits, tuple(image_shape), digest
        self._batch_size = batch_size
        self._method = algorithms.load(config.method.name)
        self._forward = build_forward(config.image, experiment.build_model(config), mean)
        self._variables = parallel.replicate(variables)

    def encode(
        self, paths: Sequence[str], batch_size: int | None = None
    ) -> Iterator[tuple[np.ndarray, list[str | None]]]:
        """Encodes image files, batch after batch in their order.

        With the evaluation's batch size a code is the evaluation's, bit for bit (measured on CPUs).
        A batch of another size, or shared by more devices as the run left some idle, can in
        principle flip a bit whose output is as good as 0.

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
                outputs = self._forward(self._variables, images)
                # Fetched a batch late: the next one is read while the devices work.
                if late:
                    yield self._codes(*late)
                late = outputs, errors
        yield self._codes(*late)

    def _read(self, paths, size, pool):
        images = np.zeros((size, *self.image_shape), np.uint8)

        def read(slot):
            try:
                images[slot] = sources.decode_image(paths[slot], paths[slot], self.image_shape)
            except InputError as error:
                return str(error)

        return images, list(pool.map(read, range(len(paths))))

    def _codes(self, outputs, errors):
        # Without the empty slots before the method sees them: it may refuse outputs.
        read = [slot for slot, error in enumerate(errors) if error is None]
        outputs = jax.tree.map(lambda leaf: np.asarray(leaf)[read], outputs)
        return np.asarray(retrieval.pack_codes(self._method.logits(outputs))), errors
