"""DSTGeH, Table 1: mAP@20 % by code length, with cosines and with Euclidean distances.

python -m jhash sweep configs/tables/dstgeh_table1.py --quick
"""

from configs.tables import dstgeh
from jhash.sweeps import Metric, Printed, Table, bits

_CIFAR10 = Printed(
    """
Cosine    0.2303 0.2818 0.3352 0.3408 0.3415 0.3447
Euclidean 0.2223 0.2702 0.3165 0.3252 0.3247 0.3269
""",
    fractions=True,
)
_COCO = Printed(
    """
Cosine    0.3540 0.3750 0.4102 0.4508 0.4703 0.4731
Euclidean 0.3543 0.3552 0.4008 0.4388 0.4607 0.4621
""",
    fractions=True,
)


def get_table() -> Table:
    """Returns the table."""
    return Table(
        "DSTGeH, Table 1: mAP@20 % by code length and distance",
        "The paper's numbers are those of Liu et al. 2020, Table 1.",
        [
            dstgeh.variant("Cosine"),
            dstgeh.variant("Euclidean", "metric=euclidean"),
        ],
        (dstgeh.CIFAR10, dstgeh.COCO),
        bits(16, 32, 48, 64, 96, 128, quick=(16, 64)),
        (
            Metric(
                dstgeh.MAP,
                "mAP@20 %",
                paper={"CIFAR-10": _CIFAR10, "MS-COCO": _COCO},
            ),
        ),
        notes=dstgeh.NOTES,
    )
