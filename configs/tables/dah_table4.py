"""DAH, Table 4: encoding time with 48 bits on CIFAR-10.

python -m jhash sweep configs/tables/dah_table4.py --quick
"""

from configs.tables import dah
from configs.tables.common import NO_FORMULA, missing
from jhash.sweeps import Metric, Printed, Table, bits

# Microseconds.
_TIME = Printed("""
LSH       2.86
PCAH      3.28
SH        2.37
ITQ       7.99
DSH       2.68
COSDISH   1870
SDH       21700
SDHP+     9830
DAH       5280
NoneA-DAH 4860
""")


def get_table() -> Table:
    """Returns the table."""
    return Table(
        "DAH, Table 4: encoding time with 48 bits",
        "The paper's numbers are those of Li et al. 2020, Table 4.",
        [
            dah.LSH,
            dah.PCAH,
            dah.SH,
            dah.ITQ,
            dah.DSH,
            dah.COSDISH,
            dah.SDH,
            *missing(NO_FORMULA, "SDHP+"),
            *dah.OWN,
        ],
        dah.DATA,
        bits(48),
        (
            Metric(
                "encode_seconds_per_image",
                "encoding time per image",
                "µs",
                best="min",
                paper={"CIFAR-10": _TIME},
            ),
        ),
        notes=(
            *dah.NOTES,
            "Times are of other machines and cannot be compared. Ours begin with the image in "
            "memory: those of the methods on features include the features. The paper's times of "
            "LSH, PCAH, SH, ITQ and DSH are too short for that.",
        ),
    )
