"""The text at the end of a run."""

import json

import pytest

from jhash.report import summary, tables
from jhash.runs import finished
from tests.support.report import copy_run

pytestmark = pytest.mark.usefixtures("quick_compilation")

NEW = {"kind": "cpu", "count": 1, "processor": "AMD EPYC 9354", "cores": 2}


@pytest.mark.parametrize(
    ("device", "words"),
    [
        (NEW, "AMD EPYC 9354, 2 cores"),
        (NEW | {"cores": 1}, "AMD EPYC 9354, 1 core"),
        (NEW | {"count": 8}, "8 x cpu on AMD EPYC 9354, 2 cores"),
        (NEW | {"kind": "NVIDIA H100"}, "1 x NVIDIA H100 on AMD EPYC 9354, 2 cores"),
        ({"kind": "cpu", "count": 1}, "1 x cpu"),
    ],
)
def test_the_device_in_words(trained, device, words):
    assert summary.device(device) == words
    results = json.loads((trained / "results.json").read_text()) | {"device": device}
    assert summary.table(results).endswith(f" ms per image (batches of 16, {words})")


def test_a_run_of_before_processors_were_named_is_read(trained, tmp_path):
    device = {"platform": "cpu", "kind": "cpu", "count": 1, "machine": "x86_64"}
    run = copy_run(trained, tmp_path / "old", device=device)
    assert ">1 x cpu (x86_64)<" in tables.facts(finished.read_all([str(run)]))
