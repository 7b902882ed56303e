"""Measures on a GPU all that is not known without one, in eight minutes, and writes a page of it.

    python benchmarks/gpu.py                                # docs/results/gpu.md and gpu.json
    python benchmarks/gpu.py --only training_cnn_f search   # some of it, printed
    python benchmarks/gpu.py --quick                        # tiny sizes on any device, printed

Each part runs in a process of its own, and has its own time. A part that fails or takes longer is
in the page as such, with the rows that it had measured. The parts are in `gpu_parts`:

- device: name, memory, rate of copying, rate of counting bits
- training_MODEL: images per second of a training step, against PyTorch where that has the model
- search: the top-k search beside its bounds and faiss, its memory, the order of ties
- minima: the costly step of a search, by XLA and by a Pallas kernel that is off until then
- resuming: a resumed run has the bits of one without a break, with deterministic kernels
- depth: AIHN's largest batch with 100 blocks at 224 x 224

PyTorch with CUDA and faiss-cpu are peers; without them the page says so. On several devices one is
used.
"""

import argparse
import datetime
import importlib
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

FOLDER = Path(__file__).resolve().parent
ROOT = FOLDER.parent
PAGE = ROOT / "docs" / "results" / "gpu.md"
# Characters of an error in the page.
_REASON = 300


class Part(NamedTuple):
    """A part of the measurement.

    Attributes:
      seconds: The time that it may take. All together are 8 minutes.
      module: Name in `gpu_parts`.
      arguments: Further arguments of the module's `rows`.
      flags: XLA_FLAGS of its process.
    """

    seconds: int
    module: str
    arguments: tuple = ()
    flags: str = ""


PARTS = {
    "device": Part(20, "device"),
    "search": Part(65, "searching"),
    "minima": Part(20, "minima"),
    "training_small_cnn": Part(25, "training", ("small_cnn",)),
    "training_small_resnet": Part(35, "training", ("small_resnet",)),
    "training_resnet30": Part(60, "training", ("resnet30",)),
    "training_invertible_net": Part(50, "training", ("invertible_net",)),
    "training_cnn_f": Part(30, "training", ("cnn_f",)),
    "training_alexnet": Part(30, "training", ("alexnet",)),
    "resuming": Part(70, "resuming", (), "--xla_gpu_deterministic_ops=true"),
    "depth": Part(75, "depth"),
}
TITLES = {
    "device": "Device",
    "training": "Training, images per second",
    "ties": "Order of ties",
    "search": "Exact Hamming search on the device",
    "minima": "Minima of groups: XLA's form and the Pallas kernel",
    "resuming": "Resumed runs",
    "depth": "AIHN: memory by form of the gradient",
    "depth_run": "AIHN: a step with a large batch",
}


def main(arguments=None):
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--only", nargs="+", choices=PARTS, help="parts; by default all")
    parser.add_argument("--quick", action="store_true", help="tiny sizes, on any device")
    parser.add_argument("--here", action="store_true", help="all in this process, without limits")
    parser.add_argument("--minutes", type=float, default=8, help="time of all parts together")
    parser.add_argument("--output", help=f"the page; by default {PAGE.relative_to(ROOT)}, if whole")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument("--part", choices=PARTS, help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    if options.part:
        for row in measured(options.part, options.quick):
            print(json.dumps(row), flush=True)
        return
    if options.minutes <= 0:
        parser.error(f"--minutes: {options.minutes:g} given; allowed: numbers above 0.")
    output = options.output or ("" if options.quick or options.only else str(PAGE))
    report = {
        "command": " ".join(["python benchmarks/gpu.py", *(arguments or sys.argv[1:])]),
        "commit": _commit(),
        "date": f"{datetime.datetime.now(datetime.UTC):%Y-%m-%d %H:%M} UTC",
        "quick": options.quick,
        "parts": [],
    }
    for name in options.only or PARTS:
        part = here(name, options.quick) if options.here else in_a_process(name, options)
        report["parts"].append(part)
        state = "done" if part["done"] else f"failed: {part['reason']}"
        print(f"{name}: {state}, {part['seconds']:.0f} s", file=sys.stderr, flush=True)
        first = part["rows"][:1] if name == "device" else []
        if first and first[0]["platform"] == "cpu" and not options.quick:
            sys.exit("JAX_PLATFORMS: cpu found; allowed: a GPU or a TPU, or --quick on a CPU.")
    if options.json:
        print(json.dumps(report))
    elif not output:
        print(page(report))
    if output:
        Path(output).write_text(page(report))
        Path(output).with_suffix(".json").write_text(json.dumps(report, indent=1) + "\n")


def measured(name, quick):
    """Yields the rows of a part."""
    part = PARTS[name]
    module = importlib.import_module(f"gpu_parts.{part.module}")
    yield from module.rows(quick, *part.arguments)


def here(name, quick):
    """Measures a part in this process."""
    began, rows, reason = time.perf_counter(), [], ""
    try:
        rows.extend(measured(name, quick))
    except Exception as error:
        reason = _shortened(f"{type(error).__name__}: {error}")
    return _part(name, rows, reason, began)


def in_a_process(name, options):
    """Measures a part in a process of its own, which ends with the part's time."""
    part, began = PARTS[name], time.perf_counter()
    command = [sys.executable, __file__, "--part", name, *(["--quick"] if options.quick else [])]
    flags = " ".join([os.environ.get("XLA_FLAGS", ""), part.flags]).strip()
    environment = os.environ | {
        "PYTHONPATH": os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")]),
        # PyTorch needs some of the memory, too, and the peak should be what was used.
        "XLA_PYTHON_CLIENT_PREALLOCATE": "false",
        "XLA_FLAGS": flags,
    }
    seconds = part.seconds * options.minutes / 8
    with tempfile.TemporaryFile("w+") as output, tempfile.TemporaryFile("w+") as errors:
        try:
            status = subprocess.run(
                command, stdout=output, stderr=errors, env=environment, timeout=seconds
            ).returncode
            reason = f"exit status {status}: " if status else ""
        except subprocess.TimeoutExpired:
            reason = f"not done after {seconds:.0f} s"
        output.seek(0)
        errors.seek(0)
        # A row that a kill has cut ends without a line break.
        lines = [line for line in output if line.startswith("{") and line.endswith("\n")]
        if reason.endswith(": "):
            said = [line.strip() for line in errors if line.strip()]
            reason += said[-1] if said else "no message"
    return _part(name, [json.loads(line) for line in lines], _shortened(reason), began)


def _part(name, rows, reason, began):
    return {
        "name": name,
        "done": not reason,
        "reason": reason,
        "seconds": round(time.perf_counter() - began, 1),
        "rows": rows,
    }


def page(report):
    """Returns the page in Markdown: a table per kind of row, and what has failed."""
    lines = [
        "# Measured on a GPU",
        "",
        f"    {report['command']}",
        "",
        f"Commit {report['commit']}, {report['date']}. The script says what is measured and how;",
        "`gpu.json` has the same numbers. Times and rates are medians of three turns.",
    ]
    if report["quick"]:
        lines += ["", "These are tiny sizes (`--quick`), which say nothing about speed."]
    tables = {}
    for part in report["parts"]:
        for row in part["rows"]:
            tables.setdefault(row["table"], []).append(row)
    for table, rows in tables.items():
        lines += ["", f"## {TITLES[table]}", "", *_table(rows)]
    lines += ["", "## Parts", "", "| part | seconds | result |", "| --- | --- | --- |"]
    for part in report["parts"]:
        result = "done" if part["done"] else f"**failed**: {part['reason'].replace('|', '/')}"
        lines.append(f"| {part['name']} | {part['seconds']:.0f} | {result} |")
    missing = [name for name in PARTS if name not in {part["name"] for part in report["parts"]}]
    lines += [f"| {name} | | not run |" for name in missing]
    return "\n".join(lines) + "\n"


def _table(rows):
    """Returns the lines of a table; a single row is a table of names and values."""
    columns = [name for name in rows[0] if name != "table"]
    if len(rows) == 1:
        pairs = [f"| {_words(name)} | {rows[0][name]} |" for name in columns]
        return ["| what | value |", "| --- | --- |", *pairs]
    cells = [[str(row.get(name, "")) for name in columns] for row in rows]
    heads = [_words(name) for name in columns]
    return [f"| {' | '.join(line)} |" for line in (heads, ["---"] * len(heads), *cells)]


def _words(name):
    return name.replace("_", " ")


def _shortened(text):
    return " ".join(text.split())[:_REASON]


def _commit():
    """Returns the commit, and whether files differ from it."""
    git = ["git", "-C", str(ROOT)]
    try:
        done, changed = (
            subprocess.run([*git, *words], capture_output=True, text=True)
            for words in (("rev-parse", "--short", "HEAD"), ("status", "--porcelain", "-uno"))
        )
    except OSError:
        return "unknown"
    if done.returncode:
        return "unknown"
    return done.stdout.strip() + (" with changes" if changed.stdout.strip() else "")


if __name__ == "__main__":
    main()
