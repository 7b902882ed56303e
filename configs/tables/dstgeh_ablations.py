"""DSTGeH's parts on three data sets, 48 bits, with paired tests.

python -m jhash sweep configs/tables/dstgeh_ablations.py --quick
python -m jhash sweep configs/tables/dstgeh_ablations.py --only Fashion-MNIST DSTGeH --seeds 1

It is no table of the paper. The rows are the embeddings and losses of the paper's Tables 1 and 2,
and codes of other kinds in place of those of the first stage.
"""

import dataclasses

from configs.tables import dstgeh
from configs.tables.common import OWN_EMBEDDED, SCENES
from jhash.sweeps import DataSet, Metric, Table, bits

_ONE = {"method.embedding.hidden": (256,)}
_NEVER_TRAINED = {
    "method.embedding.start": "random",
    "method.embedding.pretrain_epochs": 0,
    "method.embedding.epochs": 0,
}
_ROWS = [
    dstgeh.variant("DSTGeH"),
    dataclasses.replace(dstgeh.variant("one hidden layer"), overrides=_ONE),
    dataclasses.replace(dstgeh.variant("a stack never trained"), overrides=_NEVER_TRAINED),
    dstgeh.variant("SDNE", "embedding=sdne"),
    dstgeh.variant("Word2Vec", "embedding=walks"),
    dstgeh.variant("LE", "embedding=laplacian"),
    dstgeh.variant("Euclidean", "metric=euclidean"),
    dstgeh.variant("diffused", "metric=diffused"),
    dstgeh.variant("Laplacian of neighbors", "first_order=neighbors"),
    dstgeh.variant("MLML", "loss=margin"),
    dstgeh.variant("MLSML", "loss=soft_margin"),
    dstgeh.variant("ITQ's codes", "embedding=itq"),
    dstgeh.variant("neighbor diffusion's codes", "embedding=neighbor_diffusion"),
]


def get_table() -> Table:
    """Returns the table."""
    return Table(
        "DSTGeH's parts",
        "The paper has no such table; dstgeh_table1.py and dstgeh_table2.py have its numbers.",
        _ROWS,
        (OWN_EMBEDDED, SCENES, DataSet("Fashion-MNIST", "fashion_mnist")),
        bits(48),
        (
            Metric("encoded.map_top_20_percent", "mAP@20 %, encoded codes"),
            Metric("learned.map_top_20_percent", "mAP@20 %, codes of stage 1"),
        ),
        notes=(
            dstgeh.NOTES[0],
            "Encoded codes are the model's, those of stage 1 are its pseudo labels. Averages are "
            "over all queries.",
        ),
        pairs=tuple((_ROWS[0].name, row.name) for row in _ROWS[1:]),
    )
