"""A trained run, made once per session."""

import pytest

from tests.support.report import trained_run


@pytest.fixture(scope="session")
def trained(tmp_path_factory):
    """The folder of a trained run, which tests copy and do not change."""
    return trained_run(tmp_path_factory)
