"""The tables of the page."""

import re
from collections.abc import Sequence

import numpy as np

from jhash.report import compare
from jhash.report.curves import Measured
from jhash.report.markup import note, number, row, table, tag, text
from jhash.runs.finished import Run


def summary(all_measured: Sequence[Measured]) -> str:
    """Makes a table of metrics, with a column for each kind of database codes, and of facts."""
    columns = [
        (kind, ranking.metrics)
        for measured in all_measured
        for kind, ranking in measured.rankings.items()
    ]
    head = [tag("td", "")]
    head += [
        _spanning(measured, "th", measured.run.name, scope="colgroup") for measured in all_measured
    ]
    kinds = [tag("td", "database codes")]
    kinds += [tag("th", kind, scope="col") for kind, _ in columns]
    names = dict.fromkeys(
        name
        for _, metrics in columns
        for name, value in metrics.items()
        if not isinstance(value, list)
    )
    rows = []
    for name in names:
        rows.append(row(name, [tag("td", number(metrics.get(name))) for _, metrics in columns]))
    for name, fact in _FACTS.items():
        cells = [_spanning(measured, "td", fact(measured.run.results)) for measured in all_measured]
        rows.append(row(name, cells))
    return table([head, kinds], rows)


def _spanning(measured, name, words, **attributes):
    """Makes a cell over all columns of a run."""
    span = {"class_": "text", "colspan": len(measured.rankings)}
    return tag(name, text(words), **attributes, **span)


# Facts of a run that the summary gives besides its metrics, from results.json.
_FACTS = {
    "method": lambda results: results["method"],
    "model": lambda results: f"{results['model']}, {results['parameters']:,} parameters",
    "bits": lambda results: results["bits"],
    "seed": lambda results: results["seed"],
    "data": lambda results: "{source}, split {split}".format(**results["data"]),
    "training images": lambda results: f"{results['data']['train']:,}",
    "database": lambda results: f"{results['data']['database']:,}",
    "queries": lambda results: f"{results['data']['queries']:,}",
    "epochs": lambda results: "{epochs} of {epochs_planned}".format(**results),
    "training": lambda results: f"{results['train_seconds']:,.0f} s",
    "encoding": lambda results: (
        f"{1e3 * results['encode_seconds_per_image']:.3f} ms per image, "
        f"batches of {results['eval_batch_size']}"
    ),
    "device": lambda results: "{count} x {kind} ({machine})".format(**results["device"]),
    "versions": lambda results: ", ".join(
        f"{name} {version}" for name, version in results["versions"].items()
    ),
    "git revision": lambda results: results["git_revision"] or "–",
}


def differences(runs: Sequence[Run]) -> str:
    """Makes a table of the config fields in which the runs differ."""
    rows = [
        row(field, [tag("td", _breakable(value), class_="text") for value in values])
        for field, values in compare.differences(runs).items()
    ]
    head = [tag("td", "field of the config")]
    head += [tag("th", text(run.name), scope="col", class_="text") for run in runs]
    return table([head], rows) if rows else note("The configs are equal.")


def _breakable(value):
    """Escapes text that the browser may break after the joints of a path or name."""
    return re.sub("([/_])", r"\1<wbr>", text(value))


def balance(all_measured: Sequence[Measured]) -> str:
    """Makes a table of distinct codes and the balance of bits, for every set of codes."""
    names = ("distinct codes", "ones to zeros: min", "median", "max")
    head = [tag("td", "codes"), *(tag("th", name, scope="col") for name in names)]
    rows = []
    for measured in all_measured:
        for name, bits in measured.balances.items():
            ratios = np.min(bits.ratio), np.median(bits.ratio), np.max(bits.ratio)
            cells = [tag("td", f"{bits.distinct:,}")]
            cells += [tag("td", number(ratio)) for ratio in ratios]
            rows.append(row(f"{measured.run.name}, {name}", cells))
    return table([head], rows)
