"""AIHN, Figure 5: the loss while AIHN trains, 16 bits on CIFAR-10.

python -m jhash sweep configs/tables/aihn_figure5.py --quick
"""

from configs.tables import aihn
from jhash.sweeps import Curve, Metric, Table, bits


def get_table() -> Table:
    """Returns the table."""
    return Table(
        "AIHN, Figure 5: convergence, 16 bits",
        "The paper (Li et al. 2020) has a plot and gives no numbers.",
        [aihn.AIHN],
        (aihn.CIFAR10,),
        bits(16),
        (
            Metric("last_line.loss", "loss, last logged step", unit="", best="none"),
            Metric("encoded.map", "MAP"),
        ),
        curves=[Curve("training", "loss")],
        notes=aihn.NOTES,
    )
