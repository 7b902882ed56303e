"""Engines that search codes, each with the same few functions.

`search` takes queries, uint8 [Q, 8], and returns distances [Q, k]. The bytes of a code are those of
`HammingIndex.export`.
"""

import os
import pwd
import shutil
import subprocess
import time

import numpy as np

BATCH = 10_000


def batches(codes):
    return ((start, codes[start : start + BATCH]) for start in range(0, len(codes), BATCH))


class Jhash:
    def __init__(self, folder):
        from jhash.retrieval.search import host

        host._PATIENCE = 0  # Scans are compiled at once, not after a second of them.

    def build(self, codes):
        from jhash.retrieval import HammingIndex

        self.index = HammingIndex.build(codes.view("<u4"), 64)

    def add(self, identifier, code):
        self.index.add(code.view("<u4"), [identifier])

    def search(self, queries, k):
        return self.index.search(queries.view("<u4"), k)[0]

    def close(self):
        pass


class Faiss:
    def __init__(self, folder):
        import faiss

        self.index = faiss.IndexBinaryFlat(64)

    def build(self, codes):
        self.index.add(codes)

    def add(self, identifier, code):
        self.index.add(code)

    def search(self, queries, k):
        return self.index.search(queries, k)[0]

    def close(self):
        pass


class Milvus:
    def __init__(self, folder):
        from pymilvus import DataType, MilvusClient

        self.client = MilvusClient(os.path.join(folder, "codes.db"))
        schema = self.client.create_schema(auto_id=False)
        schema.add_field("id", DataType.INT64, is_primary=True)
        schema.add_field("code", DataType.BINARY_VECTOR, dim=64)
        parameters = self.client.prepare_index_params()
        parameters.add_index("code", index_type="BIN_FLAT", metric_type="HAMMING")
        self.client.create_collection("codes", schema=schema, index_params=parameters)

    def build(self, codes):
        for start, rows in batches(codes):
            self._insert(start, rows)
        self.client.flush("codes")

    def _insert(self, start, rows):
        rows = [{"id": start + i, "code": row.tobytes()} for i, row in enumerate(rows)]
        self.client.insert("codes", rows)

    def add(self, identifier, code):
        self._insert(identifier, code)

    def search(self, queries, k):
        found = self.client.search(
            "codes",
            data=[query.tobytes() for query in queries],
            anns_field="code",
            limit=k,
            search_params={"metric_type": "HAMMING"},
        )
        return [[hit["distance"] for hit in hits] for hits in found]

    def close(self):
        self.client.close()


class Sql:
    """What DuckDB and PostgreSQL have in common: a scan per query."""

    query: str

    def search(self, queries, k):
        return [
            [row[1] for row in self.ask(self.query, (query, k))] for query in self.as_sql(queries)
        ]


class Duckdb(Sql):
    query = "select id, bit_count(xor(code, ?::ubigint)) d from codes order by d, id limit ?"

    def __init__(self, folder):
        import duckdb

        self.connection = duckdb.connect()

    def build(self, codes):
        import pyarrow

        arrow = pyarrow.table({"id": np.arange(len(codes)), "code": codes.view("<u8")[:, 0]})
        self.connection.register("arrow", arrow)
        self.connection.execute("create table codes as select * from arrow")

    def add(self, identifier, code):
        self.connection.execute("insert into codes values (?, ?)", [identifier, *self.as_sql(code)])

    def as_sql(self, codes):
        return codes.view("<u8")[:, 0].tolist()

    def ask(self, query, values):
        return self.connection.execute(query, list(values)).fetchall()

    def close(self):
        self.connection.close()


class Postgresql(Sql):
    query = "select id, bit_count(code # %s::bit(64)) d from codes order by d, id limit %s"

    def __init__(self, folder):
        import psycopg

        # PostgreSQL does not run for root.
        user = {}
        if os.geteuid() == 0:
            user = {"user": "postgres"}
            os.chown(folder, pwd.getpwnam("postgres").pw_uid, -1)
        data = os.path.join(folder, "data")
        quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL, "cwd": folder}
        words = [shutil.which("initdb"), "-D", data, "-A", "trust", "-U", "postgres"]
        subprocess.run(words, check=True, **quiet, **user)
        words = [shutil.which("postgres"), "-D", data, "-k", folder, "-c", "listen_addresses="]
        words += ["-c", "shared_buffers=512MB", "-c", "unix_socket_permissions=0777"]
        self.server = subprocess.Popen(words, **quiet, **user)
        for _ in range(100):
            try:
                self.connection = psycopg.connect(
                    f"host={folder} user=postgres dbname=postgres", autocommit=True
                )
                break
            except psycopg.OperationalError:
                time.sleep(0.2)

    def build(self, codes):
        self.connection.execute("create table codes (id bigint primary key, code bit(64))")
        with self.connection.cursor().copy("copy codes from stdin") as copy:
            for start, rows in batches(codes):
                texts = self.as_sql(rows)
                lines = (f"{start + i}\t{text}\n" for i, text in enumerate(texts))
                copy.write("".join(lines))
        self.connection.execute("analyze codes")

    def add(self, identifier, code):
        self.connection.execute(
            "insert into codes values (%s, %s)", (identifier, *self.as_sql(code))
        )

    def as_sql(self, codes):
        digits = np.unpackbits(codes, axis=1) + ord("0")
        return [row.tobytes().decode() for row in digits]

    def ask(self, query, values):
        return self.connection.execute(query, values).fetchall()

    def close(self):
        self.connection.close()
        self.server.terminate()
        self.server.wait()


class Lancedb:
    def __init__(self, folder):
        import lancedb

        self.database = lancedb.connect(os.path.join(folder, "lance"))

    def build(self, codes):
        self.table = self.database.create_table("codes", self._rows(0, codes))

    def _rows(self, start, codes):
        import pyarrow

        values = pyarrow.array(codes.reshape(-1))
        vectors = pyarrow.FixedSizeListArray.from_arrays(values, codes.shape[1])
        ids = np.arange(start, start + len(codes))
        return pyarrow.table({"id": ids, "vector": vectors})

    def add(self, identifier, code):
        self.table.add(self._rows(identifier, code))

    def search(self, queries, k):
        return [
            self.table.search(query)
            .distance_type("hamming")
            .limit(k)
            .to_arrow()["_distance"]
            .to_pylist()
            for query in queries
        ]

    def close(self):
        pass


CLASSES = {
    "faiss": Faiss,
    "jhash": Jhash,
    "milvus": Milvus,
    "duckdb": Duckdb,
    "postgresql": Postgresql,
    "lancedb": Lancedb,
}
ENGINES = list(CLASSES)
# The packages and programs of each.
NEEDS = {
    "faiss": (["faiss"], []),
    "jhash": ([], []),
    "milvus": (["pymilvus", "milvus_lite"], []),
    "duckdb": (["duckdb", "pyarrow"], []),
    "postgresql": (["psycopg"], ["initdb", "postgres"]),
    "lancedb": (["lancedb", "pyarrow"], []),
}
