"""AIHN, Table 2: the ablation, MAP by code length on CIFAR-10.

python -m jhash sweep configs/tables/aihn_table2.py --quick
"""

from configs.tables import aihn
from jhash.sweeps import Metric, Printed, Table

_MAP = Printed(
    """
AIHN-AI 0.6764 0.6950 0.6980 0.6999
AIHN-A  0.7822 0.7819 0.8051 0.7899
AIHN    0.7897 0.7967 0.8054 0.8076
""",
    fractions=True,
)


def get_table() -> Table:
    """Returns the table."""
    return Table(
        "AIHN, Table 2: the ablation",
        "The paper's numbers are those of Li et al. 2020, Table 2. AIHN-A has no attention, and "
        "AIHN-AI has AlexNet in place of the invertible network.",
        aihn.ABLATION,
        (aihn.CIFAR10,),
        aihn.COLUMNS,
        (Metric("encoded.map", "MAP", paper={"CIFAR-10": _MAP}),),
        notes=aihn.NOTES,
        pairs=aihn.PAIRS,
    )
