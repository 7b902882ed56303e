"""Shallow methods in the loop: features of a pretrained model, and `fit` in place of training.

`config.model` is `feature_hash.FeatureHash`, whose last part is the method's `encode`, and
`config.epochs` is 0: everything is learned in `pretrain`.
"""

import functools

import jax
import numpy as np

from jhash import rng
from jhash.errors import InputError, in_config
from jhash.pretrained import features

# Samples, and the key, of a fit that is made for the shapes of its parameters.
_FEW = 2048


def functions(name: str, module) -> dict:
    """The hooks of a shallow method.

    Args:
      name: The method's, as in `config.method.name`.
      module: It has `fit` and `encode`.

    Returns:
      `prepare`, `initialize` and `pretrain` by name; see `jhash.methods`.

    Raises:
      InputError: The module has no `encode`.
    """
    if not hasattr(module, "encode"):
        raise InputError(f"config.method.name: {name} given; its module has `fit` but no `encode`.")
    return {
        "prepare": functools.partial(_prepare, name),
        "initialize": functools.partial(_initialize, module),
        "pretrain": functools.partial(_pretrain, module),
    }


def _prepare(name, config, data, key):
    """Checks that the model is the one whose features are fitted; there is no state."""
    del key
    if config.model.name != "feature_hash.FeatureHash":
        raise InputError(
            f"config.model.name: {config.model.name!r} given; {name} is fitted to features, so "
            "allowed is feature_hash.FeatureHash."
        )
    for field, given, needed in (
        ("backbone", config.model.backbone, config.method.features.name),
        ("method", config.model.method, name),
    ):
        if given != needed:
            raise InputError(
                f"config.model.{field}: {given!r} given; allowed is {needed!r}, which "
                "config.method names."
            )
    return data, {}


def _initialize(module, config, data, params):
    """The parameters of a fit to random features: only their shapes matter."""
    train = data.train[:_FEW]
    # The model passes its features on while it has nothing to encode them with.
    width = features.width(config.method.features, data.source)
    random = jax.random.normal(jax.random.key(0), (len(train), width))
    return {**params, "hash": _fit(module, config, data, train, random)}


def _pretrain(module, config, data, params, state, folder):
    """Puts the weights of the features' model into `params`, and the fitted hash function."""
    found = features.load(config.method.features, data.source, data.train, folder)
    params = {**params, "hash": _fit(module, config, data, data.train, found)}
    if backbone := features.extractor(config.method.features).variables.get("params"):
        params["backbone"] = backbone
    return jax.tree.map(np.asarray, params), state


def _fit(module, config, data, indices, found):
    labels = data.labels(indices) if getattr(module, "SUPERVISED", False) else None
    with in_config({"bits": "config.bits"}):
        return module.fit(found, labels, config.bits, rng.stream(config.seed, "fit"))
