"""A trained run and the page about it, made once per session."""

import pytest

from tests.support.report import trained_run, write_page


@pytest.fixture(scope="session")
def trained(tmp_path_factory):
    """The folder of a trained run, which tests copy and do not change."""
    return trained_run(tmp_path_factory)


@pytest.fixture(scope="session")
def page(trained, tmp_path_factory):
    """The page about the trained run."""
    return write_page(tmp_path_factory.mktemp("page"), trained)
