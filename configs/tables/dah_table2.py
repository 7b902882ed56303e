"""DAH, Table 2: MAP by code length on CIFAR-10.

python -m jhash sweep configs/tables/dah_table2.py --quick
"""

from configs.tables import dah
from configs.tables.common import NO_FORMULA, TWO_PLAYERS, missing, on_features
from jhash.sweeps import Metric, Printed, Table

# Fractions; the paper marks what it takes from the original papers by a star.
_MAP = Printed(
    """
DAH       0.9251 0.9219 0.9267 0.9231
NoneA-DAH 0.9208 0.9206 0.9235 0.9189
BGAN      0.884  0.889  -      0.894
HashGAN   0.668  0.731  -      0.749
PGDH      0.866  0.874  -      0.877
LSH       0.1217 0.1218 0.1434 0.1417
PCAH      0.1311 0.1290 0.1255 0.1235
SH        0.1268 0.1242 0.1238 0.1282
ITQ       0.1548 0.1649 0.1668 0.1684
DSH       0.1454 0.1567 0.1589 0.1652
SDH       0.4054 0.5139 0.5347 0.5377
COSDISH   0.4804 0.5118 0.5413 0.5493
CNNH*     0.4650 0.5210 -      0.5320
NINH*     0.5520 0.5660 -      0.5810
SDHP*     0.8318 0.8684 0.8755 0.8767
""",
    fractions=True,
)


def get_table() -> Table:
    """Returns the table."""
    return Table(
        "DAH, Table 2: MAP by code length",
        "The paper's numbers are those of Li et al. 2020, Table 2. A star marks those that it "
        "takes from the original papers.",
        [
            *dah.OWN,
            *missing(TWO_PLAYERS, "BGAN", "HashGAN"),
            *missing(NO_FORMULA, "PGDH"),
            dah.LSH,
            dah.PCAH,
            dah.SH,
            dah.ITQ,
            dah.DSH,
            dah.SDH,
            dah.COSDISH,
            on_features("CNNH*", "cnnh"),
            on_features("NINH*", "dnnh"),
            *missing(NO_FORMULA, "SDHP*"),
        ],
        dah.DATA,
        dah.COLUMNS,
        (Metric("encoded.map", "MAP", paper={"CIFAR-10": _MAP}),),
        notes=(
            *dah.NOTES,
            "CNNH and NINH train hash layers on such features. The paper cites numbers of whole "
            "models.",
        ),
        pairs=dah.PAIRS,
    )
