"""DSTGeH, Figure 5: mAP@20 % by code length, and precision at recall, on three data sets.

python -m jhash sweep configs/tables/dstgeh_figure5.py --quick
"""

from configs.tables import dstgeh
from configs.tables.common import NO_FORMULA, missing, shallow, unlabeled
from jhash.sweeps import Curve, Metric, Table, bits

_REINFORCED = "learns a graph of bits by reinforcement, beside the model; not in jhash"


def get_table() -> Table:
    """Returns the table."""
    return Table(
        "DSTGeH, Figure 5: comparison with other methods without labels",
        "The paper (Liu et al. 2020) has plots and gives no numbers, but for DSTGeH's in its Table "
        "1. Its text says that DSTGeH leads with 48 bits and more on CIFAR-10, and with every code "
        "length on MS-COCO and FLICKR25K, by 0.06 to 0.99 points of mAP.",
        [
            shallow("PCA-ITQ", "itq"),
            unlabeled("DeepBit", "deepbit"),
            dstgeh.variant("DSTH", "embedding=laplacian"),
            *missing(NO_FORMULA, "ARE", "ZSH", "DHPL", "DistillHash"),
            *missing(_REINFORCED, "GraphBit"),
            dstgeh.variant("DSTGeH"),
        ],
        (dstgeh.CIFAR10, dstgeh.COCO, dstgeh.FLICKR25K),
        bits(16, 32, 48, 64, 96, 128, quick=(16, 48)),
        [
            Metric(dstgeh.MAP, "mAP@20 %"),
            *(
                Metric(f"{dstgeh.AT_RECALL}{recall}", f"precision at recall {recall} %")
                for recall in (10, 20, 40, 60, 80)
            ),
        ],
        curves=[Curve("precision_recall")],
        notes=(
            *dstgeh.NOTES,
            "DSTH is DSTGeH with eigenvectors of a graph of 25 neighbors as pseudo labels; the "
            "graph of its paper could not be verified. DeepBit has the terms of its paper with "
            "their gradients; its released code has others.",
        ),
    )
