"""An index of codes under ids: searched, changed, and kept in a file."""

# Imported when it is first used: the file of an index can be read without JAX.
from typing import TYPE_CHECKING

from jhash.system import lazy

if TYPE_CHECKING:
    from jhash.retrieval.index import editing, id_table
    from jhash.retrieval.index.hamming_index import HammingIndex

__all__ = ["HammingIndex", "editing", "id_table"]

_HOME = {"HammingIndex": "hamming_index"}
__getattr__ = lazy.attributes(__name__, {name: _HOME.get(name, name) for name in __all__})
