"""What is looked at before training, as numbers → ok, look or bad, each with its remedy.

After A. Karpathy, "A Recipe for Training Neural Networks" (2019): the loss at the start, one batch learnt by heart, a
baseline without input, labels that mean nothing. The bounds are wide: what is bad here is broken, not badly tuned.
Losses in nats.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from hpcli.states import CheckStatus

START_OK, START_BAD = 1.5, 4.0
"""Times ln K, up to which a loss at the start is usual, and from which it is broken."""
LEARNT, HARDLY = 0.25, 0.75
"""Shares of the starting point: a batch is learnt by heart below the first, not at all above the second."""
LAST = 5
"""So many losses at the end of a short run are averaged."""
FEW_STEPS = 50
"""A run of fewer steps may have learnt nothing although all is well."""
FEW_IMAGES = 100
"""The same of validation images."""
SURE, LIKELY = 4.0, 2.0
"""Standard errors that make a fault, and that show that all is well."""
MEANINGFUL = 0.05
"""A share of the loss that means something."""
UNEVEN = 1e4
"""Times the gradient of one layer in another, per weight, that is worth a look."""
MANY_SHARED = 0.01
"""Share of the measured images that are also trained on, from which the measure is wrong."""
IMBALANCE, ALMOST_ALL = 10, 0.95
"""A class with so many times the images of another is worth a look; one with such a share of all is bad."""


@dataclass(frozen=True)
class Check:
    """One thing that was looked at."""

    name: str
    status: CheckStatus
    text: str  # what was found, with its numbers
    remedy: str = ""  # what to do about it
    value: float | None = None  # the number that was judged; None: it is not one


def start_loss(loss: float, num_classes: int, *, is_fresh: bool) -> Check:
    """The loss of the first batch, before any step, against that of equal chances.

    Args:
        loss: of a batch in training mode.
        num_classes: K.
        is_fresh: whether the weights are drawn; those that were trained before may begin lower.
    """
    chance = math.log(num_classes)
    text = f"{loss:.3g}; equal chances of {num_classes} classes have {chance:.3g}"
    if not math.isfinite(loss) or loss > START_BAD * chance:
        remedy = "the last layer's weights are too large, or the images are not what the weights expect"
        return Check("loss at the start", CheckStatus.BAD, text, remedy, loss)
    if loss > START_OK * chance:
        return Check("loss at the start", CheckStatus.LOOK, text, "smaller initial weights in the last layer", loss)
    if is_fresh and loss < chance / START_OK:
        remedy = "fresh weights know something already: does the input hold the label?"
        return Check("loss at the start", CheckStatus.LOOK, text, remedy, loss)
    return Check("loss at the start", CheckStatus.OK, text, "", loss)


def gradients(rms: Mapping[str, float | None]) -> Check:
    """The gradients of all layers at the start.

    Args:
        rms: name of a layer's weights → the root mean square of their gradient; None: the loss does not depend on them.
    """
    name = "gradients"
    unused = [each for each, value in rms.items() if value is None]
    known = {each: value for each, value in rms.items() if value is not None}
    broken = [each for each, value in known.items() if not math.isfinite(value)]
    dead = [each for each, value in known.items() if value == 0]
    if broken:
        text = f"not finite in {len(broken)} of {len(rms)} layers, first {broken[0]}"
        return Check(name, CheckStatus.BAD, text, "lower the initial weights; train.precision: fp32")
    if dead:
        text = f"zero in {len(dead)} of {len(rms)} layers, first {dead[0]}"
        return Check(
            name, CheckStatus.BAD, text, "they learn nothing: initial weights of zero, dead ReLUs, or a detach()"
        )
    if unused or not known:
        text = f"the loss does not depend on {unused[0]}" if unused else "there is no layer to train"
        return Check(
            name, CheckStatus.LOOK if known else CheckStatus.BAD, text, "is the layer used in forward()? is it frozen?"
        )
    low, high = min(known, key=lambda each: known[each]), max(known, key=lambda each: known[each])
    ratio = known[high] / known[low]
    text = f"{len(known)} layers, {known[low]:.2g} ({low}) to {known[high]:.2g} ({high})"
    if ratio > UNEVEN:
        return Check(name, CheckStatus.LOOK, text, "normalise between layers, or scale their initial weights", ratio)
    return Check(name, CheckStatus.OK, text, "", ratio)


def one_batch(
    losses: ArrayLike,
    lr: float,
    safe: ArrayLike | None,
    safe_lr: float,
    *,
    share: str = "a tenth of max_lr",
    finder: str = "hpcli lr-find",
) -> Check:
    """Whether a batch can be learnt by heart, without augmentation, dropout or weight decay.

    Args:
        losses: [S] of the steps at `lr`.
        lr: the learning rate.
        safe: the same at `safe_lr`; None: not tried.
        safe_lr: a learning rate that suits most networks.
        share: what `lr` is of the config's.
        finder: what finds a learning rate.
    """
    name, curve = "one batch by heart", np.asarray(losses, float)
    begin, end = float(curve[0]), end_of(curve)
    text = f"{begin:.3g} → {end:.3g} in {len(curve)} steps at {lr:.2g}, {share}"
    if is_learnt(curve):
        return Check(name, CheckStatus.OK, text, "", end)
    if safe is not None and is_learnt(safe):
        remedy = f"at {safe_lr:g} it works ({end_of(safe):.3g}): schedule.max_lr is wrong; {finder}"
        return Check(name, CheckStatus.BAD, text, remedy, end)
    best = min(end, math.inf if safe is None else end_of(safe))
    if best < HARDLY * begin:
        return Check(name, CheckStatus.LOOK, text, f"it falls, slowly: try {finder}", end)
    return Check(name, CheckStatus.BAD, text, "the network cannot learn: does its output depend on the images?", end)


def is_learnt(losses: ArrayLike) -> bool:
    """Whether the losses [S] of one batch end well below where they began."""
    curve = np.asarray(losses, float)
    return len(curve) > LAST and end_of(curve) < LEARNT * float(curve[0])


def blank_input(real: ArrayLike, blank: ArrayLike) -> Check:
    """Whether images help: one batch learnt by heart with its images, and with black ones.

    Args:
        real: [S] training losses.
        blank: [S] the same with every image black; they cannot end below what the batch's labels alone tell.
    """
    mine, other = (end_of(each) for each in (real, blank))
    text = f"one batch by heart {mine:.3g}, with black images {other:.3g}"
    if mine < (1 - MEANINGFUL) * other:
        return Check("input is used", CheckStatus.OK, text, "", mine)
    remedy = "the images make no difference: does the network use them? are they all alike?"
    return Check("input is used", CheckStatus.BAD, text, remedy, mine)


@dataclass(frozen=True)
class Measured:
    """A network after a short training, on the validation images."""

    loss: float
    standard_error: float  # of the loss
    train: ArrayLike  # [S] the losses in training


def shuffled_labels(real: Measured, shuffled: Measured, *, chance: float, steps: int, images: int) -> Check:
    """Whether labels mean something: validation after training on them, and on shuffled ones.

    Losses are compared, not accuracies: of two classes that are easily told apart a network that learnt nonsense has
    all right or none.

    Args:
        real: after a short training.
        shuffled: after the same on shuffled labels, which cannot be better than chance.
        chance: the loss of the classes' frequencies.
        steps: of either.
        images: that were measured on.
    """
    name = "labels mean something"
    text = f"validation loss {real.loss:.3g} after {steps} steps, {shuffled.loss:.3g} on shuffled labels"
    if shuffled.loss < (1 - MEANINGFUL) * chance - SURE * shuffled.standard_error:
        remedy = f"nonsense beats chance, {chance:.3g}: do the validation labels go with what is trained on?"
        return Check(name, CheckStatus.BAD, text, remedy, shuffled.loss)
    if real.loss < chance - LIKELY * real.standard_error and real.loss < shuffled.loss:
        return Check(name, CheckStatus.OK, text, "", real.loss)
    if not end_of(real.train) < START_OK * chance:
        remedy = (
            f"in training it is {end_of(real.train):.3g}, chance is {chance:.3g}: lower schedule.max_lr; hpcli lr-find"
        )
        return Check(name, CheckStatus.BAD, text, remedy, real.loss)
    is_short = steps < FEW_STEPS or images < FEW_IMAGES
    wrong = f"true labels teach no more than chance, {chance:.3g}: are they right?"
    remedy = "so few steps or images may not show it" if is_short else wrong
    return Check(name, CheckStatus.LOOK if is_short else CheckStatus.BAD, text, remedy, real.loss)


def shared_images(counts: Mapping[str, tuple[int, int]], named: Sequence[str]) -> Check:
    """Images that are trained on and measured on.

    Args:
        counts: part → (how many of its images are also training images, how many it has).
        named: some of them, in words.
    """
    shared = sum(count for count, _ in counts.values())
    text = ", ".join(f"{count:,} of {total:,} {part}" for part, (count, total) in counts.items())
    if not shared:
        return Check("duplicates", CheckStatus.OK, f"{text} images are training images, too", "", 0.0)
    share = max(count / max(total, 1) for count, total in counts.values())
    found = CheckStatus.BAD if share >= MANY_SHARED else CheckStatus.LOOK
    text = f"{text} images are training images, too: {'; '.join(named)}"
    return Check("duplicates", found, text, "take them out of one of the two", share)


def balance(counts: Mapping[str, int]) -> Check:
    """The training images of each class.

    Args:
        counts: class → how many.
    """
    most, least = max(counts, key=lambda each: counts[each]), min(counts, key=lambda each: counts[each])
    share = counts[most] / max(1, sum(counts.values()))
    span = f"{counts[least]:,} ({least}) to {counts[most]:,} ({most})"
    text = f"{span if counts[least] < counts[most] else f'{counts[most]:,}'} training images a class"
    if not counts[least] or share > ALMOST_ALL:
        remedy = f"always answering {most} is {share:.0%} right; add images of the others, or remove their classes"
        return Check("class balance", CheckStatus.BAD, text, remedy, share)
    if counts[most] > IMBALANCE * counts[least]:
        remedy = f"always answering {most} is {share:.0%} right; look at accuracy by class: hpcli evaluate"
        return Check("class balance", CheckStatus.LOOK, text, remedy, share)
    return Check("class balance", CheckStatus.OK, text, "", share)


def end_of(losses: ArrayLike) -> float:
    """The mean of the last few losses of [S]; infinite where it is no number."""
    curve = np.asarray(losses, float)
    end = float(np.mean(curve[-min(LAST, len(curve)) :]))
    return end if math.isfinite(end) else math.inf
