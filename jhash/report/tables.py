"""The tables of the page."""

import itertools
from collections.abc import Sequence

import numpy as np

from jhash.report import compare
from jhash.report.curves import Measured
from jhash.report.markup import breakable, note, number, row, table, tag, text
from jhash.report.summary import device
from jhash.retrieval.metrics.summary import PER_CATEGORY, WITHIN_CATEGORY
from jhash.runs.finished import Run

# The averages of a metric, and how its name begins for them.
_AVERAGES = {"per query": "", "per category": PER_CATEGORY, "within category": WITHIN_CATEGORY}


def metrics(all_measured: Sequence[Measured]) -> str:
    """Makes a table of metrics, with a column for each kind of database codes."""
    columns = _columns(all_measured)
    # In the order of the run that has most of them.
    longest_first = sorted(columns, key=lambda column: -len(column[1]))
    names = dict.fromkeys(
        name
        for _, values in longest_first
        for name, value in values.items()
        if isinstance(value, int | float) and not name.startswith((PER_CATEGORY, WITHIN_CATEGORY))
    )
    rows = [
        row(name, [tag("td", number(values.get(name))) for _, values in columns]) for name in names
    ]
    return table(_head(all_measured, columns), rows, "All metrics by the names of results.json")


def facts(runs: Sequence[Run]) -> str:
    """Makes a table of what the runs are, with a column for each."""
    rows = [
        row(name, [tag("td", text(fact(run.results)), class_="text") for run in runs])
        for name, fact in _FACTS.items()
    ]
    head = [tag("td", "run")]
    head += [tag("th", breakable(run.name), scope="col", class_="text") for run in runs]
    return table([head], rows, "What was run, on what and how long")


def categories(all_measured: Sequence[Measured]) -> str:
    """Makes a table of averages per category beside those over queries; see docs/metrics.md.

    If all of them are equal, as with one class per image and as many queries of each class, there
    is no table.
    """
    columns = _columns(all_measured)
    names = dict.fromkeys(
        name.removeprefix(PER_CATEGORY)
        for _, metrics in columns
        for name in metrics
        if name.startswith(PER_CATEGORY)
    )
    rows = []
    differ = False
    for name in names:
        lines = {}
        for words, prefix in _AVERAGES.items():
            values = [metrics.get(prefix + name) for _, metrics in columns]
            if values.count(None) < len(values):
                lines[words] = [tag("td", number(value)) for value in values]
        rows += [row(f"{name}, {words}", cells) for words, cells in lines.items()]
        differ |= any(cells != lines["per query"] for cells in lines.values())
    if not differ:
        return ""
    return table(_head(all_measured, columns), rows, "Averages over queries and over categories")


def _columns(all_measured):
    """Returns (kind of database codes, metrics) for each run and kind."""
    return [
        (kind, ranking.metrics)
        for measured in all_measured
        for kind, ranking in measured.rankings.items()
    ]


def _head(all_measured, columns):
    """Makes the two rows above such columns."""
    runs = [tag("td", "")]
    runs += [
        tag(
            "th",
            breakable(measured.run.name),
            scope="colgroup",
            class_="text",
            colspan=len(measured.rankings),
        )
        for measured in all_measured
    ]
    kinds = [tag("td", "database codes")]
    kinds += [tag("th", kind, scope="col") for kind, _ in columns]
    return [runs, kinds]


def _validation(found):
    """Says how many images validated, and what they chose."""
    if not found:
        return "none"
    words = f"{found['size']:,} images; "
    if found["chosen_by"]:
        words += f"{found['chosen_by']} chose epoch {found['epoch']}"
    else:
        words += "they chose no epoch"
    return words + (", and stopped the training" if found["stopped_early"] else "")


def validation(runs: Sequence[Run]) -> str:
    """Makes a table of the metrics of validation, of the models that were evaluated."""
    validated = [run.results.get("validation", {}).get("metrics", {}) for run in runs]
    rows = [
        row(name, [tag("td", number(values.get(name))) for values in validated])
        for name in dict.fromkeys(itertools.chain(*validated))
    ]
    head = [tag("td", "metric of validation")]
    head += [tag("th", breakable(run.name), scope="col") for run in runs]
    return table([head], rows, "Validation of the models that were evaluated") if rows else ""


# Facts of a run besides its metrics, from results.json.
_FACTS = {
    "method": lambda results: results["method"],
    "model": lambda results: f"{results['model']}, {results['parameters']:,} parameters",
    "bits": lambda results: results["bits"],
    "seed": lambda results: results["seed"],
    "data": lambda results: "{source}, split {split}".format(**results["data"]),
    "training images": lambda results: f"{results['data']['train']:,}",
    "database": lambda results: f"{results['data']['database']:,}",
    "queries": lambda results: f"{results['data']['queries']:,}",
    "images left out": lambda results: f"{results['data'].get('left_out', 0):,}",
    "validation": lambda results: _validation(results.get("validation")),
    "epochs": lambda results: "{epochs} of {epochs_planned}".format(**results),
    "training": lambda results: f"{results['train_seconds']:,.0f} s",
    "encoding": lambda results: (
        f"{1e3 * results['encode_seconds_per_image']:.3f} ms per image, "
        f"batches of {results['eval_batch_size']}"
    ),
    "device": lambda results: f"{device(results['device'])} ({results['device']['machine']})",
    "versions": lambda results: ", ".join(
        f"{name} {version}" for name, version in results["versions"].items()
    ),
    "git revision": lambda results: results["git_revision"] or "–",
}


def differences(runs: Sequence[Run]) -> str:
    """Makes a table of the config fields in which the runs differ."""
    rows = [
        row(field, [tag("td", breakable(value), class_="text") for value in values])
        for field, values in compare.differences(runs).items()
    ]
    head = [tag("td", "field of the config")]
    head += [tag("th", breakable(run.name), scope="col", class_="text") for run in runs]
    if not rows:
        return note("The configs are equal.")
    return table([head], rows, "Fields of the configs in which the runs differ")


def balance(measured: Measured) -> str:
    """Makes a table of distinct codes and the balance of bits, for every set of codes of a run."""
    names = ("distinct", "mean", "min", "median", "max")
    head = [tag("td", "codes"), *(tag("th", name, scope="col") for name in names)]
    rows = []
    for name, bits in measured.balances.items():
        ratios = [measure(bits.ratio) for measure in (np.mean, np.min, np.median, np.max)]
        cells = [tag("td", f"{bits.distinct:,}"), *(tag("td", number(ratio)) for ratio in ratios)]
        rows.append(row(name, cells))
    caption = f"{measured.run.name}: distinct codes, and ones to zeros of the bits"
    return table([head], rows, caption)


def balance_by_length(all_measured: Sequence[Measured]) -> str:
    """Makes a table of the mean ratio of ones to zeros by code length, as DAH's Table 5.

    A row has the runs whose configs differ in the length alone. If all runs have the same length,
    there is no table.
    """
    lengths = sorted({measured.run.bits for measured in all_measured})
    if len(lengths) == 1:
        return ""
    head = [tag("td", "codes")]
    head += [tag("th", f"{length} bits", scope="col") for length in lengths]
    rows = []
    for label, kind, members in compare.by_length(all_measured):
        ratios = {
            measured.run.bits: np.mean(measured.balances[f"database, {kind}"].ratio)
            for measured in members
        }
        rows.append(row(label, [tag("td", number(ratios.get(length))) for length in lengths]))
    return table([head], rows, "Ones to zeros by code length, mean of the bits")
