"""Pieces of HTML as text."""

import html
from typing import Any

import numpy as np


def table(head: list[list[str]], rows: list[str]) -> str:
    """A table that scrolls where it is too wide, of rows of cells and of `row`s."""
    lines = "".join(tag("tr", "".join(cells)) for cells in head)
    content = tag("thead", lines) + tag("tbody", "\n".join(rows))
    return tag("div", tag("table", content), class_="scroll")


def row(name: str, cells: list[str]) -> str:
    """A row with its header, which is text, and its cells."""
    return tag("tr", tag("th", text(name), scope="row") + "".join(cells))


def note(words: str) -> str:
    """A paragraph that explains, given as text."""
    return tag("p", text(words), class_="note")


def warning(words: str) -> str:
    """A paragraph that a reader must not miss, given as text."""
    return tag("p", text(f"⚠ {words}"), role="note", class_="warning")


def image(uri: str, alt: str) -> str:
    """A small image; what it says in words also shows under the mouse."""
    return f'<img src="{uri}" alt="{text(alt)}" title="{text(alt)}">'


def number(value: float | None) -> str:
    """A count in full, a real number with four digits, a dash for None."""
    if value is None:
        return "–"
    if np.isinf(value):
        return "∞"
    return f"{value:,}" if isinstance(value, int) else f"{value:.4f}"


def tag(name: str, content: str, **attributes: Any) -> str:
    """An element; the content is HTML, values of attributes are text."""
    given = "".join(f' {key.rstrip("_")}="{text(value)}"' for key, value in attributes.items())
    return f"<{name}{given}>{content}</{name}>"


def text(value: Any) -> str:
    """Text, with what HTML would read as markup escaped."""
    return html.escape(str(value))
