"""DAH (Li et al. 2020): separable ResNet30 with attention, shrink sigmoid, pairwise log loss.

    python launch.py --config=configs/dah.py

trains on the embedded data (9,000 images and 1,000 queries of Fashion-MNIST's test part), 32 bits.
Other set-ups:

    configs/dah.py:fashion_mnist,bits=36    all 70,000 images: 60,000 / 10,000; MAP 0.90 to 0.91,
                                            26 minutes on two quick cores
    configs/dah.py:cifar10                  the paper's 50,000 / 10,000; needs the data set prepared
                                            by TFDS
    ...,attention=none                      NoneA-DAH, without CBAM (attention=cbam is the default)
    ...,dissimilar=abs                      other readings of eq. 2: hinge (the default), abs,
                                            printed

The paper's: Adam with learning rate 1e-3, phi1 = phi2 = 1, t = bits / 4.8, and batches of two
images a class. Twenty images cannot be shared equally by eight devices, say: five of them are used
then, see `idle_devices`. Ours where the paper is silent: epochs, cosine schedule, CBAM's reduction.

Other data: --config.model.classes and --config.batch_size follow its number of classes.
"""

import ml_collections

from configs import common
from jhash.losses import pairwise
from jhash.models import resnet30


def get_config(argument: str | None = None) -> ml_collections.ConfigDict:
    """The config; `argument` is what follows the file's name and a colon."""
    arguments = common.parse(
        argument,
        data=("embedded", "fashion_mnist", "cifar10"),
        attention=resnet30.ATTENTIONS,
        dissimilar=tuple(pairwise.DISSIMILAR),
        bits=32,
    )
    config = common.base(arguments, cifar10="cifar10_dah")
    config.method = {
        "name": "dah",
        # Dissimilar pairs in eq. 2: "hinge", "abs" or "printed".
        "dissimilar": arguments.dissimilar,
        # t, as a share of the bits.
        "threshold": 1 / 4.8,
        "phi1": 1.0,
        "phi2": 1.0,
    }
    config.model = {
        "name": "resnet30.ResNet30",
        "classes": 10,
        "attention": arguments.attention,
        "reduction": 16,
        # Factors of the 1 x 1 convolutions; "float32" is slower.
        "dtype": "bfloat16",
    }
    config.batch_size, config.idle_devices = 20, True
    config.augment.update(pad=0, flip=False)
    # Small enough for the activations to stay in a processor's cache.
    config.epochs, config.eval_batch_size = 6, 100
    config.optimizer.name, config.optimizer.weight_decay = "adam", 0.0
    if arguments.smoke:
        common.smoke(config, arguments)
        config.batch_size = config.eval_batch_size = 20
        config.model.stages, config.model.identity_blocks = ((8, 8, 16), (8, 8, 16)), 0
    return config
