"""The files of a table: all formats say the same, and each is well-formed."""

import os
import re
from html.parser import HTMLParser


def test_all_formats_say_the_same_and_are_well_formed(run, stub, tmp_path):
    done = run()
    folder = tmp_path / "out"
    assert sorted(os.listdir(folder)) == sorted(done.files)
    before = {name: (folder / name).read_bytes() for name in done.files}
    numbers = re.findall(r"\d+\.\d\d ± \d+\.\d\d", done.markdown)
    assert len(numbers) >= 4
    latex, page = before["table.tex"].decode(), before["table.html"].decode()
    for number in numbers:
        assert number.replace("±", r"$\pm$") in latex
        assert number in page
    assert r"B \& C" in latex
    assert "B &amp; C" in page
    assert done.markdown.startswith("# A \\| table\n")
    assert latex.count(r"\begin{tabular}") == latex.count(r"\end{tabular}") == 2
    for line in latex.splitlines():
        if line.startswith(("A &", r"B \& C &", "D &")):
            assert line.count(" & ") in (4, 2)
    assert page.count("<figure>") == 3  # MAP by bits, and a curve for each of two columns.
    open_tags = []

    class Balanced(HTMLParser):
        def handle_starttag(self, tag, attributes):
            if tag not in ("meta", "img", "br"):
                open_tags.append(tag)

        def handle_endtag(self, tag):
            assert open_tags.pop() == tag

    Balanced().feed(page)
    assert not open_tags
    # Nothing is trained again, and the same runs give the same bytes.
    stub.clear()
    run()
    assert not stub
    assert before == {name: (folder / name).read_bytes() for name in done.files}
