"""Queries with the images that they retrieve: the choice of queries, and the images as files."""

import base64
import io
from typing import NamedTuple

import ml_collections
import numpy as np
from PIL import Image

from jhash import data, retrieval
from jhash.data import Source
from jhash.errors import InputError
from jhash.report.curves import Ranking
from jhash.runs.code_files import Content
from jhash.runs.finished import Run

QUERIES = 10
RESULTS = 10
WORST = 5
# Images whose longer side has more pixels are shrunk to PIXELS, and to COLORS colors.
PIXELS = 48
COLORS = 64


class Thumbnail(NamedTuple):
    """An image of the source: its index, its class names, and its file as a data URI."""

    index: int
    classes: str
    uri: str


class Hit(NamedTuple):
    """A retrieved image.

    Attributes:
      thumbnail: The image.
      distance: Hamming distance to the query, in bits.
      right: True if the image shares a label with the query.
    """

    thumbnail: Thumbnail
    distance: int
    right: bool


class Row(NamedTuple):
    """A query with its nearest images, sorted by (distance, place in the database)."""

    query: Thumbnail
    average_precision: float
    hits: list[Hit]


def open_source(run: Run) -> Source:
    """Opens the run's images again.

    Raises:
      InputError: The images cannot be read any more, or have other labels than the codes.
    """
    config = ml_collections.FrozenConfigDict(run.results["config"])
    try:
        source = data.load_config(config.data).source
        code_sets = (run.queries, *run.databases.values())
        same = all(np.array_equal(source.labels[codes.ids], codes.labels) for codes in code_sets)
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
    queries = run.queries._replace(
        **{name: getattr(run.queries, name)[chosen] for name in ("codes", "labels", "ids")}
    )
    nearest = retrieval.hamming_topk(queries.codes, database.codes, k)
    distances_QxK, places_QxK = map(np.asarray, nearest)
    ids_QxK = database.ids[places_QxK]
    thumbnails = _thumbnails(source, np.concatenate([queries.ids, ids_QxK.ravel()]))
    made = []
    for number, place in enumerate(chosen):
        right_K = _share_label(queries.labels[number], database.labels[places_QxK[number]])
        hits = [
            Hit(thumbnails[index], int(distance), bool(right))
            for index, distance, right in zip(
                ids_QxK[number], distances_QxK[number], right_K, strict=True
            )
        ]
        average_precision = float(ranking.average_precision[place])
        made.append(Row(thumbnails[queries.ids[number]], average_precision, hits))
    return made


def _share_label(label, labels):
    return np.any(label & labels, axis=1) if labels.ndim == 2 else labels == label


def _thumbnails(source, indices):
    indices = np.unique(indices)
    try:
        images = source.images(indices)
    except Exception as error:  # See open_source.
        raise InputError(f"an image cannot be read: {error}") from error
    return {
        index: Thumbnail(int(index), _class_names(source, index), encode(image))
        for index, image in zip(indices, images, strict=True)
    }


def _class_names(source, index):
    label = source.labels[index]
    labels = np.flatnonzero(label) if np.ndim(label) else [label]
    return ", ".join(source.class_names[label] for label in labels) or "no class"


def encode(pixels: np.ndarray) -> str:
    """Encodes an image, uint8 [H, W, channels], as a small PNG in a data URI.

    Of other than 1 or 3 channels, the mean is shown in gray.
    """
    if pixels.shape[-1] not in (1, 3):
        pixels = pixels.mean(axis=-1, keepdims=True).astype(np.uint8)
    image = Image.fromarray(pixels.squeeze(-1) if pixels.shape[-1] == 1 else pixels)
    if max(image.size) > PIXELS:
        image.thumbnail((PIXELS, PIXELS))
        image = image.quantize(COLORS) if image.mode == "RGB" else image
    file = io.BytesIO()
    image.save(file, "png", optimize=True)
    return f"data:image/png;base64,{base64.b64encode(file.getvalue()).decode()}"
