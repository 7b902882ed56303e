"""Features of images from a pretrained model, kept in the run's folder.

`config.method.features` has the fields

    name      `module.Class` of `jhash.pretrained` (`efficientnet_lite.EfficientNetLite0`), or of a
              user's module that keeps the same contract; or `module.function`, a function from
              uint8 [B, H, W, C] to [B, z]
    weights   file of weights for the class; if empty, the weights of an installed package
    size      side in pixels to which images are resized for the class
    channels  number of channels to which gray images are repeated for the class
    batch     number of images at a time; as many devices share them as can do so equally
    file      in place of all of these: an .npy file of features, one row per image of the source

Shapes in names: N images, B images at a time, z features.
"""

import contextlib
import contextvars
import hashlib
import inspect
import io
import itertools
import os
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np
import tqdm
from flax import linen as nn

from jhash import config_fields, parallel, pretrained
from jhash.data import batches, preprocess
from jhash.errors import InputError, in_config
from jhash.system import files, imports, npy

# Number of images whose features are one file: at most so many are computed again after a kill.
_CHUNK = 2048
_FIELDS = "config.method.features."
# The folder of `shared`.
_shared: contextvars.ContextVar[str | None] = contextvars.ContextVar("shared", default=None)
# The seconds that this process has spent on features; see `seconds`.
_seconds = 0.0
# Max number of characters of an error of another library within an error.
_REASON = 200
# What `config.method.features` must have; see the module.
FIELDS = {
    "name": config_fields.text(empty=False),
    "weights": config_fields.text(),
    "size": config_fields.integer(1, 4096),
    "channels": config_fields.choice(1, 3).or_none(),
    "batch": config_fields.integer(1),
    "file": config_fields.text(),
}


class Extractor(NamedTuple):
    """A function from images to features.

    Attributes:
      apply: Function (variables, uint8 [B, H, W, C]) -> float32 [B, z].
      variables: Pytree of arrays that the function takes.
      image: The arguments of `preprocess.eval_images`, and `mean`; None for a function.
    """

    apply: Callable[[Any, jax.Array], jax.Array]
    variables: Any
    image: dict[str, Any] | None = None


def extractor(config) -> Extractor:
    """Builds the function that the config describes, and reads its weights.

    Args:
      config: `config.method.features`; see the module.

    Returns:
      The function and its variables.

    Raises:
      InputError: There is no such class or function, there are no weights, or they do not fit.
    """
    field = f"{_FIELDS}name"
    named = imports.find_attribute(config.name, "jhash.pretrained", field)
    if not inspect.isclass(named) and callable(named):
        return Extractor(lambda _, images: named(images), {})
    if not (inspect.isclass(named) and issubclass(named, nn.Module)):
        raise InputError(
            f"{field}: {config.name!r} given; allowed: a class of flax.linen.Module or a function."
        )
    module = inspect.getmodule(named)
    missing = [name for name in pretrained.CONTRACT if not hasattr(module, name)]
    if missing:
        raise InputError(
            f"{field}: {config.name!r} given; allowed: classes whose module has "
            f"{', '.join(pretrained.CONTRACT)}, but this one lacks {', '.join(missing)}."
        )
    if not config.weights and not hasattr(module, "published"):
        raise InputError(
            f"{_FIELDS}weights: none given; allowed: a file of weights, as those of {config.name} "
            "are in no package."
        )
    with in_config({"path": f"{_FIELDS}weights", "weights": f"{_FIELDS}weights"}):
        path = config.weights or module.published()
        model = named()
        params, batch_stats = pretrained.read(module, path, model)
        mean = module.load_mean(path) if module.MEAN is None else module.MEAN
    params.pop("classes", None)
    if batch_stats:
        raise InputError(
            f"{field}: {config.name!r} given, which has statistics of BatchNorm; allowed: classes "
            "whose BatchNorm is folded into their convolutions."
        )

    image = {
        "size": config.size,
        "scale": module.SCALE,
        "channels": config.channels,
        "mean": mean,
    }

    def apply(variables, images):
        return model.apply(variables, preprocess.eval_images(images, **image))

    return Extractor(apply, {"params": params}, image)


def check(config, source) -> int:
    """Checks what `load` needs; no features are computed.

    Args:
      config: `config.method.features`; see the module.
      source: A `jhash.data.Source`.

    Returns:
      The number of features per image.

    Raises:
      InputError: As for `extractor` and `load`.
    """
    if config.file:
        return _width_of_file(config.file, len(source))
    _devices(config)
    apply, variables, _ = extractor(config)
    image = jax.ShapeDtypeStruct((1, *source.image_shape), np.uint8)
    try:
        features = jax.eval_shape(apply, variables, image)
    except InputError:
        raise
    except Exception as error:  # Layers raise nearly anything for shapes that they cannot have.
        reason = " ".join(f"{type(error).__name__}: {error}".split())[:_REASON]
        raise InputError(
            f"{_FIELDS}name: {config.name!r} given; allowed: what gives features of images of "
            f"{config.size} x {config.size} pixels, {_FIELDS}size ({reason})."
        ) from error
    if getattr(features, "ndim", 0) != 2 or not features.shape[1]:
        shape = getattr(features, "shape", type(features).__name__)
        raise InputError(
            f"{_FIELDS}name: {config.name!r} given, which gives {shape} for an image; allowed: "
            "what gives [1, z]."
        )
    return features.shape[1]


def _devices(config):
    """Returns the number of devices that share a batch; those of several processes all have to."""
    with in_config({"batch_size": f"{_FIELDS}batch"}):
        return parallel.training_devices(config.batch, idle=True)


@contextlib.contextmanager
def shared(folder: str) -> Iterator[None]:
    """Keeps features in one folder in place of each run's own, so that runs share them.

    Args:
      folder: The folder, which need not exist. Nothing in it is needed later.
    """
    token = _shared.set(folder)
    try:
        yield
    finally:
        _shared.reset(token)


def load(config, source, indices: np.ndarray, folder: str | None, workers: int = 0) -> np.ndarray:
    """Computes features of some images of a source, once per folder and set of images.

    They are saved in chunks of images as they are computed, in a folder that is named by the
    SHA-256 of what they depend on: the config, the weights, the indices and the images of the first
    chunk, or all images where runs of any data share the folder. A process that was killed leaves
    whole chunks, after which the next process goes on.

    Args:
      config: `config.method.features`; see the module.
      source: A `jhash.data.Source`.
      indices: Which images of the source, int64 [N].
      folder: Folder in which that folder is made, unless runs share one; see `shared`. None: the
        features are not kept.
      workers: Number of processes that decode images; see `batches.prefetch`.

    Returns:
      float32 [N, z].

    Raises:
      InputError: As for `extractor`, or features are not finite or of another shape.
    """
    if config.file:
        _width_of_file(config.file, len(source))
        with in_config({"path": f"{_FIELDS}file"}):
            features_Nxz = npy.read(config.file, indices).astype(np.float32, copy=False)
        _check_finite("file", config.file, features_Nxz)
        return features_Nxz
    if folder is None:
        with tempfile.TemporaryDirectory() as scratch:
            return load(config, source, indices, scratch, workers)
    devices = _devices(config)
    with _counted():
        extract = extractor(config)
        digest = _digest(config, extract.variables, source, indices)
        folder = os.path.join(_shared.get() or folder, f"features-{digest[:16]}")
        with _alone(folder):
            features_Nxz = _by_chunks(config, extract, devices, source, indices, folder, workers)
    count, size = features_Nxz.shape
    print(f"jhash: {size} features of each of {count} images by {config.name}.", file=sys.stderr)
    return features_Nxz


def seconds() -> float:
    """Returns the seconds that this process has spent on features by a network.

    They are no part of a training time: where runs share features, one of them has them all.
    """
    return _seconds


@contextlib.contextmanager
def _counted():
    global _seconds
    began = time.perf_counter()
    try:
        yield
    finally:
        _seconds += time.perf_counter() - began


def _alone(folder):
    """Locks a folder that runs share, so that one of them computes and the others wait."""
    if _shared.get() is None or parallel.process_count() > 1:
        return contextlib.nullcontext()
    return files.lock(os.path.join(folder, ".lock"), wait=True)


def _by_chunks(config, extract, devices, source, indices, folder, workers):
    """Computes the features, or reads those that the folder has; see `load`."""
    apply = parallel.map_batch(extract.apply, devices)
    starts = range(0, len(indices), _CHUNK)
    chunks = {
        os.path.join(folder, f"{start:09}.npy"): indices[start : start + _CHUNK] for start in starts
    }
    there = parallel.from_main(np.array([os.path.exists(path) for path in chunks]))
    missing = [path for path, is_there in zip(chunks, there, strict=True) if not is_there]
    orders = {
        path: parallel.share(batches.batch_indices(chunks[path], config.batch), axis=1)
        for path in missing
    }
    # They are copied to the devices only if a chunk is missing.
    variables = parallel.replicate(extract.variables, devices) if missing else None
    # One pass over all of them, as processes that decode images start with each.
    read = batches.prefetch(source, itertools.chain(*orders.values()), workers=workers)
    found = []
    with contextlib.closing(read):
        for path, chosen in tqdm.tqdm(chunks.items(), desc="features", disable=None):
            if path in orders:
                outputs = [
                    apply(variables, batch["images"])
                    for batch in itertools.islice(read, len(orders[path]))
                ]
                # The last batch is filled up to its size.
                rows = [np.asarray(output).reshape(config.batch, -1) for output in outputs]
                chunk = np.concatenate(rows)[: len(chosen)].astype(np.float32, copy=False)
                _check_finite("name", config.name, chunk)
                with files.replacing(path, "wb") as file:
                    npy.write(file, chunk)
            found.append(_from_main(path))
    return np.concatenate(found)


def _from_main(path):
    """Reads a file of features, which the main process has."""
    if parallel.process_count() == 1:
        return npy.read(path)
    content = Path(path).read_bytes() if parallel.is_main() else None
    return np.load(io.BytesIO(parallel.bytes_from_main(content)), allow_pickle=False)


def _width_of_file(path, images):
    """Returns the number of features per image in a file of features of that many images."""
    field = f"{_FIELDS}file"
    with in_config({"path": field}):
        shape = npy.shape(path)
    if len(shape) != 2 or shape[0] != images:
        raise InputError(
            f"{field}: {path} of shape {list(shape)} given; allowed: [{images}, z], one row per "
            "image of the source."
        )
    return shape[1]


def _check_finite(field, value, features):
    """Raises InputError if features that the config's field gives are not finite."""
    if not np.isfinite(features).all():
        raise InputError(
            f"{_FIELDS}{field}: {value} given; allowed: what gives finite features, but a feature "
            "is NaN or infinite."
        )


def _digest(config, variables, source, indices):
    """Computes the SHA-256 of all that features depend on."""
    digest = hashlib.sha256(repr(sorted(config.to_dict().items())).encode())
    for path, leaf in jax.tree_util.tree_leaves_with_path(variables):
        digest.update(jax.tree_util.keystr(path).encode() + np.ascontiguousarray(leaf).tobytes())
    digest.update(np.ascontiguousarray(indices, np.int64).tobytes())
    # The images of a run stay the same, so that a part of them is enough.
    seen = indices[:_CHUNK] if _shared.get() is None else indices
    for start in range(0, len(seen), _CHUNK):
        images = source.images(seen[start : start + _CHUNK])
        digest.update(np.ascontiguousarray(images).tobytes())
    return digest.hexdigest()
