"""The tables of the page."""

import re
from collections.abc import Sequence

import numpy as np

from jhash.report import compare
from jhash.report.curves import Measured
from jhash.report.markup import note, number, row, table, tag, text
from jhash.runs.finished import Run


def summary(measured: Sequence[Measured]) -> str:
    """Metrics, a column for each kind of database codes, and facts of every run."""
    columns = [(each, kind) for each in measured for kind in each.rankings]
    head = [tag("td", "")] + [
        tag("th", text(each.run.name), scope="colgroup", class_="text", colspan=len(each.rankings))
        for each in measured
    ]
    kinds = [tag("td", "database codes")]
    kinds += [tag("th", kind, scope="col") for _, kind in columns]
    names = dict.fromkeys(
        name
        for each, kind in columns
        for name, value in each.rankings[kind].metrics.items()
        if not isinstance(value, list)
    )
    rows = []
    for name in names:
        values = [each.rankings[kind].metrics.get(name) for each, kind in columns]
        rows.append(row(name, [tag("td", number(value)) for value in values]))
    for name, fact in _FACTS.items():
        cells = [
            tag("td", text(fact(each.run.results)), class_="text", colspan=len(each.rankings))
            for each in measured
        ]
        rows.append(row(name, cells))
    return table([head, kinds], rows)


# What the summary says of a run besides its metrics, from results.json.
_FACTS = {
    "method": lambda results: results["method"],
    "network": lambda results: f"{results['model']}, {results['parameters']:,} parameters",
    "bits": lambda results: results["bits"],
    "seed": lambda results: results["seed"],
    "data": lambda results: "{source}, split {split}".format(**results["data"]),
    "training images": lambda results: f"{results['data']['train']:,}",
    "database": lambda results: f"{results['data']['database']:,}",
    "queries": lambda results: f"{results['data']['queries']:,}",
    "epochs": lambda results: "{epochs} of {epochs_planned}".format(**results),
    "training": lambda results: f"{results['train_seconds']:,.0f} s",
    "encoding": lambda results: (
        f"{1e3 * results['encode_seconds_per_image']:.3f} ms an image, "
        f"batches of {results['eval_batch_size']}"
    ),
    "device": lambda results: "{count} x {kind} ({machine})".format(**results["device"]),
    "versions": lambda results: ", ".join(
        f"{name} {version}" for name, version in results["versions"].items()
    ),
    "git revision": lambda results: results["git_revision"] or "–",
}


def differences(read: Sequence[Run]) -> str:
    """The fields of the config in which the runs differ."""
    rows = [
        row(field, [tag("td", _breakable(value), class_="text") for value in values])
        for field, values in compare.differences(read).items()
    ]
    head = [tag("td", "field of the config")]
    head += [tag("th", text(run.name), scope="col", class_="text") for run in read]
    return table([head], rows) if rows else note("The configs are equal.")


def _breakable(value):
    """Text, which may be broken where a path or a name has a joint."""
    return re.sub("([/_])", r"\1<wbr>", text(value))


def balance(measured: Sequence[Measured]) -> str:
    """Distinct codes and the balance of bits, for every set of codes."""
    names = ("distinct codes", "ones to zeros: least", "median", "most")
    head = [tag("td", "codes"), *(tag("th", name, scope="col") for name in names)]
    rows = [
        row(
            f"{each.run.name}, {name}",
            [tag("td", f"{part.distinct:,}")]
            + [tag("td", number(pick(part.ratio))) for pick in (np.min, np.median, np.max)],
        )
        for each in measured
        for name, part in each.balances.items()
    ]
    return table([head], rows)
