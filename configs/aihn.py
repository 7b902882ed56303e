"""AIHN (Li et al. 2020): an invertible network with spatial attention, pairwise likelihood.

    python launch.py --config=configs/aihn.py

trains on the embedded data (9,000 images and 1,000 queries of Fashion-MNIST's test part), 32 bits,
with a shallow network at 32 x 32: MAP 0.896 in four minutes on one core. Other set-ups:

    configs/aihn.py:fashion_mnist           all 70,000 images: 60,000 / 10,000
    configs/aihn.py:cifar10,bits=16         10 x 100 queries, 5,000 train, 54,000 database
    configs/aihn.py:nus_wide81              5,000 queries, 10,000 train; needs
                                            --config.data.options.folder
    ...,shallow                             after one of these: its data, the embedded set-up's
                                            network and schedule
    ...,attention=none                      AIHN-A
    ...,backbone=alexnet                    AIHN-AI: AlexNet in place of the invertible network

The three hold the paper's settings: 100 blocks, 224 x 224 windows of 256 x 256 and mirror images,
SGD with learning rate 0.05, a tenth of it every 50 epochs, batches of 64. Ours where the paper is
silent: 150 epochs, weight decay, momentum. They were not run: they are for a GPU.

The quantisation loss has the paper's lambda, 10 or 100 (NUS-WIDE), as a weight of a sum over 64
images against one over 64 x 63 pairs; of means over both it is lambda / 63.

`model.lattice` makes the inverse exact: 12 keeps values to multiples of 2^-12, below 4,096.
`model.gradient` is "reversible"; "plain" stores activations instead.
"""

import ml_collections
from ml_collections.config_dict import placeholder

from configs import common
from jhash.models import invertible_net

# Lambda of eq. 9, by data set.
_LAMBDA = {"embedded": 10, "fashion_mnist": 10, "cifar10": 10, "nus_wide81": 100}


def get_config(argument: str | None = None) -> ml_collections.ConfigDict:
    """The config; `argument` is what follows the file's name and a colon."""
    arguments = common.parse(
        argument,
        data=tuple(_LAMBDA),
        variant=("shallow", "paper"),
        attention=invertible_net.ATTENTIONS,
        backbone=("invertible", "alexnet"),
        bits=32,
    )
    if (arguments.backbone, arguments.attention) == ("alexnet", "none"):
        common.refuse("backbone=alexnet", "attention=none", "AlexNet has no attention to remove")
    variant = arguments.variant or ("shallow" if arguments.data == "embedded" else "paper")
    config = common.base(arguments, cifar10="cifar10_dhn")
    config.method = {"name": "aihn", "quantization": 0.0}
    config.model = {
        "name": "invertible_net.InvertibleNet",
        "stages": (),
        "kernels": (1, 3, 1),
        "attention": arguments.attention,
        "width": 1.0,
        "lattice": placeholder(int),
        "gradient": "reversible",
        "dtype": "float32",
    }
    config.image.channels = 3
    config.batch_size = 64
    if arguments.data == "nus_wide81":
        config.metrics.map_at = 5000
    if variant == "shallow":
        _shallow(config, arguments)
    else:
        _paper(config, arguments)
    if arguments.backbone == "alexnet":
        _alexnet(config, variant)
    if arguments.smoke:
        _smoke(config, arguments)
    return config


def _shallow(config, arguments):
    """For two cores: 16 blocks at 32 x 32, few epochs, Adam."""
    embedded = arguments.data == "embedded"
    config.model.stages = (4, 8, 4)
    config.image.size, config.image.crop = 32, None
    # Mirror images need more steps than 9,000 images give.
    config.augment.update(pad=0, flip=not embedded)
    config.method.quantization = 0.01
    config.epochs = 20 if embedded else 24
    config.eval_batch_size = 500
    # SGD needs some thousand steps before pairs that are alike become so.
    config.optimizer.name, config.optimizer.arguments = "adam", {}
    config.optimizer.learning_rate, config.optimizer.weight_decay = 5e-4, 0.0
    config.optimizer.schedule = "cosine"


def _paper(config, arguments):
    config.model.stages = (6, 16, 72, 6)
    config.image.size, config.image.crop = 256, 224
    config.augment.update(pad=0, flip=True)
    config.method.quantization = _LAMBDA[arguments.data] / (config.batch_size - 1)
    config.epochs, config.eval_batch_size = 150, 64
    config.optimizer.name, config.optimizer.arguments = "sgd", {"momentum": 0.9}
    config.optimizer.learning_rate, config.optimizer.weight_decay = 0.05, 1e-4
    config.optimizer.schedule = "step"
    config.optimizer.decay, config.optimizer.decay_epochs = 0.1, 50


def _alexnet(config, variant):
    config.model = {"name": "alexnet.AlexNet", "dropout": 0.5}
    if variant == "shallow":
        # A quarter as wide, for two cores. Without BatchNorm it bears no larger steps, and with
        # dropout it learned next to nothing within two epochs of the whole data.
        config.model.widths, config.model.hidden = (16, 48, 96, 64, 64), 1024
        config.model.dropout = 0.0
        config.optimizer.learning_rate = 3e-4


def _smoke(config, arguments):
    common.smoke(config, arguments)
    if arguments.backbone == "alexnet":
        config.model.update(widths=(4, 4, 4, 4, 4), hidden=8)
    else:
        config.model.stages = (2,)
