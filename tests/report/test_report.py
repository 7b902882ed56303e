"""The report as a call: its arguments, and that a failure leaves the old page."""

import pytest

from jhash import report
from jhash.errors import InputError
from tests.support.report import DAMAGES, broken

pytestmark = pytest.mark.usefixtures("quick_compilation")


@pytest.mark.slow
def test_bad_arguments_are_named(trained, tmp_path):
    twice = [str(trained), str(trained / ".." / trained.name)]
    with pytest.raises(InputError, match=r"workdirs: .* given twice; allowed: every run once"):
        report.write(twice, str(tmp_path / "report.html"))
    with pytest.raises(InputError, match=r"workdirs: .* given; allowed: a list"):
        report.write([], str(tmp_path / "report.html"))
    with pytest.raises(InputError, match=r"workdirs: .* given; allowed: a list"):
        report.write(str(trained), str(tmp_path / "report.html"))
    with pytest.raises(InputError, match="holds no finished run"):
        report.write([str(tmp_path / "nothing")], str(tmp_path / "report.html"))
    with pytest.raises(InputError, match=r"path: .* given, a folder; allowed: a file"):
        report.write([str(trained)], str(tmp_path))
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match=r"path: .* given, which cannot be written"):
        report.write([str(trained)], str(tmp_path / "file" / "report.html"))


def test_a_page_is_never_replaced_by_one_without_its_images(trained, page, tmp_path, monkeypatch):
    lost = "<main>", ["No images of run: gone"]
    monkeypatch.setattr(report.page, "render", lambda all_measured: lost)
    path = tmp_path / "report.html"
    path.write_text(page.text)
    with pytest.raises(InputError, match=r"shows 18 queries with images, .* would show 0; .* gone"):
        report.write([str(trained)], str(path))
    assert path.read_text() == page.text
    path.write_text("a page without images")
    assert report.write([str(trained)], str(path)) == lost[1]
    assert path.read_text() == "<main>"


@pytest.mark.parametrize(("name", "content"), [damage[:2] for damage in DAMAGES])
def test_a_damaged_run_leaves_the_old_page(trained, tmp_path, name, content):
    run = broken(trained, tmp_path, name, content)
    path = tmp_path / "report.html"
    path.write_text("old")
    with pytest.raises(InputError, match="broken"):
        report.write([str(trained), str(run)], str(path))
    assert path.read_text() == "old"
