"""`hpcli sweep`, and under a name of their own the sweeps of one key: `hpcli sweep-mom`, `hpcli sweep-wd`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from hpcli.cli.options import AllowCode, ConfigFile, Device, DryRun, Json, Out, Quiet, Seed, Settings
from hpcli.cli.session import Session, overrides
from hpcli.errors import UsageError

EXAMPLES = {"schedule.momentum": "0.95-0.85,0.99-0.90,0.9", "optimizer.weight_decay": "1e-5,1e-4,1e-3"}
MANY_SEEDS = 30
"""More are not advised."""


def sweep(
    context: typer.Context,
    keys: Annotated[list[str] | None, typer.Argument(metavar="[KEY]...", help="What to vary: optimizer.eps")] = None,
    values: Annotated[
        list[str] | None, typer.Option(metavar="LIST", help="Its values: 1e-5,1e-4; a list a key.")
    ] = None,
    seeds: Annotated[str | None, typer.Option(metavar="N", help="Runs a value, or auto: 5, or 3 if slow.")] = None,
    epochs: Annotated[int | None, typer.Option(help="Length of every run, a whole cycle.")] = None,
    refine: Annotated[bool, typer.Option("--refine", help="Go on between the best and its neighbours.")] = False,
    until_decided: Annotated[bool, typer.Option("--until-decided", help="Add seeds while undecided.")] = False,
    max_seeds: Annotated[int, typer.Option(min=2, help="With --until-decided: at most so many.")] = 12,
    apply: Annotated[Path | None, typer.Option(metavar="FILE", help="Write the choice into this config.")] = None,
    resume: Annotated[Path | None, typer.Option(metavar="RUN_DIR", help="Go on, or add values or seeds.")] = None,
    config: ConfigFile = None,
    settings: Settings = None,
    out: Out = None,
    seed: Seed = None,
    device: Device = "auto",
    json: Json = False,
    quiet: Quiet = False,
    dry_run: DryRun = False,
    allow_code: AllowCode = False,
) -> int:
    """Compare values of a config key, or of two, by short runs of several seeds, and say which to use."""
    command = str(context.info_name)
    given = overrides(settings, {"seed": seed, "sweep.seeds": seeds, "sweep.epochs": epochs})
    session = Session(
        command, config, given, as_json=json, quiet=quiet, out=out, resume=resume, may_differ=("sweep.seeds",),
        allow_code=allow_code,
    )  # fmt: skip
    vary = _vary(session, keys or [], values or [])
    if dry_run:
        return session.show_plan(vary)
    how = {"refine": refine, "max_seeds": max_seeds if until_decided else None}
    return _run(session, vary, how, device, apply)


def _run(session: Session, vary: dict[str, list[object]], how: dict[str, Any], device: str, apply: Path | None) -> int:
    from hpcli import plots
    from hpcli.experiments.sweep import sweep as compare

    with session.run_dir() as run:
        splits = session.splits()
        with session.terminal.progress(session.command) as on_progress:
            result = compare(run.config, vary, **how, store=run, on_progress=on_progress, device=device, splits=splits)
        for name, figure in plots.sweep(result).items():
            run.figure(name, figure)
        code = session.finish(run, result.status, result.summary)
    if apply is not None and result.choice is not None:
        for key, value in zip(result.keys, result.settings[result.choice.index].values, strict=True):
            session.apply(apply, key, str(value))
    _say_next(session, run.path, result.summary)
    return code


def _vary(session: Session, keys: list[str], lists: list[str]) -> dict[str, list[object]]:
    """Keys and their values, checked; of a sweep that is gone on with, those that it has too."""
    from hpcli.experiments.varied import SWEEPS, extended, settings, split_values
    from hpcli.run_dir.tables import read_rows

    own = SWEEPS.get(session.command)
    keys = [own, *keys] if own else keys
    rows = read_rows(session.resume / "sweep.csv") if session.resume else []
    if rows and not lists:
        return extended(session.config, {}, rows)
    if own and not lists:
        raise UsageError(f"--values: none given; for example hpcli {session.command} --values {EXAMPLES[own]}")
    if len(keys) != len(lists) or not keys:
        raise UsageError(f"{len(keys)} keys and {len(lists)} lists of values: write KEY --values LIST, once or twice")
    vary: dict[str, list[object]] = {key: [*split_values(text)] for key, text in zip(keys, lists, strict=True)}
    settings(session.config, vary)
    return extended(session.config, vary, rows) if rows else vary


def _say_next(session: Session, path: Path, summary: dict[str, Any]) -> None:
    """How to find what matters, and at what cost."""
    more, lines = summary.get("seeds_for_matters"), summary.get("ranking", [])
    tied = sum(line["candidate"] for line in lines)
    if tied > 1 and more and summary["seeds"] < more <= MANY_SEEDS:
        seconds = sum(line["mean_seconds"] or 0 for line in lines) * (more - summary["seeds"])
        session.terminal.note(
            f"to find a difference of {summary['matters']:.1g}, about {seconds:.0f} s: "
            f"hpcli {session.command} --resume {path} --seeds {more}"
        )
