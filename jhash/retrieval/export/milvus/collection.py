"""A collection of Milvus that holds the codes of an index: its fields, and what it says of itself.

Its description is JSON: the code length, the metadata of the index, and what tells the codes of
this index from those of others. Each row is a code:

    id         INT64 or VARCHAR, the primary key
    position   INT64, the place in the order of insertion, from 0 on
    code       BINARY_VECTOR, the bytes of the code, compared by HAMMING
    classes    VARCHAR, the names of its classes, separated by |
    network    VARCHAR, the first 16 digits of the digest of the model that made it
"""

import contextlib
import json
import logging
import os
import warnings
from collections.abc import Iterator
from typing import Any, NamedTuple

from jhash.errors import InputError
from jhash.retrieval.limits import MAX_BITS
from jhash.retrieval.packed import is_whole
from jhash.system import reading, text

FIELDS = ("id", "position", "code", "classes", "network")
# Results of a query that Milvus returns at most.
MAX_RESULTS = 16_384
_VERSION = 1
_NETWORK_DIGITS = 16
_MAX_TEXT = 65_535


class Description(NamedTuple):
    """What a collection says of its codes."""

    bits: int  # Code length.
    id_kind: str  # "int64" or "string".
    content: str  # What tells the codes of this index from those of another.
    path: str  # File of the index, absolute; empty if it is not known.
    metadata: dict  # That of the index.

    def network(self) -> str:
        """Returns the field `network` of its rows; empty if the model is not known."""
        return str(self.metadata.get("network") or "")[:_NETWORK_DIGITS]


class Collection:
    """A collection, which may not be there yet.

    Attributes:
      name: Its name.
      uri: Where it is.
    """

    def __init__(self, uri: str, name: str):
        """Connects.

        Args:
          uri: Address of a server, such as "http://localhost:19530", or a file of the embedded
            engine, "NAME.db". The variable MILVUS_TOKEN has the token that a server may ask for.
          name: Name of the collection.

        Raises:
          InputError: pymilvus is not installed, or nothing answers.
        """
        self.uri = uri
        self.name = name
        self._pymilvus = _import()
        token = os.environ.get("MILVUS_TOKEN", "")
        with self.asking(), warnings.catch_warnings():
            # The embedded engine uses a part of setuptools that is to go.
            warnings.simplefilter("ignore")
            self.client = self._pymilvus.MilvusClient(uri, token=token)

    @contextlib.contextmanager
    def asking(self) -> Iterator[None]:
        """Makes errors of Milvus in the block InputErrors that name the place."""
        try:
            yield
        except (self._pymilvus.exceptions.MilvusException, ImportError) as error:
            reason = text.shortened(" ".join(str(error).split()), 300)
            raise InputError(
                f"milvus: {self.uri} given, where a request for {self.name} fails; allowed: a "
                f"server, or a file NAME.db, of Milvus ({reason})."
            ) from error

    def exists(self) -> bool:
        """Tells if the collection is there."""
        with self.asking():
            return self.client.has_collection(self.name)

    def create(self, description: Description, dimension: int, longest_id: int) -> None:
        """Makes the collection.

        Args:
          description: What it says of itself.
          dimension: Bits of a vector, a multiple of 8.
          longest_id: Bytes of the longest id, if they are strings.
        """
        kinds = self._pymilvus.DataType
        with self.asking():
            schema = self.client.create_schema(
                auto_id=False,
                description=json.dumps({"jhash": _VERSION, **description._asdict()}),
            )
            if description.id_kind == "int64":
                schema.add_field("id", kinds.INT64, is_primary=True)
            else:
                room = min(_MAX_TEXT, max(512, 2 * longest_id))
                schema.add_field("id", kinds.VARCHAR, max_length=room, is_primary=True)
            schema.add_field("position", kinds.INT64)
            schema.add_field("code", kinds.BINARY_VECTOR, dim=dimension)
            schema.add_field("classes", kinds.VARCHAR, max_length=_MAX_TEXT)
            schema.add_field("network", kinds.VARCHAR, max_length=_NETWORK_DIGITS)
            parameters = self.client.prepare_index_params()
            # The one kind of index whose results are exact.
            parameters.add_index("code", index_type="BIN_FLAT", metric_type="HAMMING")
            self.client.create_collection(self.name, schema=schema, index_params=parameters)

    def describe(self) -> Description:
        """Reads what the collection says of itself.

        Raises:
          InputError: It is not there, or `write` has not made it.
        """
        if not self.exists():
            raise InputError(
                f"collection: {self.name} given, which is not in {self.uri}; allowed: one that is."
            )
        with self.asking():
            found = self.client.describe_collection(self.name)
            fields = {field["name"] for field in found["fields"]}
        try:
            content = reading.parse_json(found["description"].encode())
            version = content.pop("jhash")
            description = Description(**content)
        except (ValueError, TypeError, KeyError, AttributeError):
            version = None
        if version != _VERSION or not fields.issuperset(FIELDS) or not _is_sound(description):
            raise InputError(
                f"collection: {self.name} given, which has no codes of jhash; allowed: one that "
                "`index export --milvus` has made."
            )
        return description

    def count(self, condition: str = "") -> int:
        """Returns the number of rows for which a condition holds, by the latest state."""
        with self.asking():
            [row] = self.client.query(
                self.name,
                filter=condition,
                output_fields=["count(*)"],
                consistency_level="Strong",
            )
        return int(row["count(*)"])

    def check_network(self, description: Description) -> None:
        """Checks that the model that the collection names made all codes in it.

        Raises:
          InputError: Another one made some.
        """
        network = description.network()
        others = self.count(f'network != "{network}"') if network.isalnum() else 0
        if others:
            raise InputError(
                f"collection: {self.name} given, in which another model than {network} made "
                f"{others:,} codes; allowed: codes of one model."
            )


def _is_sound(description):
    bits, kind, *texts, metadata = description
    return (
        is_whole(bits)
        and 1 <= bits <= MAX_BITS
        and kind in ("int64", "string")
        and all(isinstance(value, str) for value in texts)
        and isinstance(metadata, dict)
    )


def _import() -> Any:
    try:
        import pymilvus
    except ImportError as error:
        raise InputError(
            "milvus: pymilvus is not installed; allowed: an installation with "
            "pip install 'jhash[milvus]', or in a checkout pip install -e '.[milvus]'."
        ) from error
    # It logs a traceback for each error that it raises.
    logging.getLogger("pymilvus").setLevel(logging.CRITICAL)
    return pymilvus
