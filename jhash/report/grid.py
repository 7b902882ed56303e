"""Queries with what they retrieve: which are shown, and their images."""

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
# Larger images are shrunk to this on their longer side, and then have so many colours.
PIXELS = 48
COLORS = 64


class Thumbnail(NamedTuple):
    """An image of the source: its index, class names and file as a data URI."""

    index: int
    classes: str
    uri: str


class Hit(NamedTuple):
    """A retrieved image, its distance in bits, and whether it shares a label with the query."""

    thumbnail: Thumbnail
    distance: int
    right: bool


class Row(NamedTuple):
    """A query with its nearest images, by (distance, place in the database)."""

    query: Thumbnail
    average_precision: float
    hits: list[Hit]


def open_source(run: Run) -> Source:
    """Opens the run's images again.

    Raises:
      InputError: They cannot be read any more, or are others than those that the codes are of.
    """
    config = ml_collections.FrozenConfigDict(run.results["config"])
    try:
        source = data.load_config(config.data).source
        parts = (run.queries, *run.databases.values())
        same = all(np.array_equal(source.labels[part.ids], part.labels) for part in parts)
    except Exception as error:  # A source may be code of the user's own.
        raise InputError(f"the data cannot be read: {error}") from error
    if not same:
        raise InputError("the data has other labels now than the run has in codes/.")
    return source


def first_of_each_class(queries: Content) -> list[int]:
    """The first query of each of the first classes that have one, in the order of the classes."""
    labels = queries.labels
    classes = np.unique(labels) if labels.ndim == 1 else np.flatnonzero(labels.any(axis=0))
    chosen = []
    for label in classes:
        has = labels == label if labels.ndim == 1 else labels[:, label] > 0
        has[chosen] = False  # An image of several classes stands for one.
        chosen += np.flatnonzero(has)[:1].tolist()
    return chosen[:QUERIES]


def worst(ranking: Ranking) -> list[int]:
    """The queries of the least average precision; without relevant items it says nothing."""
    order = np.argsort(ranking.average_precision, kind="stable")
    return order[ranking.answerable[order]][:WORST].tolist()


def rows(run: Run, kind: str, ranking: Ranking, chosen: list[int], source: Source) -> list[Row]:
    """Searches for the chosen queries and reads all images.

    Args:
      run: The run.
      kind: Which database codes are searched.
      ranking: What the queries find in them.
      chosen: Places in `run.queries`.
      source: The run's images.

    Raises:
      InputError: An image cannot be read.
    """
    database = run.databases[kind]
    k = min(RESULTS, len(database.ids))
    queries = run.queries._replace(
        **{name: getattr(run.queries, name)[chosen] for name in ("codes", "labels", "ids")}
    )
    distances, places = map(np.asarray, retrieval.hamming_topk(queries.codes, database.codes, k))
    thumbnails = _thumbnails(source, np.concatenate([queries.ids, database.ids[places].ravel()]))
    found = []
    for row, place in enumerate(chosen):
        right = _share_label(queries.labels[row], database.labels[places[row]])
        hits = [
            Hit(thumbnails[database.ids[place]], int(distance), bool(correct))
            for place, distance, correct in zip(places[row], distances[row], right, strict=True)
        ]
        ap = float(ranking.average_precision[place])
        found.append(Row(thumbnails[queries.ids[row]], ap, hits))
    return found


def _share_label(label, labels):
    return np.any(label & labels, axis=1) if labels.ndim == 2 else labels == label


def _thumbnails(source, indices):
    indices = np.unique(indices)
    try:
        images = source.images(indices)
    except Exception as error:  # As in open_source.
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
    """An image, uint8 [H, W, channels], as a small PNG in a data URI."""
    if pixels.shape[-1] not in (1, 3):
        pixels = pixels.mean(axis=-1, keepdims=True).astype(np.uint8)
    image = Image.fromarray(pixels.squeeze(-1) if pixels.shape[-1] == 1 else pixels)
    if max(image.size) > PIXELS:
        image.thumbnail((PIXELS, PIXELS))
        image = image.quantize(COLORS) if image.mode == "RGB" else image
    file = io.BytesIO()
    image.save(file, "png", optimize=True)
    return f"data:image/png;base64,{base64.b64encode(file.getvalue()).decode()}"
