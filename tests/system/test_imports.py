"""Modules and attributes by name: of jhash, of the user, or none."""

import pytest

from jhash.errors import InputError
from jhash.methods.deep import fdah
from jhash.system import imports


def test_jhash_comes_first_then_the_import_path():
    assert imports.find_module("fdah", "jhash.methods.deep", "f") is fdah
    assert (
        imports.find_module("tests.support.tiny", "jhash.methods.deep", "f").__name__
        == "tests.support.tiny"
    )
    assert imports.find_attribute("fdah.loss", "jhash.methods.deep", "f") is fdah.loss


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("nothing", r"my_field: 'nothing' given; allowed: MODULE\.NAME, .*fdah"),
        ("missing.f", r"my_field: module 'missing' given; allowed: .*fdah"),
        (
            "fdah.missing",
            r"my_field: 'fdah\.missing' given; allowed: .* jhash\.methods\.deep\.fdah, .*loss",
        ),
        ("a..b.c", r"my_field: module 'a\.\.b' given; allowed: "),
    ],
)
def test_unknown_names_say_what_there_is(name, message):
    with pytest.raises(InputError, match=message):
        imports.find_attribute(name, "jhash.methods.deep", "my_field")


def test_an_error_inside_the_users_module_is_shown_as_it_is(tmp_path, monkeypatch):
    (tmp_path / "breaks_inside.py").write_text("import no_such_package\n")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(ModuleNotFoundError, match="no_such_package"):
        imports.find_module("breaks_inside", "jhash.methods.deep", "f")
    (tmp_path / "package_breaks").mkdir()
    (tmp_path / "package_breaks" / "__init__.py").write_text("import no_such_package\n")
    with pytest.raises(ModuleNotFoundError, match="no_such_package"):
        imports.find_module("package_breaks.method", "jhash.methods.deep", "f")
