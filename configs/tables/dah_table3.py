"""DAH, Table 3: precision@1000 by code length on CIFAR-10.

python -m jhash sweep configs/tables/dah_table3.py --quick
"""

from configs.tables import dah
from configs.tables.common import NO_FORMULA, missing
from jhash.sweeps import Metric, Printed, Table

_PRECISION = Printed(
    """
DAH       0.9159 0.9117 0.9153 0.9152
NoneA-DAH 0.9125 0.9124 0.9138 0.9117
LSH       0.1480 0.1579 0.1992 0.1994
PCAH      0.1833 0.1863 0.1818 0.1784
SH        0.1784 0.1852 0.1842 0.1925
ITQ       0.2123 0.2400 0.2458 0.2523
DSH       0.1946 0.2110 0.2165 0.2317
SDH       0.3967 0.5079 0.5311 0.5363
COSDISH   0.4775 0.5082 0.5382 0.5463
SDHP*     0.8272 0.8645 0.8724 0.8748
""",
    fractions=True,
)


def get_table() -> Table:
    """Returns the table."""
    return Table(
        "DAH, Table 3: precision@1000 by code length",
        "The paper's numbers are those of Li et al. 2020, Table 3. A star marks those that it "
        "takes from the original papers.",
        [
            *dah.OWN,
            dah.LSH,
            dah.PCAH,
            dah.SH,
            dah.ITQ,
            dah.DSH,
            dah.SDH,
            dah.COSDISH,
            *missing(NO_FORMULA, "SDHP*"),
        ],
        dah.DATA,
        dah.COLUMNS,
        (Metric("encoded.precision_at_1000", "precision@1000", paper={"CIFAR-10": _PRECISION}),),
        notes=dah.NOTES,
        pairs=dah.PAIRS,
    )
