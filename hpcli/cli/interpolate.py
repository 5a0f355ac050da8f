"""`hpcli interpolate`."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from hpcli.cli.command import Call, command
from hpcli.cli.options import Given
from hpcli.cli.session import Session
from hpcli.errors import UsageError

if TYPE_CHECKING:
    from hpcli.config import Config
    from hpcli.data.dataset import Splits
    from hpcli.recording.progress import OnProgress
    from hpcli.recording.recorder import Recorder
    from hpcli.results import Result

CHECKPOINTS = ("interpolate.ckpt_a", "interpolate.ckpt_b", "interpolate.ckpt_c")
KEYS = (*CHECKPOINTS, *(f"interpolate.{key}" for key in ("alphas", "bn", "save_average", "plane_points")))


@command(KEYS, checkpoints=CHECKPOINTS, resumes=True)
def interpolate(call: Call) -> int:
    """The loss on the line between two checkpoints: one valley, or two with a barrier between them."""
    session = _session(call)
    if session.config.interpolate.ckpt_a is None or session.config.interpolate.ckpt_b is None:
        raise UsageError("--ckpt-a, --ckpt-b: name the two checkpoints, each a run folder or a file")
    return session.run(partial(_experiment, session))


def _session(call: Call) -> Session:
    """The session, by the config named, else by the config of A's run without that run's own checkpoints."""
    from hpcli.runs.weights import shared_config

    if call.shared.config is not None or call.shared.resume is not None:
        return call.session()
    named = [str(call.keys[key]) for key in CHECKPOINTS if key in call.keys]
    if not named:
        raise UsageError("--ckpt-a, --ckpt-b: name the two checkpoints, each a run folder or a file")
    own: Given = dict.fromkeys((*CHECKPOINTS, "interpolate.save_average"))
    return call.session(own | call.keys, config=shared_config(named))


def _experiment(
    session: Session, config: Config, *, recorder: Recorder, on_progress: OnProgress, device: str, splits: Splits
) -> Result:
    from hpcli.experiments.interpolate import interpolate as experiment

    def say_cost(points: int, seconds: float) -> None:
        """Say what the plane costs before it is measured."""
        session.terminal.note(f"the plane: {points:,} points, about {seconds:,.0f} s (--plane-points: how many a side)")

    return experiment(
        config=config, recorder=recorder, on_progress=on_progress, on_cost=say_cost, device=device, splits=splits
    )
