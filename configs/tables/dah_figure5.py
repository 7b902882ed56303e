"""DAH, Figure 5: curves of precision and recall with attention and without, on CIFAR-10.

python -m jhash sweep configs/tables/dah_figure5.py --quick
"""

from configs.tables import dah
from jhash.sweeps import Curve, Table


def get_table() -> Table:
    """Returns the table."""
    return dah.figure(
        "DAH, Figure 5: precision and recall with attention and without",
        "",
        dah.at_recalls(),
        [Curve("precision_recall")],
        own=True,
    )
