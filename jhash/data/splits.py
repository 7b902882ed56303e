"""The papers' protocols: which images train, which are searched, which are queries.

Every protocol is a function (source, seed) -> Data; `PROTOCOLS` lists their names.
All draws come from `numpy.random.default_rng([seed, crc32(name)])`, so that they depend on the
seed and on the protocol alone.
"""

import dataclasses
import zlib
from collections.abc import Callable

import numpy as np

from jhash.data.sources import Relabelled, Source, as_indices, check_indices
from jhash.errors import InputError


@dataclasses.dataclass(frozen=True, eq=False)  # arrays have no single truth value
class Data:
    """A source with its three sets.

    Attributes:
      source: Where images and labels are read.
      train: int64 indices into the source: what training sees.
      database: What is searched; it may contain training images.
      queries: What is searched for; in neither of the others.

    Raises:
      InputError: A set is empty, has duplicates or indices out of range, or contains queries.
    """

    source: Source
    train: np.ndarray
    database: np.ndarray
    queries: np.ndarray

    def __post_init__(self):
        """Checks the three sets."""
        for name in ("train", "database", "queries"):
            indices = as_indices(name, getattr(self, name))
            if indices.size == 0:
                raise InputError(f"{name}: the set is empty.")
            check_indices(name, indices, len(self.source))
            object.__setattr__(self, name, indices)
        for name in ("train", "database"):
            shared = np.intersect1d(getattr(self, name), self.queries).size
            if shared:
                raise InputError(f"{name}: {shared} of its images are queries too.")

    @property
    def num_classes(self) -> int:
        """The number of classes, C."""
        return len(self.source.class_names)

    @property
    def multi_label(self) -> bool:
        """Whether labels are rows of 0/1, not class ids."""
        return self.source.labels.ndim == 2

    def labels(self, indices: np.ndarray) -> np.ndarray:
        """The labels at `indices`: int32 [n] or uint8 [n, C]."""
        return self.source.labels[indices]


def official(source: Source, seed: int) -> Data:
    """The source's own parts: "test" asks, "train" trains, "database" (else "train") is searched.

    Nothing is drawn, `seed` has no effect. Under the name `lists` this is the split of image lists.
    """
    del seed
    train = _part(source, "official", "train")
    return Data(
        source, train, source.parts.get("database", train), _part(source, "official", "test")
    )


def embedded(source: Source, seed: int) -> Data:
    """The embedded t10k part of Fashion-MNIST: 1,000 queries, 100 a class; the other 9,000 train.

    The training set is the database, as in FDAH.
    """
    return _class_balanced(source, seed, "embedded", 1000, queries=100)


def fashion_mnist(source: Source, seed: int) -> Data:
    """FDAH, section 3: 60,000 training images are the database, 10,000 queries.

    The paper draws 6,000 and 1,000 images of each class at random; the official parts have just
    these sizes and are what others report, so they are used, and `seed` has no effect.
    """
    return _official_sized(source, seed, "fashion_mnist", 60000, 10000)


def cifar10_fdah(source: Source, seed: int) -> Data:
    """FDAH, section 3: 100 random queries a class; the other 59,000 train and are the database."""
    return _class_balanced(source, seed, "cifar10_fdah", 6000, queries=100)


def cifar10_dah(source: Source, seed: int) -> Data:
    """DAH, section 4.A: 50,000 training images are the database, 10,000 test images the queries.

    DSTGeH (section 3.1) uses the same parts. `seed` has no effect.
    """
    return _official_sized(source, seed, "cifar10_dah", 50000, 10000)


def cifar10_dhn(source: Source, seed: int) -> Data:
    """DHN and AIHN: of each class 100 queries, 500 for training, 5,400 in the database.

    AIHN, section 4.1, writes 100 for training and 500 for testing; its source (DHN) has it the
    other way round, and this follows DHN. The 54,000 of AIHN's database exclude training images.
    """
    return _class_balanced(source, seed, "cifar10_dhn", 6000, queries=100, train=500)


def cifar10_dhn59k(source: Source, seed: int) -> Data:
    """`cifar10_dhn`, same draws, with the common database of all 59,000 that are not queries."""
    data = cifar10_dhn(source, seed)
    return dataclasses.replace(data, database=np.sort(np.append(data.database, data.train)))


def nus_wide21(source: Source, seed: int) -> Data:
    """FDAH, section 3: NUS-WIDE's 21 most frequent classes, 2,100 queries, the rest trains.

    The source has the 81 classes (the 21 with most images are kept, in their order) or these 21.
    Images of none of the 21 are left out. The paper does not say how queries are drawn: as ADSH,
    100 a class. Classes draw from the rarest to the most frequent, each 100 of its images that no
    class before it took; an image of several classes counts for the one that drew it. More than
    190,000 images must be left for training, which is the database.
    """
    _check_classes(source, "nus_wide21", (21, 81))
    counts = source.labels.sum(axis=0, dtype=np.int64)
    columns = np.sort(np.argsort(-counts, kind="stable")[:21])
    names = tuple(source.class_names[column] for column in columns)
    labels = source.labels[:, columns]
    free = labels.any(axis=1)
    members = np.flatnonzero(free)
    if len(members) <= 190000 + 2100:
        raise InputError(
            f"split nus_wide21: {len(members)} images have one of the 21 classes; more than "
            "192,100 are needed for 2,100 queries and a database of more than 190,000."
        )
    rng = _rng("nus_wide21", seed)
    queries = []
    for column in np.argsort(counts[columns], kind="stable"):
        candidates = np.flatnonzero(free & (labels[:, column] == 1))
        if len(candidates) < 100:
            raise InputError(
                f"split nus_wide21: class {names[column]} has {len(candidates)} images that are "
                "not queries yet; 100 are needed."
            )
        drawn = rng.choice(candidates, 100, replace=False)
        free[drawn] = False
        queries.append(drawn)
    rest = np.flatnonzero(free)
    return Data(Relabelled(source, labels, names), rest, rest, np.sort(np.concatenate(queries)))


def nus_wide81(source: Source, seed: int) -> Data:
    """AIHN, section 4.1: NUS-WIDE, 81 classes; 5,000 queries, 10,000 train, the rest is searched.

    Of 269,648 images 254,648 are left for the database, training images excluded as the text has
    it. Queries and training images are drawn among those with at least one label (the paper is
    silent): nothing is relevant to the others. The database keeps them.
    """
    _check_classes(source, "nus_wide81", (81,))
    return _drawn(source, seed, "nus_wide81", queries=5000, train=10000, searched=False)


def coco(source: Source, seed: int) -> Data:
    """DSTGeH, section 3.1: MS-COCO, 80 classes; 50,000 images train.

    The paper counts 118,287 training (2017), 40,504 validation (2014) and 40,775 test images, does
    not say which of them ask, and samples 50,000 images to train. Decided: the part "train" is the
    database, the training set is 50,000 of it, the part "validation" asks (the test part has no
    public labels). Images without any label are left out of all three, as nothing is relevant
    to them. A source without "validation" asks with its part "test".
    """
    _check_classes(source, "coco", (80,))
    labelled = source.labels.any(axis=1)
    database = _part(source, "coco", "train")
    database = database[labelled[database]]
    queries = _part(source, "coco", "validation" if "validation" in source.parts else "test")
    _check_count("coco", "labelled images in the part train", len(database), 50000)
    train = np.sort(_rng("coco", seed).choice(database, 50000, replace=False))
    return Data(source, train, database, queries[labelled[queries]])


def flickr25k(source: Source, seed: int) -> Data:
    """DSTGeH, section 3.1: 24 classes, 2,000 queries; the rest is searched, 10,000 of it train.

    Of 25,000 images 23,000 are the database. Queries and training images are drawn among those
    with at least one label (the paper is silent); the database keeps the others.
    """
    _check_classes(source, "flickr25k", (24,))
    return _drawn(source, seed, "flickr25k", queries=2000, train=10000, searched=True)


PROTOCOLS: dict[str, Callable[[Source, int], Data]] = {
    "official": official,
    "lists": official,
    **{
        protocol.__name__: protocol
        for protocol in (
            embedded,
            fashion_mnist,
            cifar10_fdah,
            cifar10_dah,
            cifar10_dhn,
            cifar10_dhn59k,
            nus_wide21,
            nus_wide81,
            coco,
            flickr25k,
        )
    },
}


def _rng(name: str, seed: int) -> np.random.Generator:
    return np.random.default_rng([seed, zlib.crc32(name.encode())])


def _part(source: Source, split: str, name: str) -> np.ndarray:
    if name not in source.parts:
        raise InputError(
            f"split {split}: the source has no part {name!r}; it has "
            f"{', '.join(source.parts) or 'none'}."
        )
    return source.parts[name]


def _check_count(split: str, what: str, count: int, needed: int) -> None:
    if count < needed:
        raise InputError(f"split {split}: {count} {what}; at least {needed} are needed.")


def _check_classes(source: Source, split: str, allowed: tuple[int, ...]) -> None:
    if source.labels.ndim != 2 or source.labels.shape[1] not in allowed:
        raise InputError(
            f"split {split}: the labels are {list(source.labels.shape)}; "
            f"{' or '.join(map(str, allowed))} columns of 0 and 1 are needed."
        )


def _official_sized(source: Source, seed: int, split: str, train: int, test: int) -> Data:
    sizes = {name: len(_part(source, split, name)) for name in ("train", "test")}
    if sizes != {"train": train, "test": test}:
        raise InputError(
            f"split {split}: the parts have {sizes['train']} and {sizes['test']} images; {train} "
            f"and {test} are needed."
        )
    data = official(source, seed)
    return dataclasses.replace(data, database=data.train)


def _class_balanced(
    source: Source, seed: int, split: str, size: int, queries: int, train: int | None = None
) -> Data:
    """Draws `queries` and `train` images of each of ten classes; the rest is the database.

    Without `train`, the rest is the training set, too. Each class must have `size` images.
    """
    labels = source.labels
    if labels.ndim != 1 or (np.bincount(labels, minlength=10) != size).any():
        counts = np.bincount(labels).tolist() if labels.ndim == 1 else "multi-label"
        raise InputError(
            f"split {split}: ten classes of {size} images are needed; the source has {counts}."
        )
    rng = _rng(split, seed)
    orders = [rng.permutation(np.flatnonzero(labels == label)) for label in range(10)]
    stop = queries + (train or 0)
    asked, trained, rest = (
        np.sort(np.concatenate([order[part] for order in orders]))
        for part in (slice(queries), slice(queries, stop), slice(stop, None))
    )
    return Data(source, rest if train is None else trained, rest, asked)


def _drawn(source: Source, seed: int, split: str, queries: int, train: int, searched: bool) -> Data:
    """Draws queries and training images among the labelled ones; the rest is the database.

    The database contains the training set if `searched`.
    """
    labelled = np.flatnonzero(source.labels.any(axis=1))
    _check_count(split, "labelled images", len(labelled), queries + train + 1)
    drawn = _rng(split, seed).choice(labelled, queries + train, replace=False)
    asked, trained = np.sort(drawn[:queries]), np.sort(drawn[queries:])
    held_out = asked if searched else drawn
    database = np.setdiff1d(np.arange(len(source)), held_out, assume_unique=True)
    return Data(source, trained, database, asked)
