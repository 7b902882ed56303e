"""Splits after the papers' protocols: which images train, are searched, and are queries.

Every protocol is a function (source, seed) -> Data; `PROTOCOLS` finds them by name. All draws come
from `numpy.random.default_rng([seed, crc32(name)])`, so that they depend on the seed and on the
protocol alone.
"""

import dataclasses
import zlib
from collections.abc import Callable, Iterator

import numpy as np

from jhash.data.sources import RelabeledSource, Source, as_indices, check_indices
from jhash.errors import InputError


@dataclasses.dataclass(frozen=True, eq=False)  # Arrays cannot be compared for equality at once.
class Data:
    """A source with its sets of images, int64 indices into the source.

    Attributes:
      source: Source of images and labels.
      train: Images of training.
      database: Images that are searched; some or all of them may be training images.
      queries: Query images, which are in neither of the other sets.
      validation: Query images of validation, which are in none of the other sets; there may be
        none. See `hold_out`.

    Raises:
      InputError: A set is empty, has duplicates or indices out of range, or contains queries.
    """

    source: Source
    train: np.ndarray
    database: np.ndarray
    queries: np.ndarray
    validation: np.ndarray = dataclasses.field(default_factory=lambda: np.empty(0, np.int64))

    def __post_init__(self):
        """Checks the sets."""
        for name in ("train", "database", "queries", "validation"):
            indices = as_indices(name, getattr(self, name))
            if indices.size == 0 and name != "validation":
                raise InputError(f"{name}: an empty set given; allowed: 1 index and more.")
            check_indices(name, indices, len(self.source))
            object.__setattr__(self, name, indices)
        for name, queries, kind in (
            ("train", "queries", "queries"),
            ("database", "queries", "queries"),
            ("train", "validation", "validation images"),
            ("database", "validation", "validation images"),
            ("queries", "validation", "validation images"),
        ):
            shared = np.intersect1d(getattr(self, name), getattr(self, queries)).size
            if shared:
                raise InputError(
                    f"{name}: {shared} images given that are {kind}, too; allowed: images that "
                    "are not."
                )

    @property
    def of_validation(self) -> "Data":
        """The same source, where the validation images are the queries of the training set."""
        return Data(self.source, self.train, self.train, self.validation)

    @property
    def num_classes(self) -> int:
        """The number of classes, C."""
        return len(self.source.class_names)

    @property
    def has_labels(self) -> bool:
        """False if the source has no labels at all, so that its rows of labels are [N, 0]."""
        return self.source.labels.ndim == 1 or self.source.labels.shape[1] > 0

    @property
    def multi_label(self) -> bool:
        """True if labels are rows of 0/1, False if they are class ids."""
        return self.source.labels.ndim == 2

    def labels(self, indices: np.ndarray) -> np.ndarray:
        """Returns the labels at `indices`, int32 [n] or uint8 [n, C]."""
        return self.source.labels[indices]


def official(source: Source, seed: int) -> Data:
    """Splits by the source's own parts: "train", "database" and, for the queries, "test".

    Without a part "database", "train" is the database. Nothing is drawn, so `seed` has no effect.
    Under the name `lists` this is the split of image lists.
    """
    del seed
    train = _part(source, "official", "train")
    queries = _part(source, "official", "test")
    return Data(source, train, source.parts.get("database", train), queries)


def folder(source: Source, seed: int) -> Data:
    """Splits a folder of images by its parts; without parts it draws queries by the seed.

    Parts: "query" or "test" are the queries, "train" trains, "database" is searched. Where one of
    the last two is missing, the other is both. The part "validation" becomes the validation images;
    without a part "query" it becomes the queries, as in ImageNet.

    Without parts: of each class the share `query_share` of the source becomes queries, rounded, at
    least one; of images without labels the share of all. A class of one image gives none. Classes
    draw from the smallest to the largest, so that an image of several classes is drawn by the
    rarest. All other images are both training set and database.
    """
    if source.parts:
        parts = dict(source.parts)
        validation = parts.get("validation", np.empty(0, np.int64))
        queries = parts.get("query", parts.get("test"))
        if queries is None:
            queries, validation = validation, np.empty(0, np.int64)
        train, database = parts.get("train"), parts.get("database")
        if train is None and database is None:
            raise InputError(
                f"source: the parts {', '.join(parts)} given; allowed: sources with a part train "
                "or database, for the split folder."
            )
        train = database if train is None else train
        return Data(source, train, train if database is None else database, queries, validation)
    share = getattr(source, "query_share", 0.1)
    labels = source.labels
    unlabeled = labels.ndim == 2 and not labels.any()
    groups = iter([np.ones(len(source), bool)]) if unlabeled else _classes_by_size(labels)
    rng = _rng("folder", seed)
    free = np.ones(len(source), bool)
    drawn = []
    for group in groups:
        members = np.flatnonzero(group & free)
        if len(members) < 2:
            continue
        count = min(len(members) - 1, max(1, round(share * len(members))))
        drawn.append(rng.choice(members, count, replace=False))
        free[drawn[-1]] = False
    if not drawn:
        raise InputError(
            f"source: {len(source)} images given, none of which can be a query, as no class has "
            "two; allowed: 2 images and more of a class, or parts, for the split folder."
        )
    rest = np.flatnonzero(free)
    return Data(source, rest, rest, np.sort(np.concatenate(drawn)))


def embedded(source: Source, seed: int) -> Data:
    """Splits the embedded t10k part of Fashion-MNIST: 100 random queries per class, 1,000 in all.

    The other 9,000 images are both training set and database, as in FDAH.
    """
    return _class_balanced(source, seed, "embedded", 1000, queries=100)


def fashion_mnist(source: Source, seed: int) -> Data:
    """Splits Fashion-MNIST by FDAH, section 3: the 10,000 images of the part "test" are queries.

    The 60,000 of the part "train" are both training set and database.

    The paper draws 6,000 and 1,000 images of each class at random. The official parts have these
    very sizes, and others report on them, so they are used here. `seed` has no effect.
    """
    return _official_sized(source, seed, "fashion_mnist", 60000, 10000)


def cifar10_fdah(source: Source, seed: int) -> Data:
    """Splits CIFAR-10 by FDAH, section 3: 100 random queries per class, 1,000 in all.

    The other 59,000 images are both training set and database.
    """
    return _class_balanced(source, seed, "cifar10_fdah", 6000, queries=100)


def cifar10_dah(source: Source, seed: int) -> Data:
    """Splits CIFAR-10 by DAH, section 4.A: the 10,000 images of the part "test" are the queries.

    The 50,000 of the part "train" are both training set and database. DSTGeH (section 3.1) uses the
    same parts. `seed` has no effect.
    """
    return _official_sized(source, seed, "cifar10_dah", 50000, 10000)


def cifar10_dhn(source: Source, seed: int) -> Data:
    """Splits CIFAR-10 by DHN and AIHN: 100 queries and 500 training images per class.

    The other 5,400 images per class are the database.

    AIHN, section 4.1, writes 100 for training and 500 for testing. Its source (DHN) has it the
    other way round, and so it is here. AIHN's database of 54,000 images excludes training images.
    """
    return _class_balanced(source, seed, "cifar10_dhn", 6000, queries=100, train=500)


def cifar10_dhn59k(source: Source, seed: int) -> Data:
    """Splits as `cifar10_dhn`, but all 59,000 images that are not queries are the database.

    This larger database is the usual one. The draws are the same.
    """
    data = cifar10_dhn(source, seed)
    return dataclasses.replace(data, database=np.sort(np.append(data.database, data.train)))


def nus_wide21(source: Source, seed: int) -> Data:
    """Splits NUS-WIDE by FDAH, section 3: the 21 most frequent classes, 2,100 queries.

    The source has all 81 classes, of which the 21 with most images are kept in their order, or
    these 21 only. Images of none of the 21 are left out. The images that are not queries are both
    training set and database; there must be more than 190,000.

    The paper does not say how queries are drawn. Decided: 100 per class, as in ADSH. The classes
    draw one after another, from the rarest to the most frequent. Each draws 100 of its images among
    those that no class has drawn before, so an image of several classes is drawn by one of them.
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
            f"source: {len(members)} images of the 21 classes given; allowed: more than 192,100, "
            "for the split nus_wide21 with 2,100 queries and a database of more than 190,000."
        )
    rng = _rng("nus_wide21", seed)
    queries = []
    for column in np.argsort(counts[columns], kind="stable"):
        candidates = np.flatnonzero(free & (labels[:, column] == 1))
        if len(candidates) < 100:
            raise InputError(
                f"source: {len(candidates)} images of class {names[column]} given that no other "
                "class has drawn; allowed: 100 and more, for the split nus_wide21."
            )
        drawn = rng.choice(candidates, 100, replace=False)
        free[drawn] = False
        queries.append(drawn)
    rest = np.flatnonzero(free)
    relabeled = RelabeledSource(source, labels, names)
    return Data(relabeled, rest, rest, np.sort(np.concatenate(queries)))


def nus_wide81(source: Source, seed: int) -> Data:
    """Splits NUS-WIDE by AIHN, section 4.1: 81 classes, 5,000 queries, 10,000 training images.

    The rest, 254,648 of 269,648 images, is the database. It excludes training images, as the text
    says. The paper does not say among which images queries and training images are drawn. Decided:
    among those with at least one label, as nothing is relevant to the others. The database keeps
    the others.
    """
    _check_classes(source, "nus_wide81", (81,))
    return _drawn(source, seed, "nus_wide81", queries=5000, train=10000, searched=False)


def coco(source: Source, seed: int) -> Data:
    """Splits MS-COCO by DSTGeH, section 3.1: 80 classes, 50,000 training images.

    The paper counts 118,287 training (2017), 40,504 validation (2014) and 40,775 test images, and
    samples 50,000 images for training. It does not say which images are the queries. Decided: the
    part "train" is the database, 50,000 of it are the training set, and the part "validation" gives
    the queries, as the test part has no public labels. In a source without "validation" the part
    "test" does. Images without any label are left out of all three sets, as nothing is relevant to
    them.
    """
    _check_classes(source, "coco", (80,))
    labeled = source.labels.any(axis=1)
    database = _part(source, "coco", "train")
    database = database[labeled[database]]
    queries = _part(source, "coco", "validation" if "validation" in source.parts else "test")
    _check_count("coco", "labeled images in the part train", len(database), 50000)
    train = np.sort(_rng("coco", seed).choice(database, 50000, replace=False))
    return Data(source, train, database, queries[labeled[queries]])


def flickr25k(source: Source, seed: int) -> Data:
    """Splits MIRFlickr-25k by DSTGeH, section 3.1: 24 classes, 2,000 queries.

    The other 23,000 of 25,000 images are the database, and 10,000 of these are the training set.
    The paper does not say among which images queries and training images are drawn. Decided: among
    those with at least one label. The database keeps the others.
    """
    _check_classes(source, "flickr25k", (24,))
    return _drawn(source, seed, "flickr25k", queries=2000, train=10000, searched=True)


def hold_out(data: Data, count: int, seed: int, per_class: bool = False) -> Data:
    """Takes validation images from the training set of a split, by a seed.

    They leave the database as well if they are in it. So no training, and no search of the test
    queries, meets an image with which settings were chosen, and a method that learns codes of its
    training set still has them for the whole database. Images without any label are not drawn, as
    nothing is relevant to them.

    Args:
      data: The split.
      count: Number of images, 1 or more.
      seed: Seed of the draw, which depends on nothing else than the training set and its labels.
      per_class: Whether to draw `count` images of each class that the training set has. Of images
        with several labels, those of rare classes are drawn first, each image once.

    Returns:
      The split with `validation`, and with smaller sets `train` and `database`. Their order stays.

    Raises:
      InputError: There are too few training images, in all or of a class.
    """
    rng, labels = _rng("validation", seed), data.labels(data.train)
    free = labels.any(axis=1) if labels.ndim == 2 else np.ones(len(labels), bool)
    groups = _classes_by_size(labels) if per_class else iter([free.copy()])
    drawn = []
    for group in groups:
        places = np.flatnonzero(group & free)
        # At least one image is left for training.
        if len(places) <= count:
            of = "of a class" if per_class else "with a label"
            allowed = f"1 to {len(places) - 1}" if len(places) > 1 else "0"
            raise InputError(
                f"validation: {count} given; allowed: {allowed}, less than the number of training "
                f"images {of}, {len(places)}."
            )
        drawn.append(rng.choice(places, count, replace=False))
        free[drawn[-1]] = False
    if not drawn:
        raise InputError(f"validation: {count} given; allowed: 0, as no training image is labeled.")
    validation = np.sort(data.train[np.concatenate(drawn)])
    return dataclasses.replace(
        data,
        train=data.train[~np.isin(data.train, validation)],
        database=data.database[~np.isin(data.database, validation)],
        validation=validation,
    )


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
            folder,
        )
    },
}


def _classes_by_size(labels: np.ndarray) -> Iterator[np.ndarray]:
    """Yields the members of each class that has any, bool [N], from the smallest class up.

    Args:
      labels: Class ids [N] or rows of 0/1 [N, C].
    """
    sizes = np.bincount(labels) if labels.ndim == 1 else labels.sum(axis=0, dtype=np.int64)
    for label in np.argsort(sizes, kind="stable"):
        if sizes[label]:
            yield labels == label if labels.ndim == 1 else labels[:, label].astype(bool)


def _rng(name: str, seed: int) -> np.random.Generator:
    """Returns the generator of a protocol's draws."""
    return np.random.default_rng([seed, zlib.crc32(name.encode())])


def _part(source: Source, split: str, name: str) -> np.ndarray:
    """Returns a part of the source, or refuses a source without it."""
    if name not in source.parts:
        raise InputError(
            f"source: the parts {', '.join(source.parts) or 'none'} given, so no part {name!r}; "
            f"allowed: sources with that part, for the split {split}."
        )
    return source.parts[name]


def _check_count(split: str, counted: str, count: int, needed: int) -> None:
    if count < needed:
        raise InputError(
            f"source: {count} {counted} given; allowed: {needed} and more, for the split {split}."
        )


def _check_classes(source: Source, split: str, allowed: tuple[int, ...]) -> None:
    if source.labels.ndim != 2 or source.labels.shape[1] not in allowed:
        raise InputError(
            f"source: labels {list(source.labels.shape)} given; allowed: "
            f"{' or '.join(map(str, allowed))} columns of 0 and 1, for the split {split}."
        )


def _official_sized(source: Source, seed: int, split: str, train: int, test: int) -> Data:
    """Splits as `official`, with "train" as the database, after a check of the parts' sizes."""
    sizes = {name: len(_part(source, split, name)) for name in ("train", "test")}
    if sizes != {"train": train, "test": test}:
        raise InputError(
            f"source: parts of {sizes['train']} and {sizes['test']} images given; allowed: {train} "
            f"and {test}, for the split {split}."
        )
    data = official(source, seed)
    return dataclasses.replace(data, database=data.train)


def _class_balanced(
    source: Source, seed: int, split: str, size: int, queries: int, train: int | None = None
) -> Data:
    """Draws queries and training images from each of ten classes; the rest is the database.

    Args:
      source: Single-label source.
      seed: Seed of the draws.
      split: Name of the protocol.
      size: Number of images that each class must have.
      queries: Number of queries per class.
      train: Number of training images per class; None makes the rest the training set, too.
    """
    labels = source.labels
    if labels.ndim != 1 or (np.bincount(labels, minlength=10) != size).any():
        counts = np.bincount(labels).tolist() if labels.ndim == 1 else "multi-label"
        raise InputError(
            f"source: classes of {counts} images given; allowed: ten classes of {size} images, for "
            f"the split {split}."
        )
    rng = _rng(split, seed)
    orders = [rng.permutation(np.flatnonzero(labels == label)) for label in range(10)]
    stop = queries + (train or 0)

    def of_all_classes(start: int, stop: int | None) -> np.ndarray:
        return np.sort(np.concatenate([order[start:stop] for order in orders]))

    rest = of_all_classes(stop, None)
    trained = rest if train is None else of_all_classes(queries, stop)
    return Data(source, trained, rest, of_all_classes(0, queries))


def _drawn(source: Source, seed: int, split: str, queries: int, train: int, searched: bool) -> Data:
    """Draws queries and training images among the labeled ones; the rest is the database.

    Args:
      source: Multi-label source.
      seed: Seed of the draws.
      split: Name of the protocol.
      queries: Number of queries.
      train: Number of training images.
      searched: True if the database contains the training images.
    """
    labeled = np.flatnonzero(source.labels.any(axis=1))
    _check_count(split, "labeled images", len(labeled), queries + train + 1)
    drawn = _rng(split, seed).choice(labeled, queries + train, replace=False)
    query_indices = np.sort(drawn[:queries])
    train_indices = np.sort(drawn[queries:])
    held_out = query_indices if searched else drawn
    database = np.setdiff1d(np.arange(len(source)), held_out, assume_unique=True)
    return Data(source, train_indices, database, query_indices)
