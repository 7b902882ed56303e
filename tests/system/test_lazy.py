"""Names of a package that are imported when they are first used."""

import subprocess
import sys
import types

import pytest

from jhash.system import lazy


def test_a_name_is_found_once_and_kept(monkeypatch):
    package = types.ModuleType("some_package")
    module = types.ModuleType("some_package.room")
    module.thing = object()
    monkeypatch.setitem(sys.modules, "some_package", package)
    monkeypatch.setitem(sys.modules, "some_package.room", module)
    package.__path__ = []
    package.__getattr__ = lazy.attributes("some_package", {"thing": "room", "room": "room"})
    assert package.thing is module.thing
    assert package.room is module
    assert vars(package)["thing"] is module.thing
    with pytest.raises(AttributeError, match=r"module 'some_package' has no attribute 'other'"):
        package.other  # noqa: B018


def test_the_file_of_an_index_is_read_without_jax():
    code = (
        "import sys; from jhash.data import image_changes; "
        "from jhash.retrieval.index import file_format; assert 'jax' not in sys.modules; "
        "from jhash import retrieval; assert all(hasattr(retrieval, name) for name in "
        "retrieval.__all__); assert retrieval.index.HammingIndex is retrieval.HammingIndex"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
