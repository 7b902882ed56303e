"""OrthoHash (Hoe et al. 2021): a softmax over the cosines with the centers of the classes.

    python launch.py --config=configs/baselines/orthohash.py

trains 32 bits on the embedded data (9,000 images and 1,000 queries from the test part of
Fashion-MNIST). `bits=N` and `seed=N` may follow the colon, `smoke` makes a tiny run, and another
data set is an argument as well: fashion_mnist, cifar10, scenes, nus_wide, nus_wide81, coco or
flickr25k; see `configs/baselines/dpsh.py`. The model and the schedule are those of
`configs/baselines/common.py`.

    codes=KIND    the way to choose the centers: hadamard, bernoulli, far_apart or separated; the
                  default is bernoulli, the published one
"""

import ml_collections

from configs import common
from configs.baselines import common as baselines


def get_config(argument: str | None = None) -> ml_collections.ConfigDict:
    """Returns the config; `argument` is the text after the colon."""
    arguments = common.parse(
        argument,
        data=common.DATA_SETS,
        codes=("bernoulli", "hadamard", "far_apart", "separated"),
        bits=32,
    )
    config = baselines.base(arguments, "orthohash")
    config.method.update(
        # The way to choose the centers; see `jhash.solvers.class_codes`.
        codes=arguments.codes,
        # Factor of the cosines.
        scale=8.0,
        # Margin of the right class; 0.3 is published for CIFAR-10.
        margin=0.3 if arguments.data == "cifar10" else 0.2,
        # Whether the margin is of the angle and not of the cosine.
        angular=False,
    )
    baselines.smoke(config, arguments)
    return config
