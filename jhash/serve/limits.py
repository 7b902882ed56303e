"""Limits of what clients may ask for."""

# Of an upload. The pixels are fewer than those of `decoding.MAX_PIXELS`, since clients that decode
# at the same time share that amount.
MAX_BYTES = 32 << 20
MAX_PIXELS = 64_000_000
# Results of a query, and those that the page shows unless told otherwise.
MAX_RESULTS = 1000
PAGE_RESULTS = 24
# Queries that wait at most; more are told to come again.
MAX_WAITING = 512
# Uploads that are received at the same time.
MAX_UPLOADS = 16
# Threads that decode uploads, and threads that make thumbnails.
THREADS = 4
# Connections at most.
MAX_CONNECTIONS = 1000
# Seconds from the first byte of a request to its last header, for all of a request, and for which
# an idle connection is kept.
HEADER_SECONDS = 10.0
REQUEST_SECONDS = 30.0
IDLE_SECONDS = 15
