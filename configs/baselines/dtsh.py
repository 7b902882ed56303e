"""DTSH (Wang, Shi and Kitani 2016): likelihood of triplets.

    python launch.py --config=configs/baselines/dtsh.py

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
    config = baselines.base(arguments, "dtsh")
    config.method.update(
        # Margin per bit.
        margin=0.5,
        # Weight of the quantization loss: 100 / 22,500, see the method.
        quantization=0.0044,
    )
    baselines.smoke(config, arguments)
    return config
