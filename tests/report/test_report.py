"""The report: its numbers against NumPy written out, its marks, and that it needs nothing else."""

import base64
import dataclasses
import html.parser
import io
import json
import re
import shutil
from xml.etree import ElementTree

import matplotlib
import numpy as np
import pytest
from PIL import Image

from jhash import report, retrieval, train
from jhash.errors import InputError
from jhash.report import figures, grid, plots, reconstruction, tables
from jhash.runs import finished
from tests.support import tiny

pytestmark = pytest.mark.usefixtures("quick_compilation")

KINDS = {"learned": "database_learned", "encoded": "database"}


class Page(html.parser.HTMLParser):
    """What a page says: tables as rows of text, images, rows of retrieved images, warnings."""

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
            case "h3", _:
                self.grids.append(["", []])
            case "div", "row":
                self.grids[-1][1].append([])
            case "p", "warning":
                self.warnings.append("")
            case "img", _:
                self.images.append(attributes)
                if ("div", "row") in self._open:
                    mark = self._open[-1][1]  # The class of a hit's <li>, None of the query.
                    self.grids[-1][1][-1].append([attributes, mark, ""])

    def handle_endtag(self, tag):
        assert self._open.pop()[0] == tag

    def handle_data(self, data):
        where = [tag for tag, _ in self._open]
        if where[-1:] in (["td"], ["th"]):
            self.rows[-1][-1] += data
        elif "h3" in where:
            self.grids[-1][0] += data
        elif ("p", "warning") in self._open:
            self.warnings[-1] += data
        elif ("div", "row") in self._open:
            self.grids[-1][1][-1][-1][2] += data

    def row(self, name):
        [found] = [cells[1:] for cells in self.rows if cells and cells[0] == name]
        return found


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    folder = tmp_path_factory.mktemp("trained") / "run"
    config = tiny.get_config()
    config.epochs = 3
    train.train(config, str(folder))
    return folder


@pytest.fixture(scope="module")
def page(trained, tmp_path_factory):
    return write(tmp_path_factory.mktemp("page"), trained)


def write(folder, *workdirs):
    path = folder / "report.html"
    report.write([str(workdir) for workdir in workdirs], str(path))
    return Page(path)


def copy(run, folder, codes=None, config=None, **results):
    """A copy of a run with other codes, or other fields of the config or the results."""
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
        np.savez(path, **(read(folder, name) | fields))
    return folder


def read(run, name):
    with np.load(run / "codes" / f"{name}.npz") as saved:
        return dict(saved)


def bits_of(packed, bits):
    return np.unpackbits(packed.astype("<u4").view(np.uint8), axis=1, bitorder="little")[:, :bits]


def distances_and_relevance(run, kind, bits=12):
    """Both [Q, N], by comparing every bit of every pair."""
    queries, database = read(run, "queries"), read(run, KINDS[kind])
    ones = bits_of(queries["codes"], bits), bits_of(database["codes"], bits)
    distances = (ones[0][:, None] != ones[1][None]).sum(axis=2)
    labels, others = queries["labels"], database["labels"]
    if labels.ndim == 2:
        return distances, (labels[:, None] & others[None]).any(axis=2)
    return distances, labels[:, None] == others[None]


def decode(uri, kind):
    start = f"data:image/{kind};base64,"
    assert uri.startswith(start)
    return base64.b64decode(uri.removeprefix(start))


def expected_hits(distances, relevant, n):
    """Relevant items among the first n: of a distance that n cuts, its mean share counts."""
    hits = 0.0
    for distance in np.unique(distances):
        group = relevant[distances == distance]
        hits += group.mean() * min(n, len(group))
        n -= min(n, len(group))
    return hits


def test_the_numbers_are_those_of_the_codes(trained, page):
    results = json.loads((trained / "results.json").read_text())
    assert page.row("database codes") == ["learned", "encoded"]
    for column, kind in enumerate(KINDS):
        distances, relevant = distances_and_relevance(trained, kind)
        near = distances <= 2
        found = (near & relevant).sum(axis=1)
        expected = {
            "precision_radius_2": found / np.maximum(1, near.sum(axis=1)),
            "recall_radius_2": found / relevant.sum(axis=1),
            "precision_at_10": [
                expected_hits(*pair, 10) / 10 for pair in zip(distances, relevant, strict=True)
            ],
        }
        for name, values in expected.items():
            shown = float(page.row(name)[column])
            assert shown == pytest.approx(np.mean(values), abs=5.1e-5), (kind, name)
        assert float(page.row("map")[column]) == round(results[f"map_{kind}"], 4)
        codes = read(trained, KINDS[kind])["codes"]
        ones = bits_of(codes, 12).sum(axis=0)
        distinct, *ratios = page.row(f"run, database, {kind}")
        assert int(distinct) == len({tuple(code) for code in codes.tolist()})
        ordered = sorted(ones / (200 - ones))
        expected = ordered[0], (ordered[5] + ordered[6]) / 2, ordered[11]
        np.testing.assert_allclose([float(ratio) for ratio in ratios], expected, atol=5.1e-5)
    assert page.row("epochs") == ["3 of 3"]
    assert page.row("git revision") == [results["git_revision"] or "–"]
    assert not page.warnings


def measure(*workdirs):
    return [
        report.curves.measure(run) for run in finished.read_all([str(path) for path in workdirs])
    ]


@pytest.fixture
def drawn(monkeypatch):
    """What is drawn from now on: title -> the lines, or the counts of a histogram."""
    found = {}

    def recorded(draw):
        def record(title, values, *args, **axes):
            found[title] = values
            return draw(title, values, *args, **axes)

        return record

    for name in ("lines", "points", "two_histograms"):
        monkeypatch.setattr(plots, name, recorded(getattr(plots, name)))
    return found


def random_codes(seed, count, shares):
    """Codes uint32 [count, 1] of which bit j is set with probability shares[j]."""
    ones = np.random.default_rng(seed).random((count, len(shares))) < shares
    return (ones << np.arange(len(shares))).sum(axis=1, keepdims=True).astype(np.uint32)


def with_random_codes(trained, folder, seed, bits, config=None):
    """A copy whose codes are noise of that length, bits from nearly never to nearly always set."""
    shares = np.linspace(0.03, 0.95, bits)
    codes = {
        name: {"codes": random_codes(seed + place, count, shares), "bits": bits}
        for place, (name, count) in enumerate(
            (("queries", 40), ("database", 200), ("database_learned", 200))
        )
    }
    return copy(trained, folder, codes, {"bits": bits, **(config or {})}, bits=bits)


def expected_average_precision(distances, relevant):
    """The mean over all orders of ties, rank by rank."""
    found = before = summed = 0
    for distance in np.unique(distances):
        group = relevant[distances == distance]
        n, p = len(group), group.sum()
        for rank in range(n):  # With p / n relevant; then so are these many of those before it.
            others = rank * (p - 1) / (n - 1) if n > 1 else 0
            summed += p / n * (found + others + 1) / (before + rank + 1)
        found, before = found + p, before + n
    return summed / found


def test_metrics_by_code_length(trained, tmp_path, drawn):
    workdirs = [
        with_random_codes(trained, tmp_path / "long", 0, 13),
        with_random_codes(trained, tmp_path / "short", 10, 9),
    ]
    figures.by_length(measure(*workdirs))
    assert len(drawn) == 3
    for place, kind in enumerate(KINDS):
        expected = {"MAP": [], "Precision within radius 2": [], "Recall within radius 2": []}
        for run, bits in ((workdirs[1], 9), (workdirs[0], 13)):
            distances, relevant = distances_and_relevance(run, kind, bits)
            near = distances <= 2
            found = (near & relevant).sum(axis=1)
            values = (
                [expected_average_precision(*row) for row in zip(distances, relevant, strict=True)],
                found / np.maximum(1, near.sum(axis=1)),
                found / relevant.sum(axis=1),
            )
            for row, value in zip(expected.values(), values, strict=True):
                row.append(np.mean(value))
        for title, values in expected.items():
            line = drawn[f"{title} by code length"][place]
            assert line.label == f"{kind} codes"
            assert line.x == [9, 13]
            np.testing.assert_allclose(line.y, values)


def test_bits_and_distances_are_those_of_the_codes(trained, tmp_path, drawn):
    run = with_random_codes(trained, tmp_path / "noise", 20, 12)
    [measured] = measure(run)
    figures.balance(measured)
    files = {"queries": "queries"} | {f"database, {kind}": KINDS[kind] for kind in KINDS}
    series = drawn["Bit balance, noise"]
    assert [line.label for line in series] == list(files)
    for line, file in zip(series, files.values(), strict=True):
        assert list(line.x) == list(range(12))
        np.testing.assert_allclose(line.y, bits_of(read(run, file)["codes"], 12).mean(axis=0))
    for kind, picture in zip(KINDS, figures.distances(measured), strict=True):
        distances, relevant = distances_and_relevance(run, kind)
        pairs = distances[relevant], distances[~relevant]
        counts = drawn[f"Distances, noise, {kind} codes"]
        for count, values in zip(counts, pairs, strict=True):
            np.testing.assert_array_equal(count, np.bincount(values, minlength=13))
        near, far = (f"{values.mean():.3g}" for values in pairs)
        assert picture.alt.endswith(
            f"relevant pairs lie {near} apart on average; other pairs lie {far} apart on average."
        )


@pytest.mark.parametrize(
    ("always", "shown"),
    [(1, ["0.0000", "1.0000", "∞"]), (6, ["0.0000", "∞", "∞"]), (12, ["∞", "∞", "∞"])],
)
def test_ratios_may_be_infinite(trained, tmp_path, always, shown):
    """Of 12 bits some are always set, one never (if any is left), the others in half the codes."""
    ones = np.zeros((200, 12), np.uint32)
    ones[100:] = 1
    ones[:, :always] = 1
    ones[:, 11] = always == 12
    codes = (ones << np.arange(12, dtype=np.uint32)).sum(axis=1, keepdims=True).astype(np.uint32)
    run = copy(trained, tmp_path / "ratios", {"database": {"codes": codes}})
    [row] = re.findall(
        "<tr><th[^>]*>ratios, database, encoded</th>.*?</tr>", tables.balance(measure(run))
    )
    assert re.findall("<td>(.*?)</td>", row)[1:] == shown


def test_curves_are_those_of_the_codes(trained, tmp_path, drawn):
    write(tmp_path, trained)
    for place, kind in enumerate(KINDS):
        distances, relevant = distances_and_relevance(trained, kind)
        near = distances[..., None] <= np.arange(13)
        found = (near & relevant[..., None]).sum(axis=1)
        recall = (found / relevant.sum(axis=1, keepdims=True)).mean(axis=0)
        precision = (found / np.maximum(1, near.sum(axis=1))).mean(axis=0)
        curve = drawn["Precision-recall curve"][place]
        assert curve.label == f"{kind} codes"
        np.testing.assert_allclose(curve.x, recall)
        np.testing.assert_allclose(curve.y, precision)
        np.testing.assert_allclose(drawn["Recall within a radius"][place].y, recall)
        np.testing.assert_allclose(drawn["Precision within a radius"][place].y, precision)
        top = drawn["Precision@N, N up to 1,000"][place]
        assert top.x == [1, 2, 5, 10, 20, 50, 100, 200]
        assert top.y[-1] == pytest.approx(relevant.mean())
    lines = [json.loads(line) for line in (trained / "metrics.jsonl").read_text().splitlines()]
    steps = [(line["step"], line["loss"]) for line in lines if "loss" in line]
    assert list(zip(drawn["loss"][0].x, drawn["loss"][0].y, strict=True)) == steps
    assert list(drawn["bit_error_rate"][0].x) == [1, 2, 3]


def test_long_training_curves_are_averaged(trained, monkeypatch):
    drawn = {}
    monkeypatch.setattr(plots, "lines", lambda title, curves, *_: drawn.update({title: curves}))
    [run] = finished.read_all([str(trained)])
    per_epoch = run.results["steps"] // run.results["epochs"]
    run.lines[:] = [
        {"step": step, "epoch": (step - 1) // per_epoch, "loss": float(step)}
        for step in range(1, 901)
    ]
    measured = report.curves.measure(run)
    figures.training([measured])
    [line] = drawn["loss"]
    np.testing.assert_allclose(line.x, np.arange(2, 901, 3))
    np.testing.assert_allclose(line.y, np.arange(2, 901, 3))


def test_the_file_needs_nothing_else(page):
    assert len(page.images) > 100
    for tag, attributes in page.tags:
        assert tag not in ("script", "link", "iframe", "object", "embed", "base", "form")
        for name in ("src", "href", "srcset", "data", "action", "poster", "background"):
            assert attributes.get(name, "data:").startswith("data:"), (tag, name)
        assert not any(name.startswith("on") for name in attributes)
        assert "url(" not in (attributes.get("style") or "")
    style = re.search("<style>(.*?)</style>", page.text, re.DOTALL)[1]
    assert "url(" not in style
    assert "@import" not in style
    svgs = 0
    for attributes in page.images:
        assert attributes["alt"].strip()
        if attributes["src"].startswith("data:image/svg+xml"):
            svgs += 1
            svg = decode(attributes["src"], "svg+xml")
            for element in ElementTree.fromstring(svg).iter():
                assert not element.tag.endswith(("script", "image", "foreignObject"))
                for name, value in element.attrib.items():
                    if name.endswith("href"):
                        assert value.startswith("#")
                    for target in re.findall(r"url\((.*?)\)", value):
                        assert target.startswith("#")
    assert svgs > 10
    assert len(page.text) < 2e6


def test_same_runs_same_bytes(trained, page, tmp_path):
    with matplotlib.rc_context({"font.size": 30, "svg.hashsalt": "another"}):
        assert write(tmp_path, trained).text == page.text
        assert matplotlib.rcParams["font.size"] == 30


def check_grid(page, run, source, first):
    """Every grid of a page against a full sort of all distances."""
    database = read(run, "database")
    queries = read(run, "queries")
    source_labels = source.labels if source.labels.ndim == 2 else np.eye(4)[source.labels]
    names = [", ".join(map(str, np.flatnonzero(row))) for row in source_labels]
    headings = [heading for heading, _ in page.grids]
    assert headings == [
        f"{run.name}, {kind} database codes: {which}"
        for kind in KINDS
        for which in ("first query of each class", "least average precision")
    ]
    wrong = 0
    for (_, rows), kind in zip(page.grids, [k for k in KINDS for _ in range(2)], strict=True):
        distances, relevant = distances_and_relevance(run, kind)
        for (shown, _, caption), *hits in rows:
            index = int(re.match(r"query (\d+)", shown["alt"])[1])
            q = np.flatnonzero(queries["ids"] == index)[0]
            nearest = np.lexsort((np.arange(200), distances[q]))[:10]
            assert len(hits) == 10
            for rank, (place, (image, mark, words)) in enumerate(
                zip(nearest, hits, strict=True), 1
            ):
                right = relevant[q, place]
                found = database["ids"][place]
                assert mark == ("right" if right else "wrong")
                assert words == f"{'✓' if right else '✗'} d {distances[q, place]}{names[found]}"
                assert image["alt"] == (
                    f"{rank}: image {found}, {names[found]}, distance {distances[q, place]}, {mark}"
                )
                pixels = np.asarray(Image.open(io.BytesIO(decode(image["src"], "png"))))
                np.testing.assert_array_equal(pixels, source.images(np.array([found]))[0, ..., 0])
                wrong += not right
            count = relevant[q, nearest].sum()
            assert caption.startswith(names[index])
            assert caption.endswith(f"{count} of 10 right")
    assert wrong, "marks were only tested on right images"
    for heading, rows in page.grids:
        if "first" in heading:
            shown = [int(re.match(r"query (\d+)", row[0][0]["alt"])[1]) for row in rows]
            assert shown == first


def test_marks_distances_and_images_of_the_grid(trained, tmp_path):
    """With random codes of queries, so that there is something wrong to mark."""
    codes = np.random.default_rng(3).integers(0, 1 << 12, (40, 1), dtype=np.uint32)
    run = copy(trained, tmp_path / "random", {"queries": {"codes": codes}})
    page = write(tmp_path, run)
    check_grid(page, run, tiny.source(), first=[200, 201, 202, 203])
    [warning] = page.warnings
    assert "random: results.json and codes/ tell different MAPs" in warning
    for heading, rows in page.grids:
        if "least" in heading:
            kind = "learned" if "learned" in heading else "encoded"
            database = read(run, KINDS[kind])
            total, relevant = retrieval.distance_histograms(
                codes, database["codes"], read(run, "queries")["labels"], database["labels"], 12
            )
            ap = retrieval.average_precision(total, relevant)
            shown = [float(re.search(r"AP ([\d.]+\d)", row[0][2])[1][:5]) for row in rows]
            np.testing.assert_allclose(shown, np.sort(ap)[:5], atol=5.1e-4)


def test_images_of_several_classes(trained, tmp_path):
    labels = tiny.source(multi_label=True).labels
    rng = np.random.default_rng(4)
    codes = {
        name: {
            "labels": labels[read(trained, name)["ids"]],
            "codes": rng.integers(0, 1 << 12, (count, 1), dtype=np.uint32),
        }
        for name, count in (("queries", 40), ("database", 200), ("database_learned", 200))
    }
    config = {"data.options": {"multi_label": True}}
    run = copy(trained, tmp_path / "multi", codes, config)
    page = write(tmp_path, run)
    # 200 has class 0 alone, 201 both 0 and 1, 202 class 2, 203 class 3.
    assert labels[200:204].tolist() == [[1, 0, 0, 0], [1, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]]
    check_grid(page, run, tiny.source(multi_label=True), first=[200, 201, 202, 203])


@pytest.mark.parametrize(
    ("config", "codes", "message"),
    [
        (
            {"data.source": "tests.support.tiny.no_source"},
            {},
            "No images of lost: the data cannot be read: .*no",
        ),
        ({}, {"queries": {"labels": np.zeros(40, np.int32)}}, "other labels now"),
        ({}, {"queries": {"ids": np.arange(1000, 1040)}}, "cannot be read: index 1000"),
    ],
)
def test_without_images_the_rest_is_written(trained, tmp_path, config, codes, message):
    page = write(tmp_path, copy(trained, tmp_path / "lost", codes, config))
    assert re.search(message, page.warnings[-1])
    assert not page.grids
    assert len(page.row("map")) == 2
    assert sum(image["src"].startswith("data:image/svg") for image in page.images) > 5


def test_runs_side_by_side(trained, tmp_path):
    """A longer code whose last bit is set in every code, and another seed of the first."""
    wider = {}
    for name in ("queries", *KINDS.values()):
        codes = read(trained, name)["codes"] | np.uint32(1 << 12)
        wider[name] = {"codes": codes, "bits": 13}
    long = copy(trained, tmp_path / "long", wider, {"bits": 13}, bits=13)
    other = copy(trained, tmp_path / "b" / "run", config={"seed": 7}, seed=7)
    page = write(tmp_path, trained, long, other)
    first, last = f"{trained.parent.name}/run", "b/run"
    assert page.row("field of the config") == [first, f"{long.parent.name}/long", last]
    differing = [cells for cells in page.rows if cells[0] in ("bits", "seed", "epochs")]
    assert ["bits", "12", "13", "12"] in differing
    assert ["seed", "0", "0", "7"] in differing
    assert len(page.row("map")) == 6
    *_, most = page.row(f"{long.parent.name}/long, queries")
    assert most == "∞"
    alts = {image["alt"].partition(". ")[0]: image["alt"] for image in page.images}
    families = alts["Precision within radius 2 by code length"]
    assert f"learned codes: {first}, {long.parent.name}/long: " in families
    assert f"encoded codes: {last}: " in families
    assert "Precision-recall curve, learned codes" in alts
    assert "Precision-recall curve, encoded codes" in alts
    assert not page.warnings


def test_runs_of_other_data_are_not_comparable(trained, tmp_path):
    labels = read(trained, "queries")["labels"].copy()
    labels[5] = 3 - labels[5]
    other = copy(trained, tmp_path / "other", {"queries": {"labels": labels}})
    page = write(tmp_path, trained, other)
    assert any(words.startswith("⚠ Not comparable: other and run") for words in page.warnings)


def test_an_unfinished_run_says_so(trained, tmp_path):
    page = write(tmp_path, copy(trained, tmp_path / "half", epochs_planned=9))
    assert "half is not trained to its end" in page.warnings[0]
    assert page.row("epochs") == ["3 of 9"]


def test_names_are_escaped(trained, tmp_path):
    name = '_<b>&"$x^'
    page = write(tmp_path, copy(trained, tmp_path / name), copy(trained, tmp_path / "b"))
    assert page.row("") == [name, "b"]
    assert not any(tag == "b" and attributes for tag, attributes in page.tags)
    svg = next(
        decode(image["src"], "svg+xml").decode()
        for image in page.images
        if image["alt"].startswith("Precision-recall")
    )
    texts = ["".join(text.itertext()) for text in ElementTree.fromstring(svg).iter()]
    assert name in texts


def test_the_worst_queries_have_relevant_images(trained):
    [run] = finished.read_all([str(trained)])
    labels = run.queries.labels.copy()
    labels[[3, 30]] = 9  # A class of which the database has nothing.
    run = dataclasses.replace(run, queries=run.queries._replace(labels=labels))
    ranking = report.curves.measure(run).rankings["encoded"]
    assert ranking.average_precision[3] == 0
    chosen = grid.worst(ranking)
    rest = np.delete(np.arange(40), [3, 30])
    values = ranking.average_precision
    assert sorted(values[rest])[:5] == values[chosen].tolist()
    assert not {3, 30} & set(chosen)


def test_large_images_become_small():
    pixels = np.random.default_rng(0).integers(0, 256, (90, 60, 3), dtype=np.uint8)
    image = Image.open(io.BytesIO(decode(grid.encode(pixels), "png")))
    assert image.size == (32, 48)
    assert len(image.convert("RGB").getcolors()) <= 64


RECONSTRUCTION = {
    "images": 12,
    "identical_images": 9,
    "largest_difference": 5.25,
    "lattice": 14,
    "out_of_range_images": 1,
}


def reconstruction_file(count=12, shape=(8, 8, 1)):
    """Equal images but for one pixel of the first, and all of the third; the second is lost."""
    rng = np.random.default_rng(5)
    original = rng.integers(10, 240, (count, *shape), dtype=np.uint8)
    reconstructed = original.copy()
    reconstructed[0, 2, 3] += 5
    reconstructed[1] = 0
    reconstructed[2] -= 2
    return {
        "original": original,
        "reconstructed": reconstructed,
        "in_range": np.arange(count) != 1,
        "ids": np.arange(200, 200 + count),
        "labels": np.arange(count) % 4,
    }


def with_reconstruction(trained, folder, saved, **results):
    run = copy(trained, folder, reconstruction=RECONSTRUCTION | results)
    np.savez(run / "reconstruction.npz", **saved)
    return run


def test_reconstructed_images_and_their_differences(trained, tmp_path):
    saved = reconstruction_file()
    page = write(tmp_path, with_reconstruction(trained, tmp_path / "inverted", saved))
    assert not page.warnings
    assert page.text.count("<h2>Reconstruction</h2>") == 1
    for words in (
        "9 of 12 images come back with every byte the same",
        "The largest difference is 5.25 grey levels",
        "multiples of 2^-14",
        "1 of 12 images left the range",
    ):
        assert words in page.text
    assert page.row("original") == [""] * 10
    assert page.row("reconstructed") == ["", "out of range"] + [""] * 8
    assert page.row("difference (white: 5)") == ["", "–"] + [""] * 8
    [head] = [row for row in page.rows if "image 200class 0" in row]
    assert head == ["", *(f"image {200 + n}class {n % 4}" for n in range(10))]
    words = {
        0: "1 of 64 bytes differ, by up to 5",
        2: "64 of 64 bytes differ, by up to 2",
        9: "every byte equal",
    }
    difference = np.zeros((12, 8, 8, 1), int)
    difference[0, 2, 3], difference[2] = 255, 102
    for n, said in words.items():
        for what, expected in (
            ("original", saved["original"]),
            (f"reconstructed, {said}", saved["reconstructed"]),
            (f"difference, {said}", difference),
        ):
            pixels = shown(page, f"image {200 + n}, class {n % 4}: {what}")
            np.testing.assert_array_equal(pixels, expected[n, ..., 0])


def test_only_runs_with_an_inverse_have_the_section(trained, tmp_path):
    run = with_reconstruction(trained, tmp_path / "inverted", reconstruction_file())
    page = section(tmp_path, trained, run)
    assert [heading for heading, _ in page.grids] == ["inverted"]
    assert not section(tmp_path, trained).text


def section(folder, *workdirs):
    """The section alone, which takes less time than the page."""
    path = folder / "section.html"
    path.write_text(
        reconstruction.section(finished.read_all([str(workdir) for workdir in workdirs]))
    )
    return Page(path)


def shown(page, alt):
    [uri] = [image["src"] for image in page.images if image["alt"] == alt]
    return np.asarray(Image.open(io.BytesIO(decode(uri, "png"))))


def test_a_lone_pixel_is_seen_in_a_large_difference(trained, tmp_path):
    saved = reconstruction_file(3, (100, 90, 3))
    saved["reconstructed"][2] = saved["original"][2]
    saved["labels"] = np.array([[0, 1, 1], [1, 0, 0], [0, 0, 0]], np.uint8)
    page = section(tmp_path, with_reconstruction(trained, tmp_path / "large", saved))
    said = "3 of 27,000 bytes differ, by up to 5"
    pixels = shown(page, f"image 200, class 1 2: difference, {said}")
    expected = np.zeros((34, 30, 3))
    expected[0, 1] = 255
    np.testing.assert_array_equal(pixels, expected)
    assert not shown(page, "image 202, no class: difference, every byte equal").any()


def test_a_reconstruction_without_numbers_or_difference(trained, tmp_path):
    saved = reconstruction_file()
    saved["reconstructed"] = saved["original"]
    results = {"largest_difference": None, "lattice": None, "out_of_range_images": 0}
    page = section(tmp_path, with_reconstruction(trained, tmp_path / "same", saved, **results))
    assert page.row("difference (none)")
    for words in ("The largest difference is", "2^-", "left the range"):
        assert words not in page.text


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (None, "No such file"),
        (b"PK", "allow_pickle"),
        ({"original": np.zeros((12, 8, 8), np.uint8)}, r"it holds original uint8\[12, 8, 8\], "),
        ({"reconstructed": np.zeros((12, 8, 8, 1))}, r"reconstructed float64\[12, 8, 8, 1\]"),
        ({"in_range": np.ones(11, bool)}, r"in_range bool\[11\]"),
        ({"ids": np.full(12, "a")}, r"ids <U1\[12\]"),
        ({"labels": np.array(3)}, r"labels int64\[\]"),
        ({"labels": np.full(12, None)}, "Object arrays"),
    ],
)
def test_a_damaged_reconstruction_is_named(trained, tmp_path, change, message):
    saved = reconstruction_file() | (change if isinstance(change, dict) else {})
    run = with_reconstruction(trained, tmp_path / "lost", saved)
    if change is None:
        (run / "reconstruction.npz").unlink()
    elif isinstance(change, bytes):
        (run / "reconstruction.npz").write_bytes(change)
    page = section(tmp_path, run)
    [warning] = page.warnings
    assert warning.startswith("⚠ No reconstruction of lost: ")
    assert re.search(f"reconstruction\\.npz cannot be read .*{message}", warning, re.DOTALL)
    assert "9 of 12 images" in page.text


def broken(trained, folder, name, content):
    run = copy(trained, folder / "broken")
    path = run / name
    if content is None:
        path.unlink()
    else:
        path.write_bytes(content(path.read_bytes()))
    return run


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("results.json", None, r"broken holds no finished run: .*results\.json"),
        ("results.json", lambda old: old[:200], r"broken holds no finished run: .*results\.json"),
        ("results.json", lambda old: b"{}", r"broken/results\.json lacks method; must be text"),
        ("metrics.jsonl", lambda old: b"{\n" + old, r"no finished run: .*metrics\.jsonl"),
        ("codes/queries.npz", None, r"no finished run: .*queries\.npz"),
        ("codes/queries.npz", lambda old: old[:100], r"no finished run: .*queries\.npz"),
        ("codes/database.npz", lambda old: b"", r"no finished run: .*database\.npz"),
        ("codes/database_learned.npz", None, r"no finished run: .*database_learned\.npz"),
    ],
)
def test_damaged_runs_are_named(trained, tmp_path, name, content, message):
    run = broken(trained, tmp_path, name, content)
    path = tmp_path / "report.html"
    path.write_text("old")
    with pytest.raises(InputError, match=message):
        report.write([str(trained), str(run)], str(path))
    assert path.read_text() == "old"


def edit(name, value):
    """An edit of results.json: sets a field, or removes it where the value is `...`."""

    def apply(old):
        results = json.loads(old)
        *parents, last = name.split(".")
        fields = results
        for parent in parents:
            fields = fields[parent]
        if value is ...:
            del fields[last]
        else:
            fields[last] = value
        return json.dumps(results).encode()

    return apply


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("learned", {}, r"lacks learned\.map; must be a finite number"),
        ("learned", None, "learned is None; must be an object"),
        ("encoded.map", float("nan"), r"encoded\.map is nan; must be a finite number"),
        ("config", [], r"config is \[\]; must be an object"),
        ("config.metrics", ..., r"lacks config\.metrics"),
        ("config.metrics.no_such", 1, r"config\.metrics\.no_such is unknown; allowed are map_at, "),
        (
            "config.metrics.precision_ranks",
            5,
            r"config\.metrics\.precision_ranks is 5; must be a list",
        ),
        (
            "config.metrics.precision_ranks",
            [10, 0],
            r"config\.metrics\.precision_ranks is \[10, 0\]",
        ),
        ("config.metrics.lookup_radius", "2", r"lookup_radius is '2'"),
        ("config.metrics.map_at_percent", 200, r"map_at_percent is 200; must be more than 0"),
        ("config.data", None, r"config\.data is None"),
        ("config.data.seed", ..., r"lacks config\.data\.seed"),
        ("device", None, "device is None; must be an object"),
        ("device.kind", ..., r"lacks device\.kind"),
        ("data", {}, r"lacks data\.source; must be text"),
        ("data.train", "many", r"data\.train is 'many'; must be a whole number"),
        ("epochs", -1, "epochs is -1; must be a whole number, 0 or more"),
        ("epochs", True, "epochs is True"),
        ("bits", 600, "bits is 600; must be 1 to 512"),
        ("train_seconds", None, "train_seconds is None"),
        ("git_revision", 5, "git_revision is 5; must be text, or null"),
        ("reconstruction", None, "reconstruction is None; must be an object"),
        ("reconstruction", {}, r"lacks reconstruction\.images; must be a whole number"),
        (
            "reconstruction",
            RECONSTRUCTION | {"largest_difference": float("nan")},
            r"reconstruction\.largest_difference is nan; must be a finite number, or null",
        ),
        ("versions", "x" * 99, "versions is 'xxx.*x[.]{3}; must be an object"),
    ],
)
def test_bad_results_name_run_and_field(trained, tmp_path, name, value, message):
    run = broken(trained, tmp_path, "results.json", edit(name, value))
    with pytest.raises(InputError, match=rf"^workdirs: .*broken.*{message}"):
        write(tmp_path, run)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (b'{"epoch": 1, "loss": 2.0}', "lacks step"),
        (b'{"step": 1, "loss": 2.0}', "lacks epoch"),
        (b'{"step": "1", "epoch": 1}', "step is '1'; must be a whole number"),
        (b'{"step": 1, "epoch": 1, "a.b": "text"}', r"a\.b is 'text'; must be a finite number"),
        (b'{"step": 1, "epoch": 1, "loss": NaN}', "loss is nan"),
        (b'{"step": 1, "epoch": 1, "loss": null}', "loss is None"),
        (b"[1, 2]", r"holds \[1, 2\]; must be an object"),
        (b"7", "holds 7; must be an object"),
    ],
)
def test_bad_metrics_name_the_line_and_the_field(trained, tmp_path, line, message):
    def insert(old):
        first, rest = old.split(b"\n", 1)
        return b"\n".join([first, line, rest])

    run = broken(trained, tmp_path, "metrics.jsonl", insert)
    with pytest.raises(InputError, match=rf"broken/metrics\.jsonl, line 2.*{message}"):
        finished.read_all([str(run)])


@pytest.mark.parametrize(
    ("codes", "message"),
    [
        (
            {"labels": np.zeros((40, 4), np.uint8)},
            "of broken cannot be ranked: q_labels: got shape",
        ),
        ({"labels": np.zeros(40)}, r"broken/codes/queries\.npz: labels: float64\[40\] given"),
        ({"labels": np.zeros((40, 1, 1), int)}, r"broken/.*labels: int64\[40, 1, 1\] given"),
        ({"ids": np.full(40, "a")}, r"broken/.*ids: <U1\[40\] given; allowed: integers, \[N\]\."),
        ({"ids": np.zeros((40, 2), int)}, r"broken/.*ids: int64\[40, 2\] given"),
        ({"codes": np.full((40, 1), 1 << 12, np.uint32)}, "broken/.*bits set beyond the 12"),
    ],
)
def test_bad_codes_name_the_run(trained, tmp_path, codes, message):
    run = copy(trained, tmp_path / "broken", {"queries": codes})
    with pytest.raises(InputError, match=message):
        write(tmp_path, run)


def test_codes_of_another_length_are_refused(trained, tmp_path):
    run = copy(trained, tmp_path / "other", {"queries": {"bits": 11}})
    with pytest.raises(InputError, match=r"queries\.npz: 40 codes of 11 bits"):
        write(tmp_path, run)


def test_a_run_may_have_no_metrics_or_an_unfinished_line(trained, tmp_path):
    [run] = finished.read_all([str(broken(trained, tmp_path / "a", "metrics.jsonl", None))])
    assert run.lines == []
    cut = broken(trained, tmp_path / "b", "metrics.jsonl", lambda old: old[:-5])
    whole, [run] = finished.read_all([str(trained)])[0].lines, finished.read_all([str(cut)])
    assert run.lines == whole[:-1]


def test_bad_arguments_are_named(trained, tmp_path):
    twice = [str(trained), str(trained / ".." / trained.name)]
    with pytest.raises(InputError, match="is given twice"):
        report.write(twice, str(tmp_path / "report.html"))
    with pytest.raises(InputError, match=r"workdirs: got .*give a list"):
        report.write([], str(tmp_path / "report.html"))
    with pytest.raises(InputError, match=r"workdirs: got .*give a list"):
        report.write(str(trained), str(tmp_path / "report.html"))
    with pytest.raises(InputError, match="holds no finished run"):
        report.write([str(tmp_path / "nothing")], str(tmp_path / "report.html"))
    with pytest.raises(InputError, match=r"path: .* is a folder"):
        report.write([str(trained)], str(tmp_path))
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match=r"path: .* cannot be written"):
        report.write([str(trained)], str(tmp_path / "file" / "report.html"))
