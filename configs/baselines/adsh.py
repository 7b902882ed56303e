"""ADSH (Jiang and Li 2018): asymmetric, with database codes by coordinate descent.

    python launch.py --config=configs/baselines/adsh.py

trains 32 bits on the embedded data (9,000 images and 1,000 queries from the test part of
Fashion-MNIST). `bits=N` and `seed=N` may follow the colon, `smoke` makes a tiny run, and another
data set is an argument as well: fashion_mnist, cifar10, scenes, nus_wide, nus_wide81, coco or
flickr25k; see `configs/baselines/dpsh.py`. The model and the schedule are those of
`configs/baselines/common.py`, but for the queries that
an epoch draws: they are those of `configs/fdah.py`.
"""

import ml_collections

from configs import common
from configs.baselines import common as baselines


def get_config(argument: str | None = None) -> ml_collections.ConfigDict:
    """Returns the config; `argument` is the text after the colon."""
    arguments = common.parse(argument, data=common.DATA_SETS, bits=32)
    config = baselines.base(arguments, "adsh", cifar10="cifar10_fdah")
    config.method.update(
        # Number of queries m that are drawn anew in each epoch.
        queries=2000,
        # Number of passes over the queries in an epoch.
        passes=3,
        # Weight of the distance between outputs and learned codes.
        gamma=200.0,
        # Number of sweeps over the bits of the codes in an epoch.
        sweeps=1,
        # S of a dissimilar pair: "balanced", so that the sum of S is 0, or "minus_one".
        dissimilar="balanced",
    )
    if arguments.data in ("fashion_mnist", "cifar10"):
        config.epochs = 50
        # From random weights the published 2,000 queries per epoch are too few.
        config.method.queries = 10_000
    baselines.smoke(config, arguments)
    if arguments.smoke:
        config.method.queries = 16
    return config
