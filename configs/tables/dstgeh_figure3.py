"""DSTGeH, Figure 3: the losses of stage 1 while it trains, by distance.

python -m jhash sweep configs/tables/dstgeh_figure3.py --quick
"""

from configs.tables import dstgeh
from jhash.sweeps import Curve, Metric, Table, bits

_FOLDER = "pretrain/embedding"


def get_table() -> Table:
    """Returns the table."""
    return Table(
        "DSTGeH, Figure 3: convergence of the embedding by distance, 48 bits",
        "The paper (Liu et al. 2020) has plots and gives no numbers. Its text says that the loss "
        "ends much lower with cosines, and gets there faster.",
        [
            dstgeh.variant("Cosine"),
            dstgeh.variant("Euclidean", "metric=euclidean"),
        ],
        (dstgeh.CIFAR10, dstgeh.COCO),
        bits(48),
        (Metric(dstgeh.MAP, "mAP@20 %"),),
        curves=[Curve("training", name, _FOLDER) for name in ("second_order", "first_order")],
        notes=(
            *dstgeh.NOTES,
            "Losses of different graphs are different numbers: a lower one is no better one.",
        ),
    )
