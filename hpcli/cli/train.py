"""`hpcli train`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hpcli.cli.command import Call, command
from hpcli.training.launch import launched

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from hpcli.cli.session import RunExperiment
    from hpcli.config import Config
    from hpcli.data.dataset import Splits
    from hpcli.recording.progress import OnProgress
    from hpcli.recording.recorder import MethodRecorder
    from hpcli.results import Result
    from hpcli.training.ranks import Joined

KEYS = ("train.epochs", "schedule.max_lr", "schedule.momentum", "optimizer.weight_decay", "init.weights")


@command(KEYS, resumes=True)
def train(call: Call) -> int:
    """Train by the config's schedule, evaluating after every epoch."""
    return _alone(call) if launched().size == 1 else _together(call)


def _alone(call: Call, experiment: RunExperiment | None = None) -> int:
    session = call.session()
    code = session.run(experiment, early=_early)
    session.go_on()
    return code


def _together(call: Call) -> int:
    """As one of several processes: the first carries the command out, the others do what it says."""
    from hpcli.training.ranks import End, join
    from hpcli.trials.together import follow

    ranks = join(call.shared.device)
    code = _alone(call, _led(ranks)) if ranks.leads else follow(ranks)
    ranks.tell(End(code))
    ranks.leave()
    return code


def _led(ranks: Joined) -> RunExperiment:
    """`train` with a trainer that the others follow."""
    from hpcli.experiments import train as experiment
    from hpcli.trials.together import leading_trainer

    def led(
        config: Config, *, recorder: MethodRecorder, on_progress: OnProgress, device: str, splits: Splits
    ) -> Result:
        """As `hpcli.train`."""
        trainer = leading_trainer(config, splits, recorder, ranks)
        return experiment.train(config, recorder=recorder, on_progress=on_progress, trainer=trainer)

    return led


def _early(result: Result) -> dict[str, Figure]:
    from hpcli import plots
    from hpcli.plots.train import early_figures
    from hpcli.results.train import TrainResult

    assert isinstance(result, TrainResult)
    return plots.captioned(result, early_figures(result))
