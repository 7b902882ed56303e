"""The docs site: Markdown pages of this folder, and an API page per package, from docstrings.

sphinx-build -W --keep-going -q docs docs/_build    (pip install -e '.[docs]')

Pages are plain Markdown that reads well without the site, so what only the site needs is here: the
sidebar, and the translation of docstrings into reStructuredText.
"""

import functools
import os
import re
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))
os.environ.setdefault("JAX_PLATFORMS", "cpu")

import flax  # noqa: E402, F401  (Before jax.jit is replaced.)
import jax  # noqa: E402
import optax  # noqa: E402, F401


def _leave(function=None, **options):
    """Takes the place of `jax.jit`: autodoc documents functions, but not compiled ones."""
    return functools.partial(_leave, **options) if function is None else function


jax.jit = _leave

import jhash  # noqa: E402

project = "jhash"
author = "The authors of jhash"
release = version = jhash.__version__
html_theme = "furo"
html_title = f"jhash {version}"
html_show_copyright = False
extensions = [
    "myst_parser",
    "sphinx.ext.apidoc",
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
]
root_doc = "README"
exclude_patterns = ["_build", "api/modules.rst"]
# Links to headings, such as metrics.md#learned-and-encoded-codes.
myst_heading_anchors = 4

# One page per package. Apidoc keeps the pages of an earlier build, so they go first.
for page in (ROOT / "docs" / "api").glob("*.rst"):
    page.unlink()
apidoc_modules = [
    {
        "path": str(ROOT / "jhash"),
        "destination": "api",
        "max_depth": 1,
        "module_first": True,
    }
]
# Nothing without a docstring, such as what Flax adds to its modules. (The pages of packages do not
# heed `apidoc_automodule_options`.)
os.environ["SPHINX_APIDOC_OPTIONS"] = "members"
autodoc_default_options = {
    "special-members": "__call__",
    # A name is documented where it is defined, not again where a package exports it.
    "ignore-module-all": True,
}
autodoc_member_order = "bysource"
autodoc_typehints_format = "short"
napoleon_numpy_docstring = False
napoleon_use_ivar = True
# As prose: by itself napoleon takes what stands before a colon for a type, and looks for a link.
napoleon_custom_sections = ["Returns", "Yields"]
smartquotes = False
# The API page of jhash.beam needs no Beam.
autodoc_mock_imports = ["apache_beam"]

SIDEBAR = """

```{toctree}
:hidden:
:caption: Use it

methods
runs
configs
tables
images
large
engines
serve
pretrained
export
accelerators
hosts
library
metrics
index_format
security
```

```{toctree}
:hidden:
:caption: Change it

extend
The packages <api/jhash>
site/CONTRIBUTING
site/CHANGELOG
```

```{toctree}
:hidden:
:glob:
:caption: Believe it

measured
reliability
reproduce/fdah
reproduce/dah
reproduce/aihn
reproduce/dstgeh
reproduce/dstgeh_terms
reproduce/README
results/*
```
"""


def add_sidebar(app, name, source):
    """Adds the sidebar to the index, where readers of the Markdown would stumble over it."""
    if name == app.config.root_doc:
        source[0] += SIDEBAR


# Docstrings are plain text in Google style. They have `names` in single backticks, tables and
# commands indented by four columns, and formulas such as ||x_i - x_j||^2, a * b or \sum_l, which
# reStructuredText reads as markup. Nobody who writes a docstring should have to know that.
_AS_IT_IS = re.compile(
    r"""
    (?<=\n\n)[ ]{4,}\S.*(?:\n+[ ]{4,}\S.*)*    # An indented block after an empty line,
    | ``.+?`` | `[^`]+`                        # code, which may go on on the next line,
    | (?<!\S)\*\w[^*\n]*\*(?!\w)               # or an *emphasized* word.
    """,
    re.VERBOSE,
)
# Emphasis, substitutions, code; references end in an underscore, and :: begins a literal block.
_MARKUP = re.compile(r"[\\*|`]|_(?!\w)|(?<=:):")
# Napoleon escapes the stars of `**options: text` in a list of arguments itself.
_STARRED_ARGUMENT = re.compile(r"(?m)^( *)((?:\\\*){1,2})(?=\w+: )")
# A section whose further lines are indented: a list of `name: text` without bullets.
_RETURNS = re.compile(r"(?m)^(?:Returns|Yields):\n(?:  .*\n?|\n(?=  ))+")
_OWN_NAME = re.compile(r"jhash(\.\w+)+")


def plain_text_to_rst(app, what, name, obj, options, lines):
    """Writes a docstring as reStructuredText, before napoleon translates its sections."""
    del app, what, name, obj, options
    text, end = "\n".join(lines), 0
    pieces = []
    for match in _AS_IT_IS.finditer(text):
        pieces += [_escape(text[end : match.start()]), _show(match.group())]
        end = match.end()
    pieces.append(_escape(text[end:]))
    lines[:] = _RETURNS.sub(_keep_lines, "".join(pieces)).split("\n")


def _escape(text):
    escaped = _MARKUP.sub(r"\\\g<0>", text)
    return _STARRED_ARGUMENT.sub(lambda match: match[1] + match[2].replace("\\", ""), escaped)


def _show(code):
    if code.startswith(" "):
        return f"::\n\n{code}"
    if code.startswith("*"):
        return code
    code = code.strip("`")
    # A link, if the site has something of this name.
    return f":py:obj:`{code}`" if _OWN_NAME.fullmatch(code) else f"``{code}``"


def _keep_lines(match):
    section = match.group()
    return re.sub(r"(?m)^  (?=\S)", "  | ", section) if "\n    " in section else section


# Flax gives every module these two.
_FLAX_FIELDS = re.compile(r",? ?parent: .*, name: .*(?=\))")


def shorten_signature(app, what, name, obj, options, signature, returned):
    """Leaves out the fields that every Flax module has."""
    del app, what, name, obj, options
    return signature and _FLAX_FIELDS.sub("", signature), returned


def setup(app):
    """Connects the hooks."""
    app.connect("source-read", add_sidebar)
    app.connect("autodoc-process-signature", shorten_signature)
    app.connect("autodoc-process-docstring", plain_text_to_rst, priority=400)
