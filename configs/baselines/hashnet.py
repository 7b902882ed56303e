"""HashNet (Cao, Long, Wang and Yu 2017): pairwise likelihood of tanh(beta u), beta growing.

    python launch.py --config=configs/baselines/hashnet.py

`configs/baselines/common.py` has the arguments, the model and the schedule.
"""

import ml_collections

from configs.baselines import common as baselines


def get_config(argument: str | None = None) -> ml_collections.ConfigDict:
    """Returns the config; `argument` is the text after the colon."""
    return baselines.make(
        argument,
        "hashnet",
        # Factor of inner products per bit, in the likelihood.
        alpha=10.0,
        # beta^2 grows from 1 by this number over the run.
        growth=50.0,
    )
