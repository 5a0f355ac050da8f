"""What no key can know alone: keys that contradict each other, and settings that are allowed but hardly meant."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from hpcli.config.schema import Config


def conflicts(config: Config) -> list[tuple[str, str]]:
    """Pairs (key, problem): keys that are fine alone but not together."""
    faults = []
    schedule, train, optimizer = config.schedule, config.train, config.optimizer
    if schedule.name in ("piecewise", "constant") and schedule.momentum.cyclic:
        faults.append(
            (
                "schedule.momentum",
                f"the pair {schedule.momentum} needs a learning rate that cycles, and {schedule.name} "
                "does not; write one number such as 0.9",
            )
        )
    if schedule.base_lr is not None and schedule.base_lr > schedule.max_lr:
        faults.append(("schedule.base_lr", f"{schedule.base_lr} is above max_lr, {schedule.max_lr}; swap or lower it"))
    if schedule.base_lr is not None and schedule.div_factor is not None:
        faults.append(("schedule.base_lr", "says the same as div_factor; keep one of them"))
    if config.lr_find.start_lr >= config.lr_find.end_lr:
        faults.append(("lr_find.start_lr", f"{config.lr_find.start_lr} must be below end_lr, {config.lr_find.end_lr}"))
    if optimizer.nesterov and optimizer.name != "sgd":
        faults.append(("optimizer.nesterov", "is SGD's; set optimizer.name: sgd, or leave it out"))
    if optimizer.nesterov and optimizer.name == "sgd" and schedule.momentum.low == 0:
        faults.append(("optimizer.nesterov", "needs a momentum above 0"))
    if config.model.pretrained and not {"/", ":"} & set(config.model.name):
        faults.append(("model.pretrained", f"{config.model.name} has no weights to start from; use --init CKPT"))
    faults.extend(
        (f"train.checkpoint_epochs.{index}", f"{epoch} is past the last epoch, {train.epochs - 1} (they count from 0)")
        for index, epoch in enumerate(train.checkpoint_epochs)
        if epoch >= train.epochs
    )
    return faults


def advice(config: Config) -> list[str]:
    """What is allowed but probably not meant, a line each.

    A lone momentum below 0.5 is usually a pair that lost its way: the notebook this tool comes from wrote
    `moms=(0.99-0.90)`, trained half its runs at 0.09, and never knew.
    """
    lines = []
    momentum = config.schedule.momentum
    if not momentum.cyclic and momentum.high < 0.5:
        lines.append(
            f"schedule.momentum: {momentum} is constant and unusually low; did you mean a pair such as 0.95-0.85?"
        )
    if config.data.validation == "test":
        lines.append(
            "data.validation: test: what is chosen on the test images is no longer tested by them; "
            "a held-out fraction such as 0.1 is"
        )
    return lines
