"""DDSH (Jiang, Cui and Li 2018): codes of sampled columns, and a model that fits them.

    python launch.py --config=configs/baselines/ddsh.py

trains 32 bits on the embedded data (9,000 images and 1,000 queries from the test part of
Fashion-MNIST). `bits=N` and `seed=N` may follow the colon, `smoke` makes a tiny run, and another
data set is an argument as well: fashion_mnist, cifar10, scenes, nus_wide, nus_wide81, coco or
flickr25k; see `configs/baselines/dpsh.py`. The model and the schedule are those of
`configs/baselines/common.py`, but an epoch has three passes, so that there are a third as many.
"DDSH-A" of FDAH's tables is --config.data.split=cifar10_fdah.
"""

import ml_collections

from configs import common
from configs.baselines import common as baselines


def get_config(argument: str | None = None) -> ml_collections.ConfigDict:
    """Returns the config; `argument` is the text after the colon."""
    arguments = common.parse(argument, data=common.DATA_SETS, bits=32)
    config = baselines.base(arguments, "ddsh")
    config.method.update(
        # Number of images whose codes are solved for in each epoch.
        columns=100,
        # Number of passes over the other training images in an epoch.
        passes=3,
    )
    config.epochs = max(1, config.epochs // config.method.passes)
    baselines.smoke(config, arguments)
    if arguments.smoke:
        config.method.update(columns=8, passes=1)
    return config
