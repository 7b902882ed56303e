"""JMLH (Shen et al. 2019): a classifier of bits whose probabilities stay near 1/2.

    python launch.py --config=configs/baselines/jmlh.py

`configs/baselines/common.py` has the arguments, the model and the schedule.
"""

import ml_collections

from configs.baselines import common as baselines


def get_config(argument: str | None = None) -> ml_collections.ConfigDict:
    """Returns the config; `argument` is the text after the colon."""
    return baselines.make(
        argument,
        "jmlh",
        # Weight of the divergence from fair bits, summed over the bits.
        beta=0.2,
        # Whether training draws the bits by their probabilities.
        noise=False,
    )
