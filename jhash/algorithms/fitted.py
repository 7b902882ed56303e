"""Hash functions fitted to features of a fixed network, without labels: LSH, PCAH, ITQ, SH.

Nothing is trained by gradient: `config.epochs` is 0. `config.method.fit` names a module of
`jhash.unsupervised`, whose `head` gives the last layer of `feature_hash.FeatureHash`.
"""

import jax
import numpy as np

from jhash import features, naming, rng
from jhash.errors import InputError


def prepare(config, data, key):
    """Checks that the network is the one whose features are fitted; there is no `extra`."""
    del key
    module = _module(config)
    if config.model.name != "feature_hash.FeatureHash":
        raise InputError(
            f"config.model.name: {config.model.name!r} given; feature_hash.FeatureHash is needed, "
            "whose last layer is fitted."
        )
    if config.model.backbone != config.method.features.name:
        raise InputError(
            f"config.model.backbone: {config.model.backbone!r} given; "
            f"config.method.features.name is {config.method.features.name!r}, and both must be the "
            "same network."
        )
    if config.model.outputs != module.OUTPUTS:
        raise InputError(
            f"config.model.outputs: {config.model.outputs!r} given; {config.method.fit} needs "
            f"{module.OUTPUTS!r}."
        )
    return data, {}


def pretrain(config, data, params, extra, folder):
    """Puts the weights of the features' network into `params`, and the layer fitted to them."""
    found = features.load(config.method.features, data.source, data.train, folder)
    module = _module(config)
    fitted = module.fit(found, config.bits, rng.stream(config.seed, "fit"))
    backbone = features.extractor(config.method.features).variables["params"]
    params = {"hash": module.head(fitted)} | ({"backbone": backbone} if backbone else {})
    return jax.tree.map(np.asarray, params), extra


def _module(config):
    return naming.find_module(config.method.fit, "jhash.unsupervised", "config.method.fit")
