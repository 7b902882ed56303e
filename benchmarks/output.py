"""Output of the benchmarks: text for people, or one JSON object with the same numbers."""

import argparse
import json
from typing import Any


def add_switch(parser: argparse.ArgumentParser) -> None:
    """Adds the switch --json."""
    parser.add_argument(
        "--json", action="store_true", help="print one JSON object with the same numbers"
    )


class Output:
    """Prints text as it comes, or with `as_json` all numbers as one JSON object at the end.

    To be used in a `with` block, whose end without an error prints the object.
    """

    def __init__(self, as_json: bool):
        self._as_json, self._numbers = as_json, {}

    def __enter__(self):
        return self

    def __exit__(self, kind, *_):
        if self._as_json and kind is None:
            print(json.dumps(self._numbers, default=lambda value: value.tolist()))

    def line(self, text: str = "", **numbers: Any) -> None:
        """Prints a text, or keeps its numbers under their names."""
        self._print(text)
        self._numbers |= numbers

    def row(self, table: str, text: str, **numbers: Any) -> None:
        """Prints a row of a table, or adds its numbers to the list of that name."""
        self._print(text)
        self._numbers.setdefault(table, []).append(numbers)

    def _print(self, text):
        if not self._as_json:
            print(text, flush=True)
