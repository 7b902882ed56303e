"""CNNH (Xia et al. 2014): codes from the similarity of labels, then a model that learns them.

    python launch.py --config=configs/baselines/cnnh.py

trains 32 bits on the embedded data (9,000 images and 1,000 queries from the test part of
Fashion-MNIST). `bits=N` and `seed=N` may follow the colon, `smoke` makes a tiny run, and another
data set is an argument as well: fashion_mnist, cifar10, scenes, nus_wide, nus_wide81, coco or
flickr25k; see `configs/baselines/dpsh.py`. The model and the schedule are those of
`configs/baselines/common.py`.
"""

import ml_collections

from configs import common
from configs.baselines import common as baselines


def get_config(argument: str | None = None) -> ml_collections.ConfigDict:
    """Returns the config; `argument` is the text after the colon."""
    arguments = common.parse(argument, data=common.DATA_SETS, bits=32)
    config = baselines.base(arguments, "cnnh")
    config.method.update(
        # Number of sweeps of coordinate descent over the relaxed codes.
        sweeps=10,
    )
    baselines.smoke(config, arguments)
    return config
