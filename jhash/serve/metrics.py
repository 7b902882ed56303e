"""Numbers of a server, in the text format of Prometheus."""

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    ProcessCollector,
    generate_latest,
)

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"

_SECONDS = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 30)


class Metrics:
    """The metrics of one server.

    Attributes:
      requests: Number of requests by route and status.
      request_seconds: Time per request by route.
      refused: Number of requests that were refused, by reason.
      batch_queries: Number of queries that were answered at once.
      encode_seconds: Time to encode the images of a batch.
      search_seconds: Time to search for a batch.
      waiting: Number of queries that wait.
      thumbnails: Number of thumbnails that were made.
      codes: Number of codes in the index.
      stale: 1 if the file of the index cannot be loaded, so that an older state is served.
      loads: Number of times that the index was loaded.

    Those of the process, such as its resident memory, are among them on Linux.
    """

    def __init__(self):
        """Makes them in a registry of their own, so that two servers of a process share none."""
        self._registry = registry = CollectorRegistry()
        ProcessCollector(registry=registry)

        def seconds(name, text, labels=()):
            return Histogram(f"jhash_{name}", text, labels, registry=registry, buckets=_SECONDS)

        def counter(name, text, labels=()):
            return Counter(f"jhash_{name}", text, labels, registry=registry)

        def gauge(name, text):
            return Gauge(f"jhash_{name}", text, registry=registry)

        self.requests = counter("requests", "Requests by route and status.", ("route", "status"))
        self.request_seconds = seconds("request_seconds", "Time per request.", ("route",))
        self.refused = counter("refused_requests", "Requests refused, by reason.", ("reason",))
        self.batch_queries = Histogram(
            "jhash_batch_queries",
            "Queries answered at once.",
            registry=registry,
            buckets=(1, 2, 4, 8, 16, 32, 64),
        )
        self.encode_seconds = seconds("encode_seconds", "Time to encode the images of a batch.")
        self.search_seconds = seconds("search_seconds", "Time to search for a batch.")
        self.waiting = gauge("waiting_queries", "Queries that wait to be answered.")
        self.thumbnails = counter("thumbnails_made", "Thumbnails made.")
        self.codes = gauge("index_codes", "Codes in the index.")
        self.stale = gauge("index_stale", "1 if the index's file cannot be loaded.")
        self.loads = gauge("index_loads", "Times that the index was loaded.")

    def text(self) -> bytes:
        """Returns all of them in the text format."""
        return generate_latest(self._registry)
