"""A trained run, and its model as a folder, made once per session."""

import pytest

from jhash import publishing
from tests.support.report import trained_run


@pytest.fixture(scope="session")
def trained(tmp_path_factory):
    """The folder of a trained run, which tests copy and do not change."""
    return trained_run(tmp_path_factory)


@pytest.fixture(scope="session")
def given_away(trained, tmp_path_factory):
    """The folder of its model, with codes, which tests copy and do not change."""
    folder = tmp_path_factory.mktemp("given") / "model"
    publishing.export(str(trained), str(folder), codes=True)
    return folder
