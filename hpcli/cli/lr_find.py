"""`hpcli lr-find`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from hpcli.cli.applying import check_apply
from hpcli.cli.command import Call, command
from hpcli.cli.options import Apply, Given, Strict
from hpcli.cli.session import Session
from hpcli.errors import DIVERGED, UsageError

KEYS = ("start_lr", "end_lr", "steps", "mode", "seeds", "valid")
NARROW = 3.0
"""A range whose ends differ by less than this factor is not worth sweeping."""
Decays = Annotated[str | None, typer.Option(metavar="LIST", help="One value, or several to overlay: 1e-4,1e-2.")]
Momenta = Annotated[str | None, typer.Option(metavar="LIST", help="One value, or several to overlay: 0.9,0.95.")]


@command([*(f"lr_find.{key}" for key in KEYS), "init.weights"])
def lr_find(
    call: Call, weight_decay: Decays = None, momentum: Momenta = None, apply: Apply = None, strict: Strict = False
) -> int:
    """The learning-rate range test: short runs from a tiny to a huge learning rate, and what they say."""
    lists = {"optimizer.weight_decay": weight_decay, "schedule.momentum": momentum}
    session = call.session(_vary({key: text for key, text in lists.items() if text is not None}))
    _check_apply(session, apply)
    code = session.run()
    _go_on(session, apply)
    return DIVERGED if strict and code == 0 and session.summary.get("refusal") else code


def _vary(lists: dict[str, str]) -> Given:
    """The keys that lists of values set: one value sets the key itself, several set `lr_find.values`."""
    from hpcli.config.varying import split_values

    keys: Given = {}
    for key, text in lists.items():
        values = split_values(key, text)
        if len(values) == 1:
            keys[key] = values[0]
        elif "lr_find.values" in keys:
            raise UsageError("--weight-decay and --momentum: overlay one of them at a time; give the other one value")
        else:
            keys["lr_find.values"] = {key: values}
    return keys


def _check_apply(session: Session, apply: Path | None) -> None:
    """Refuse a file of another set-up: the learning rate is of the first value, where several are overlaid."""
    if apply is None:
        return
    from hpcli.config import with_overrides
    from hpcli.config.scope import Scope

    first = {key: values[0] for key, values in session.config.lr_find.values.items()}
    ran = with_overrides(session.config, first) if first else session.config
    check_apply(session, apply, ran, but={"data.steps_per_epoch"}, but_of=Scope.LENGTH | Scope.REPEAT)


def _go_on(session: Session, apply: Path | None) -> None:
    """Write the learning rate down, and say how to confirm it."""
    from hpcli.results.lr_find import LRFindResult

    found = session.result.suggestion if isinstance(session.result, LRFindResult) else None
    if found is None or found.suggested_lr is None:
        return
    if apply is not None:
        session.apply(apply, "schedule.max_lr", float(f"{found.suggested_lr:.2g}"))
    values = [found.low or found.suggested_lr, found.suggested_lr, found.high or found.suggested_lr]
    if values[-1] < 0.99 * NARROW * values[0]:  # a sweep of neighbours tells nothing, and beyond them is out of range
        session.say_next("hpcli train", {"schedule.max_lr": float(f"{found.suggested_lr:.2g}")})
        return
    listed = ",".join(dict.fromkeys(f"{value:.2g}" for value in values))
    session.say_next(f"hpcli sweep schedule.max_lr --values {listed}")
