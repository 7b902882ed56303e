"""Retrieved images: marks, distances and pixels against a full sort of all distances."""

import dataclasses
import io
import re

import numpy as np
import pytest
from PIL import Image

from jhash import retrieval
from jhash.report import curves, grid
from jhash.runs import finished
from tests.support import tiny
from tests.support.report import (
    KINDS,
    copy_run,
    decode,
    distances_and_relevance,
    read_codes,
    write_page,
)

pytestmark = pytest.mark.usefixtures("quick_compilation")


def check_grid(page, run, source, first):
    """Every grid of a page against a full sort of all distances."""
    database = read_codes(run, "database")
    queries = read_codes(run, "queries")
    source_labels = source.labels if source.labels.ndim == 2 else np.eye(4)[source.labels]
    names = [", ".join(map(str, np.flatnonzero(row))) for row in source_labels]
    headings = [heading for heading, _ in page.grids]
    assert headings == [
        f"{kind.capitalize()} database codes, {which}"
        for kind in KINDS
        for which in ("first query of each of the first 10 classes", "lowest average precision")
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
    run = copy_run(trained, tmp_path / "random", {"queries": {"codes": codes}})
    page = write_page(tmp_path, run)
    check_grid(page, run, tiny.source(), first=[200, 201, 202, 203])
    [warning] = page.warnings
    assert "random: results.json and codes/ have different MAPs" in warning
    for heading, rows in page.grids:
        if "lowest" in heading:
            kind = "learned" if "Learned" in heading else "encoded"
            database = read_codes(run, KINDS[kind])
            total, relevant = retrieval.distance_histograms(
                codes,
                database["codes"],
                read_codes(run, "queries")["labels"],
                database["labels"],
                12,
            )
            ap = retrieval.average_precision(total, relevant)
            shown = [float(re.search(r"AP ([\d.]+\d)", row[0][2])[1][:5]) for row in rows]
            np.testing.assert_allclose(shown, np.sort(ap)[:5], atol=5.1e-4)


def test_images_of_several_classes(trained, tmp_path):
    labels = tiny.source(multi_label=True).labels
    rng = np.random.default_rng(4)
    codes = {
        name: {
            "labels": labels[read_codes(trained, name)["ids"]],
            "codes": rng.integers(0, 1 << 12, (count, 1), dtype=np.uint32),
        }
        for name, count in (("queries", 40), ("database", 200), ("database_learned", 200))
    }
    config = {"data.options": {"multi_label": True}}
    run = copy_run(trained, tmp_path / "multi", codes, config)
    page = write_page(tmp_path, run)
    # 200 has class 0 alone, 201 both 0 and 1, 202 class 2, 203 class 3.
    assert labels[200:204].tolist() == [[1, 0, 0, 0], [1, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]]
    check_grid(page, run, tiny.source(multi_label=True), first=[200, 201, 202, 203])


def test_the_worst_queries_have_relevant_images(trained):
    [run] = finished.read_all([str(trained)])
    labels = run.queries.labels.copy()
    labels[[3, 30]] = 9  # A class of which the database has nothing.
    run = dataclasses.replace(run, queries=run.queries._replace(labels=labels))
    ranking = curves.measure(run).rankings["encoded"]
    assert ranking.average_precision[3] == 0
    chosen = grid.worst(ranking)
    rest = np.delete(np.arange(40), [3, 30])
    values = ranking.average_precision
    assert sorted(values[rest])[:5] == values[chosen].tolist()
    assert not {3, 30} & set(chosen)


def test_large_images_become_small():
    pixels = np.random.default_rng(0).integers(0, 256, (400, 300, 3), dtype=np.uint8)
    image = Image.open(io.BytesIO(decode(grid.encode(pixels), "jpeg")))
    assert image.size == (96, 128)
    assert grid.look(pixels) == ""
    image = Image.open(io.BytesIO(decode(grid.encode(pixels, exact=True), "png")))
    assert image.size == (96, 128)
    small = pixels[:28, :28]
    image = Image.open(io.BytesIO(decode(grid.encode(small), "png")))
    np.testing.assert_array_equal(np.asarray(image), small)
    assert grid.look(small) == "pixels"
