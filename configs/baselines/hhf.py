"""HHF (Xu et al. 2022): learned proxies, with hinges at the distance that codes can have.

    python launch.py --config=configs/baselines/hhf.py

`configs/baselines/common.py` has the arguments, the model and the schedule.
"""

import ml_collections

from configs.baselines import common as baselines


def get_config(argument: str | None = None) -> ml_collections.ConfigDict:
    """Returns the config; `argument` is the text after the colon."""
    return baselines.make(
        argument,
        "hhf",
        # Steepness of the hinges.
        alpha=16.0,
        # Slack of the hinges.
        delta=0.2,
        # Weight of the distance from codes, summed over the bits; see the method.
        quantization=0.085,
    )
