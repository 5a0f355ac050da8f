"""A training by several processes: what the first one tells the others, and what they do."""

from __future__ import annotations

import signal
import warnings
from collections.abc import Iterator

from hpcli import catalog
from hpcli.config import Config, with_overrides
from hpcli.data.dataset import Splits, load_splits
from hpcli.errors import UsageError
from hpcli.recording.recorder import Stop
from hpcli.training.losses import StepReport
from hpcli.training.ranks import Begin, End, Joined, Measure, Task, Train
from hpcli.training.trainer import Trainer
from hpcli.trials.trainers import new_trainer


def leading_trainer(config: Config, splits: Splits, stop: Stop, ranks: Joined) -> Trainer:
    """The first process's trainer, once it is made: the others make theirs, and do what it does.

    Args:
        config: what is trained.
        splits: its images.
        stop: whether this process has been asked to stop; where another one has, it is asked, too.
        ranks: the processes.
    """

    def passed_on(number: int) -> None:
        """What a signal to the first process does to it."""
        if not stop.should_stop():  # a second Ctrl-C would stop at once, and this one is not the user's
            signal.raise_signal(signal.SIGTERM if number == signal.SIGINT else number)

    trainer = new_trainer(config, device=ranks.device, splits=splits, ranks=ranks)
    ranks.on_signal = passed_on
    ranks.tell(Begin(config, tuple(sorted(catalog.allowed_code)), splits.fingerprints))
    ranks.wait()
    return trainer


def follow(ranks: Joined) -> int:
    """Do what the first process says, to the end. Its exit code.

    Raises:
        ConfigError, DataError, UsageError: a trainer cannot be had here, or of other images than those of the first.
        PeerLostError: another process is gone.
    """
    warnings.simplefilter("ignore")  # the first process says them
    with ranks.signals:
        task = ranks.told()
        if isinstance(task, Begin):
            task = _followed(_trainer(task, ranks), ranks)
    assert isinstance(task, End)
    return task.code


def _trainer(task: Begin, ranks: Joined) -> Trainer:
    """The same as the first process's; its weights come with its steps."""
    catalog.allow_code(*task.allowed_code)
    config = with_overrides(task.config, {"model.pretrained": False, "init.weights": None})
    is_first_here = ranks.launch.local_rank == 0  # of a machine: it decodes and compares the images, once
    if not is_first_here:
        ranks.wait()
    splits = load_splits(config)
    if is_first_here:
        if splits.fingerprints != task.images:
            raise UsageError(f"data.root: the images of process {ranks.rank} are not those of the first; copy them")
        ranks.wait()
    return new_trainer(config, device=ranks.device, splits=splits, ranks=ranks)


def _followed(trainer: Trainer, ranks: Joined) -> Task:
    """Take steps and measure as the first process says; what it says at last."""
    steps: Iterator[StepReport] = iter(())
    while True:
        task = ranks.told()
        if task is None:
            next(steps)
        elif isinstance(task, Train):
            trainer.load_state_dict(dict(task.state))
            steps = trainer.train(task.schedule, task.start, task.stop)
        elif isinstance(task, Measure):
            trainer.evaluate(task.split, bn_images=task.bn_images, by_class=task.by_class)
        else:
            return task
