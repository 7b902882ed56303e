"""Codes that cannot be ranked; the numbers themselves are compared in `test_tables.py`."""

import numpy as np
import pytest

from jhash.errors import InputError
from tests.support.report import copy_run, measure_runs

pytestmark = pytest.mark.usefixtures("quick_compilation")


def test_codes_that_cannot_be_ranked_name_the_run(trained, tmp_path):
    """Labels of the queries are of several classes, those of the database are not."""
    run = copy_run(
        trained, tmp_path / "broken", {"queries": {"labels": np.zeros((40, 4), np.uint8)}}
    )
    with pytest.raises(InputError, match="broken given, whose codes cannot be ranked: q_labels: "):
        measure_runs(run)
