"""Images back from their features: what an invertible network loses of an image, measured."""

import jax
import numpy as np

from jhash import models
from jhash.data import preprocess
from jhash.errors import InputError
from jhash.experiment import Experiment
from jhash.models.heads import WithHead
from jhash.runs import paths
from jhash.system import files

_IMAGES = 32


def measure(experiment: Experiment, variables, workdir: str) -> dict | None:
    """Takes up to 32 queries to their features and back; writes `reconstruction.npz`.

    AIHN (sections 1 and 3.3) calls its network lossless. That holds for real numbers; in
    floating point it is a matter of measuring, which this does with the network as trained.

    The images are taken in turns from the classes (of an image with several, the first counts):
    the first query of each class, then the second of each. They are brought to the network's size
    and rounded to bytes, and the network's input is made of these bytes, so that "every byte is the
    same" also has a meaning where images are resized. Nothing else differs from the evaluation's
    input. All runs on one device.

    The file holds `original` and `reconstructed`, uint8 [n, height, width, channels] at the
    network's size (reconstructed: rounded, clipped to 0..255, and 0 where out of range),
    `in_range` bool [n], `ids` int64 [n] into the source, and their `labels`.

    Args:
      experiment: The experiment; its model may be invertible, see `jhash.models`.
      variables: The model's, on the host.
      workdir: The run's folder.

    Returns:
      None if the network has no inverse, else what `results.json` says of it:
      `images`, their number n; `identical_images`, how many have every byte right after rounding;
      `largest_difference` between input and reconstruction, in grey levels, before rounding, over
      the images in range, None if there is none; `lattice`, the model's field of that name or
      None; `out_of_range_images`, how many have a feature or a value that is not finite. In lattice
      mode, too, the difference is to the input as given, so it counts its snap to the lattice.

    Raises:
      InputError: The inverse gives another shape than the input has.
    """
    model = models.without_axis(experiment.model)
    if isinstance(model, WithHead):
        model = model.model
        variables = {name: tree.get("model", {}) for name, tree in variables.items()}
    if not callable(getattr(model, "inverse", None)):
        return None
    ids = experiment.data.queries[
        _in_turns(experiment.data.labels(experiment.data.queries))[:_IMAGES]
    ]
    images, scale = experiment.data.source.images(ids), experiment.config.image.scale
    # Preprocessing is affine: what black becomes is what the mean image takes off, at any geometry.
    black = _inputs(experiment, np.zeros_like(images[:1]))
    original = np.clip(np.rint((_inputs(experiment, images) - black) / scale), 0, 255)
    x = (original * scale + black).astype(np.float32)

    variables = jax.device_put(variables)
    features = model.apply(variables, x, train=False, method="features")
    inverse = model.apply(variables, features, train=False, method="inverse")
    if inverse.shape != x.shape:
        raise InputError(
            f"config.model.name: {experiment.config.model.name} given; its inverse gives "
            f"{inverse.shape} for the features of images {x.shape}, and must give their shape."
        )
    inverse = np.asarray(inverse, np.float64)
    in_range = _finite(np.asarray(features)) & _finite(inverse)
    levels = (inverse - black) / scale
    levels[~in_range] = 0
    reconstructed = np.rint(levels)
    with files.replacing(paths.reconstruction(workdir), "wb") as file:
        np.savez_compressed(
            file,
            original=original.astype(np.uint8),
            reconstructed=np.clip(reconstructed, 0, 255).astype(np.uint8),
            in_range=in_range,
            ids=ids,
            labels=experiment.data.labels(ids),
        )
    differences = np.abs(inverse - x)[in_range] / abs(scale)
    # Before the clip, which would hide that a white or black pixel came back beyond its end.
    identical = in_range & (reconstructed == original).all(axis=(1, 2, 3))
    return {
        "images": len(ids),
        "identical_images": int(identical.sum()),
        "largest_difference": float(differences.max()) if in_range.any() else None,
        "lattice": getattr(model, "lattice", None),
        "out_of_range_images": int((~in_range).sum()),
    }


def _in_turns(labels):
    """An order of images that takes one of each class, then another of each, and so on."""
    if labels.ndim == 2:  # Images without a class are one more.
        labels = np.where(labels.any(axis=1), labels.argmax(axis=1), labels.shape[1])
    by_class = np.argsort(labels, kind="stable")
    labels = labels[by_class]
    turns = np.arange(len(labels)) - np.searchsorted(labels, labels)
    return by_class[np.lexsort((labels, turns))]


def _inputs(experiment, images):
    return np.asarray(
        preprocess.eval_images(images, experiment.mean, **experiment.config.image), np.float64
    )


def _finite(values):
    return np.isfinite(values).reshape(len(values), -1).all(axis=1)
