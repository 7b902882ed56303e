"""Methods on one frozen network, on the embedded images and on scenes: MAP by code length.

python -m jhash sweep configs/tables/leaderboard.py --quick

The quick version has a single code length and no scenes: about 50 runs. It is no table of a paper.
Deep methods train hash layers on the network's features, and shallow ones are fitted to them.
Features are computed once, so that a run takes a minute. The exceptions are the papers' own models,
which begin with random weights. Other networks without labels, CIBHash and DeepBit among them, take
hours; they are in without_labels.py.
"""

from configs.tables import dstgeh, without_labels
from configs.tables.common import OWN_EMBEDDED, SCENES, on_features, shallow
from jhash.sweeps import Metric, Row, Table, bits

_QUICK = {"epochs": 3}
_UNFIT = {SCENES.name: "its batches are made of images with one class each"}
_PAPERS = [
    on_features("FDAH", "fdah"),
    on_features("AIHN", "aihn"),
    Row("FDAH, whole model", "configs/fdah.py", quick=_QUICK),
    Row("DAH, whole model", "configs/dah.py", quick=_QUICK, unfit=_UNFIT),
    Row("AIHN, whole model", "configs/aihn.py", quick=_QUICK),
]
_DEEP = {
    "ADSH": "adsh",
    "CNNH": "cnnh",
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
_WITH_LEARNED = ("FDAH", "FDAH, whole model", "ADSH", "CNNH", "DSDH")


def get_table() -> Table:
    """Returns the table."""
    return Table(
        "Leaderboard",
        "No paper has this table; the numbers are jhash's own.",
        [
            *_PAPERS,
            *(on_features(name, method) for name, method in _DEEP.items()),
            *(shallow(name, method) for name, method in _SUPERVISED.items()),
            *without_labels.FITTED,
            *without_labels.ON_FEATURES,
            dstgeh.variant("DSTGeH, whole model"),
        ],
        (OWN_EMBEDDED, SCENES),
        bits(16, 32, 64, quick=(32,)),
        (
            Metric("encoded.map", "MAP, encoded codes"),
            Metric("learned.map", "MAP, learned codes", rows=_WITH_LEARNED),
            Metric("encoded.distinct_codes", "distinct encoded codes", "count", best="none"),
        ),
        notes=(
            "Learned codes of a database know its labels; encoded ones are the model's.",
            "The frozen network is EfficientNet-Lite0, which was trained on ImageNet. Whole models "
            "begin with random weights; DSTGeH's learns from the features.",
            "The rows from LSH on use no labels.",
        ),
    )
