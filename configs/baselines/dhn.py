"""DHN (Zhu, Long, Wang and Cao 2016): pairwise likelihood, and log cosh of magnitudes.

    python launch.py --config=configs/baselines/dhn.py

`configs/baselines/common.py` has the arguments, the model and the schedule.
"""

import ml_collections

from configs.baselines import common as baselines


def get_config(argument: str | None = None) -> ml_collections.ConfigDict:
    """Returns the config; `argument` is the text after the colon."""
    return baselines.make(
        argument,
        "dhn",
        # Weight of the quantization loss, a mean over bits; see the method.
        quantization=0.1,
    )
