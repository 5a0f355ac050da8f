"""The optimizers that can be named: hpcli's own, two of libraries of their own, and timm's as `timm/NAME`.

Facts alone: no library is imported. What goes with the two, which do a schedule's work: config/controls.py.

A name of timm's is taken if it has a learning rate and a momentum for the schedule to set, steps on gradients alone,
and decays weights in one of three ways:

| decay | a step of learning rate lr |
|---|---|
| decoupled | w ← w − lr·wd·w (Loshchilov & Hutter, 1711.05101); adan and cadan divide: w ← w / (1 + lr·wd) |
| corrected | w ← w − lr²/peak·wd·w, peak being the run's highest learning rate (Defazio, 2506.02285) |
| coupled | wd·w joins the gradient |

All others of timm 1.0.31 are refused, and say why. A name that begins with c is cautious (Liang et al., 2411.16085).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from hpcli.errors import did_you_mean

OWN = ("adamw", "sgd")
FREE, PRODIGY = "schedulefree_adamw", "prodigy"
CONTROLS = (FREE, PRODIGY)
"""Each of a library of its own; both decay weights decoupled, Prodigy's by the learning rate that it has found."""
LIBRARY = "timm/"
DECOUPLED = (
    "muon", "nmuon", "adamuon", "nadamuon", "nadamw", "cnadamw", "cadamw", "lion", "clion", "adan", "cadan", "adanw",
    "cadanw", "adabelief", "radabelief", "adoptw", "cadoptw", "laprop", "claprop", "mars", "cmars", "radamw",
    "rmsproptfw", "novogradw", "csgdw", "adafactorbv", "cadafactorbv",
)  # fmt: skip
CORRECTED = (
    "adamc", "cadamc", "nadamc", "cnadamc", "lionc", "clionc", "adoptc", "cadoptc", "lapropc", "rmsproptfc",
    "novogradc", "sgdc", "csgdc", "adafactorbvc", "cadafactorbvc",
)  # fmt: skip
COUPLED = ("nadam", "radam", "adamax", "adopt", "cadopt", "rmsprop", "rmsproptf", "crmsproptf")
LIONS, SGDS = ("lion", "clion", "lionc", "clionc"), ("sgdc", "csgdc", "csgdw")
NAMES = tuple(LIBRARY + name for name in (*DECOUPLED, *CORRECTED, *COUPLED))

_NONE = "has no momentum for the schedule to set"
_RATIO = "has a trust ratio that its weight decay switches on, so the two cannot be told apart"
_TWICE = "decays weights at two strengths, by what their gradients look like"
_RANDOM = "draws random numbers of its own, which no seed governs"
_START = "steps from the weights at the start of the run, which a schedule of learning rates does not scale"
_REFUSED: Mapping[str, str] = {
    "adahessian": "needs second derivatives; hpcli's step has gradients alone",
    **dict.fromkeys(("adadelta", "adagrad", "adafactor", "cadafactor"), _NONE),
    **dict.fromkeys(("kron", "kronc", "kronw"), _RANDOM),
    **dict.fromkeys(("adamp", "cadamp", "sgdp", "csgdp"), _TWICE),
    **dict.fromkeys(("lamb", "lambw", "lambc", "lambcw", "lambcd", "clamb", "clambw"), _RATIO),
    **dict.fromkeys(("lars", "larc", "nlars", "nlarc"), _RATIO),
    **dict.fromkeys(("madgrad", "madgradw"), _START),
    **dict.fromkeys(("adamw", "adamwlegacy"), "is hpcli's own: adamw"),
    "adam": "is hpcli's own: adamw, with decay: coupled",
    "momentum": "is hpcli's own: sgd, with decay: coupled",
    **dict.fromkeys(("sgd", "nesterov"), "is hpcli's own: sgd, with nesterov: true and decay: coupled"),
    **dict.fromkeys(("sgdw", "nesterovw"), "is hpcli's own: sgd, with nesterov: true"),
    "novograd": "normalises its gradient before the decay joins it; take timm/novogradw",
    "nadamlegacy": "is an older copy; take timm/nadam",
    "radamlegacy": "is an older copy; take timm/radamw",
}
_ELSEWHERE = {"bnb": "bitsandbytes", "fused": "apex"}

NOT_OPTIONS: Mapping[str, str] = {
    "params": "is the network's",
    "lr": "is schedule.max_lr",
    "momentum": "is schedule.momentum",
    "weight_decay": "is optimizer.weight_decay",
    "adamw_lr": "is fixed while the schedule's changes; fallback_lr_scale is a factor of it",
    **dict.fromkeys(
        ("corrected_weight_decay", "decoupled", "decoupled_decay", "decoupled_weight_decay", "fixed_decay"),
        "goes with the name, such as timm/nadamw, timm/nadamc",
    ),
    "unscaled_wd": "would decay by another rule than optimizer.decay says",
    "maximize": "would climb",
    **dict.fromkeys(("differentiable", "capturable", "fused"), "is not used by hpcli's step"),
}
"""Arguments of timm's that `optimizer.options` cannot have, and why."""


def is_timm(name: str) -> bool:
    """Whether a name is one of timm's optimizers."""
    return name not in (*OWN, *CONTROLS)


def why_refused(name: str) -> str | None:
    """What is wrong with the name of an optimizer; None: it can be had, as far as can be said without timm."""
    if name in (*OWN, *CONTROLS, *NAMES):
        return None
    library, _, own = name.partition("/")
    if library + "/" == LIBRARY:
        elsewhere = [package for prefix, package in _ELSEWHERE.items() if own[: len(prefix)] == prefix]
        reason = _REFUSED.get(own) or next((f"is {package}'s, not timm's own" for package in elsewhere), None)
        if reason is not None:
            return f"{name} {reason}"
    known = [*OWN, *CONTROLS, *NAMES]
    return f"unknown optimizer; {did_you_mean(LIBRARY + name if LIBRARY + name in known else name, known)}"


def decay_of(name: str) -> Literal["decoupled", "coupled"] | None:
    """The one `optimizer.decay` that an optimizer can have; None: either."""
    if name in OWN:
        return None
    return "coupled" if name.removeprefix(LIBRARY) in COUPLED else "decoupled"


def is_corrected(name: str) -> bool:
    """Whether an optimizer's decay falls with the square of the learning rate."""
    return is_timm(name) and name.removeprefix(LIBRARY) in CORRECTED


def scale_of(name: str) -> str:
    """Whose learning rates and weight decays an optimizer takes: adamw, sgd or lion."""
    own = name.removeprefix(LIBRARY)
    if own in SGDS or own == "sgd":
        return "sgd"
    return "lion" if own in LIONS else "adamw"
