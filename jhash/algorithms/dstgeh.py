"""DSTGeH: deep self-taught graph embedding hashing with pseudo labels (Liu et al. 2020).

Two stages, no labels. `pretrain`: features of the training images make a complete graph, an
embedding of its nodes gives each a code. Then the network of the config learns these codes as
several 0/1 labels an image, so that it encodes images that were never in the graph.
"""

import os
import sys

import jax.numpy as jnp
import numpy as np

from jhash import features, naming, rng
from jhash.errors import InputError
from jhash.losses import multi_label
from jhash.unsupervised import collapse

LOSSES = {
    "bce": multi_label.binary_cross_entropy,
    "margin": multi_label.margin,
    "soft_margin": multi_label.soft_margin,
}


def prepare(config, data, key):
    """Checks; room for the pseudo labels, and each image's place among them."""
    del key
    if config.method.loss not in LOSSES:
        raise InputError(
            f"config.method.loss: {config.method.loss!r} given; allowed are {', '.join(LOSSES)}."
        )
    _embedding(config)
    places = np.zeros(len(data.source), np.int32)
    places[data.train] = np.arange(len(data.train))
    extra = {
        "pseudo_labels": jnp.zeros((len(data.train), config.bits), jnp.uint8),
        "places": places,
    }
    return data, extra


def pretrain(config, data, params, extra, folder):
    """Stage 1: features, graph, embedding, and its signs as pseudo labels (eq. 8)."""
    method = config.method
    nodes = features.load(method.features, data.source, data.train, folder)
    if method.landmarks:
        nodes = np.concatenate([nodes, _landmarks(method.landmarks, nodes.shape[1])])
    if method.centre:
        nodes = nodes - nodes.mean(0, dtype=np.float64).astype(np.float32)
    options = {name: value for name, value in method.embedding.items() if name != "name"}
    codes = _embedding(config).embed(
        nodes,
        config.bits,
        rng.stream(config.seed, "embedding"),
        os.path.join(folder, "embedding"),
        **options,
    )
    bits = codes[: len(data.train)] >= 0
    lost = collapse.count(bits)
    if lost["constant_bits"] or lost["duplicate_bits"]:
        print(
            f"jhash: the pseudo labels have collapsed: of {config.bits} bits "
            f"{lost['constant_bits']} are the same for all images and {lost['duplicate_bits']} "
            f"repeat another; {lost['distinct_codes']} distinct codes for {len(bits)} images.",
            file=sys.stderr,
        )
    return params, {**extra, "pseudo_labels": bits.astype(np.uint8)}


def loss(outputs, batch, extra, config):
    """Stage 2: the mean over the batch of the loss against the pseudo labels (eq. 11)."""
    labels = extra["pseudo_labels"][extra["places"][batch["index"]]]
    errors = jnp.mean((outputs >= 0) != labels)
    return LOSSES[config.method.loss](outputs, labels).mean(), {"bit_errors": errors}


def logits(outputs):
    """The network's; eq. 12's sigmoid >= 0.5 is output >= 0, jhash's bit > 0: 0 is no bit here."""
    return outputs


def learned_codes(config, data, extra):
    """The pseudo labels, int8 [n, bits] in {-1, +1}, if every database image has one."""
    del config
    if not np.isin(data.database, data.train).all():
        return None
    labels = np.asarray(extra["pseudo_labels"])[np.asarray(extra["places"])[data.database]]
    return 2 * labels.astype(np.int8) - 1


def report(config, data, extra):
    """Whether the pseudo labels have collapsed: see `collapse.count`."""
    del config, data
    return {"pseudo_labels": collapse.count(np.asarray(extra["pseudo_labels"]))}


def _embedding(config):
    name, field = config.method.embedding.name, "config.method.embedding.name"
    module = naming.find_module(name, "jhash.unsupervised", field)
    if not hasattr(module, "embed"):
        raise InputError(f"{field}: {name!r} has no function `embed`.")
    return module


def _landmarks(path, width):
    try:
        found = np.load(path, allow_pickle=False)
    except (OSError, ValueError) as error:
        raise InputError(f"config.method.landmarks: {path} cannot be read: {error}.") from error
    if found.ndim != 2 or found.shape[1] != width or not np.isfinite(found).all():
        raise InputError(
            f"config.method.landmarks: {path} holds {found.dtype} {list(found.shape)}; finite "
            f"numbers [M, {width}] are needed, features as the images have."
        )
    return found.astype(np.float32)
