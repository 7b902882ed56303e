"""DSTGeH, Figure 4: the loss of stage 2 while it trains, by loss.

python -m jhash sweep configs/tables/dstgeh_figure4.py --quick
"""

from configs.tables import dstgeh
from jhash.sweeps import Curve, Metric, Table, bits


def get_table() -> Table:
    """Returns the table."""
    return Table(
        "DSTGeH, Figure 4: convergence of the hash function by loss, 48 bits",
        "The paper (Liu et al. 2020) has plots and gives no numbers. Its text says that the binary "
        "cross-entropy ends lowest, and gets there fastest.",
        [
            dstgeh.variant("BCEL"),
            dstgeh.variant("MLML", "loss=margin"),
            dstgeh.variant("MLSML", "loss=soft_margin"),
        ],
        (dstgeh.CIFAR10, dstgeh.COCO),
        bits(48),
        (
            Metric(dstgeh.MAP, "mAP@20 %"),
            Metric("last_line.bit_error_rate", "wrong bits of the pseudo labels", best="min"),
        ),
        curves=[Curve("training", "loss"), Curve("training", "bit_error_rate")],
        notes=(
            *dstgeh.NOTES,
            "Different losses are different numbers: a lower one is no better one. The share of "
            "wrong bits can be compared.",
        ),
    )
