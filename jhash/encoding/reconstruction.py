"""Reconstruction of images from their features: measures what an invertible model loses."""

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
    """Maps up to 32 query images to features and back, and writes `reconstruction.npz`.

    AIHN (sections 1 and 3.3) calls its network lossless. That is true of real numbers. For floating
    point it has to be measured, which is done here with the trained model on one device.

    The classes take turns in giving images: the first query of each class, then the second of each
    class. (The class of an image with several is its first.) The images are resized to the model's
    input and rounded to bytes, and the input is made from these bytes, so that "every byte is the
    same" is defined for resized images, too. Otherwise the input is that of the evaluation.

    `reconstruction.npz` holds `original` and `reconstructed`, uint8 [n, height, width, channels] at
    the size of the model's input, `in_range` bool [n], `ids` int64 [n] into the source, and
    `labels`. Reconstructions are rounded and clipped to 0..255, and are 0 for images out of range.

    Args:
      experiment: The experiment. Its model may be invertible; see `jhash.models`.
      variables: Parameters and BatchNorm statistics of the model, on the host.
      workdir: Folder of the run.

    Returns:
      None if the model has no inverse. Else a dict for `results.json`:
      images: Number n of images.
      identical_images: Number of images that have every byte right after rounding.
      largest_difference: Max difference between input and reconstruction over the images in range,
        in gray levels, before rounding; None if no image is in range. With a lattice, the input is
        the one before it is rounded to the lattice, so the difference includes that rounding.
      lattice: The model's field of that name, or None.
      out_of_range_images: Number of images with a feature or a value that is not finite.

    Raises:
      InputError: The inverse does not return the shape of the input.
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
    # Preprocessing is affine, whatever the sizes: input = scale * bytes + black, where `black` is
    # the input that a black image makes. So these two are enough to undo it.
    black = _inputs(experiment, np.zeros_like(images[:1]))
    original = np.clip(np.rint((_inputs(experiment, images) - black) / scale), 0, 255)
    x = (original * scale + black).astype(np.float32)

    variables = jax.device_put(variables)
    features = model.apply(variables, x, train=False, method="features")
    inverse = model.apply(variables, features, train=False, method="inverse")
    if inverse.shape != x.shape:
        raise InputError(
            f"config.model.name: {experiment.config.model.name} given, whose inverse returns "
            f"{inverse.shape}; allowed: models whose inverse returns the shape of the images, "
            f"{x.shape}."
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
    # Compared without clipping, which would hide that a white or black pixel came back beyond its
    # end of the range.
    identical = in_range & (reconstructed == original).all(axis=(1, 2, 3))
    return {
        "images": len(ids),
        "identical_images": int(identical.sum()),
        "largest_difference": float(differences.max()) if in_range.any() else None,
        "lattice": getattr(model, "lattice", None),
        "out_of_range_images": int((~in_range).sum()),
    }


def _in_turns(labels):
    """Returns an order of images that takes one of each class, then another of each, and so on."""
    if labels.ndim == 2:  # The images without a class count as one more class.
        labels = np.where(labels.any(axis=1), labels.argmax(axis=1), labels.shape[1])
    by_class = np.argsort(labels, kind="stable")
    labels = labels[by_class]
    # The turn of an image is its place among the images of its class.
    turns = np.arange(len(labels)) - np.searchsorted(labels, labels)
    return by_class[np.lexsort((labels, turns))]


def _inputs(experiment, images):
    """Preprocesses images for the model, float64 [n, height, width, channels]."""
    return np.asarray(
        preprocess.eval_images(images, experiment.mean, **experiment.config.image), np.float64
    )


def _finite(values):
    """Finds the images all of whose values are finite, bool [n]."""
    return np.isfinite(values).reshape(len(values), -1).all(axis=1)
