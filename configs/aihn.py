"""AIHN (Li et al. 2020): an invertible network with spatial attention, pairwise likelihood.

    python launch.py --config=configs/aihn.py
"""

import functools

import ml_collections

from configs import common
from jhash.models import invertible_net


def get_config(argument: str | None = None) -> ml_collections.ConfigDict:
    """The config; `argument` is what follows the file's name and a colon."""
    config = common.base()
    config.method = {
        "name": "aihn",
        # lambda, the weight of the quantisation loss.
        "quantization": 1.0,
    }
    config.model = {
        "name": "invertible_net.InvertibleNet",
        "stages": (4, 8, 4),
        "kernels": (1, 3, 1),
        "attention": "spatial",
        "width": 4.0,
        "lattice": ml_collections.config_dict.placeholder(int),
        "gradient": "reversible",
        "dtype": "float32",
    }
    config.image.size, config.image.channels = 32, 3
    config.batch_size, config.eval_batch_size = 64, 500
    config.epochs = 10
    config.optimizer.name, config.optimizer.learning_rate = "sgd", 0.05
    config.optimizer.arguments = {"momentum": 0.9}
    presets = {
        "fashion_mnist": _fashion_mnist,
    }
    for attention in invertible_net.ATTENTIONS:
        presets[f"attention={attention}"] = functools.partial(_attention, attention)
    return common.apply_argument(config, argument, presets, bits=int, seed=int)


def _fashion_mnist(config):
    config.data.source = config.data.split = "fashion_mnist"


def _attention(attention, config):
    config.model.attention = attention
