"""`hpcli interpolate`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from hpcli.cli.options import AllowCode, ConfigFile, Device, DryRun, Json, Out, Quiet, Seed, Settings
from hpcli.cli.session import Session, overrides
from hpcli.errors import UsageError

if TYPE_CHECKING:
    from hpcli.experiments.interpolate import InterpolationResult
    from hpcli.run_dir import RunDir
    from hpcli.training.trainer import Trainer

CHECKPOINT = "A run folder (its last checkpoint), RUN_DIR:epoch-0007, RUN_DIR:cycle-1, or a file."


def interpolate(
    ckpt_a: Annotated[Path | None, typer.Option(metavar="CKPT", help=f"Where α = 0. {CHECKPOINT}")] = None,
    ckpt_b: Annotated[Path | None, typer.Option(metavar="CKPT", help="Where α = 1.")] = None,
    ckpt_c: Annotated[Path | None, typer.Option(metavar="CKPT", help="Also the plane through all three.")] = None,
    alphas: Annotated[str | None, typer.Option(help="low:high:count, or a list: -10,-5,0,1.")] = None,
    bn: Annotated[str | None, typer.Option(help="BatchNorm between them: recompute, interpolate or both.")] = None,
    save_average: Annotated[float | None, typer.Option(metavar="ALPHA", help="Keep the model at this α.")] = None,
    plane_points: Annotated[int | None, typer.Option(help="Points along each side of the plane.")] = None,
    config: ConfigFile = None,
    settings: Settings = None,
    resume: Annotated[Path | None, typer.Option(metavar="RUN_DIR", help="Go on where this one stopped.")] = None,
    out: Out = None,
    seed: Seed = None,
    device: Device = "auto",
    json: Json = False,
    quiet: Quiet = False,
    dry_run: DryRun = False,
    allow_code: AllowCode = False,
) -> int:
    """The loss on the line between two checkpoints: one valley, or two with a barrier between them."""
    checkpoints = {"ckpt_a": ckpt_a, "ckpt_b": ckpt_b, "ckpt_c": ckpt_c}
    chosen = {"alphas": alphas, "bn": bn, "save_average": save_average, "plane_points": plane_points}
    keys: dict[str, object] = {"seed": seed, **{f"interpolate.{key}": value for key, value in chosen.items()}}
    keys |= {f"interpolate.{key}": path and path.absolute() for key, path in checkpoints.items()}
    file, given = config, overrides(settings, keys)
    if config is None and resume is None:  # the images and the network of A's run; what that interpolated is its own
        file = _shared_config(checkpoints)
        given = {f"interpolate.{key}": None for key in (*checkpoints, "save_average")} | given
    session = Session(
        "interpolate", file, given, as_json=json, quiet=quiet, out=out, resume=resume, allow_code=allow_code
    )
    if session.config.interpolate.ckpt_a is None or session.config.interpolate.ckpt_b is None:
        raise UsageError("--ckpt-a, --ckpt-b: name the two checkpoints, each a run folder or a file")
    return session.show_plan() if dry_run else _run(session, device)


def _run(session: Session, device: str) -> int:
    from hpcli import plots
    from hpcli.experiments.interpolate import interpolate as measure
    from hpcli.run_dir import load_weights

    chosen = session.config.interpolate
    weights = [load_weights(path) for path in (chosen.ckpt_a, chosen.ckpt_b, chosen.ckpt_c) if path]
    with session.run_dir() as run:
        if run.summary is not None:
            return session.show_finished(run.summary)
        trainer = session.trainer(run, device)
        with session.terminal.progress("interpolate") as on_progress:
            line = measure(run.config, *weights[:2], store=run, on_progress=on_progress, trainer=trainer)
        if line.status == "finished":
            run.figure("interpolation", plots.interpolation(line))
        if line.status == "finished" and chosen.save_average is not None:
            run.weights(load_weights(f"{run.path}:average"))
        if line.status == "finished" and len(weights) == 3:
            return _run_plane(session, run, trainer, weights, line)
        return session.finish(run, line.status, line.summary)


def _run_plane(session: Session, run: RunDir, trainer: Trainer, weights: list[Any], line: InterpolationResult) -> int:
    """The plane after the line, its cost said before it starts."""
    from hpcli import plots
    from hpcli.experiments.plane import plane as measure

    def say_cost(points: int, seconds: float) -> None:
        session.terminal.note(f"the plane: {points:,} points, about {seconds:,.0f} s (--plane-points: how many a side)")

    with session.terminal.progress("plane") as on_progress:
        plane = measure(run.config, *weights, store=run, on_progress=on_progress, on_cost=say_cost, trainer=trainer)
    if plane.status == "finished":
        run.figure("plane", plots.plane(plane))
    return session.finish(run, plane.status, {**line.summary, "plane": plane.summary})


def _shared_config(checkpoints: dict[str, Path | None]) -> Path:
    from hpcli.run_dir import shared_config

    named = [path for path in checkpoints.values() if path is not None]
    if not named:
        raise UsageError("--ckpt-a, --ckpt-b: name the two checkpoints, each a run folder or a file")
    return shared_config(named)
