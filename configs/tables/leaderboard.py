"""All methods on the embedded images and on scenes: MAP by code length.

python -m jhash sweep configs/tables/leaderboard.py --quick

The quick version has a single code length and no scenes: about 50 runs. It is no table of a paper.
All deep methods with labels but the papers' own have one model and one schedule, those of
`configs/baselines/common.py`. FDAH, DAH, AIHN and DSTGeH have their defaults.
"""

from configs.tables import without_labels
from configs.tables.common import OWN_EMBEDDED, SCENES, deep, shallow
from jhash.sweeps import Metric, Row, Table, bits

_QUICK = {"epochs": 3}
_PAPERS = [
    Row("FDAH", "configs/fdah.py", quick=_QUICK),
    Row(
        "DAH",
        "configs/dah.py",
        quick=_QUICK,
        unfit={SCENES.name: "its batches are made of images with one class each"},
    ),
    Row("AIHN", "configs/aihn.py", quick=_QUICK),
]
_DEEP = {
    "ADSH": "adsh",
    "CNNH": "cnnh",
    "CNNH+": "cnnh:plus",
    "CSQ": "csq",
    "DCH": "dch",
    "DDSH": "ddsh",
    "DFH": "dfh",
    "DHN": "dhn",
    "DNNH": "dnnh",
    "DPN": "dpn",
    "DPSH": "dpsh",
    "DSDH": "dsdh",
    "DSH (deep supervised)": "dsh",
    "DTSH": "dtsh",
    "GreedyHash": "greedyhash",
    "HashNet": "hashnet",
    "HHF": "hhf",
    "IDHN": "idhn",
    "JMLH": "jmlh",
    "MIHash": "mihash",
    "OrthoHash": "orthohash",
    "SSDH (supervised)": "ssdh_supervised",
    "TALR-AP": "talr",
}
_SUPERVISED = {
    "BRE (supervised)": "bre_supervised",
    "COSDISH": "cosdish",
    "FSDH": "fsdh",
    "ITQ-CCA": "itq_cca",
    "KSH": "ksh",
    "LFH": "lfh",
    "SDH": "sdh",
}
# The rows whose training learns codes for the database.
_WITH_LEARNED = ("FDAH", "ADSH", "CNNH", "DSDH")


def get_table() -> Table:
    """Returns the table."""
    return Table(
        "Leaderboard",
        "No paper has this table; the numbers are jhash's own.",
        [
            *_PAPERS,
            *(deep(name, file) for name, file in _DEEP.items()),
            *(shallow(name, method) for name, method in _SUPERVISED.items()),
            *without_labels.TRAINED,
            *without_labels.FITTED,
        ],
        (OWN_EMBEDDED, SCENES),
        bits(16, 32, 64, quick=(32,)),
        (
            Metric("encoded.map", "MAP, encoded codes"),
            Metric("learned.map", "MAP, learned codes", rows=_WITH_LEARNED),
        ),
        notes=(
            "Learned codes of a database know its labels; encoded ones are the model's.",
            "The shallow methods are fitted to features of EfficientNet-Lite0, which was trained "
            "on ImageNet. The deep ones begin with random weights; those without labels, but for "
            "CIBHash and DeepBit, learn from these features.",
            "The rows from BiHalf on use no labels.",
        ),
    )
