"""CSQ (Yuan et al. 2020): each image is pulled to the center of its class.

    python launch.py --config=configs/baselines/csq.py

trains 32 bits on the embedded data (9,000 images and 1,000 queries from the test part of
Fashion-MNIST). `bits=N` and `seed=N` may follow the colon, `smoke` makes a tiny run, and another
data set is an argument as well: fashion_mnist, cifar10, scenes, nus_wide, nus_wide81, coco or
flickr25k; see `configs/baselines/dpsh.py`. The model and the schedule are those of
`configs/baselines/common.py`.

    codes=KIND    the way to choose the centers: hadamard, bernoulli, far_apart or separated; the
                  default is hadamard, the published one
"""

import ml_collections

from configs import common
from configs.baselines import common as baselines


def get_config(argument: str | None = None) -> ml_collections.ConfigDict:
    """Returns the config; `argument` is the text after the colon."""
    arguments = common.parse(
        argument,
        data=common.DATA_SETS,
        codes=("hadamard", "bernoulli", "far_apart", "separated"),
        bits=32,
    )
    config = baselines.base(arguments, "csq")
    config.method.update(
        # The way to choose the centers; see `jhash.solvers.class_codes`.
        codes=arguments.codes,
        # Weight of the distance from codes: published for an AlexNet, 0.05 for a ResNet50.
        quantization=1e-3,
    )
    baselines.smoke(config, arguments)
    return config
