"""From image files to codes, with nothing but one file of a run: no data set, no optimiser.

The file, `encoder.bin` in the run's folder, is the SHA-256 of what follows, then Flax's msgpack of

    version       of this layout
    config        what shapes the forward pass: bits, image, model, the method's name; with a head
                  all of the method's fields
    classes       with a head: [number of classes, whether an image has several]
    batch_size    the evaluation's
    variables     the parameters and the BatchNorm statistics
    mean          the mean image
    image_shape   to which image files are brought

So the SHA-256 tells networks apart. The evaluation writes the file and then `codes/`, which name
the SHA-256 as their `network`.
"""

import hashlib
from collections.abc import Iterator, Sequence
from concurrent import futures
from typing import NamedTuple

import flax.serialization
import jax
import ml_collections
import numpy as np

from jhash import methods, parallel, retrieval
from jhash.data import sources
from jhash.encoding.forward import build_forward
from jhash.errors import InputError
from jhash.experiment import Experiment, build_model, with_head
from jhash.models.heads import WithHead
from jhash.runs import paths, workdirs
from jhash.system import files

_VERSION = 2  # 1 had no `version` and took the config from config.json.
_CHECKSUM_BYTES = 32
_THREADS = 16  # As many as decode the images of a source.


class Classes(NamedTuple):
    """What a method's `head` may ask of the data."""

    num_classes: int
    multi_label: bool


def save(experiment: Experiment, variables, workdir: str) -> str:
    """Writes what `load` needs.

    Args:
      experiment: The experiment.
      variables: The model's, on the host.
      workdir: The run's folder.

    Returns:
      The model's digest; see the function `digest`.
    """
    config, source = workdirs.plain(experiment.config), experiment.data.source
    content = {
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
        "mean": experiment.mean,
        "image_shape": [int(size) for size in source.image_shape],
    }
    if isinstance(experiment.model, WithHead):
        content["config"]["method"] = config["method"]
        content["classes"] = [experiment.data.num_classes, experiment.data.multi_label]
    packed = flax.serialization.msgpack_serialize(content)
    checksum = hashlib.sha256(packed)
    with files.replacing(paths.encoder(workdir), "wb") as file:
        file.write(checksum.digest() + packed)
    return checksum.hexdigest()


def load(workdir: str) -> "FileEncoder":
    """The trained network of a run, to encode image files.

    Raises:
      InputError: The folder holds no evaluated run, or one of another version of jhash, or its
        images are neither grey nor RGB.
    """
    path = paths.encoder(workdir)
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
    return _read(paths.encoder(workdir), workdir)[0]


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

    def __init__(self, config, batch_size, variables, mean, image_shape, digest, classes=None):
        """Takes the content of a file.

        Args:
          config: bits, image, model and method, as a run's config has them.
          batch_size: Images at a time, unless `encode` is told otherwise.
          variables: The network's.
          mean: The mean image, float32 [H, W, channels].
          image_shape: (height, width, channels), of 1 or 3 channels.
          digest: The model's.
          classes: With a head: (number of classes, whether an image has several).
        """
        config = ml_collections.FrozenConfigDict(config)
        self.bits, self.image_shape, self.digest = config.bits, tuple(image_shape), digest
        self._batch_size = batch_size
        self._method = methods.load(config.method.name)
        model = build_model(config)
        if classes:
            model = with_head(model, self._method, config, Classes(*classes))
        self._forward = build_forward(config.image, model, mean)
        self._variables = parallel.replicate(variables)

    def encode(
        self, images: Sequence[str | bytes], batch_size: int | None = None
    ) -> Iterator[tuple[np.ndarray, list[str | None]]]:
        """Encodes image files, batch after batch in their order.

        With the evaluation's batch size a code is the evaluation's, bit for bit (measured on CPUs).
        A batch of another size, or shared by more devices as the run left some idle, can in
        principle flip a bit whose output is as good as 0.

        Args:
          images: Paths or contents of files, at least one.
          batch_size: Images at a time; by default the run's `eval_batch_size`. Either is lowered
            to the number of images and raised to a multiple of the number of devices.

        Yields:
          (codes, errors): the codes of the readable files of a batch, packed uint32 [R, words],
          and for each file of the batch None or why it cannot be read.
        """
        devices = parallel.device_count()
        size = min(batch_size or self._batch_size, len(images))
        size = -(-size // devices) * devices
        late = None
        with futures.ThreadPoolExecutor(_THREADS) as pool:
            for start in range(0, len(images), size):
                pixels, errors = self._read(images[start : start + size], size, pool)
                outputs = self._forward(self._variables, pixels)
                # Fetched a batch late: the next one is read while the devices work.
                if late:
                    yield self._codes(*late)
                late = outputs, errors
        yield self._codes(*late)

    def encode_query(self, image: str | bytes) -> np.ndarray:
        """Encodes one image.

        Args:
          image: A path, or the content of a file.

        Returns:
          Its code, packed uint32 [1, words], as `HammingIndex.search` takes it.

        Raises:
          InputError: The image cannot be read.
        """
        [(codes, errors)] = self.encode([image])
        if errors[0] is not None:
            raise InputError(errors[0])
        return codes

    def _read(self, images, size, pool):
        pixels = np.zeros((size, *self.image_shape), np.uint8)

        def read(slot):
            try:
                pixels[slot] = sources.decode_image(
                    images[slot], _name(images[slot]), self.image_shape
                )
            except InputError as error:
                return str(error)

        return pixels, list(pool.map(read, range(len(images))))

    def _codes(self, outputs, errors):
        # Without the empty slots before the method sees them: it may refuse outputs.
        read = [slot for slot, error in enumerate(errors) if error is None]
        outputs = jax.tree.map(lambda leaf: np.asarray(leaf)[read], outputs)
        return np.asarray(retrieval.pack_codes(self._method.hash_outputs(outputs))), errors


def _name(file):
    """What an error calls an image."""
    return "given" if isinstance(file, bytes) else file
