"""HHF (Xu et al. 2022): learned proxies, with hinges at the distance that codes can have.

    python launch.py --config=configs/baselines/hhf.py

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
    config = baselines.base(arguments, "hhf")
    config.method.update(
        # Steepness of the hinges.
        alpha=16.0,
        # Slack of the hinges.
        delta=0.2,
        # Weight of the distance from codes, summed over the bits; see the method.
        quantization=0.085,
    )
    baselines.smoke(config, arguments)
    return config
