"""DAH, Table 5: the ratio of ones to zeros in the codes by code length on CIFAR-10.

python -m jhash sweep configs/tables/dah_table5.py --quick
"""

from configs.tables import dah
from jhash.sweeps import Metric, Printed, Table

_RATIO = Printed("""
DAH       1.4766 1.0603 1.0429 1.0134
NoneA-DAH 1.3142 1.0323 1.0595 1.0328
""")


def get_table() -> Table:
    """Returns the table."""
    return Table(
        "DAH, Table 5: ones to zeros by code length",
        "The paper's numbers are those of Li et al. 2020, Table 5.",
        dah.OWN,
        dah.DATA,
        dah.COLUMNS,
        (
            Metric(
                "encoded.ones_to_zeros_mean",
                "ratio of ones to zeros",
                unit="",
                best="one",
                paper={"CIFAR-10": _RATIO},
            ),
        ),
        notes=(
            *dah.NOTES[:1],
            "The paper gives one number for all bits and does not say how it is made of them; ours "
            "is their mean. The best is the nearest to 1.",
        ),
    )
