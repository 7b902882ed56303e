"""Freed memory is kept, however much it is."""

import platform
import subprocess
import sys

import pytest

pytestmark = pytest.mark.slow

# Page faults of writing to 2.2 GB, and of doing so again after they were freed.
FAULTS = """
import resource
import numpy as np
from jhash.system import malloc
malloc.keep_freed()
for _ in range(2):
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    np.empty(2_200_000_000, np.uint8).fill(1)
    print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="keep_freed sets glibc alone")
def test_freed_memory_is_not_got_again_page_by_page():
    output = subprocess.run(
        [sys.executable, "-c", FAULTS], capture_output=True, text=True, check=True
    ).stdout
    first, again = map(int, output.split())
    assert first > 500  # Huge pages of 2 MB make a thousand.
    assert again < 100
