"""What ails a training run, from its rows; and in words, each sign with its remedy."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from hpcli.analysis.diagnosis import diagnose
from hpcli.analysis.epochs import Curves
from hpcli.analysis.signs import Finding
from hpcli.recording.rows import Columns
from hpcli.results.data import DataFacts
from hpcli.results.remedies import remedy
from hpcli.states import RunStatus, Sign


def findings(
    epochs: Columns,
    steps: Columns,
    data: DataFacts,
    status: RunStatus,
    reestimated: float | None,
    *,
    mixed: bool = False,
    averages: bool = False,
) -> tuple[Finding, ...]:
    """The signs that a training run shows; none of one that is not over.

    Args:
        epochs: its table `metrics`.
        steps: its table `steps`.
        data: what it was trained on.
        status: how it ended.
        reestimated: its validation loss with BatchNorm's statistics measured anew; None: it is not known.
        mixed: whether its batches were mixed.
        averages: whether its optimizer is schedule-free: a learning rate that never falls is no fault of it.
    """
    counts = [each.valid_images or each.train_images for each in data.classes]
    if not status.is_over or not sum(counts) or not data.chance_loss() > 0:
        return ()
    curves = Curves(
        train=epochs["train_loss"],
        train_eval=epochs["train_eval_loss"],
        valid=epochs["valid_loss"],
        accuracy=epochs["valid_accuracy"],
        lr=epochs["lr"],
        chance=data.chance_loss(),
        chance_accuracy=max(counts) / sum(counts),
        steps=steps["train_loss"],
        reestimated=reestimated,
        diverged=status == RunStatus.DIVERGED,
        mixed=mixed,
    )
    return tuple(each for each in diagnose(curves) if not (averages and each.sign == Sign.LR_NOT_ANNEALED))


def plain_findings(
    found: tuple[Finding, ...], clip_norm: str = "1.0", optimizer: str = "adamw"
) -> list[Mapping[str, object]]:
    """Findings in plain values, for a summary: the sign, what it says, the remedy.

    Args:
        found: of a run.
        clip_norm: what its gradients could be clipped to.
        optimizer: its `optimizer.name`.
    """
    remedies = {each.sign: remedy(each.sign, clip_norm, optimizer) for each in found}
    return [{"sign": str(each.sign), "says": says(each), "remedy": remedies[each.sign]} for each in found]


def says(found: Finding) -> str:
    """What a finding says, in words: its numbers and epochs. Epochs are counted as trained, from 1."""
    return _WORDS[found.sign](found)


def mark(found: Finding) -> str | None:
    """A few words for the epoch that a picture marks, the finding's first; None: there is none to mark."""
    return _MARKS.get(found.sign) if found.epochs else None


_MARKS = {
    Sign.COLLAPSED: "most right, then lost",
    Sign.UNSTABLE: "jumps",
    Sign.LR_TOO_HIGH: "rises from here, the learning rate is high",
    Sign.LR_NOT_ANNEALED: "up and down from here",
    Sign.OVERFITTING: "validation rises from here",
    Sign.UNDERFITTING: "still falls from here",
}
WRONG_RATE = frozenset({Sign.DIVERGED, Sign.COLLAPSED, Sign.AT_CHANCE, Sign.LR_TOO_HIGH, Sign.LR_TOO_LOW})
"""Signs of a learning rate that does not suit: a range test comes before all else."""


def _diverged(found: Finding) -> str:
    if not found.epochs:
        return "The training loss was lost before the first epoch's end."
    lowest, last = _loss(found, "lowest"), _loss(found, "last")
    end = "and never fell after that" if lowest == last else f"and ended at {last}"
    return f"The training loss was {lowest} after {_epochs(found.epochs[0])}, its lowest, {end}."


def _collapsed(found: Finding) -> str:
    best, now = (f"{found.evidence[name]:.1%}" for name in ("best_accuracy", "accuracy"))
    return (
        f"What had been learnt is gone: {best} were right after {_epochs(found.epochs[0])}, {now} are, which is "
        f"chance, and have been since epoch {found.epochs[1]}."
    )


def _at_chance(found: Finding) -> str:
    chance, accuracy = _loss(found, "chance"), found.evidence["accuracy"]
    return (
        f"Nothing has been learnt: the training loss never fell below {_loss(found, 'train_loss')}, chance is "
        f"{chance}, and {accuracy:.1%} are right."
    )


def _unstable(found: Finding) -> str:
    named = ", ".join(map(str, found.epochs[:3])) + ", …" * (len(found.epochs) > 3)
    where = f"epoch{'s' * (len(found.epochs) > 1)} {named}"
    return f"The training loss jumps to {_loss(found, 'highest')} in {where}, and recovers to {_loss(found, 'usual')}."


def _lr_too_high(found: Finding) -> str:
    peak, last = f"up to {found.evidence['peak_lr']:.2g}", _loss(found, "last")
    if len(found.epochs) == 1:
        return (
            f"Most of what was learnt came when the learning rate, {peak}, had fallen: from epoch "
            f"{found.epochs[0]} on the training loss fell to {last}, before that hardly."
        )
    return (
        f"While the learning rate was high, {peak}, the training loss rose from {_loss(found, 'before')} after "
        f"{_epochs(found.epochs[0])} to {_loss(found, 'highest')} after {_epochs(found.epochs[1])}; it ended at {last}."
    )


def _lr_too_low(found: Finding) -> str:
    return (
        f"The training loss falls slowly, along a straight line, from {_loss(found, 'first')} to "
        f"{_loss(found, 'last')}, at a learning rate of at most {found.evidence['peak_lr']:.2g}: it has not "
        "levelled off."
    )


def _lr_not_annealed(found: Finding) -> str:
    return (
        f"From epoch {found.epochs[0]} on the validation loss goes up and down between {_loss(found, 'low')} and "
        f"{_loss(found, 'high')}, and no longer falls: the learning rate is still {found.evidence['lr']:.2g}."
    )


def _bn_lag(found: Finding) -> str:
    if "reestimated" in found.evidence:
        return (
            f"BatchNorm's running statistics lag behind the weights: the validation loss is "
            f"{_loss(found, 'valid_loss')} with them, {_loss(found, 'reestimated')} with statistics measured anew."
        )
    return (
        f"Training images have a loss of {_loss(found, 'train_loss')} in training and "
        f"{_loss(found, 'train_eval_loss')} in evaluation: BatchNorm's running statistics lag behind the weights."
    )


def _overfitting(found: Finding) -> str:
    numbers = found.evidence
    own = f"the training loss is {_loss(found, 'train_loss')}"
    if len(found.epochs) == 1:
        return f"The training images are known by heart, {own}; the validation loss is {_loss(found, 'valid_loss')}."
    then, now = numbers["accuracy_then"], numbers["accuracy"]
    accuracy = f"{then:.1%} were right then, {now:.1%} are" + (
        ": it errs no more often, but more surely" if now >= then else ""
    )
    return (
        f"The validation loss rises from about {_loss(found, 'lowest')}, around epoch {found.epochs[0]}, to "
        f"{_loss(found, 'valid_loss')}, while {own} and falls on. {accuracy}."
    )


def _underfitting(found: Finding) -> str:
    valid, own, batches = (_loss(found, name) for name in ("valid_loss", "train_loss", "batches"))
    if found.epochs:
        return f"Both losses still fall at the end, validation to {valid}, training to {own}."
    noisy = found.evidence["batches"] > 1.2 * found.evidence["train_loss"]
    what = "Mixing, dropout and augmentation" if "mixed" in found.evidence else "Dropout and augmentation"
    cause = f" {what} raise it to {batches} in training: less of them helps first." if noisy else ""
    return (
        f"The training loss is high, {own} where chance is {_loss(found, 'chance')}, and the validation loss near it, "
        f"{valid}.{cause}"
    )


def _regularised(found: Finding) -> str:
    what = "mixing, dropout, augmentation" if "mixed" in found.evidence else "dropout, augmentation"
    return (
        f"The loss in training, {_loss(found, 'train_loss')}, is above the validation loss, "
        f"{_loss(found, 'valid_loss')}, for {what} or label smoothing alone: without them training "
        f"images have {_loss(found, 'train_eval_loss')}."
    )


_WORDS: Mapping[Sign, Callable[[Finding], str]] = {
    Sign.DIVERGED: _diverged,
    Sign.COLLAPSED: _collapsed,
    Sign.AT_CHANCE: _at_chance,
    Sign.UNSTABLE: _unstable,
    Sign.LR_TOO_HIGH: _lr_too_high,
    Sign.LR_TOO_LOW: _lr_too_low,
    Sign.LR_NOT_ANNEALED: _lr_not_annealed,
    Sign.BN_LAG: _bn_lag,
    Sign.OVERFITTING: _overfitting,
    Sign.UNDERFITTING: _underfitting,
    Sign.REGULARISED: _regularised,
}


def _loss(found: Finding, name: str) -> str:
    return f"{found.evidence[name]:.3g}"


def _epochs(last: int) -> str:
    """An epoch, counted from 0, as a number of epochs trained."""
    return f"{last + 1} epoch{'s' * (last > 0)}"
