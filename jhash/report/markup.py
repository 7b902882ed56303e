"""Pieces of HTML as text."""

import html
import re
from collections.abc import Iterable
from typing import Any

import numpy as np

from jhash.errors import printable
from jhash.report.plots import Constant, Picture


def document(title: str, css: str, parts: Iterable[str]) -> str:
    """Makes a whole page; the title is text, the parts are HTML."""
    head = (
        '<meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{text(title)}</title><style>{css}</style>"
    )
    body = "\n".join(["<main>", *parts, "</main>"])
    return f'<!DOCTYPE html>\n<html lang="en"><head>{head}</head>\n<body>\n{body}\n</body></html>\n'


def gallery(pictures: Iterable[Picture | Constant]) -> str:
    """Makes a grid of drawings with their headings, and a sentence about what is not drawn."""
    drawn = []
    told = []
    for picture in pictures:
        if isinstance(picture, Constant):
            told.append(f"{picture.title} {picture.words}")
            continue
        caption = tag("figcaption", text(picture.title))
        shown = f'<img src="{picture.uri}" alt="{text(picture.alt)}">'
        drawn.append(tag("figure", caption + shown))
    grid = tag("div", "\n".join(drawn), class_="figures") if drawn else ""
    return grid + (note(f"Constant, so not drawn: {'; '.join(told)}.") if told else "")


def folded(heading: str, *parts: str) -> str:
    """Makes a part of the page that is closed until the reader opens it; without content, nothing.

    Args:
      heading: Its heading, text.
      *parts: HTML, of which some may be empty.
    """
    content = "\n".join(filter(None, parts))
    summary = tag("summary", tag("h3", text(heading)))
    return tag("details", f"{summary}\n{content}") if content else ""


def table(head: list[list[str]], rows: list[str], caption: str = "") -> str:
    """Makes a table that scrolls if it is too wide.

    Args:
      head: Rows of cells.
      rows: Rows that `row` made.
      caption: What the table shows, text.
    """
    lines = "".join(tag("tr", "".join(cells)) for cells in head)
    content = tag("caption", text(caption)) if caption else ""
    content += tag("thead", lines) + tag("tbody", "\n".join(rows))
    # A part that scrolls is reached by the keyboard, too.
    named = {"role": "region", "aria-label": caption, "tabindex": "0"} if caption else {}
    attributes = {"class_": "scroll", **named}
    return tag("div", tag("table", content), **attributes)


def row(name: str, cells: list[str]) -> str:
    """Makes a row of a header, given as text, and cells."""
    return tag("tr", tag("th", breakable(name), scope="row") + "".join(cells))


def note(words: str) -> str:
    """Makes a paragraph that explains, given as text."""
    return tag("p", text(words), class_="note")


def warning(words: str) -> str:
    """Makes a paragraph that a reader must not miss, given as text."""
    return tag("p", text(f"⚠ {words}"), role="note", class_="warning")


def image(uri: str, alt: str, class_: str = "") -> str:
    """Makes a small image; its description in words also shows under the mouse."""
    kind = f' class="{text(class_)}"' if class_ else ""
    return f'<img src="{uri}" alt="{text(alt)}" title="{text(alt)}"{kind}>'


def number(value: float | None) -> str:
    """Formats a number: a count in full, a real number with four decimals, None as a dash."""
    if value is None:
        return "–"
    if np.isinf(value):
        return "∞"
    return f"{value:,}" if isinstance(value, int) else f"{value:.4f}"


def tag(name: str, content: str, **attributes: Any) -> str:
    """Makes an element; the content is HTML, values of attributes are text.

    A name that is a word of Python ends with an underscore, such as `class_`.
    """
    written = "".join(f' {key.rstrip("_")}="{text(value)}"' for key, value in attributes.items())
    return f"<{name}{written}>{content}</{name}>"


def breakable(value: Any) -> str:
    """Escapes text that the browser may break after the joints of a path or name."""
    return re.sub("([/_.]|(?<=[A-Za-z]{2})-)", r"\1<wbr>", text(value))


def text(value: Any) -> str:
    """Escapes what HTML would read as markup, and what `printable` escapes."""
    return html.escape(printable(str(value)))
