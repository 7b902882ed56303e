"""The hooks by which a shallow method runs in the training loop.

`pretrain` fits the method to features of a pretrained backbone, and there are no epochs:
`config.epochs` is 0. `config.model` is `feature_hash.FeatureHash`, which is the backbone followed
by the method's `encode`.
"""

import functools

import jax
import numpy as np

from jhash import rng
from jhash.errors import InputError, in_config
from jhash.methods import labels
from jhash.pretrained import features

# Max number of samples in a fit that is made only for the shapes of its parameters.
_FEW = 2048


def functions(name: str, module) -> dict:
    """Makes the hooks of a shallow method.

    Args:
      name: Name of the method, as in `config.method.name`.
      module: Module of the method, which has `fit`.

    Returns:
      The functions `prepare`, `check`, `initialize` and `pretrain`, and FIELDS as `fields`; see
      `jhash.methods`.

    Raises:
      InputError: The module has no `encode`.
    """
    if not hasattr(module, "encode"):
        raise InputError(
            f"config.method.name: {name!r} given; allowed: modules with encode beside fit, which "
            f"{module.__name__} lacks."
        )
    return {
        "prepare": functools.partial(_prepare, name),
        "check": functools.partial(_check, module),
        "initialize": functools.partial(_initialize, module),
        "pretrain": functools.partial(_pretrain, module),
        "fields": {"features": features.FIELDS} | getattr(module, "FIELDS", {}),
    }


def _prepare(name, config, data, key):
    """Checks that the model is the one whose features are fitted; there is no state."""
    del key
    if config.model.name != "feature_hash.FeatureHash":
        raise InputError(
            f"config.model.name: {config.model.name!r} given; allowed: feature_hash.FeatureHash, "
            f"since {name} is fitted to features."
        )
    for field, given, needed in (
        ("backbone", config.model.backbone, config.method.features.name),
        ("method", config.model.method, name),
    ):
        if given != needed:
            raise InputError(
                f"config.model.{field}: {given!r} given; allowed: {needed!r}, as in config.method."
            )
    if config.method.features.file:
        raise InputError(
            f"config.method.features.file: {config.method.features.file} given; allowed: none, "
            f"since {name} encodes images with config.model.backbone and must be fitted to it."
        )
    return data, {}


def _check(module, config, data):
    """Checks that the features can be computed, and that there are labels for what needs them."""
    if getattr(module, "SUPERVISED", False):
        labels.check(config, data)
    features.check(config.method.features, data.source)


def _initialize(module, config, data, params):
    """Adds the weights of the backbone and the parameters of a fit to random features.

    Of the latter only their shapes matter. `FeatureHash` cannot make them itself: without
    parameters of the hash function it returns its features.
    """
    few = data.train[:_FEW]
    if not data.multi_label:  # Every class is among them: shapes may depend on their number.
        _, places = np.unique(data.labels(data.train), return_index=True)
        few = np.union1d(few, data.train[places])
    width = features.check(config.method.features, data.source)
    random = jax.random.normal(jax.random.key(0), (len(few), width))
    quick = getattr(module, "QUICK", {})
    params = {**params, "hash": _fit(module, config, data, few, random, **quick)}
    if backbone := features.extractor(config.method.features).variables.get("params"):
        params["backbone"] = backbone
    return params


def _pretrain(module, config, data, params, state, folder):
    """Puts the fitted hash function into `params`."""
    workers = config.data.get("workers", 0)
    v_Nxz = features.load(config.method.features, data.source, data.train, folder, workers)
    fitted = _fit(module, config, data, data.train, v_Nxz)
    if not all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(fitted)):
        raise InputError(
            f"config.method.features: features up to {np.abs(v_Nxz).max():.3g} given, with which "
            f"the fit of {config.method.name} is NaN or infinite; allowed: smaller features, whose "
            "squares are finite in float32."
        )
    return jax.tree.map(np.asarray, {**params, "hash": fitted}), state


def _fit(module, config, data, indices, v_Nxz, **changed):
    needed = data.labels(indices) if getattr(module, "SUPERVISED", False) else None
    fields = {name: config.method[name] for name in getattr(module, "FIELDS", {})} | changed
    fields.pop("features", None)
    with in_config({"bits": "config.bits", "features": "config.method.features"}):
        return module.fit(v_Nxz, needed, config.bits, rng.stream(config.seed, "fit"), **fields)
