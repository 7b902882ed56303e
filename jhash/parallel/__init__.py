"""Everything that knows about several devices and processes: pmap over the devices of all."""

from jhash.parallel.collectives import (
    AXIS,
    all_gather,
    map_batch,
    map_devices,
    pmean,
    positions,
    replicate,
    shard,
    unreplicate,
)
from jhash.parallel.devices import check_batch_size, device_count, training_devices
from jhash.parallel.processes import (
    Agreement,
    any_process,
    bytes_from_main,
    check_equal,
    from_main,
    is_main,
    join,
    joined,
    leave,
    process_count,
    share,
)

__all__ = [
    "AXIS",
    "Agreement",
    "all_gather",
    "any_process",
    "bytes_from_main",
    "check_batch_size",
    "check_equal",
    "device_count",
    "from_main",
    "is_main",
    "join",
    "joined",
    "leave",
    "map_batch",
    "map_devices",
    "pmean",
    "positions",
    "process_count",
    "replicate",
    "shard",
    "share",
    "training_devices",
    "unreplicate",
]
