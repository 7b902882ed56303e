"""IDHN (Zhang et al. 2019): soft similarity of images with several labels.

    python launch.py --config=configs/baselines/idhn.py

`configs/baselines/common.py` has the arguments, the model and the schedule.
"""

import ml_collections

from configs.baselines import common as baselines


def get_config(argument: str | None = None) -> ml_collections.ConfigDict:
    """Returns the config; `argument` is the text after the colon."""
    return baselines.make(
        argument,
        "idhn",
        # Weight of the quantization loss, a mean over bits.
        quantization=0.1,
        # Factor of inner products per bit, in the likelihood.
        beta=5.0,
        # Weight of the squared error of pairs that share some of their labels.
        gamma=0.1,
    )
