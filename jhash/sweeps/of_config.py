"""The table of a single config: its seeds, or the values of a grid, in one place."""

from jhash import methods
from jhash.sweeps.table import Column, DataSet, Metric, Row, Table

_KINDS = {"encoded": "MAP of encoded codes", "learned": "MAP of learned codes"}


def make(words: str, config) -> Table:
    """Makes a table of one row and one column.

    Args:
      words: `FILE.py:ARGUMENT`, which makes the config.
      config: The config.

    Raises:
      InputError: There is no method of the config's name.
    """
    path, _, argument = words.partition(":")
    method = methods.load(config.method.name)
    kinds = ["encoded"] + (["learned"] if method.learns_codes else [])
    return Table(
        words,
        "The runs of a config; no paper's numbers are beside them.",
        rows=(Row(config.method.name, path, argument, choose_by=config.keep_metric),),
        data=(DataSet(config.data.split, ""),),
        columns=(Column(f"{config.bits} bits"),),
        seeds=1,
        metrics=[Metric(f"{kind}.map", _KINDS[kind]) for kind in kinds],
    )
