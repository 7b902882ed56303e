"""All methods without labels: mAP@20 % by code length, on small data and on all of Fashion-MNIST.

python -m jhash sweep configs/tables/without_labels.py --quick
python -m jhash sweep configs/tables/without_labels.py --only Fashion-MNIST "48 bits" ITQ

It is no table of a paper. The quick version has 48 bits and the embedded images alone. Figure 5 of
DSTGeH has the rows that the paper compares with.
"""

from configs.tables import dstgeh
from configs.tables.common import OWN_EMBEDDED, SCENES, missing, shallow, unlabeled
from jhash.sweeps import DataSet, Metric, Table, bits

# The rows that are fitted to features, and those that train a model.
FITTED = [
    shallow("LSH", "lsh"),
    shallow("PCAH", "pcah"),
    shallow("SH", "sh"),
    shallow("DSH (density sensitive)", "density_sensitive"),
    shallow("BRE", "bre"),
    shallow("STH", "sth"),
    shallow("IMH", "imh"),
    shallow("ITQ", "itq"),
    shallow("Neighbor diffusion (jhash's own)", "neighbor_diffusion"),
]
_NETWORKS = {
    "BiHalf": "bihalf",
    "GreedyHash (unsupervised)": "greedyhash_unsupervised",
    "SSDH (unsupervised)": "ssdh_unsupervised",
    "TBH": "tbh",
    "CIBHash": "cibhash",
    "DeepBit": "deepbit",
}
# The methods that a frozen network can carry: the others need further views of an image.
_TAUGHT = tuple(_NETWORKS)[:4]
_OWN = "GreedyHash, diffused teacher (jhash's own)"
_TRAINED = [
    *(unlabeled(name, method) for name, method in _NETWORKS.items()),
    unlabeled(_OWN, "greedyhash_unsupervised", "teacher=diffused"),
    dstgeh.variant("DSTH", "embedding=laplacian"),
    dstgeh.variant("DSTGeH"),
    *missing("needs a file of concept scores of your own", "UHSCM"),
]

ON_FEATURES = [
    *(unlabeled(f"{name}, frozen", _NETWORKS[name], "model=frozen") for name in _TAUGHT),
    unlabeled(f"{_OWN}, frozen", "greedyhash_unsupervised", "teacher=diffused", "model=frozen"),
]


def get_table() -> Table:
    """Returns the table."""
    return Table(
        "Methods without labels",
        "No paper has this table; the numbers are jhash's own.",
        [*FITTED, *ON_FEATURES, *_TRAINED],
        (OWN_EMBEDDED, SCENES, DataSet("Fashion-MNIST", "fashion_mnist")),
        bits(16, 32, 48, 64, 96, 128, quick=(48,)),
        (
            Metric("encoded.map_top_20_percent", "mAP@20 %"),
            Metric("encoded.map", "MAP"),
            Metric("encoded.distinct_codes", "distinct codes", "count", best="none"),
        ),
        notes=(
            "The rows down to neighbor diffusion are fitted to features of EfficientNet-Lite0, "
            "which was trained on ImageNet. In the rows that say frozen, hash layers are trained "
            "on them. The other rows begin with random weights, and all of them but CIBHash and "
            "DeepBit learn from these features.",
            "Averages are over all queries; the tables of DSTGeH have those over categories.",
        ),
        pairs=(
            ("Neighbor diffusion (jhash's own)", "ITQ"),
            (_OWN, "GreedyHash (unsupervised)"),
            (_OWN, "CIBHash"),
            ("DSTGeH", "ITQ"),
        ),
    )
