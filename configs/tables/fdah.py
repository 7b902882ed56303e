"""FDAH's rows, data sets and numbers, for the files `fdah_*.py`; no table itself.

The paper is Lin, Lai, Lu and Zhou, Fast Deep Asymmetric Hashing for Image Retrieval, 2021. It
evaluates FDAH and ADSH with the codes that training learned for the database, and the other methods
with codes of their hash functions. These are two experiments, so they have a table each.
"""

import dataclasses

from configs.tables.common import EMBEDDED, FASHION_MNIST, on_features, shallow
from jhash.sweeps import DataSet, Row, bits

COLUMNS = bits(12, 24, 32, 48, quick=(12, 48))
# All rows have the images of FDAH.
CIFAR10 = DataSet("CIFAR-10", "cifar10", {"data.split": "cifar10_fdah"})
# The same where Fashion-MNIST is no data set of the table itself.
CIFAR10_OR_OTHERS = dataclasses.replace(CIFAR10, stand_in=FASHION_MNIST, quick=EMBEDDED)
DATA = (FASHION_MNIST, CIFAR10, DataSet("NUS-WIDE", "nus_wide"))
_BY = "map_learned"
ADSH = dataclasses.replace(on_features("ADSH", "adsh"), choose_by=_BY)
FDAH = Row("FDAH", "configs/fdah.py", choose_by=_BY)
# Like the other deep methods, for a comparison of losses and updates alone.
FROZEN = dataclasses.replace(on_features("FDAH, frozen", "fdah"), choose_by=_BY)
ROWS = [
    shallow("LSH", "lsh"),
    shallow("SH", "sh"),
    shallow("BRE", "bre"),
    shallow("ITQ", "itq"),
    shallow("SDH", "sdh"),
    shallow("FSDH", "fsdh"),
    on_features("DPSH", "dpsh"),
    on_features("DSDH", "dsdh"),
    on_features("DDSH", "ddsh"),
    ADSH,
    FROZEN,
    FDAH,
]
# The rows that have learned codes in the paper.
LEARNED = tuple(row.name for row in (ADSH, FDAH, FROZEN))
NOTES = (
    "FDAH is its default config: a small network from random weights, not CNN-F with weights from "
    "ImageNet. docs/reproduce/fdah.md lists what else differs.",
    "The other deep methods, and FDAH in the row that says frozen, train hash layers on features "
    "of EfficientNet-Lite0, all with one schedule; docs/pretrained.md describes them.",
    "All methods train on the whole database, as FDAH and ADSH do. In the paper's Table 1, DPSH, "
    "DSDH and DDSH have 5,000 images of it, or 10,500 on NUS-WIDE. With all of them they are "
    "DPSH-A, DSDH-A and DDSH-A of its Table 2.",
    "LSH, SH, BRE, ITQ, SDH and FSDH are fitted to such features, in the paper to those of CNN-F.",
)
