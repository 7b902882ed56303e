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


@pytest.mark.parametrize(
    "name",
    [
        "os.system",  # Another library.
        "tests.support.tiny.source",  # The user's own, not trusted.
        "jhash.system.files.write_json",  # jhash's, but of no package that the field may name.
        "idx.gzip",  # Imported by a module of jhash: the library itself,
        "sources.futures.ThreadPoolExecutor",  # a class of it,
        "splits.PROTOCOLS",  # or a value that has no origin.
    ],
)
def test_an_opened_name_leads_to_what_jhash_itself_defines(name):
    with imports.opening([]), pytest.raises(InputError, match=r"^f: .* given.*; allowed: "):
        imports.find_attribute(name, "jhash.data", "f")


def test_an_opened_name_leads_to_jhash_and_to_trusted_modules():
    with imports.opening([]):
        assert imports.find_attribute("fdah.loss", "jhash.methods.deep", "f") is fdah.loss
        assert imports.find_module("jhash.methods.deep.fdah", "jhash.methods.deep", "f") is fdah
        with pytest.raises(InputError, match=r"trust by --trust-modules=tests\.support\.tiny "):
            imports.find_module("tests.support.tiny", "jhash.data", "f")
    for trusted in (["tests"], ["other", "tests.support.tiny"], None):
        with imports.opening(trusted):
            source = imports.find_attribute("tests.support.tiny.source", "jhash.data", "f")
            assert source.__name__ == "source"
    with imports.opening(["tests.support.tin"]), pytest.raises(InputError):
        imports.find_module("tests.support.tiny", "jhash.data", "f")


def test_modules_that_are_not_trusted_are_not_even_searched(tmp_path, monkeypatch):
    (tmp_path / "hostile").mkdir()
    (tmp_path / "hostile" / "__init__.py").write_text("raise SystemExit('hostile code ran')")
    monkeypatch.syspath_prepend(tmp_path)
    with imports.opening([]), pytest.raises(InputError, match=r"'hostile\.net'"):
        imports.find_module("hostile.net", "jhash.models", "f")


@pytest.mark.parametrize("trusted", ["my_net", [3], ["my net"], ["../net"], [""]])
def test_trusted_modules_are_names(trusted):
    with (
        pytest.raises(InputError, match=r"^trust_modules: .* given; allowed: "),
        imports.opening(trusted),
    ):
        pass
