"""AIHN (Li et al. 2020): an invertible network with spatial attention, pairwise likelihood.

    python launch.py --config=configs/aihn.py

trains 32 bits on the embedded data (9,000 images and 1,000 queries from the test part of
Fashion-MNIST), with a shallow model at 32 x 32: MAP 0.896 in four minutes on one core. All of
Fashion-MNIST takes 31 to 43 minutes on one core:

    configs/aihn.py:fashion_mnist,shallow,bits=48                     MAP 0.883
    configs/aihn.py:fashion_mnist,shallow,bits=48,attention=none      MAP 0.890 (AIHN-A)
    configs/aihn.py:fashion_mnist,shallow,bits=48,backbone=alexnet    MAP 0.868 (AIHN-AI)

`bits=N` and `seed=N` may follow the colon, `smoke` makes a tiny run, and there are these arguments:

    fashion_mnist       all 70,000 images: 60,000 for training and database, 10,000 queries
    cifar10             5,000 images for training, 54,000 in the database, 1,000 queries
    nus_wide81          10,000 images for training, 5,000 queries; needs
                        --config.data.options.folder
    shallow             the model and schedule of the embedded data (the default there)
    paper               the paper's model and schedule (the default on the other data)
    attention=none      AIHN-A, without attention; the default is attention=spatial
    backbone=alexnet    AIHN-AI, AlexNet in place of the invertible model

The paper's model and schedule are 100 blocks, random windows of 224 x 224 from images of 256 x 256,
mirrored images, batches of 64, and SGD whose learning rate of 0.05 is divided by 10 after every 50
epochs. The paper does not give the number of epochs (here 150), weight decay and momentum. They are
meant for a GPU and were not run.

The paper's lambda, 10 or 100 (NUS-WIDE), weighs a sum over the 64 images of a batch against a sum
over their 64 x 63 pairs. The loss here has means in place of the sums; its weight is lambda / 63.
"""

import ml_collections
from ml_collections.config_dict import placeholder

from configs import common
from jhash.models import invertible_net

# The paper's lambda of eq. 9 for each data set.
_LAMBDA = {"embedded": 10, "fashion_mnist": 10, "cifar10": 10, "nus_wide81": 100}


def get_config(argument: str | None = None) -> ml_collections.ConfigDict:
    """Returns the config; `argument` is the text after the colon."""
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
    config.method = {
        "name": "aihn",
        # Weight of the quantization loss.
        "quantization": 0.0,
    }
    config.model = {
        "name": "invertible_net.InvertibleNet",
        # Number of blocks in each stage.
        "stages": (),
        # Sides of the kernels of the three convolutions in a block.
        "kernels": (1, 3, 1),
        # "spatial" or "none".
        "attention": arguments.attention,
        # Inner channels of a block, as a multiple of a quarter of its output channels.
        "width": 1.0,
        # Fractional bits, which make the inverse exact: with 12, values are rounded to multiples
        # of 2^-12 and must stay below 4,096. None rounds nothing; the inverse has float errors.
        "lattice": placeholder(int),
        # "reversible" recomputes activations from outputs; "plain" stores them.
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
    """Sets up a run for two cores: 16 blocks at 32 x 32, few epochs, Adam."""
    embedded = arguments.data == "embedded"
    config.model.stages = (4, 8, 4)
    config.image.update(size=32, crop=None)
    # With mirrored images, training needs more steps than it has on 9,000 images.
    config.augment.update(pad=0, flip=not embedded)
    config.method.quantization = 0.01
    config.epochs = 20 if embedded else 24
    config.eval_batch_size = 500
    # Adam, since SGD takes some thousand steps before the outputs of similar pairs become similar.
    config.optimizer.update(name="adam", learning_rate=5e-4, weight_decay=0.0, schedule="cosine")


def _paper(config, arguments):
    """Sets up the run of the paper."""
    config.model.stages = (6, 16, 72, 6)
    config.image.update(size=256, crop=224)
    config.augment.update(pad=0, flip=True)
    config.method.quantization = _LAMBDA[arguments.data] / (config.batch_size - 1)
    config.epochs = 150
    config.eval_batch_size = 64
    config.optimizer.update(name="sgd", learning_rate=0.05, weight_decay=1e-4, schedule="step")
    config.optimizer.update(decay=0.1, decay_epochs=50)
    config.optimizer.arguments = {"momentum": 0.9}


def _alexnet(config, variant):
    """Replaces the model by AlexNet."""
    config.model = {"name": "alexnet.AlexNet", "dropout": 0.5}
    if variant == "shallow":
        # A quarter of the widths, for two cores. It has no BatchNorm, so it tolerates no larger
        # learning rate. With dropout it learned next to nothing in two epochs of Fashion-MNIST.
        config.model.update(widths=(16, 48, 96, 64, 64), hidden=1024, dropout=0.0)
        config.optimizer.learning_rate = 3e-4


def _smoke(config, arguments):
    """Makes the run tiny."""
    common.smoke(config, arguments)
    if arguments.backbone == "alexnet":
        config.model.update(widths=(4, 4, 4, 4, 4), hidden=8)
    else:
        config.model.stages = (2,)
