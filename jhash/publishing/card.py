"""The model card: README.md in the layout of the model hubs, metadata in YAML before the text."""

import importlib
import json
from typing import Any

from jhash.errors import printable
from jhash.methods import PACKAGES
from jhash.publishing import layout
from jhash.report.summary import device
from jhash.runs.finished import Run

UNKNOWN = "unknown"  # The hubs' identifier of a license that nobody has told.
# What is known of the data that jhash knows by name.
_DATA = {
    "embedded": "10,000 images of Fashion-MNIST (Zalando SE), which come with jhash. License: MIT.",
    "fashion_mnist": "Fashion-MNIST (Zalando SE). License: MIT.",
}
# Metrics of the table: names that begin so, without those by recall.
_SHOWN = ("map", "precision_at_", "precision_radius_", "recall_radius_")
_HIDDEN = ("precision_at_recall_",)
_KINDS = ("learned", "encoded")


def write(run: Run, config: dict[str, Any], model_license: str, data_license: str) -> str:
    """Writes the card of a run's model.

    Args:
      run: The run.
      config: The content of the folder's `config.json`.
      model_license: License of the model by the hubs' identifiers.
      data_license: What to say of the license of the data; empty for what jhash knows.

    Returns:
      Markdown. Every name in it is text: line ends and what a page would obey are escaped.
    """
    parts = [
        _front_matter(run, model_license),
        f"# {_title(run)}",
        _method(run),
        "## How to use it\n\n" + _usage(config),
        "## Data\n\n" + _data(run, data_license),
        "## Metrics\n\n" + _metrics(run),
        "## Limits\n\n" + _limits(run, config),
        "## Where it is from\n\n" + _origin(run, config),
    ]
    return "\n\n".join(parts) + "\n"


def _title(run):
    return (
        f"{_text(run.results['method'])}, {run.bits} bits, {_text(run.results['data']['source'])}"
    )


def _front_matter(run, model_license):
    """Writes the metadata; JSON's strings, numbers and lists are YAML's, too."""
    results = run.results
    data = results["data"]
    metrics = [
        {
            "type": name,
            "name": f"{name}, database codes {kind}",
            "value": results[kind][name],
        }
        for kind in _KINDS
        for name in _metric_names(results.get(kind, {}))
    ]
    task = {"type": "image-feature-extraction", "name": "Image retrieval by Hamming distance"}
    fields = {
        "license": model_license,
        "library_name": "jhash",
        "pipeline_tag": "image-feature-extraction",
        "tags": ["jhash", "jax", "image-retrieval", "hashing", results["method"]],
        "metrics": list(dict.fromkeys(metric["type"] for metric in metrics)),
    }
    if metrics:
        dataset = {"name": data["source"], "type": data["source"], "split": data["split"]}
        result = {"task": task, "dataset": dataset, "metrics": metrics}
        fields["model-index"] = [{"name": _title(run), "results": [result]}]
    lines = [f"{name}: {json.dumps(_printable(value))}" for name, value in fields.items()]
    return "\n".join(["---", *lines, "---"])


def _method(run):
    results = run.results
    where = _text(device(results["device"]))
    words = [
        f"This model turns an image into a binary code of {run.bits} bits. Similar images are "
        "found by the Hamming distance between their codes.",
        "",
        f"- **Method:** `{_text(results['method'])}`{_summary(results['method'])}",
        f"- **Model:** `{_text(results['model'])}`, {results['parameters']:,} parameters",
        f"- **Training:** {results['epochs']} of {results['epochs_planned']} epochs, seed "
        f"{results['seed']}, {results['train_seconds']:,.0f} s on {where}",
    ]
    return "\n".join(words)


def _summary(name):
    """Returns the first line of the documentation of one of jhash's own methods."""
    for package in PACKAGES:
        try:
            module = importlib.import_module(f"{package}.{name}")
        except (ImportError, ValueError):
            continue
        if module.__name__.startswith("jhash.") and module.__doc__:
            return f" ({module.__doc__.splitlines()[0].rstrip('.')})"
    return ""


def _usage(config):
    height, width, channels = config["image_shape"]
    batch = config["forward"]["batch"]
    number = "B" if batch == "any" else str(batch)
    codes = ""
    if config["codes"]:
        codes = (
            "\n\nThe codes of its database came with it, in "
            f"`{config['codes']}`:\n\n```python\ndistances, ids = model.index().search(codes, k=10)"
            "\n```"
        )
    return f"""```python
import jhash

model = jhash.load("FOLDER")  # this folder
codes = model.encode(["a.png", "b.jpg"])  # or uint8 arrays [N, H, W(, 3)]: uint32 [N, words]
```

Bit j of a code is bit j % 32 of word j // 32. The commands take the folder in place of a run:

```bash
python -m jhash index build --run FOLDER --images photos/ --output photos.index
python -m jhash search --index photos.index --image new.png
```{codes}

Without jhash, `{layout.FORWARD}` runs with JAX (and the package flatbuffers) alone, on
{", ".join(config["forward"]["platforms"])}. The images are uint8, 0 to 255, \
[{number}, {height}, {width}, {channels}]:

```python
from jax import export

with open("{layout.FORWARD}", "rb") as file:
    forward = export.deserialize(bytearray(file.read()))
codes, outputs = forward.call(images)  # uint32 [{number}, words], float32 [{number}, bits]
```"""


def _data(run, data_license):
    data = run.results["data"]
    source = _text(data["source"])
    told = _DATA.get(data["source"])
    if data_license:
        told = f"{told + ' ' if told else ''}License, as told by the author: {_text(data_license)}"
    elif told is None:
        told = "jhash does not know its license; ask the author before you use the model."
    return (
        f"Source `{source}`, split `{_text(data['split'])}`: {data['train']:,} images for "
        f"training, {data['database']:,} in the database, {data['queries']:,} queries. {told}"
    )


def _metrics(run):
    results = run.results
    kinds = [kind for kind in _KINDS if kind in results]
    names = dict.fromkeys(name for kind in kinds for name in _metric_names(results[kind]))
    if not names:
        names = dict.fromkeys(
            name for kind in kinds for name, value in results[kind].items() if _is_number(value)
        )
        words = (
            "The images have no labels, so no metric says which of them belong together. "
            "`neighbors_kept_k` is the share of the k nearest images by features that are among "
            "the k nearest by codes."
        )
    else:
        words = (
            "Two images are relevant to each other when they share a label. Averages are over all "
            "queries; a query without a relevant image counts 0. Each number is the exact "
            "expectation over random orders of images at equal distances. MAP is over the whole "
            "ranking unless its name says otherwise; `map_at_k` divides by the relevant images "
            "among the first k. Precision within a radius is 0 for a query that finds nothing."
        )
    rows = [f"| metric | {' | '.join(kinds)} |", f"| --- |{' ---: |' * len(kinds)}"]
    for name in names:
        values = [_number(results[kind].get(name)) for kind in kinds]
        rows.append(f"| `{_text(name)}` | {' | '.join(values)} |")
    explained = (
        "`encoded`: the model encodes the database, as it does new images. `learned`: the database "
        "has codes that training learned for it, which new images cannot have."
    )
    return "\n".join([*rows, "", explained, "", words])


def _limits(run, config):
    results = run.results
    height, width, channels = config["image_shape"]
    colors = "gray" if channels == 1 else "color"
    lines = [
        f"It was trained on {colors} images of {width} x {height} pixels. Others are resized and "
        "converted to that; of images that are unlike its training data it may find little.",
        "Its codes can be compared with its own alone, not with those of another model.",
        "A bit whose output is very close to 0 can differ between machines, batch sizes and the "
        f"two ways of running the model. In `{layout.FORWARD}` an output that is not a number "
        "gives a 0, where jhash refuses the image.",
        "The metrics are of one seed and of one split.",
    ]
    if config["forward"]["batch"] != "any":
        lines.append(
            f"`{layout.FORWARD}` takes {config['forward']['batch']} image at a time: the model "
            "cannot be lowered for batches of any size."
        )
    validation = results.get("validation")
    if validation and validation["chosen_by"]:
        lines.append(
            f"{validation['size']:,} validation images chose the epoch, by "
            f"`{_text(validation['chosen_by'])}`."
        )
    if not validation:
        lines.append(
            "There were no validation images: nothing in the run tells how its settings were "
            "chosen."
        )
    if results["epochs"] < results["epochs_planned"]:
        lines.append("It was not trained to its end.")
    return "\n".join(f"- {line}" for line in lines)


def _origin(run, config):
    versions = ", ".join(
        f"{_text(name)} {_text(version)}" for name, version in run.results["versions"].items()
    )
    return "\n".join(
        (
            f"- Versions: {versions}",
            f"- Commit of jhash: {_text(run.results['git_revision'] or 'unknown')}",
            f"- SHA-256 of the model (`digest`): `{config['digest']}`",
        )
    )


def _metric_names(metrics):
    return [
        name
        for name, value in metrics.items()
        if name.startswith(_SHOWN) and not name.startswith(_HIDDEN) and _is_number(value)
    ]


def _is_number(value):
    return isinstance(value, int | float) and not isinstance(value, bool)


def _number(value):
    if not _is_number(value):
        return "–"
    return f"{value:,}" if isinstance(value, int) else f"{value:.4f}"


def _text(value):
    """Escapes what Markdown or HTML would read as markup, within names of somebody else's."""
    escaped = printable(str(value))
    for character in "\\`|<>[]*":
        escaped = escaped.replace(character, f"\\{character}" if character != "`" else "'")
    return escaped


def _printable(value):
    if isinstance(value, dict):
        return {printable(str(name)): _printable(item) for name, item in value.items()}
    if isinstance(value, list):
        return [_printable(item) for item in value]
    return printable(value) if isinstance(value, str) else value
