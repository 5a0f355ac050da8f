"""What the sweeps with a name of their own try where nobody says: `hpcli sweep-wd` alone.

After Smith (1803.09820, section 4): momenta from 0.85 to 0.99 and a cycle; weight decays a decade apart, and none,
small networks and data wanting the larger ones. His decays are SGD's L2, added to the gradient. A decoupled one is not
multiplied by momentum, 1 / (1 − m), about ten times; and AdamW's learning rates are about a hundredth of SGD's. So the
same share of a weight takes ten times the number with SGD, and a thousand times with AdamW; with Lion, whose learning
rates are a third to a tenth of AdamW's, three to ten times more (Chen et al., 2302.06675, section 5).
"""

from __future__ import annotations

from collections.abc import Sequence

from hpcli.catalog import MOMENTUM_CYCLES
from hpcli.config.optimizers import scale_of
from hpcli.config.schema import Config
from hpcli.config.spelling import joined_values
from hpcli.config.varying import value_of

DECAYS: dict[tuple[str, str], Sequence[object]] = {
    ("coupled", "sgd"): (0.0, 1e-5, 1e-4, 1e-3),
    ("coupled", "adamw"): (0.0, 1e-5, 1e-4, 1e-3),
    ("decoupled", "sgd"): (0.0, 1e-4, 1e-3, 1e-2),
    ("decoupled", "adamw"): (0.0, 1e-2, 1e-1, 1.0),
    ("decoupled", "lion"): (0.0, 1e-1, 1.0, 10.0),
}
PAIR, MOMENTA = "0.95-0.85", (0.85, 0.9, 0.95, 0.99)
HELP = {
    "optimizer.weight_decay": "0,0.01,0.1,1 (sgd: 0,1e-4,1e-3,0.01; lion: 0,0.1,1,10; coupled: 0,1e-5,1e-4,1e-3), and "
    "the config's own",
    "schedule.momentum": "0.95-0.85 (where the schedule cycles),0.85,0.9,0.95,0.99, and the config's own",
}
"""Swept key → its grid, in words."""


def grid(config: Config, key: str) -> list[object]:
    """The values that are tried of a key, the config's own among them.

    Args:
        config: whose optimizer and schedule decide what makes sense.
        key: one of `HELP`.
    """
    cycles = config.schedule.name in MOMENTUM_CYCLES
    grids = {
        "optimizer.weight_decay": DECAYS[config.optimizer.decay, scale_of(config.optimizer.name)],
        "schedule.momentum": (PAIR, *MOMENTA) if cycles else MOMENTA,
    }
    return joined_values(grids[key], [value_of(config, key)])
