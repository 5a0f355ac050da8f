"""What is to be done about each sign of a training run.

The remedies are Smith's (1803.09820, sections 3 to 4.4): regularisation is balanced, and a larger learning rate, more
weight decay, more dropout and a smaller batch are all regularisation. A run that overfits needs more of one of them,
one that underfits less, or a longer run, or a larger network.
"""

from __future__ import annotations

from hpcli.config.optimizers import FREE, PRODIGY
from hpcli.states import Sign

REMEDIES = {
    Sign.DIVERGED: "Lower {rate}{farther}, or set train.clip_norm: {clip_norm}.",
    Sign.COLLAPSED: "Lower {rate}{farther} or optimizer.weight_decay: together they are too much.",
    Sign.AT_CHANCE: "{find}, or train longer.",
    Sign.UNSTABLE: "Lower {rate} a little, let it rise more slowly ({rise}), or set train.clip_norm: {clip_norm}.",
    Sign.LR_TOO_HIGH: "Lower {rate}{farther}, or the weight decay that goes with it.",
    Sign.LR_TOO_LOW: "Train longer, or raise {rate}{farther}: too few epochs and too small steps look the same.",
    Sign.LR_NOT_ANNEALED: "Let the learning rate fall at the end: {fall}.",
    Sign.BN_LAG: "Train longer, raise model.bn_momentum, or believe the loss with statistics measured anew.",
    Sign.OVERFITTING: "More regularisation, one kind at a time: a larger {rate}, more weight decay (hpcli sweep-wd), "
    "augmentation or dropout, or a smaller batch.",
    Sign.UNDERFITTING: "Train longer, or with a larger {rate}{farther}; then less regularisation (weight decay, "
    "dropout, augmentation), or a larger network.",
    Sign.REGULARISED: "Nothing is to be changed.",
}
"""What is to be done, in words, about each sign; what depends on the optimizer is in brackets."""
_USUAL = {
    "rate": "schedule.max_lr",
    "farther": " (hpcli lr-find shows how far it can go)",
    "find": "Find a learning rate that trains (hpcli lr-find)",
    "rise": "schedule.pct_start",
    "fall": "schedule.name: one_cycle, or piecewise",
}
_OF = {
    FREE: {
        "farther": "",
        "find": "Compare learning rates (hpcli sweep schedule.max_lr)",
        "rise": "schedule.warmup",
    },
    PRODIGY: {
        "rate": "optimizer.options.d_coef",
        "farther": "",
        "find": "Raise optimizer.options.d_coef",
        "rise": "optimizer.options.growth_rate: 1.02",
        "fall": "schedule.name: cosine",
    },
}
"""What takes no range test, by optimizer."""


def remedy(sign: Sign, clip_norm: str = "1.0", optimizer: str = "adamw") -> str:
    """What is to be done about a sign.

    Args:
        sign: that a run shows.
        clip_norm: what its gradients could be clipped to.
        optimizer: its `optimizer.name`.
    """
    return REMEDIES[sign].format(clip_norm=clip_norm, **{**_USUAL, **_OF.get(optimizer, {})})
