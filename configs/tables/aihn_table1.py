"""AIHN, Table 1: MAP by code length on CIFAR-10, and MAP@5000 on NUS-WIDE81.

python -m jhash sweep configs/tables/aihn_table1.py --quick
"""

from configs.tables import aihn
from configs.tables.common import on_features, shallow
from jhash.sweeps import Metric, Table, split

# Fractions, with 16, 32, 48 and 64 bits on each of the two data sets.
_CIFAR10, _NUS_WIDE = split(
    """
ITQ-CCA 0.4258 0.4652 0.4774 0.4932  0.5706 0.4397 0.0825 0.0051
BRE     0.4216 0.4519 0.4002 0.3438  0.5502 0.5422 0.4128 0.2202
KSH     0.4368 0.4585 0.4012 0.3819  0.5185 0.5659 0.4102 0.0608
SDH     0.5620 0.6428 0.6069 0.5012  0.6681 0.6824 0.5979 0.4679
CNNH    0.5512 0.5468 0.5454 0.5364  0.5843 0.5989 0.5734 0.5729
DNNH    0.5703 0.5985 0.6421 0.6118  0.6191 0.6216 0.5902 0.5626
DHN     0.6929 0.6445 0.5835 0.5883  0.6901 0.7021 0.6685 0.5664
HashNet 0.7476 0.7776 0.6399 0.6259  0.6944 0.7147 0.6736 0.6190
AIHN    0.7897 0.7967 0.8054 0.8076  0.7434 0.7555 0.7599 0.7590
""",
    4,
    4,
    fractions=True,
)


def get_table() -> Table:
    """Returns the table."""
    return Table(
        "AIHN, Table 1: MAP by code length",
        "The paper's numbers are those of Li et al. 2020, Table 1.",
        [
            shallow("ITQ-CCA", "itq_cca"),
            shallow("BRE", "bre_supervised"),
            shallow("KSH", "ksh"),
            shallow("SDH", "sdh"),
            on_features("CNNH", "cnnh"),
            on_features("DNNH", "dnnh"),
            on_features("DHN", "dhn"),
            on_features("HashNet", "hashnet"),
            on_features("AIHN, frozen", "aihn"),
            aihn.AIHN,
        ],
        (aihn.CIFAR10, aihn.NUS_WIDE),
        aihn.COLUMNS,
        (
            Metric("encoded.map", "MAP", paper={"CIFAR-10": _CIFAR10}, data=("CIFAR-10",)),
            Metric(
                "encoded.map_at_5000",
                "MAP@5000",
                paper={"NUS-WIDE81": _NUS_WIDE},
                data=("NUS-WIDE81",),
            ),
        ),
        notes=(
            *aihn.NOTES,
            "The other methods are fitted to features of EfficientNet-Lite0, or train hash layers "
            "on them, as AIHN does in the row that says frozen. In the paper all deep ones are "
            "whole models.",
        ),
    )
