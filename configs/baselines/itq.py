"""ITQ (Gong et al. 2013): rotated principal components of features; no labels.

    python launch.py --config=configs/baselines/itq.py:folder --config.data.options.folder=photos/

fits 48 bits to the photos of a folder, with labels or without; docs/configs.md says how they are
found and split. All else is `configs/baselines/shallow.py:itq`.
"""

import ml_collections

from configs import common
from configs.baselines import shallow


def get_config(argument: str | None = None) -> ml_collections.ConfigDict:
    """Returns the config; `argument` is the text after the colon."""
    return shallow.make(common.parse(argument, data=common.DATA_SETS, bits=48), "itq")
