"""A trained model as a folder that can be given away, and what others do with such a folder.

`exporting` makes the folder of a run, in the layout of the model hubs: `card` writes its README.md,
`layout` its config.json, and `forward` the forward pass that runs with JAX alone. `model` loads it.
Nothing in such a folder can run code when it is loaded.
"""

from jhash.publishing.exporting import Exported, export
from jhash.publishing.model import Model, load

__all__ = ["Exported", "Model", "export", "load"]
