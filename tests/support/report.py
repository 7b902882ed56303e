"""A trained run, copies of it with other content, and pages as they read, for tests."""

import base64
import html.parser
import json
import shutil

import jax
import numpy as np

from jhash import report, train
from jhash.report import curves
from jhash.runs import finished
from tests.support import tiny

# The files of database codes by kind.
KINDS = {"learned": "database_learned", "encoded": "database"}


class Page(html.parser.HTMLParser):
    """The content of a page.

    Attributes:
      text: All of it.
      tags: (name, attributes) of each tag.
      rows: The rows of all tables, as texts of their cells.
      images: Attributes of each image.
      grids: [heading, rows] for each heading above retrieved images; an entry of such a row is
        [attributes of the image, class of its <li> or None for the query, caption].
      warnings: Texts.
    """

    def __init__(self, path):
        super().__init__()
        self.text = path.read_text(encoding="utf-8")
        self.tags, self.rows, self.images, self.grids, self.warnings = [], [], [], [], []
        self._open = []
        self.feed(self.text)
        assert not self._open, "a tag is left open"

    def handle_starttag(self, tag, attributes):
        attributes = dict(attributes)
        self.tags.append((tag, attributes))
        if tag not in ("meta", "img", "br", "wbr"):
            self._open.append((tag, attributes.get("class")))
        match tag, attributes.get("class"):
            case "tr", _:
                self.rows.append([])
            case "td" | "th", _:
                self.rows[-1].append("")
            case "h3" | "h4", "grid":
                self.grids.append(["", []])
            case "div", "row":
                self.grids[-1][1].append([])
            case "p", "warning":
                self.warnings.append("")
            case "img", _:
                self.images.append(attributes)
                if ("div", "row") in self._open:
                    mark = self._open[-1][1]
                    self.grids[-1][1][-1].append([attributes, mark, ""])

    def handle_endtag(self, tag):
        assert self._open.pop()[0] == tag

    def handle_data(self, data):
        where = [tag for tag, _ in self._open]
        heading = {("h3", "grid"), ("h4", "grid")} & set(self._open)
        if where[-1:] in (["td"], ["th"]):
            self.rows[-1][-1] += data
        elif heading:
            self.grids[-1][0] += data
        elif ("p", "warning") in self._open:
            self.warnings[-1] += data
        elif ("div", "row") in self._open:
            self.grids[-1][1][-1][-1][2] += data

    def row(self, name):
        """The cells of the row with that header."""
        [cells] = [cells[1:] for cells in self.rows if cells and cells[0] == name]
        return cells


def trained_run(tmp_path_factory):
    """Folder of a run that is trained once per session, for the fixtures of several folders."""
    folder = tmp_path_factory.getbasetemp() / "trained" / "run"
    if not (folder / "results.json").exists():
        config = tiny.get_config()
        config.epochs = 3
        # As the fixture `quick_compilation`, which lives no longer than a file of tests.
        jax.config.update("jax_disable_most_optimizations", True)
        train.train(config, str(folder))
        jax.config.update("jax_disable_most_optimizations", False)
    return folder


def write_page(folder, *workdirs):
    """Writes the page about runs into a folder, and reads it."""
    path = folder / "report.html"
    report.write([str(workdir) for workdir in workdirs], str(path), ["tests"])
    return Page(path)


def copy_run(run, folder, codes=None, config=None, **results):
    """Copies a run, with other codes, or other fields of the config or the results.

    Args:
      run: The folder to copy.
      folder: The new folder.
      codes: {file: {array: content}}, such as {"queries": {"bits": 11}}.
      config: {field with dots: value}.
      **results: Fields of results.json.

    Returns:
      The new folder.
    """
    shutil.copytree(run, folder, ignore=shutil.ignore_patterns("checkpoints", "tensorboard"))
    stored = json.loads((folder / "results.json").read_text())
    for name, value in (config or {}).items():
        *parents, last = name.split(".")
        fields = stored["config"]
        for parent in parents:
            fields = fields[parent]
        fields[last] = value
    (folder / "results.json").write_text(json.dumps(stored | results))
    for name, fields in (codes or {}).items():
        path = folder / "codes" / f"{name}.npz"
        np.savez(path, **(read_codes(folder, name) | fields))
    return folder


def broken(trained, folder, name, content):
    """Copies a run to `broken`, without a file (None) or with bytes that `content` changed."""
    run = copy_run(trained, folder / "broken")
    path = run / name
    if content is None:
        path.unlink()
    else:
        path.write_bytes(content(path.read_bytes()))
    return run


def read_codes(run, name):
    """The arrays of a file of codes, by name."""
    with np.load(run / "codes" / f"{name}.npz") as saved:
        return dict(saved)


def bits_of(packed, bits):
    """Bits of packed codes, uint8 [N, bits]."""
    return np.unpackbits(packed.astype("<u4").view(np.uint8), axis=1, bitorder="little")[:, :bits]


def distances_and_relevance(run, kind, bits=12):
    """Distances and relevance, both [Q, N], by comparing every bit of every pair."""
    queries, database = read_codes(run, "queries"), read_codes(run, KINDS[kind])
    ones = bits_of(queries["codes"], bits), bits_of(database["codes"], bits)
    distances = (ones[0][:, None] != ones[1][None]).sum(axis=2)
    labels, others = queries["labels"], database["labels"]
    if labels.ndim == 2:
        return distances, (labels[:, None] & others[None]).any(axis=2)
    return distances, labels[:, None] == others[None]


def expected_average_precision(distances, relevant):
    """The mean over all orders of ties, rank by rank; 0 if nothing is relevant."""
    found = before = summed = 0
    for distance in np.unique(distances):
        group = relevant[distances == distance]
        n, p = len(group), group.sum()
        for rank in range(n):  # With p / n relevant; then so are these many of those before it.
            others = rank * (p - 1) / (n - 1) if n > 1 else 0
            summed += p / n * (found + others + 1) / (before + rank + 1)
        found, before = found + p, before + n
    return summed / max(1, found)


def decode(uri, kind):
    """Bytes of an image in a data URI."""
    start = f"data:image/{kind};base64,"
    assert uri.startswith(start)
    return base64.b64decode(uri.removeprefix(start))


def measure_runs(*workdirs):
    """The numbers of runs that the page shows."""
    return [curves.measure(run) for run in finished.read_all([str(path) for path in workdirs])]


def random_codes(seed, count, shares):
    """Codes uint32 [count, 1] of which bit j is set with probability shares[j]."""
    ones = np.random.default_rng(seed).random((count, len(shares))) < shares
    return (ones << np.arange(len(shares))).sum(axis=1, keepdims=True).astype(np.uint32)


def with_random_codes(trained, folder, seed, bits, config=None):
    """A copy of a run whose codes are noise, with bits from hardly ever to nearly always set."""
    shares = np.linspace(0.03, 0.95, bits)
    codes = {
        name: {"codes": random_codes(seed + place, count, shares), "bits": bits}
        for place, (name, count) in enumerate(
            (("queries", 40), ("database", 200), ("database_learned", 200))
        )
    }
    return copy_run(trained, folder, codes, {"bits": bits, **(config or {})}, bits=bits)


# Damages of a run that is read: (file, how its bytes change or None if it is missing, message).
DAMAGES = [
    ("results.json", None, r"broken given, which holds no finished run: .*results\.json"),
    ("results.json", lambda old: old[:200], r"which holds no finished run: .*results\.json"),
    ("results.json", lambda old: b"{}", r"results\.json: method: nothing given; allowed: text"),
    ("metrics.jsonl", lambda old: b"{\n" + old, r"no finished run: .*metrics\.jsonl"),
    ("codes/queries.npz", None, r"no finished run: .*queries\.npz"),
    ("codes/queries.npz", lambda old: old[:100], r"no finished run: .*queries\.npz"),
    ("codes/database.npz", lambda old: b"", r"no finished run: .*database\.npz"),
    ("codes/database_learned.npz", None, r"no finished run: .*database_learned\.npz"),
]
# A field of results.json.
RECONSTRUCTION = {
    "images": 12,
    "identical_images": 9,
    "largest_difference": 5.25,
    "lattice": 14,
    "out_of_range_images": 1,
}
