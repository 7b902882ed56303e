"""FDAH, Figure 4: MAP by gamma1 and by the number m of queries, and by what its text names besides.

python -m jhash sweep configs/tables/fdah_figure4.py --quick
"""

import dataclasses

from configs.tables import fdah
from configs.tables.common import FASHION_MNIST, values
from jhash.sweeps import Metric, Table

# Half an hour on two cores would not do for runs of full length.
_QUICK = {"epochs": 8}
_RATE = "optimizer.learning_rate"


def get_table() -> Table:
    """Returns the table."""
    return Table(
        "FDAH, Figure 4: MAP by hyperparameter, 32 bits",
        "The paper (Lin et al. 2021) has plots for gamma1 and m and gives no numbers. Its text "
        "says that gamma1 = 1e-3 is best, that MAP is stable from m = 2000 on, that gamma2 and "
        "gamma3 matter little from 1e-4 to 1e2, and that the learning rate is one of 1e-2 to 1e-6. "
        "It does not give the code length.",
        [dataclasses.replace(fdah.FDAH, quick=_QUICK)],
        (FASHION_MNIST, fdah.CIFAR10),
        [
            *values("gamma1", "method.gamma1", (1e-5, 1e-4, 1e-3, 1e-2, 1e-1), (1e-5, 1e-3, 1e-1)),
            *values("m", "method.queries", (500, 1000, 2000, 3000, 5000, 9000), (500, 2000, 9000)),
            *values("gamma2", "method.gamma2", (1e-4, 1e-2, 1.0, 10.0, 1e2), (1e-4, 10.0)),
            *values("gamma3", "method.gamma3", (1e-4, 1e-2, 1.0, 1e2, 1e4), (1.0, 1e4)),
            *values("learning rate", _RATE, (1e-2, 1e-3, 1e-4, 1e-5, 1e-6), (1e-2, 1e-3, 1e-5)),
        ],
        (
            Metric("learned.map", "MAP, learned codes"),
            Metric("encoded.map", "MAP, encoded codes"),
        ),
        notes=(
            *fdah.NOTES[:1],
            "Each column changes one field of the config and leaves the others at their defaults. "
            "gamma3 is 1e4 there, and 1 in the paper; configs/fdah.py gives the reason.",
            "The table shows how MAP depends on a field. It must not be used to choose one, since "
            "it is measured with the test queries: --grid chooses on validation images.",
        ),
    )
