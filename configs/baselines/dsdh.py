"""DSDH (Li et al. 2017): pairwise likelihood, and learned codes that classify linearly.

    python launch.py --config=configs/baselines/dsdh.py

`configs/baselines/common.py` has the arguments, the model and the schedule. "DSDH-A" of FDAH's
tables is --config.data.split=cifar10_fdah.
"""

import ml_collections

from configs.baselines import common as baselines


def get_config(argument: str | None = None) -> ml_collections.ConfigDict:
    """Returns the config; `argument` is the text after the colon."""
    return baselines.make(
        argument,
        "dsdh",
        # Weight of the classification of codes, in the objective that is a sum, as the next two.
        mu=1.0,
        # Weight of the squares of the classifier.
        nu=0.1,
        # Weight of the distance between outputs and learned codes.
        eta=55.0,
        # Number of sweeps over the bits of the codes in an epoch.
        sweeps=1,
    )
