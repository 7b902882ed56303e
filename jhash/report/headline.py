"""The top of the page: what the runs are, and the three numbers that matter of each."""

import re
from collections.abc import Sequence

from jhash.report.curves import Measured, has_labels
from jhash.report.markup import note, number, row, table, tag, text
from jhash.report.summary import device

# The numbers, from the first name that matches: MAP as the config asks for it, then the precision
# of the first ranks, and that of hash lookup.
_LABELED = (
    re.compile(r"map_at_\d+|map_top_.+_percent"),
    re.compile(r"map"),
    re.compile(r"precision_at_\d+"),
    re.compile(r"precision_radius_\d+"),
)
_UNLABELED = (
    re.compile(r"neighbors_kept_\d+"),
    re.compile(r"distinct_codes"),
    re.compile(r"ones_to_zeros_mean"),
)
# Names of metrics in words, and as papers shorten them; without the latter they stay as they are.
_WORDS = (
    (re.compile(r"map"), "MAP", "MAP"),
    (re.compile(r"map_at_(\d+)"), "MAP@{}", "MAP@{}"),
    (re.compile(r"map_top_(.+)_percent"), "mAP@{} %", "mAP@{} %"),
    (re.compile(r"precision_at_(\d+)"), "Precision of the {} nearest", "P@{}"),
    (re.compile(r"precision_radius_(\d+)"), "Precision within radius {}", "P@H≤{}"),
    (re.compile(r"neighbors_kept_(\d+)"), "Kept of the {} nearest", ""),
    (re.compile(r"distinct_codes"), "Distinct codes", ""),
    (re.compile(r"ones_to_zeros_mean"), "Ones to zeros, mean of the bits", ""),
)
_COUNT = 3


def section(all_measured: Sequence[Measured]) -> str:
    """Shows the numbers that matter: as cards of one run, as a table of several."""
    names = _names(all_measured)
    if not names:
        return ""
    words = (
        "Means over all queries; exact expectations over orders of equal distances. Learned: the "
        "database has the codes that training learned for it. Encoded: it has the codes that the "
        "model computes of its images, as for the queries."
    )
    if not any(has_labels(measured.run) for measured in all_measured):
        words = (
            "The images have no labels, so nothing tells which of them are relevant to a query. "
        )
        words += _about_neighbors(all_measured)
    if len(all_measured) > 1:
        shortened = [
            f"{short(name)}: {in_words(name).lower()}. "
            for name in names
            if short(name) not in ("", in_words(name))
        ]
        explained = "".join(shortened)
        return _table(all_measured, names) + note(explained + words)
    cards = []
    for name in names:
        values = "".join(
            tag("dd", f"{tag('b', number(ranking.metrics.get(name)))}{kind} codes")
            for kind, ranking in all_measured[0].rankings.items()
        )
        cards.append(tag("div", tag("dt", text(in_words(name))) + values))
    return tag("dl", "".join(cards), class_="numbers") + note(words)


def _about_neighbors(all_measured):
    """Says what the neighbors are of which codes keep a share, if a run has compared them."""
    names = {
        ranking.metrics["neighbors_by"]
        for measured in all_measured
        for ranking in measured.rankings.values()
        if isinstance(ranking.metrics.get("neighbors_by"), str)
    }
    if not names:
        return ""
    return (
        "Kept: the share of the nearest images by features that are among the nearest by codes; "
        f"features by {', '.join(sorted(names))}."
    )


def facts(measured: Measured) -> str:
    """Says in two sentences what a run is."""
    results = measured.run.results
    data = results["data"]
    took = f"{results['train_seconds']:,.0f} s"
    trained = f"Fitted in {took}"
    if results["epochs_planned"]:
        trained = f"{results['epochs']} of {results['epochs_planned']} epochs, {took} of training"
    words = (
        f"{results['method']}, {results['bits']} bits, by {results['model']} with "
        f"{results['parameters']:,} parameters: {data['queries']:,} queries against "
        f"{data['database']:,} images of {data['source']}, split {data['split']}. "
        f"{trained} on {device(results['device'])}."
    )
    return tag("p", text(words), class_="facts")


def in_words(name: str) -> str:
    """Returns the name of a metric of `results.json` as people write it."""
    for pattern, words, _ in _WORDS:
        if match := pattern.fullmatch(name):
            return words.format(*map(_grouped, match.groups()))
    return name.replace("_", " ").capitalize()


def short(name: str) -> str:
    """Returns the name of a metric as papers shorten it; nothing if they have none."""
    for pattern, _, words in _WORDS:
        if match := pattern.fullmatch(name):
            return words.format(*map(_grouped, match.groups()))
    return ""


def _grouped(digits):
    return f"{int(digits):,}" if digits.isdecimal() else digits


def _names(all_measured):
    """Returns the names of the numbers, those of runs with labels first."""
    names = []
    for patterns, labeled in ((_LABELED, True), (_UNLABELED, False)):
        metrics = [
            ranking.metrics
            for measured in all_measured
            if has_labels(measured.run) == labeled
            for ranking in measured.rankings.values()
        ]
        scalars = [
            name
            for name in dict.fromkeys(name for one in metrics for name in one)
            if any(type(one.get(name)) in (int, float) for one in metrics)
        ]
        matches = [
            next((name for name in scalars if pattern.fullmatch(name)), None)
            for pattern in patterns
        ]
        chosen = list(dict.fromkeys(filter(None, matches)))
        if labeled and chosen[1:2] == ["map"]:
            del chosen[1]  # The config asks for a MAP of its own, as its paper has it.
        names += chosen[:_COUNT]
    return names


def _table(all_measured, names):
    head = [tag("td", "run"), tag("th", "codes", scope="col", class_="text")]
    head += [tag("th", text(short(name) or in_words(name)), scope="col") for name in names]
    rows = []
    for measured in all_measured:
        for kind, ranking in measured.rankings.items():
            cells = [tag("td", kind, class_="text")]
            cells += [tag("td", number(ranking.metrics.get(name))) for name in names]
            rows.append(row(measured.run.name, cells))
    return table([head], rows, "The numbers that matter")
