"""DSTGeH: deep self-taught graph embedding hashing with pseudo labels (Liu et al. 2020).

The method needs no labels and has two stages. In the first, `pretrain`, the features of the
training images make a complete graph, and an embedding of the graph's nodes gives each image a
code. In the second, the model learns the bits of these codes as 0/1 labels of the images ("pseudo
labels"), so that it can encode images that were never in the graph.

The loss of the second stage is a mean over the images of a batch; `losses.multi_label` says over
which bits it is a sum. Bits are [u > 0], so sgn(0) is -1. The database has the codes of the first
stage (learned), and those that the model gives (encoded).
"""

import inspect
import os
import sys

import jax.numpy as jnp
import numpy as np

from jhash import config_fields, rng
from jhash.errors import InputError, in_config
from jhash.losses import multi_label
from jhash.pretrained import features
from jhash.retrieval.metrics import collapse
from jhash.system import imports, npy

LOSSES = {
    "bce": multi_label.binary_cross_entropy,
    "margin": multi_label.margin,
    "soft_margin": multi_label.soft_margin,
}
# Number of arguments of `embed` before its options.
_ARGUMENTS = 4
FIELDS = {
    "features": features.FIELDS,
    "landmarks": config_fields.text(),
    "center": config_fields.boolean(),
    # Its fields besides the name depend on the name.
    "embedding": config_fields.group(),
    "loss": config_fields.choice(*LOSSES),
}


def prepare(config, data, key):
    """Checks the config, and makes a state of zeros for the pseudo labels to come.

    The state has `pseudo_labels`, uint8 [training images, bits] in {0, 1}, and `places`, int32
    [images of the source], which gives the row of each training image in them.
    """
    del key
    _embedding(config)
    places = np.zeros(len(data.source), np.int32)
    places[data.train] = np.arange(len(data.train))
    state = {
        "pseudo_labels": jnp.zeros((len(data.train), config.bits), jnp.uint8),
        "places": places,
    }
    return data, state


def check(config, data):
    """Checks what features and embedding need, since features may take hours before it."""
    method, nodes = config.method, len(data.train)
    width = features.check(method.features, data.source)
    if method.landmarks:
        nodes += len(_landmarks(method.landmarks, width))
    module, options = _embedding(config), _options(method.embedding)
    parameters = list(inspect.signature(module.embed).parameters.values())[_ARGUMENTS:]
    names = [item.name for item in parameters if item.kind != item.VAR_KEYWORD]
    if len(names) < len(parameters):
        names += getattr(module, "OPTIONS", options)
    if unknown := sorted(set(options) - set(names)):
        raise InputError(
            f"config.method.embedding: {', '.join(unknown)} given; allowed: "
            f"{', '.join(['name', *names])}."
        )
    if hasattr(module, "check"):
        with _errors_in_config(method.embedding):
            module.check(nodes, config.bits, **options)


def pretrain(config, data, params, state, folder):
    """Runs stage 1: features, graph, embedding, and its signs as pseudo labels (eq. 8)."""
    method = config.method
    workers = config.data.get("workers", 0)
    nodes = features.load(method.features, data.source, data.train, folder, workers)
    if method.landmarks:
        nodes = np.concatenate([nodes, _landmarks(method.landmarks, nodes.shape[1])])
    if method.center:
        nodes = nodes - nodes.mean(0, dtype=np.float64).astype(np.float32)
    if (nodes == nodes[0]).all():
        raise InputError(
            f"config.method.features: the same features for all {len(nodes)} nodes given; allowed: "
            "features that differ, as pseudo labels come from their differences."
        )
    with _errors_in_config(method.embedding):
        codes = _embedding(config).embed(
            nodes,
            config.bits,
            rng.stream(config.seed, "embedding"),
            os.path.join(folder, "embedding"),
            **_options(method.embedding),
        )
    codes = codes[: len(data.train)]
    if np.isnan(codes).any():
        raise InputError(
            f"config.method.embedding.name: {method.embedding.name!r} given, whose codes are NaN "
            f"for {np.isnan(codes).any(1).sum()} of {len(codes)} images; allowed: embeddings that "
            "give numbers, whose signs are bits."
        )
    bits = codes > 0
    lost = collapse.count_lost_bits(bits)
    if lost["constant_bits"] or lost["duplicate_bits"]:
        print(
            f"jhash: the pseudo labels have collapsed: of {config.bits} bits "
            f"{lost['constant_bits']} are the same for all images and {lost['duplicate_bits']} "
            f"repeat another; {lost['distinct_codes']} distinct codes for {len(bits)} images.",
            file=sys.stderr,
        )
    return params, {**state, "pseudo_labels": bits.astype(np.uint8)}


def loss(outputs, batch, state, config):
    """Computes the loss of stage 2, the batch's mean against the pseudo labels (eq. 11)."""
    labels = state["pseudo_labels"][state["places"][batch["index"]]]
    errors = jnp.mean((outputs > 0) != labels)
    return LOSSES[config.method.loss](outputs, labels).mean(), {"bit_error_rate": errors}


def hash_outputs(outputs):
    """Returns the outputs themselves.

    Eq. 12 sets a bit where sigmoid(output) >= 0.5, so where output >= 0; jhash sets it where
    output > 0. The two differ only for an output of exactly 0.
    """
    return outputs


def learned_codes(config, data, state):
    """Returns the pseudo labels of the database, int8 [n, bits] in {-1, +1}.

    They are None if a database image is not a training image, since it has no pseudo labels.
    """
    del config
    if not np.isin(data.database, data.train).all():
        return None
    labels = np.asarray(state["pseudo_labels"])[np.asarray(state["places"])[data.database]]
    return 2 * labels.astype(np.int8) - 1


def extra_results(config, data, state):
    """Counts the lost bits of the pseudo labels; see `collapse.count_lost_bits`."""
    del config, data
    return {"pseudo_labels": collapse.count_lost_bits(np.asarray(state["pseudo_labels"]))}


def _embedding(config):
    name, field = config.method.embedding.name, "config.method.embedding.name"
    module = imports.find_module(name, "jhash.methods.embeddings", field)
    if not hasattr(module, "embed"):
        raise InputError(
            f"{field}: {name!r} given; allowed: modules with a function embed, which "
            f"{module.__name__} lacks."
        )
    return module


def _options(embedding):
    return {name: value for name, value in embedding.items() if name != "name"}


def _errors_in_config(embedding):
    fields = {name: f"config.method.embedding.{name}" for name in embedding}
    return in_config({"bits": "config.bits", "v_Nxz": "config.method.features", **fields})


def _landmarks(path, width):
    """Reads the features of further nodes, which have the width of those of the images."""
    field = "config.method.landmarks"
    with in_config({"path": field}):
        stored_Mxz = npy.read(path)
    with np.errstate(over="ignore"):
        v_Mxz = stored_Mxz.astype(np.float32)
    if v_Mxz.ndim != 2 or v_Mxz.shape[1] != width or not np.isfinite(v_Mxz).all():
        raise InputError(
            f"{field}: {path} given, which holds {stored_Mxz.dtype} {list(v_Mxz.shape)}; allowed: "
            f"finite numbers [M, {width}], features like those of the images."
        )
    return v_Mxz
