"""Queries with the images that they retrieve: the choice of queries, and the images as files."""

import base64
import io
from typing import NamedTuple

import ml_collections
import numpy as np
from PIL import Image

from jhash import data, retrieval
from jhash.data import Source, usable
from jhash.errors import InputError
from jhash.report.curves import Ranking, has_labels
from jhash.runs import image_record
from jhash.runs.code_files import Content
from jhash.runs.finished import Run

QUERIES = 10
RESULTS = 10
WORST = 5
# Images whose longer side has more pixels are shrunk to that.
PIXELS = 128
# Images whose longer side has fewer pixels are shown as they are, others as photos: compressed.
SMALL = 64
_QUALITY = 80


class Thumbnail(NamedTuple):
    """An image of the source.

    Attributes:
      index: Its index in the source.
      path: Path of its file; empty if the source does not tell it.
      classes: Names of its classes; empty if the source has no labels.
      uri: The image as a data URI.
      look: Class of the element that shows it.
    """

    index: int
    path: str
    classes: str
    uri: str
    look: str


class Hit(NamedTuple):
    """A retrieved image.

    Attributes:
      thumbnail: The image.
      distance: Hamming distance to the query, in bits.
      right: True if the image shares a label with the query; None without labels.
    """

    thumbnail: Thumbnail
    distance: int
    right: bool | None


class Row(NamedTuple):
    """A query with its nearest images, sorted by (distance, place in the database)."""

    query: Thumbnail
    average_precision: float | None
    hits: list[Hit]


def open_source(run: Run) -> Source:
    """Opens the run's images again.

    Raises:
      InputError: The images cannot be read any more, are others than those of the run, or have
        other labels than the codes.
    """
    config = ml_collections.FrozenConfigDict(run.results["config"])
    try:
        source = data.load_config(config.data, config.get("image")).source
        examined = image_record.read(run.workdir)
        if examined is not None:
            usable.check_same(source, examined)
        code_sets = (run.queries, *run.databases.values())
        same = not has_labels(run) or all(
            np.array_equal(source.labels[codes.ids], codes.labels) for codes in code_sets
        )
    except Exception as error:  # A source may be the user's own code, which may raise anything.
        raise InputError(f"the data cannot be read: {error}") from error
    if not same:
        raise InputError("the data has other labels now than the run has in codes/.")
    return source


def first_of_each_class(queries: Content) -> list[int]:
    """Chooses the first query of each class, for the first `QUERIES` classes that have one.

    Returns:
      Places in `queries`, in the order of the classes.
    """
    labels = queries.labels
    classes = np.unique(labels) if labels.ndim == 1 else np.flatnonzero(labels.any(axis=0))
    chosen = []
    for label in classes:
        has = labels == label if labels.ndim == 1 else labels[:, label] > 0
        has[chosen] = False  # An image of several classes stands for one of them.
        chosen += np.flatnonzero(has)[:1].tolist()
    return chosen[:QUERIES]


def spread(queries: Content) -> list[int]:
    """Chooses `QUERIES` queries, evenly spaced, where there are no classes to choose by.

    Returns:
      Places in `queries`.
    """
    count = min(QUERIES, len(queries.ids))
    return np.linspace(0, len(queries.ids) - 1, count).astype(int).tolist()


def worst(ranking: Ranking) -> list[int]:
    """Chooses the `WORST` queries of the lowest average precision.

    Queries without relevant items are left out: their average precision says nothing.

    Returns:
      Places of the queries, the lowest average precision first.
    """
    order = np.argsort(ranking.average_precision, kind="stable")
    return order[ranking.answerable[order]][:WORST].tolist()


def rows(run: Run, kind: str, ranking: Ranking, chosen: list[int], source: Source) -> list[Row]:
    """Searches for the chosen queries and reads all images.

    Args:
      run: A finished run.
      kind: Kind of the database codes that are searched: `learned` or `encoded`.
      ranking: Ranking of these codes by all queries.
      chosen: Places of the chosen queries in `run.queries`.
      source: Images of the run.

    Returns:
      A row per chosen query.

    Raises:
      InputError: An image cannot be read.
    """
    database = run.databases[kind]
    k = min(RESULTS, len(database.ids))
    query_ids = run.queries.ids[chosen]
    nearest = retrieval.hamming_topk(run.queries.codes[chosen], database.codes, k)
    distances_QxK, places_QxK = map(np.asarray, nearest)
    ids_QxK = database.ids[places_QxK]
    thumbnails = _thumbnails(
        source, np.concatenate([query_ids, ids_QxK.ravel()]), labeled=has_labels(run)
    )
    made = []
    for number, place in enumerate(chosen):
        right_K = [None] * k
        average_precision = None
        if has_labels(run):
            labels = database.labels[places_QxK[number]]
            right_K = _share_label(run.queries.labels[place], labels).tolist()
            average_precision = float(ranking.average_precision[place])
        hits = [
            Hit(thumbnails[index], int(distance), right)
            for index, distance, right in zip(
                ids_QxK[number], distances_QxK[number], right_K, strict=True
            )
        ]
        made.append(Row(thumbnails[query_ids[number]], average_precision, hits))
    return made


def _share_label(label, labels):
    return np.any(label & labels, axis=1) if labels.ndim == 2 else labels == label


def _thumbnails(source, indices, labeled):
    indices = np.unique(indices)
    try:
        images = source.images(indices)
    except Exception as error:  # See open_source.
        raise InputError(f"an image cannot be read: {error}") from error
    paths = getattr(source, "paths", None)
    return {
        index: Thumbnail(
            int(index),
            "" if paths is None else str(paths[index]),
            _class_names(source, index) if labeled else "",
            encode(image),
            look(image),
        )
        for index, image in zip(indices, images, strict=True)
    }


def _class_names(source, index):
    label = source.labels[index]
    labels = np.flatnonzero(label) if np.ndim(label) else [label]
    return ", ".join(source.class_names[label] for label in labels) or "no class"


def look(pixels: np.ndarray) -> str:
    """Returns the class of the element that shows an image, [H, W, channels]: `pixels` or none."""
    return "pixels" if max(pixels.shape[:2]) < SMALL else ""


def encode(pixels: np.ndarray, exact: bool = False) -> str:
    """Encodes an image, uint8 [H, W, channels], as a file in a data URI.

    It is a PNG if the image is small, or if `exact`, and else a JPEG. Of other than 1 or 3
    channels, the mean is shown in gray.
    """
    if pixels.shape[-1] not in (1, 3):
        pixels = pixels.mean(axis=-1, keepdims=True).astype(np.uint8)
    image = Image.fromarray(pixels.squeeze(-1) if pixels.shape[-1] == 1 else pixels)
    kind = "png" if exact or look(pixels) else "jpeg"
    if max(image.size) > PIXELS:
        image.thumbnail((PIXELS, PIXELS))
    file = io.BytesIO()
    image.save(file, kind, **({"optimize": True} if kind == "png" else {"quality": _QUALITY}))
    return f"data:image/{kind};base64,{base64.b64encode(file.getvalue()).decode()}"
