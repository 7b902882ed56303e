"""Everything that knows about several devices: pmap over the local devices of one process."""

from jhash.parallel.collectives import (
    AXIS,
    all_gather,
    map_devices,
    pmean,
    positions,
    replicate,
    shard,
    unreplicate,
)
from jhash.parallel.devices import check_batch_size, device_count, training_devices

__all__ = [
    "AXIS",
    "all_gather",
    "check_batch_size",
    "device_count",
    "map_devices",
    "pmean",
    "positions",
    "replicate",
    "shard",
    "training_devices",
    "unreplicate",
]
