"""Encoding on Apache Beam: images to codes on many machines, by the model of a run.

A pipeline of your own takes `Encode` as one of its steps:

    with beam.Pipeline(options=options) as pipeline:
        codes = pipeline | beam.Create(paths) | jhash.beam.Encode("RUN")

`encode_files` is the pipeline of `python -m jhash encode --beam`. Every worker needs the run, the
images, and for `WriteShards` the folder of the output: a shared file system, or copies in its
container. Images may also be at any URL that Beam's file systems read, such as gs://.
"""

import itertools
import json
import os
import pathlib
import zlib
from collections.abc import Collection, Iterable, Sequence
from typing import Any, NamedTuple, TypeAlias

import numpy as np

from jhash.data import decoding
from jhash.encoding import encoder
from jhash.errors import InputError
from jhash.runs import code_files
from jhash.system import files, text

try:
    import apache_beam as beam
    from apache_beam.io.filesystem import BeamIOError, CompressionTypes
    from apache_beam.io.filesystems import FileSystems
    from apache_beam.options.pipeline_options import PipelineOptions
    from apache_beam.utils import shared
except ImportError as error:
    raise InputError(
        f"beam: {error.name} is not installed; allowed: an installation with "
        "pip install 'jhash[beam]', or in a checkout pip install -e '.[beam]'."
    ) from error

# The path or URL of an image, which is its id, or its id with its path, URL or content. Beam cannot
# send a text whose characters stand for bytes that are no text; such a path has to be a `Path`.
Image: TypeAlias = str | tuple[Any, str | pathlib.Path | bytes]

SHARDS = 16
_NAMESPACE = "jhash"
_UNREADABLE = "unreadable"
_IMAGES_FILE = "images.jsonl"
UNREADABLE_FILE = "unreadable.json"


class Encode(beam.PTransform):
    """Encodes images: a step of a pipeline, from `Image` to (id, packed code, network).

    A packed code is uint32 [words], and the network is the digest of the model, as in files of
    codes. The codes are those of `FileEncoder.encode` with the same batch size. Batches are filled
    up to their size, so that each worker compiles the model once, and each process of a worker
    loads it once. Images that cannot be read are left out. The counters `encoded` and `unreadable`
    of the namespace `jhash` say how many there were.

    Args:
      run: Folder of a finished run, which every worker can read.
      batch_size: Number of images at a time; by default the run's `eval_batch_size`.
      trust_modules: As for `encoder.load`.

    Raises:
      InputError: As `encoder.load` does; a worker whose run has another model ends the pipeline.
    """

    def __init__(
        self, run: str, batch_size: int | None = None, trust_modules: Collection[str] = ()
    ):
        """See the class."""
        super().__init__()
        self.digest, content = encoder.read(run)
        self.bits = content["config"]["bits"]
        self._size = batch_size or content["batch_size"]
        self._run = os.path.abspath(run)
        self._trust_modules = tuple(trust_modules)
        self._with_unreadable = False

    def with_unreadable(self) -> "Encode":
        """Makes the step return (codes, unreadable); the latter has (id, reason) of images."""
        self._with_unreadable = True
        return self

    def expand(self, images):
        """Builds the step; Beam calls it."""
        encoded = (
            images
            | beam.BatchElements(min_batch_size=self._size, max_batch_size=self._size)
            | beam.ParDo(
                _EncodeBatch(self._run, self.digest, self._size, self._trust_modules)
            ).with_outputs(_UNREADABLE, main="codes")
        )
        if self._with_unreadable:
            return encoded.codes, encoded[_UNREADABLE]
        return encoded.codes


class _EncodeBatch(beam.DoFn):
    """Encodes one batch of images."""

    def __init__(self, run, digest, size, trust_modules):
        self._run = run
        self._digest = digest
        self._size = size
        self._trust_modules = trust_modules
        self._shared = shared.Shared()  # Of all threads of a process.
        self._encoded = beam.metrics.Metrics.counter(_NAMESPACE, "encoded")
        self._unreadable = beam.metrics.Metrics.counter(_NAMESPACE, _UNREADABLE)

    def setup(self):
        self._encoder = self._shared.acquire(self._load)

    def _load(self):
        loaded = encoder.load(self._run, self._trust_modules)
        if loaded.digest != self._digest:
            raise InputError(
                f"run: {self._run} given, whose model on a worker is another one than where the "
                "pipeline began; allowed: the same run everywhere."
            )
        return loaded

    def process(self, batch):
        named = [_named(image) for image in batch]
        codes, errors = self._encoder.encode_batch(named, self._read, self._size)
        rows = iter(codes)
        for (identifier, _), error in zip(named, errors, strict=True):
            if error is None:
                yield identifier, next(rows), self._digest
            else:
                yield beam.pvalue.TaggedOutput(_UNREADABLE, (identifier, error))
        self._encoded.inc(len(codes))
        self._unreadable.inc(len(batch) - len(codes))

    def _read(self, image):
        identifier, content = image
        if isinstance(content, bytes):
            return self._encoder.decode(content, str(identifier))
        if "://" in content:
            return self._encoder.decode(_fetch(content), content)
        return self._encoder.decode(content)


def _named(image: Image) -> tuple[Any, str | bytes]:
    """Returns the id of an image, and its path, URL or content."""
    if isinstance(image, str):
        return text.decodable(image), image
    identifier, content = image
    return identifier, content if isinstance(content, bytes) else os.fspath(content)


def _fetch(url: str) -> bytes:
    """Reads the content of an image at a URL."""
    try:
        with FileSystems.open(url, compression_type=CompressionTypes.UNCOMPRESSED) as file:
            content = file.read(decoding.MAX_BYTES + 1)
    except Exception as error:  # File systems raise what their clients do.
        raise InputError(f"image {url} cannot be read: {error}") from error
    if len(content) > decoding.MAX_BYTES:
        raise InputError(
            f"image {url} cannot be read: it has more than {decoding.MAX_BYTES:,} bytes"
        )
    return content


class WriteShards(beam.PTransform):
    """Writes what `Encode` gives as files of codes; returns their paths.

    The file of a code is determined by its id alone, and a file is sorted by id. So names and
    content of all files depend on nothing but the codes and the number of files. A file is written
    whole or not at all, so that a retried bundle replaces it by its equal. Files without any code
    are written, too.

    Args:
      folder: Folder that every worker can write to.
      bits: Code length.
      shards: Number of files. One is sorted in the memory of a worker.
      metadata: Entries for every file; see `code_files.write`.

    Raises:
      InputError: Two images have the same id.
    """

    def __init__(
        self,
        folder: str,
        bits: int,
        shards: int = SHARDS,
        metadata: dict[str, Any] | None = None,
    ):
        """See the class."""
        super().__init__()
        self._folder = os.path.abspath(folder)
        self._bits = bits
        self._shards = shards
        self._metadata = metadata or {}

    def expand(self, codes):
        """Builds the step; Beam calls it."""
        empty = codes.pipeline | beam.Create([(shard, None) for shard in range(self._shards)])
        return (
            (codes | beam.Map(self._with_shard), empty)
            | beam.Flatten()
            | beam.GroupByKey()
            | beam.MapTuple(self._write)
        )

    def _with_shard(self, code):
        identifier, packed, _ = code
        name = str(identifier).encode(errors="surrogateescape")
        return zlib.crc32(name) % self._shards, (identifier, packed.tobytes())

    def _write(self, shard, codes: Iterable[tuple[Any, bytes] | None]):
        ordered = sorted(code for code in codes if code is not None)
        ids = [identifier for identifier, _ in ordered]
        for one, other in itertools.pairwise(ids):
            if one == other:
                raise InputError(f"images: {one} given twice; allowed: each image once.")
        packed = np.frombuffer(b"".join(code for _, code in ordered), np.uint32)
        path = os.path.join(self._folder, code_files.shard_name(shard, self._shards))
        code_files.write(
            path,
            packed.reshape(len(ids), -(-self._bits // 32)),
            np.array(ids) if ids else np.empty(0, np.str_),
            bits=self._bits,
            **self._metadata,
        )
        return path


class Counts(NamedTuple):
    """Numbers of images that a pipeline has encoded, and that it could not read."""

    encoded: int
    unreadable: int


def encode_files(
    path_of: dict[str, str],
    encode: Encode,
    folder: str,
    shards: int = SHARDS,
    metadata: dict[str, Any] | None = None,
    options: Sequence[str] = (),
) -> Counts:
    """Encodes image files by a pipeline, and writes their codes.

    The folder then has the files of `WriteShards`, images.jsonl with the id and the path of each
    image, and unreadable.json with the reason why an image cannot be read, by id.

    Args:
      path_of: Paths or URLs of the images by id.
      encode: The step that encodes.
      folder: As for `WriteShards`; it is made if need be.
      shards: As for `WriteShards`.
      metadata: As for `WriteShards`.
      options: Options of Beam and its runner, such as "--runner=DirectRunner".

    Raises:
      InputError: As `check_folder` does.
    """
    folder = os.path.abspath(folder)
    check_folder(folder, shards)  # Also of a parent folder, whose name is part of the path now.
    listed = os.path.join(folder, _IMAGES_FILE)
    with files.replacing(listed) as file:
        file.writelines(f"{json.dumps(pair)}\n" for pair in path_of.items())
    # Beam would take the options of this process otherwise.
    pipeline = beam.Pipeline(options=PipelineOptions(list(options)))
    codes, unreadable = (
        pipeline
        | beam.io.ReadFromText(listed)
        # Else one worker would encode all that it reads.
        | beam.Reshuffle()
        | beam.Map(_parse_pair)
        | encode.with_unreadable()
    )
    _ = codes | WriteShards(folder, encode.bits, shards, metadata)
    _ = unreadable | beam.combiners.ToList() | beam.Map(_write_unreadable, folder)
    result = pipeline.run()
    result.wait_until_finish()
    counters = result.metrics().query(beam.metrics.MetricsFilter().with_namespace(_NAMESPACE))
    counts = {counter.key.metric.name: counter.result for counter in counters["counters"]}
    return Counts(counts.get("encoded", 0), counts.get(_UNREADABLE, 0))


def match(url: str) -> list[str]:
    """Finds the files at a URL with `*` and the like, in order.

    Raises:
      InputError: There is none, or its file system cannot be asked.
    """
    try:
        [matched] = FileSystems.match([url])
    except (BeamIOError, ValueError) as error:
        raise InputError(f"images: {url} given, which cannot be looked up: {error}.") from error
    if not matched.metadata_list:
        raise InputError(f"images: {url} given; allowed: URLs that match files.")
    return sorted(entry.path for entry in matched.metadata_list)


def check_folder(folder: str, shards: int) -> None:
    """Checks that a folder can hold the files of `WriteShards`.

    Raises:
      InputError: It cannot be written, its name is a pattern for Beam, or it holds files of another
        number of shards.
    """
    if set(folder) & set("*?["):
        raise InputError(f"folder: {folder} given; allowed: names without *, ? and [.")
    files.check_output(os.path.join(folder, code_files.shard_name(0, shards)))
    names = os.listdir(folder) if os.path.isdir(folder) else []
    for name in sorted(names):
        shard = code_files.shard_of(name)
        if shard is not None and shard[1] != shards:
            raise InputError(
                f"folder: {folder} given, which holds {name}, one of {shard[1]} files, while "
                f"{shards} are to be written; allowed: another folder, or the same number."
            )


def _parse_pair(line):
    identifier, path = json.loads(line)
    return identifier, path if "://" in path else pathlib.Path(path)


def _write_unreadable(unreadable, folder):
    files.write_json(os.path.join(folder, UNREADABLE_FILE), dict(sorted(unreadable)))
