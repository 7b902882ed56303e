"""Times the search page under load: many clients at once, around jhash's index and around faiss's.

    python benchmarks/serve_load.py [--codes=N] [--clients=50] [--seconds=20] [--images] [--json]

Each side is the same server in a process of its own: socket, HTTP, the queue that makes batches,
JSON. Only the index is another: `HammingIndex`, or a faiss `IndexBinaryFlat` with as many threads
as there are CPUs. The codes are random, of 64 bits. Each client has one connection and asks for the
10 nearest to a random image of the index again as soon as it has its answer. With --images, it
sends a JPEG of 640 x 480 instead, which EfficientNet-Lite0 encodes. The clients are in this
process, and share the CPUs with the server. The sides take turns, and the first turn of each is not
counted. Distances of some answers are checked against NumPy's.
"""

import argparse
import asyncio
import io
import json
import multiprocessing
import os
import re
import tempfile
import time

import numpy as np
from output import Output, add_switch

BITS = 64
K = 10
CHECKED = 20
PICTURES = 100
COLUMNS = ("index", "queries/s", "p50 ms", "p99 ms", "queries", "per batch", "server CPU s")


class Faiss:
    """A flat binary index of faiss, as the server takes one; ids are 0 to N - 1."""

    bits = BITS
    id_kind = "int64"

    def __init__(self, codes):
        import faiss

        self._codes = codes
        self._index = faiss.IndexBinaryFlat(BITS)
        self._index.add(codes.view(np.uint8).reshape(len(codes), -1))

    def __len__(self):
        return len(self._codes)

    def parse_ids(self, texts):
        return np.array([int(text) for text in texts], np.int64)

    def codes(self, ids):
        return self._codes[ids]

    def search(self, queries, k):
        # The server fills batches up with zeros, since JAX compiles each size; faiss need not
        # search for these.
        used = 1 + np.flatnonzero(queries.any(axis=1)).max(initial=0)
        data = np.ascontiguousarray(queries[:used]).view(np.uint8).reshape(used, -1)
        found = self._index.search(data, k)
        return [np.pad(array, ((0, len(queries) - used), (0, 0))) for array in found]


class NoEncoder:
    """The encoder of a server to which nothing is uploaded."""

    image_shape = (1, 1, 3)

    def encode_arrays(self, images, batch_size):
        return np.zeros((len(images), BITS // 32), np.uint32)


def make_codes(n):
    return np.random.default_rng(0).integers(0, 1 << 32, (n, BITS // 32), np.uint32)


def pictures():
    """JPEGs of 640 x 480: smooth random colors."""
    from PIL import Image

    made = []
    for seed in range(PICTURES):
        small = np.random.default_rng(seed).integers(0, 256, (12, 16, 3), np.uint8)
        file = io.BytesIO()
        Image.fromarray(small).resize((640, 480), Image.Resampling.BICUBIC).save(file, "jpeg")
        made.append(file.getvalue())
    return made


def make_encoder(folder):
    from jhash.encoding import encoder, fitted

    paths = [os.path.join(folder, f"{number}.jpg") for number in range(PICTURES)]
    for path, content in zip(paths, pictures(), strict=True):
        with open(path, "wb") as file:
            file.write(content)
    path = os.path.join(folder, "encoder")
    encoder.write(path, fitted.fit(paths, BITS).content)
    return encoder.load_file(encoder.EncoderFile(path, "", ""))


class Watched:
    """What is served, without a file that is followed."""

    name = "load"
    is_stale = False
    loads = 1

    def __init__(self, served):
        self.served = served

    def look(self):
        return False


def serve(side, n, with_images, pipe):
    """Runs a server; sends its port, and then the seconds of CPU that it has used when asked."""
    import threading

    from jhash.retrieval import HammingIndex
    from jhash.serve import application, batching, collection, folders, guard, server

    codes = make_codes(n)
    index = Faiss(codes) if side == "faiss" else HammingIndex.build(codes, BITS)
    with tempfile.TemporaryDirectory() as folder:
        encoder = make_encoder(folder) if with_images else NoEncoder()
        served = collection.Served(index, encoder, folders.Folders((), ()))
        batching.compile_all(served)
        app = application.build(Watched(served), os.path.join(folder, "i"), guard.Rules())
        place = server.take_place("127.0.0.1", 0, None)

        def answer():
            pipe.send(place.port)
            while pipe.recv():
                pipe.send(time.process_time())
            os._exit(0)

        server.run(app, place, lambda: threading.Thread(target=answer, daemon=True).start())


class Client:
    """One connection that is kept open, with as little of HTTP as is needed."""

    async def open(self, port):
        self._reader, self._writer = await asyncio.open_connection("127.0.0.1", port)

    async def ask(self, path, body=None):
        head = f"{'GET' if body is None else 'POST'} {path} HTTP/1.1\r\nHost: localhost\r\n"
        if body is not None:
            head += f"Content-Type: image/jpeg\r\nContent-Length: {len(body)}\r\n"
        self._writer.write(head.encode() + b"\r\n" + (body or b""))
        headers = await self._reader.readuntil(b"\r\n\r\n")
        length = int(re.search(rb"(?i)content-length: *(\d+)", headers)[1])
        content = await self._reader.readexactly(length)
        if not headers.startswith(b"HTTP/1.1 200"):
            raise RuntimeError(f"{headers.decode()}{content.decode()}")
        return content

    def close(self):
        self._writer.close()


async def load(port, options, seed):
    """Asks for some seconds; returns the seconds of each query, and those in all."""
    sent = pictures() if options.images else None
    taken = []
    end = time.perf_counter() + options.seconds

    async def use(number):
        rng = np.random.default_rng([seed, number])
        client = Client()
        await client.open(port)
        while (began := time.perf_counter()) < end:
            if sent:
                path, body = f"/api/search?k={K}", sent[rng.integers(PICTURES)]
            else:
                path, body = f"/api/search?k={K}&id={rng.integers(options.codes)}", None
            await client.ask(path, body)
            taken.append(time.perf_counter() - began)
        client.close()

    began = time.perf_counter()
    await asyncio.gather(*(use(number) for number in range(options.clients)))
    return np.array(taken), time.perf_counter() - began


async def check(port, codes):
    client = Client()
    await client.open(port)
    for number in np.random.default_rng(1).integers(len(codes), size=CHECKED):
        answer = json.loads(await client.ask(f"/api/search?k={K}&id={number}"))
        distances = np.bitwise_count(codes ^ codes[number]).sum(axis=1)
        found = [result["distance"] for result in answer["results"]]
        np.testing.assert_array_equal(found, np.sort(distances)[:K])
        ids = [result["id"] for result in answer["results"]]
        np.testing.assert_array_equal(distances[ids], found)
    client.close()


async def batches(port):
    """The number of batches and of queries in them, as the server counts them."""
    client = Client()
    await client.open(port)
    text = (await client.ask("/metrics")).decode()
    client.close()
    names = ("count", "sum")
    return [
        float(re.search(rf"^jhash_batch_queries_{name} (\S+)", text, re.M)[1]) for name in names
    ]


class Side:
    """A server in a process of its own, and what was measured of it."""

    def __init__(self, name, options):
        self.name = name
        self._options = options
        context = multiprocessing.get_context("spawn")
        self._pipe, theirs = context.Pipe()
        arguments = (name, options.codes, options.images, theirs)
        self._process = context.Process(target=serve, args=arguments, daemon=True)
        self._process.start()
        self._port = self._pipe.recv()
        asyncio.run(check(self._port, make_codes(options.codes)))
        self.taken, self.seconds, self.cpu, self.batches = [], 0.0, 0.0, np.zeros(2)

    def turn(self, number):
        before, cpu = np.array(asyncio.run(batches(self._port))), self._used()
        taken, seconds = asyncio.run(load(self._port, self._options, number))
        if number:
            self.taken.append(taken)
            self.seconds += seconds
            self.cpu += self._used() - cpu
            self.batches += np.array(asyncio.run(batches(self._port))) - before

    def _used(self):
        self._pipe.send(True)
        return self._pipe.recv()

    def close(self):
        self._pipe.send(False)
        self._process.join()


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--codes", type=int, default=1_000_000)
    parser.add_argument("--clients", type=int, default=50)
    parser.add_argument("--seconds", type=float, default=20, help="of a turn")
    parser.add_argument("--turns", type=int, default=3, help="that are counted")
    parser.add_argument("--images", action="store_true", help="send images that are encoded")
    parser.add_argument("--sides", nargs="+", default=["jhash", "faiss"])
    add_switch(parser)
    options = parser.parse_args()
    with Output(options.json) as output:
        query = "a JPEG of 640 x 480" if options.images else "the id of an image"
        output.line(
            f"{options.codes:,} codes of {BITS} bits, {options.clients} clients, {K} results per "
            f"query, a query is {query}; {options.turns} turns of {options.seconds:g} s.\n",
            codes=options.codes,
            clients=options.clients,
            images=options.images,
        )
        output.line(f"| {' | '.join(COLUMNS)} |\n{'| --- ' * len(COLUMNS)}|")
        sides = [Side(name, options) for name in options.sides]
        for number in range(options.turns + 1):
            for side in sides:
                side.turn(number)
        for side in sides:
            taken = np.concatenate(side.taken)
            p50, p99 = 1e3 * np.percentile(taken, [50, 99])
            rate, per_batch = len(taken) / side.seconds, side.batches[1] / side.batches[0]
            output.row(
                "servers",
                f"| {side.name} | {rate:.0f} | {p50:.1f} | {p99:.1f} | {len(taken):,} "
                f"| {per_batch:.1f} | {side.cpu:.1f} |",
                index=side.name,
                queries_per_second=rate,
                p50_ms=p50,
                p99_ms=p99,
                queries=len(taken),
                per_batch=per_batch,
                server_cpu_seconds=side.cpu,
            )
            side.close()


if __name__ == "__main__":
    main()
