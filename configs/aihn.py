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
    scenes              images with two to four items of the embedded data; was not run
    nus_wide81          10,000 images for training, 5,000 queries; needs
                        --config.data.options.folder
    nus_wide, coco, flickr25k
                        likewise; were not run
    folder              photos of your own in a folder, whose subfolders are classes; needs
                        --config.data.options.folder; was not run
    shallow             the model and schedule of the embedded data (the default there, and on
                        scenes)
    paper               the paper's model and schedule (the default on the other data)
    attention=none      AIHN-A, without attention; the default is attention=spatial
    backbone=alexnet    AIHN-AI, AlexNet in place of the invertible model
    bottleneck=second   a quarter of the channels in the second convolution of a block alone, as the
                        paper says (85.7 million parameters); the default is bottleneck=both, the
                        first two, as in i-RevNet's code (26.3 million)
    attention_kernel=zeros, attention_kernel=random
                        other kernels of attention, for comparison; the default is scaled

The paper's model and schedule are 100 blocks, random windows of 224 x 224 from images of 256 x 256,
mirrored images, batches of 64, and SGD whose learning rate of 0.05 is divided by 10 after every 50
epochs. The paper does not give the number of epochs (here 150), weight decay and momentum (here
1e-4 and 0.9, i-RevNet's). They are meant for a GPU and were not run in full.

Taken alone, that rate makes the loss explode in six steps. All images share a part of the 3,072
features, which are not negative, and the hash layer is too steep along it. So the norm of the
gradient is clipped to 0.3 (`optimizer.clip_norm`), with which 100 blocks train on the embedded data
at 32 x 32; neither a warm-up nor a momentum of 0 is enough. See docs/reproduce/aihn.md.

The paper's lambda, 10 or 100 (NUS-WIDE), weighs a sum over the n training images against a sum over
their n (n - 1) ordered pairs, n = 5,000 or 10,000. (The text has 1,000 for CIFAR-10, and is taken
to have exchanged training and test images.) The loss here has means in place of the sums; its
weight is lambda / (n - 1). Unordered pairs would double it.
"""

import ml_collections
from ml_collections.config_dict import placeholder

from configs import common
from jhash.models import invertible_net
from jhash.models.layers import attention
from jhash.models.layers.bottleneck import BOTTLENECKS

# The paper's lambda of eq. 9 over the number of other training images: for CIFAR-10, and for
# NUS-WIDE, whose images have several labels.
_QUANTIZATION, _QUANTIZATION_OF_SEVERAL_LABELS = 10 / (5_000 - 1), 100 / (10_000 - 1)
# Data sets of few small images.
_SMALL = ("embedded", "scenes")
# Data sets for which the shallow variant is the default.
_SHALLOW = (*_SMALL, "folder")


def get_config(argument: str | None = None) -> ml_collections.ConfigDict:
    """Returns the config; `argument` is the text after the colon."""
    arguments = common.parse(
        argument,
        data=common.DATA_SETS,
        variant=("shallow", "paper"),
        attention=invertible_net.ATTENTIONS,
        backbone=("invertible", "alexnet"),
        bottleneck=BOTTLENECKS,
        attention_kernel=attention.KERNELS,
        bits=32,
    )
    if (arguments.backbone, arguments.attention) == ("alexnet", "none"):
        common.refuse("backbone=alexnet", "attention=none", "AlexNet has no attention to remove")
    if (arguments.backbone, arguments.bottleneck) == ("alexnet", "second"):
        common.refuse("backbone=alexnet", "bottleneck=second", "AlexNet has no bottlenecks")
    if arguments.attention_kernel != "scaled":
        kernel = f"attention_kernel={arguments.attention_kernel}"
        for name, value in (("backbone", "alexnet"), ("attention", "none")):
            if getattr(arguments, name) == value:
                common.refuse(f"{name}={value}", kernel, "there is no attention")
    variant = arguments.variant or ("shallow" if arguments.data in _SHALLOW else "paper")
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
    if arguments.bottleneck != "both":  # Without the field, "both" is the model's default.
        config.model.bottleneck = arguments.bottleneck
    if arguments.attention_kernel != "scaled":  # Likewise.
        config.model.attention_kernel = arguments.attention_kernel
    config.image.channels = 3
    config.batch_size = 32 if arguments.data == "folder" else 64
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
    small = arguments.data in _SMALL
    config.model.stages = (4, 8, 4)
    config.image.update(size=32, crop=None)
    # With mirrored images, training needs more steps than it has on 9,000 images.
    config.augment.update(pad=0, flip=not small)
    config.method.quantization = 0.01
    config.epochs = 20 if small else 24
    config.eval_batch_size = 500
    # Adam, since SGD takes some thousand steps before the outputs of similar pairs become similar.
    config.optimizer.update(name="adam", learning_rate=5e-4, weight_decay=0.0, schedule="cosine")


def _paper(config, arguments):
    """Sets up the run of the paper."""
    config.model.stages = (6, 16, 72, 6)
    config.image.update(size=256, crop=224)
    config.augment.update(pad=0, flip=True)
    several = arguments.data in ("scenes", *common.PHOTOS)
    config.method.quantization = _QUANTIZATION_OF_SEVERAL_LABELS if several else _QUANTIZATION
    config.epochs = 150
    config.eval_batch_size = 64
    config.optimizer.update(name="sgd", learning_rate=0.05, weight_decay=1e-4, schedule="step")
    config.optimizer.update(decay=0.1, decay_epochs=50, clip_norm=0.3)
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
