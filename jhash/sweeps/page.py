"""The page of a table as HTML, without scripts and without references to other files but runs."""

import os
import urllib.parse
from collections.abc import Sequence

import jhash
from jhash.report.markup import document, gallery, note, row, table, tag, text
from jhash.report.plots import Picture
from jhash.runs import paths
from jhash.sweeps.plan import Plan
from jhash.sweeps.summary import ABSENT, Block, Entry, shown

_CSS = """
body { font: 16px/1.5 system-ui, sans-serif; color: #1a1a1a; background: #fff; margin: 0 auto;
  max-width: 76rem; padding: 0 1rem 3rem; }
h1 { font-size: 1.6rem; } h2 { margin-top: 2.5rem; border-bottom: 1px solid #bbb; }
.note { max-width: 48rem; color: #444; font-size: .9rem; }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; font-size: .88rem; font-variant-numeric: tabular-nums; }
th, td { padding: .15rem .7rem; border-bottom: 1px solid #ddd; text-align: right; }
td:not(.text) { white-space: nowrap; }
tbody th, .text { text-align: left; font-weight: normal; }
tbody th { white-space: nowrap; } .text { min-width: 8rem; overflow-wrap: anywhere; }
thead th { text-align: center; } .paper { color: #555; }
.figures { display: grid; grid-template-columns: repeat(auto-fill, minmax(min(100%, 26rem), 1fr));
  gap: 1.2rem 2rem; margin-top: 1rem; }
figure { margin: 0; break-inside: avoid; }
figcaption { font-weight: 600; font-size: .92rem; } figure img { width: 100%; height: auto; }
"""


def render(
    plan: Plan,
    entries: Sequence[Entry],
    blocks: Sequence[Block],
    pictures: Sequence[Picture],
    notes: Sequence[str],
    folder: str,
) -> str:
    """Writes the page; runs are linked from the folder in which it will lie."""
    title = plan.table.title
    parts = [tag("h1", text(title)), note(plan.table.source)]
    parts += [_block(block) for block in blocks]
    if pictures:
        parts += [tag("h2", "Figures"), gallery(pictures)]
    parts += [tag("h2", "Notes"), tag("ul", "".join(tag("li", text(one)) for one in notes))]
    parts += [_runs(entries, folder)]
    parts += [tag("p", f"Written by jhash {text(jhash.__version__)}.", class_="note")]
    return document(title, _CSS, parts)


def _block(block):
    head = [tag("td", "")]
    head += [
        tag("th", text(heading.name), scope="colgroup", colspan=1 + heading.has_paper)
        for heading in block.headings
    ]
    head += [tag("th", "remark", scope="col")]
    heads = [head]
    if block.has_paper:
        second = [tag("td", "")]
        for heading in block.headings:
            names = ("ours", "paper")[: 1 + heading.has_paper]
            second += [tag("th", name, scope="col") for name in names]
        heads.append([*second, tag("td", "")])
    rows = []
    for line in block.rows:
        cells = []
        for heading, cell in zip(block.headings, line.cells, strict=True):
            cells.append(tag("td", _bold(cell.ours, cell.is_best)))
            if heading.has_paper:
                paper = _bold(cell.paper, cell.paper_is_best)
                cells.append(tag("td", paper, class_="paper"))
        rows.append(row(line.name, [*cells, tag("td", text(line.remark), class_="text")]))
    return tag("h2", text(block.title)) + note(block.note) + table(heads, rows)


def _bold(words, is_bold):
    return tag("b", text(words)) if is_bold else text(words)


def _runs(entries, folder):
    """Lists the finished runs with their times and the commands that make them alone."""
    rows = []
    for entry in entries:
        time = entry.value("train_seconds")
        for candidate in entry.place.candidates:
            for cell in candidate.cells:
                if cell.workdir not in entry.workdirs:
                    continue
                shown_time = ABSENT if time is None else f"{shown(time, 'min')} min"
                cells = [
                    tag("td", text(shown_time)),
                    tag("td", _link(cell.workdir, folder), class_="text"),
                    tag("td", tag("code", text(cell.command)), class_="text"),
                ]
                rows.append(row(cell.name, cells))
    if not rows:
        return ""
    names = ("run", "training time per seed", "folder", "command")
    head = [tag("th", name, scope="col") for name in names]
    return tag("h2", "Runs") + table([head], rows)


def _link(workdir, folder):
    name = text(os.path.basename(workdir))
    report = paths.report(workdir)
    if not os.path.exists(report):
        return name
    path = os.path.relpath(report, folder)
    return tag("a", name, href=urllib.parse.quote(path))
