"""From image files to codes, with nothing but one file: no data set, no optimizer.

The file is `encoder.bin` in the folder of a run, or the file beside an index whose encoder was
fitted to its images; see `fitted`. Its first 32 bytes are the SHA-256 of the rest, which is Flax's
msgpack of

    version       the version of this layout
    config        the fields that shape the forward pass: bits, image, model and the name of the
                  method; all fields of the method if it has a head
    classes       only with a head: [number of classes, whether an image may have several]
    batch_size    the batch size of the evaluation
    variables     the parameters and the BatchNorm statistics
    mean          the mean image
    image_shape   the shape to which image files are resized
    as_shown      only if it is true: image files are read as programs show them; see
                  `data.pixels.Reading`

The SHA-256, called the digest, thus identifies the model. The evaluation first writes this file and
then the files in `codes/`, which name the digest as their `network`.
"""

import hashlib
from collections.abc import Callable, Collection, Iterator, Sequence
from typing import Any, NamedTuple

import flax.serialization
import jax
import ml_collections
import numpy as np

from jhash import methods, parallel, retrieval
from jhash.data import decoding, usable
from jhash.data.pixels import CHANNELS, Reading
from jhash.encoding import encoder_file, image_batches
from jhash.encoding.forward import build_forward, on_one_device
from jhash.errors import InputError, in_config
from jhash.experiment import Experiment, build_model, with_head
from jhash.models.heads import WithHead
from jhash.runs import paths, workdirs
from jhash.system import files, imports, reading, text

_VERSION = 2  # Version 1 had no `version`, and its config was that in config.json.
_CHECKSUM_BYTES = 32


class Classes(NamedTuple):
    """The fields of the data that a method's `head` may use."""

    num_classes: int
    multi_label: bool


def save(experiment: Experiment, variables, workdir: str) -> str:
    """Writes `encoder.bin`.

    Args:
      experiment: The experiment.
      variables: Parameters and BatchNorm statistics of the model, on the host.
      workdir: Folder of the run.

    Returns:
      The digest of the model; see the function `digest`.
    """
    config, source = workdirs.plain(experiment.config), experiment.data.source
    content = {
        "config": {
            "bits": config["bits"],
            "image": config["image"],
            "model": config["model"],
            "method": {"name": config["method"]["name"]},
        },
        "batch_size": config["eval_batch_size"],
        # jax.tree.map sorts the keys, so that the bytes are the same after a restart.
        "variables": jax.tree.map(np.asarray, variables),
        "mean": experiment.mean,
        "image_shape": [int(size) for size in source.image_shape],
    }
    # Files are read as the source of the run reads its own.
    if getattr(usable.unwrapped(source), "as_shown", False):
        content["as_shown"] = True
    if isinstance(experiment.model, WithHead):
        content["config"]["method"] = config["method"]
        content["classes"] = [experiment.data.num_classes, experiment.data.multi_label]
    return write(paths.encoder(workdir), content)


def write(path: str, content: dict[str, Any]) -> str:
    """Writes the file of an encoder, whole or not at all.

    Args:
      path: The file.
      content: The fields of the file but `version`; see the module. The same values in the same
        order give the same bytes.

    Returns:
      The digest of the model; see the function `digest`.

    Raises:
      OSError: The file cannot be written.
    """
    packed = flax.serialization.msgpack_serialize({"version": _VERSION, **content})
    checksum = hashlib.sha256(packed)
    with files.replacing(path, "wb") as file:
        file.write(checksum.digest() + packed)
    return checksum.hexdigest()


def load(workdir: str, trust_modules: Collection[str] = ()) -> "FileEncoder":
    """Loads the trained model of a run, to encode image files.

    Args:
      workdir: Folder of the run, which may be somebody else's.
      trust_modules: Modules of the user's own that the run may name; see `imports.opening`.

    Returns:
      The encoder.

    Raises:
      InputError: The folder holds no evaluated run, the file is damaged or of another version of
        jhash, its parameters do not fit its model, its images are neither gray nor RGB, or it names
        a module that is not trusted.
    """
    return load_file(_of_run(workdir), trust_modules)


def load_file(file: "EncoderFile", trust_modules: Collection[str] = ()) -> "FileEncoder":
    """Loads an encoder from its file; see `load`."""
    checksum, content = read_file(file)
    parallel.device_count()  # A platform that does not start is no fault of the file.
    try:
        return FileEncoder(**content, digest=checksum, trust_modules=trust_modules)
    except Exception as error:  # Models and methods raise anything for fields that do not fit them.
        raise _unfit(file.path, error) from error


class EncoderFile(NamedTuple):
    """The file of an encoder, and what messages say of it.

    Attributes:
      path: The file.
      missing: What a user can do if there is no such file; a sentence.
      rewrite: Command that writes the file again.
    """

    path: str
    missing: str
    rewrite: str


def _of_run(workdir):
    rewrite = f"python launch.py --mode=eval --workdir={workdir}"
    missing = (
        "A run writes it when it ends. For a run of an earlier version, or one that is not "
        f"finished: {rewrite}"
    )
    return EncoderFile(paths.encoder(workdir), missing, rewrite)


def _unfit(path, error):
    """Returns an InputError of one line for an error about the fields of a file."""
    if isinstance(error, InputError):
        return InputError(f"{path}: {text.shortened(str(error), 500)}")
    lines = str(error).strip().splitlines() or [""]
    return InputError(
        f"{path}: a model that cannot be built given: {type(error).__name__}: "
        f"{text.shortened(lines[0], 200)}."
    )


def read(workdir: str) -> tuple[str, dict]:
    """Reads the trained model of a run without building it; its names are only data.

    Args:
      workdir: Folder of the run, which may be somebody else's.

    Returns:
      (digest, content): see the module, without `version`.

    Raises:
      InputError: The folder holds no evaluated run, or the file is damaged or of another version.
    """
    return read_file(_of_run(workdir))


def read_file(file: EncoderFile) -> tuple[str, dict]:
    """Reads an encoder from its file without building it; see `read`."""
    checksum, packed = _read(file)
    try:
        content = encoder_file.parse(packed)
    except ValueError as error:
        raise InputError(
            f"{file.path}: the file is damaged: {str(error) or type(error).__name__}; "
            f"{file.rewrite} writes it again."
        ) from error
    version = content.pop("version", 1)
    if type(version) is not int or version != _VERSION:
        raise InputError(
            f"{file.path}: format version {version!r:.40} given; allowed: {_VERSION}, which "
            f"{file.rewrite} writes."
        )
    try:
        encoder_file.check(content)
    except Exception as error:  # Groups of a config raise anything for odd names.
        raise _unfit(file.path, error) from error
    return checksum, content


def digest(workdir: str) -> str:
    """Reads the digest that identifies the trained model of a run.

    Codes can be compared only if their models have the same digest.

    Raises:
      InputError: The folder holds no evaluated run.
    """
    return _read(_of_run(workdir))[0]


def _read(file):
    try:
        with reading.open_regular(file.path) as opened:
            content = opened.read()
    except (FileNotFoundError, NotADirectoryError) as error:
        raise InputError(f"{file.path}: there is no such file. {file.missing}") from error
    except OSError as error:
        raise InputError(f"{file.path}: the file cannot be read: {error.strerror}.") from error
    checksum, content = content[:_CHECKSUM_BYTES], content[_CHECKSUM_BYTES:]
    if hashlib.sha256(content).digest() != checksum:
        raise InputError(f"{file.path}: the file is damaged; {file.rewrite} writes it again.")
    return checksum.hex(), content


class FileEncoder:
    """A trained model with everything that leads from an image file to its code.

    A file is decoded to the shape of the run's images by `decoding.decode_image`, like the files of
    sources. From there on it is treated like an image of the evaluation.

    Attributes:
      bits: Code length.
      image_shape: (height, width, channels) of the run's images.
      digest: Digest of the model; see the function `digest`.
      as_shown: Whether files are read as programs show them; see `data.pixels.Reading`.
    """

    def __init__(
        self,
        config,
        batch_size,
        variables,
        mean,
        image_shape,
        digest,
        classes=None,
        as_shown: bool = False,
        trust_modules: Collection[str] = (),
    ):
        """Builds the encoder from the content of `encoder.bin`.

        Args:
          config: The fields `bits`, `image`, `model` and `method` of the run's config.
          batch_size: Number of images at a time if `encode` is given none.
          variables: Parameters and BatchNorm statistics of the model.
          mean: The mean image, float32 [H, W, channels].
          image_shape: (height, width, channels) of the run's images; 1 or 3 channels.
          digest: Digest of the model.
          classes: (number of classes, whether an image may have several), or None if the method has
            no head.
          as_shown: Whether files are read as programs show them; see `data.pixels.Reading`.
          trust_modules: As for `load`.
        """
        config = ml_collections.FrozenConfigDict(config)
        self.bits, self.image_shape, self.digest = config.bits, tuple(image_shape), digest
        self._batch_size = batch_size
        self.as_shown = as_shown
        self._reading = Reading(config.image.get("resize", "stretch"), as_shown)
        self._trust_modules = trust_modules
        with imports.opening(trust_modules):
            self._method = methods.load(config.method.name)
            model = build_model(config)
            if classes:
                model = with_head(model, self._method, config, Classes(*classes))
            self._apply_alone = on_one_device(config.image, model, mean)
            self._check_outputs(variables)
        self._forward = build_forward(config.image, model, mean)
        self._variables = parallel.replicate(variables)

    def _check_outputs(self, variables):
        """Checks that the variables fit the model and that it gives one number per bit."""
        images = jax.ShapeDtypeStruct((1, *self.image_shape), np.uint8)
        outputs = jax.tree.map(
            lambda leaf: np.zeros(leaf.shape, leaf.dtype),
            jax.eval_shape(self._apply_alone, variables, images),
        )
        shape = np.shape(self._method.hash_outputs(outputs))
        if shape != (1, self.bits):
            raise InputError(
                f"config.bits: {self.bits} given for a model of outputs {list(shape[1:])}; "
                "allowed: a model of one output per bit."
            )

    def pure_forward(self) -> Callable[[jax.Array], jax.Array]:
        """Returns the forward pass as one function that JAX can trace, for one device.

        Returns:
          A function from images, uint8 [B, *image_shape], to hash outputs, float32 [B, bits].
        """
        variables = jax.tree.map(np.asarray, parallel.unreplicate(self._variables))

        def forward(images):
            with imports.opening(self._trust_modules):
                return self._method.hash_outputs(self._apply_alone(variables, images))

        return forward

    def encode(
        self, images: Sequence[str | bytes], batch_size: int | None = None
    ) -> Iterator[tuple[np.ndarray, list[str | None]]]:
        """Encodes image files in batches, in their order.

        With the batch size of the evaluation, an image gets the code that the evaluation gives it,
        bit for bit (measured on CPUs). With another batch size, or on another number of devices
        than the run used, rounding can in principle flip a bit whose output is very close to 0.

        Args:
          images: Paths or contents of files, at least one.
          batch_size: Number of images at a time; by default the run's `eval_batch_size`. It is
            lowered to the number of images, then raised to a multiple of the number of devices.

        Yields:
          (codes, errors) of a batch: the packed codes of the files that can be read, uint32
          [R, words], and for every file None or the reason why it cannot be read.

        Raises:
          InputError: The images are an array of pixels.
        """
        if getattr(images, "ndim", 1) > 1:
            raise InputError(
                f"images: an array {list(images.shape)} given; allowed: paths or contents of "
                "files. encode_arrays takes arrays."
            )

        return self._encode(images, self.decode, batch_size)

    def decode(self, image: str | bytes, name: str | None = None) -> np.ndarray:
        """Decodes an image file as `encode` does; `encode_arrays` gives such pixels the same code.

        Args:
          image: The path or the content of a file.
          name: Name of the file in errors; by default its path.

        Returns:
          uint8 of the shape `image_shape`.

        Raises:
          InputError: The image cannot be read.
        """
        shape, reading = self.image_shape, self._reading
        return decoding.decode_image(image, name or _name(image), shape, reading)

    def encode_arrays(self, images: np.ndarray, batch_size: int | None = None) -> np.ndarray:
        """Encodes images in memory.

        An image gets the code that a file of the same pixels gets: if it has another size or other
        channels than the run's images, it is resized and converted like a file.

        Args:
          images: uint8, 0 to 255, [N, H, W] or [N, H, W, 1] for gray images, [N, H, W, 3] for RGB.
          batch_size: As for `encode`.

        Returns:
          The packed codes, uint32 [N, words], as `HammingIndex.search` takes them;
          `retrieval.unpack_codes(codes, encoder.bits)` gives -1 and +1.

        Raises:
          InputError: The images have another dtype or shape. Floats in 0 to 1, as other libraries
            have them, are refused, too: multiply them by 255 and round.
        """
        images = np.asarray(images)
        pixels = images[..., None] if images.ndim == 3 else images
        if (
            pixels.dtype != np.uint8
            or pixels.ndim != 4
            or pixels.shape[3] not in CHANNELS
            or not all(1 <= side <= decoding.MAX_SIDE for side in pixels.shape[1:3])
        ):
            raise InputError(
                f"images: {images.dtype} {list(images.shape)} given; allowed: uint8, 0 to 255, "
                f"[N, H, W], [N, H, W, 1] and [N, H, W, 3], sides up to {decoding.MAX_SIDE:,}."
            )
        if not len(pixels):
            return np.empty((0, -(-self.bits // 32)), np.uint32)

        def fit(image):
            return decoding.fit_image(image, self.image_shape, self._reading)

        return np.concatenate([codes for codes, _ in self._encode(pixels, fit, batch_size)])

    def encode_batch(
        self, images: Sequence[Any], read: Callable[[Any], np.ndarray], batch_size: int
    ) -> tuple[np.ndarray, list[str | None]]:
        """Encodes up to one batch of images, which is filled up to its size.

        Calls with other numbers of images compile nothing anew.

        Args:
          images: The images in any form, 1 to `batch_size`.
          read: Function from an image to its pixels, as `decode` returns them; it raises InputError
            for one that cannot be read, and is called by several threads.
          batch_size: The size.

        Returns:
          (codes, errors), as `encode` yields them.
        """
        [encoded] = self._encode(images, read, batch_size, padded=True)
        return encoded

    def _encode(self, images, read: Callable[[Any], np.ndarray], batch_size, padded=False):
        """Encodes images in batches; see `encode`.

        Args:
          images: The images, in any form.
          read: Function from an image to its pixels, uint8 of the shape `image_shape`; it raises
            InputError for one that cannot be read.
          batch_size: As for `encode`.
          padded: As for `image_batches.run`.

        Yields:
          (codes, errors) of a batch, as `encode` does.
        """
        size = batch_size or self._batch_size
        batches = image_batches.run(images, read, self.image_shape, size, self._apply, padded)
        for outputs, errors in batches:
            yield self._codes(outputs), errors

    def _apply(self, pixels):
        # A model may look names up when it is called, as `FeatureHash` does.
        with imports.opening(self._trust_modules):
            return self._forward(self._variables, pixels)

    def encode_query(self, image: str | bytes) -> np.ndarray:
        """Encodes one image.

        Args:
          image: The path or the content of a file.

        Returns:
          The packed code, uint32 [1, words], as `HammingIndex.search` takes it.

        Raises:
          InputError: The image cannot be read.
        """
        [(codes, errors)] = self.encode([image])
        if errors[0] is not None:
            raise InputError(errors[0])
        return codes

    def _codes(self, outputs):
        with in_config({"values": "outputs"}):
            return np.asarray(retrieval.pack_codes(self._method.hash_outputs(outputs)))


def _name(file):
    """Returns the name of an image in errors."""
    return "given" if isinstance(file, bytes) else file
