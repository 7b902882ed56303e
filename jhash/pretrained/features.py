"""Features of images from a pretrained model, kept in the run's folder.

`config.method.features` has

    name      `module.Class` of `jhash.pretrained` (`efficientnet_lite.EfficientNetLite0`) or of a
              module of the user's own that keeps the same contract; or `module.function` from uint8
              [B, H, W, C] to [B, z]
    weights   a file for `load`; empty: `published()`
    size      side in pixels to which images are brought for a flax module
    channels  to which grey images are repeated for it
    batch     images at a time, a multiple of the number of devices
    file      instead of all that: an .npy file of features, a row for each image of the source
"""

import hashlib
import inspect
import os
import sys
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import numpy as np
import tqdm
from flax import linen as nn

from jhash import parallel
from jhash.data import batches, preprocess
from jhash.errors import InputError, in_config
from jhash.system import files, imports

# Images whose features are one file: so many are computed again after a kill, at most.
_CHUNK = 2048


class Extractor(NamedTuple):
    """A function from images to features.

    Attributes:
      apply: (variables, uint8 [B, H, W, C]) -> float32 [B, z].
      variables: Its pytree of arrays.
    """

    apply: Callable[[Any, jax.Array], jax.Array]
    variables: Any


def extractor(config) -> Extractor:
    """Builds what `config.method.features` describes; its weights are read.

    Raises:
      InputError: There is no such network or function, or no weights, or they do not fit.
    """
    field = "config.method.features.name"
    found = imports.find_attribute(config.name, "jhash.pretrained", field)
    if not inspect.isclass(found) and callable(found):
        return Extractor(lambda _, images: found(images), {})
    if not (inspect.isclass(found) and issubclass(found, nn.Module)):
        raise InputError(f"{field}: {config.name!r} is neither a flax module nor a function.")
    module = inspect.getmodule(found)
    missing = [name for name in ("load", "MEAN", "SCALE") if not hasattr(module, name)]
    if missing:
        raise InputError(
            f"{field}: {config.name!r} given; its module lacks {', '.join(missing)}, which a "
            "pretrained model has."
        )
    if not config.weights and not hasattr(module, "published"):
        raise InputError(
            "config.method.features.weights: none given; the weights of "
            f"{config.name} are in no package, so a file of them is needed."
        )
    path = config.weights or module.published()
    params, model = module.load(path), found()
    mean = module.load_mean(path) if module.MEAN is None else module.MEAN
    params.pop("classes", None)

    def apply(variables, images):
        x = preprocess.eval_images(
            images, mean, size=config.size, scale=module.SCALE, channels=config.channels
        )
        return model.apply(variables, x)

    return Extractor(apply, {"params": params})


def width(config, source) -> int:
    """The number of features that `load` gives each image; none is computed.

    Raises:
      InputError: As `extractor` and `load` do.
    """
    if config.file:
        return _read(config.file, len(source)).shape[1]
    made = extractor(config)
    image = jax.ShapeDtypeStruct((1, *source.image_shape), np.uint8)
    return jax.eval_shape(made.apply, made.variables, image).shape[1]


def load(config, source, indices: np.ndarray, folder: str) -> np.ndarray:
    """Features of some images of a source, computed once for each folder and set of images.

    They are kept in parts as they are made, under the SHA-256 of what makes them: the config, the
    weights, the indices and the first part's images. A process that was killed leaves whole parts,
    from which the next one goes on.

    Args:
      config: `config.method.features`; see the module.
      source: A `jhash.data.Source`.
      indices: int64 [N] of images of the source.
      folder: Where to keep them.

    Returns:
      float32 [N, z].

    Raises:
      InputError: As `extractor` does, or features are not finite or of another shape.
    """
    if config.file:
        return _checked(_read(config.file, len(source))[indices], config.file)
    made = extractor(config)
    devices = parallel.device_count()
    with in_config("config.method.features."):
        parallel.check_batch_size("batch", config.batch, devices)
    folder = os.path.join(folder, f"features-{_digest(config, made, source, indices)[:16]}")
    mapped, variables, parts = parallel.map_devices(made.apply), None, []
    for start in tqdm.trange(0, len(indices), _CHUNK, desc="features", disable=None):
        path = os.path.join(folder, f"{start:09}.npy")
        chosen = indices[start : start + _CHUNK]
        if not os.path.exists(path):
            variables = variables or parallel.replicate(made.variables)
            part = [
                mapped(variables, parallel.shard(batch["images"]))
                for batch in batches.prefetch(source, batches.batch_indices(chosen, config.batch))
            ]
            part = np.concatenate([np.asarray(x).reshape(config.batch, -1) for x in part])
            with files.replacing(path, "wb") as file:
                np.save(file, _checked(part[: len(chosen)], config.name))
        parts.append(np.load(path))
    found = np.concatenate(parts)
    print(
        f"jhash: {found.shape[1]} features of each of {len(found)} images by {config.name}.",
        file=sys.stderr,
    )
    return found


def _read(path, images):
    try:
        found = np.load(path, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError) as error:
        raise InputError(f"config.method.features.file: {path} cannot be read: {error}.") from error
    if found.ndim != 2 or len(found) != images:
        raise InputError(
            f"config.method.features.file: {path} holds {list(found.shape)}; [{images}, z] is "
            "needed, a row for each image of the source."
        )
    return found


def _checked(features, name):
    features = np.asarray(features, np.float32)
    if not np.isfinite(features).all():
        raise InputError(f"{name}: a feature is NaN or infinite.")
    return features


def _digest(config, made, source, indices):
    found = hashlib.sha256(repr(sorted(config.to_dict().items())).encode())
    for path, leaf in jax.tree_util.tree_leaves_with_path(made.variables):
        found.update(jax.tree_util.keystr(path).encode() + np.ascontiguousarray(leaf).tobytes())
    found.update(np.ascontiguousarray(indices, np.int64).tobytes())
    found.update(np.ascontiguousarray(source.images(indices[:_CHUNK])).tobytes())
    return found.hexdigest()
