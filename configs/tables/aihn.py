"""AIHN's rows and data sets, for the files `aihn_*.py`; no table itself.

The paper is Li, Cai, Li, Li, Zhang and Cao, Attention-Aware Invertible Hashing Network, 2020.
"""

import dataclasses

from configs.tables.common import EMBEDDED, FASHION_MNIST
from jhash.sweeps import DataSet, Row, bits

COLUMNS = bits(16, 32, 48, 64, quick=(16, 64))
# All rows have the images of AIHN, and its metrics.
CIFAR10 = DataSet(
    "CIFAR-10", "cifar10", {"data.split": "cifar10_dhn"}, stand_in=FASHION_MNIST, quick=EMBEDDED
)
NUS_WIDE = DataSet("NUS-WIDE81", "nus_wide81", {"metrics.map_at": 5000})
_QUICK = {"epochs": 6}
# The shallow model stands in on Fashion-MNIST; on CIFAR-10 it is the paper's, for a GPU.
_BY_DATA = {FASHION_MNIST.name: "shallow"}
AIHN = Row("AIHN", "configs/aihn.py", by_data=_BY_DATA, quick=_QUICK)
ABLATION = [
    dataclasses.replace(AIHN, name="AIHN-AI", argument="backbone=alexnet"),
    dataclasses.replace(AIHN, name="AIHN-A", argument="attention=none"),
    AIHN,
]
PAIRS = (("AIHN", "AIHN-A"), ("AIHN", "AIHN-AI"))
NOTES = (
    "On Fashion-MNIST AIHN has 16 blocks at 32 x 32 pixels in place of 100 at 224 x 224; "
    "docs/reproduce/aihn.md lists what else differs.",
)
