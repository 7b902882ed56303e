"""AIHN's rows and data sets, for the files `aihn_*.py`; no table itself.

The paper is Li, Cai, Li, Li, Zhang and Cao, Attention-Aware Invertible Hashing Network, 2020.
"""

import dataclasses

from configs.tables.common import EMBEDDED, FASHION_MNIST
from jhash.sweeps import DataSet, Row, bits

COLUMNS = bits(16, 32, 48, 64, quick=(16, 64))
# The shallow model stands in on Fashion-MNIST; on CIFAR-10 it is the paper's, for a GPU.
SHALLOW = dataclasses.replace(FASHION_MNIST, argument="fashion_mnist,shallow")
CIFAR10 = DataSet("CIFAR-10", "cifar10", stand_in=SHALLOW, quick=EMBEDDED)
NUS_WIDE = DataSet("NUS-WIDE81", "nus_wide81")
QUICK = {"epochs": 6}
AIHN = Row("AIHN", "configs/aihn.py", quick=QUICK)
ABLATION = [
    Row("AIHN-AI", "configs/aihn.py", "backbone=alexnet", quick=QUICK),
    Row("AIHN-A", "configs/aihn.py", "attention=none", quick=QUICK),
    AIHN,
]
PAIRS = (("AIHN", "AIHN-A"), ("AIHN", "AIHN-AI"))
NOTES = (
    "On Fashion-MNIST AIHN has 16 blocks at 32 x 32 pixels in place of 100 at 224 x 224; "
    "docs/reproduce/aihn.md lists what else differs.",
)
