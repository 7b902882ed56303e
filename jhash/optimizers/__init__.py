"""The optimizer of a config: any optimizer of optax by name, or one of the user's own.

`building` makes it, with the learning rate of `schedules`, the factors of `parts` and a limit of
the gradient. `averages` follows the weights by a moving average.
"""

from jhash.optimizers.building import build, is_own
from jhash.optimizers.schedules import schedule

__all__ = ["build", "is_own", "schedule"]
