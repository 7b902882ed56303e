"""DSTGeH's rows and data sets, for the files `dstgeh_*.py`; no table itself.

The paper is Liu, Wang, Song, Guo, Zhou and Xiao, Deep Self-Taught Graph Embedding Hashing with
Pseudo Labels for Image Retrieval, ICME 2020.
"""

from configs.tables.common import EMBEDDED, FASHION_MNIST, FEATURES, SCENES, WALKS
from jhash.sweeps import DataSet, Row

CIFAR10 = DataSet("CIFAR-10", "cifar10", stand_in=FASHION_MNIST, quick=EMBEDDED)
# Scenes need nothing, so they stand in wherever images show several objects.
COCO = DataSet("MS-COCO", "coco", stand_in=SCENES, quick=SCENES)
FLICKR25K = DataSet("FLICKR25K", "flickr25k", stand_in=SCENES)
_QUICK = {"epochs": 2}
MAP = "encoded.per_category_map_top_20_percent"
AT_RECALL = "encoded.per_category_precision_at_recall_"
NOTES = (
    "Features are those of EfficientNet-Lite0, the paper's are those of Inception-v4; "
    "docs/reproduce/dstgeh.md lists what else differs.",
    "As in the paper, averages are those of the categories: of each, the mean over its queries. An "
    "image with several labels counts in each of its categories.",
)


def variant(name: str, *words: str) -> Row:
    """Makes the row of a variant of DSTGeH.

    Args:
      name: Name in the paper.
      *words: Arguments of its config.
    """
    needs = FEATURES | (WALKS if "embedding=walks" in words else {})
    return Row(name, "configs/dstgeh.py", ",".join(words), quick=_QUICK, needs=needs)
