"""A table as Markdown, LaTeX and CSV."""

import csv
import io
import re
from collections.abc import Sequence

from jhash.errors import printable
from jhash.sweeps import summary
from jhash.sweeps.plan import Plan
from jhash.sweeps.summary import Block, Entry
from jhash.sweeps.table import UNITS

_LATEX = {
    "\\": r"\textbackslash{}",
    **{character: f"\\{character}" for character in "&%$#_{}"},
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "±": r"$\pm$",
    "–": "--",
    "µ": r"$\mu$",
}


def markdown(plan: Plan, blocks: Sequence[Block], notes: Sequence[str]) -> str:
    """Writes a table as Markdown; the best of a column is bold."""
    lines = [f"# {_plain(plan.table.title)}", "", _plain(plan.table.source)]
    for block in blocks:
        lines += ["", f"## {_plain(block.title)}", "", _plain(block.note), ""]
        head = [""]
        for heading in block.headings:
            head += [heading.name, *(["paper"] if heading.has_paper else [])]
        rows = [[*head, "remark"], ["---"] * (len(head) + 1)]
        for row in block.rows:
            cells = [row.name]
            for heading, cell in zip(block.headings, row.cells, strict=True):
                cells.append(f"**{cell.ours}**" if cell.is_best else cell.ours)
                if heading.has_paper:
                    cells.append(f"**{cell.paper}**" if cell.paper_is_best else cell.paper)
            rows.append([*cells, row.remark])
        lines += [f"| {' | '.join(_plain(cell) for cell in cells)} |" for cells in rows]
    lines += ["", "## Notes", "", *(f"- {_plain(note)}" for note in notes)]
    return "\n".join(lines) + "\n"


def _plain(text):
    """Escapes what ends a cell of a table."""
    return printable(text).replace("|", "\\|")


def latex(plan: Plan, blocks: Sequence[Block], notes: Sequence[str]) -> str:
    """Writes a table as LaTeX that needs no package; the best of a column is bold."""
    lines = [f"% {printable(line)}" for line in (plan.table.title, plan.table.source, *notes)]
    for block in blocks:
        head, second = [""], [""]
        for heading in block.headings:
            head.append(_heading(heading.name, 1 + heading.has_paper))
            second += ["ours", "paper"][: 1 + heading.has_paper]
        lines += [
            "",
            r"\begin{table}",
            rf"\caption{{{_escaped(block.title)}. {_escaped(block.note)}}}",
            rf"\begin{{tabular}}{{l{'r' * (len(second) - 1)}}}",
            r"\hline",
            rf"{' & '.join(head)} \\",
            *([rf"{' & '.join(second)} \\"] if block.has_paper else []),
            r"\hline",
        ]
        for row in block.rows:
            cells = [_escaped(row.name)]
            for heading, cell in zip(block.headings, row.cells, strict=True):
                cells.append(_bold(cell.ours, cell.is_best))
                if heading.has_paper:
                    cells.append(_bold(cell.paper, cell.paper_is_best))
            remark = f" % {printable(row.remark)}" if row.remark else ""
            lines.append(rf"{' & '.join(cells)} \\{remark}")
        lines += [r"\hline", r"\end{tabular}", r"\end{table}"]
    return "\n".join(lines) + "\n"


def _heading(name, width):
    return rf"\multicolumn{{{width}}}{{c}}{{{_escaped(name)}}}" if width > 1 else _escaped(name)


def _bold(text, is_bold):
    return rf"\textbf{{{_escaped(text)}}}" if is_bold else _escaped(text)


def _escaped(text):
    return re.sub("|".join(map(re.escape, _LATEX)), lambda match: _LATEX[match[0]], printable(text))


COLUMNS = (
    "data",
    "ours_on",
    "row",
    "column",
    "metric",
    "unit",
    "mean",
    "deviation",
    "seeds",
    "paper",
    "train_seconds",
    "remark",
    "runs",
    "command",
    "revisions",
    "processors",
)


def spreadsheet(plan: Plan, entries: Sequence[Entry], blocks: Sequence[Block]) -> str:
    """Writes a table as CSV: a line per place and metric, with all digits."""
    by_place = {_key(entry): entry for entry in entries}
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(COLUMNS)
    for block in blocks:
        for row in block.rows:
            for heading, cell in zip(block.headings, row.cells, strict=True):
                entry = by_place[block.data.name, row.name, heading.column.name]
                writer.writerow(_record(plan, block, row, heading, cell, entry))
    return out.getvalue()


def _origins(entry, name):
    return "; ".join(sorted({summary.origin(results)[name] for results in entry.results}))


def _key(entry):
    place = entry.place
    return place.data.name, place.row.name, place.column.name


def _record(plan, block, row, heading, cell, entry):
    metric = heading.metric
    value, seconds = entry.value(metric.key), entry.value("train_seconds")
    factor, _ = UNITS[metric.unit]
    used = plan.used[block.data.name]
    commands = [one.command for candidate in entry.place.candidates for one in candidate.cells[:1]]
    values = (
        block.data.name,
        used.name if used else "",
        row.name,
        heading.column.name,
        metric.key,
        metric.unit,
        "" if value is None else repr(factor * value.mean),
        "" if value is None or value.deviation is None else repr(factor * value.deviation),
        value.count if value else 0,
        cell.paper,
        "" if seconds is None else repr(seconds.mean),
        "; ".join(filter(None, (entry.place.reason, *entry.failures))),
        " ".join(entry.workdirs),
        commands[0] if commands else "",
        _origins(entry, "revision of jhash"),
        _origins(entry, "processor"),
    )
    return [printable(one) if isinstance(one, str) else one for one in values]
