"""HashNet (Cao, Long, Wang and Yu 2017): pairwise likelihood of tanh(beta u), beta growing.

    python launch.py --config=configs/baselines/hashnet.py

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
    config = baselines.base(arguments, "hashnet")
    config.method.update(
        # Factor of inner products per bit, in the likelihood.
        alpha=10.0,
        # beta^2 grows from 1 by this number over the run.
        growth=50.0,
    )
    baselines.smoke(config, arguments)
    return config
