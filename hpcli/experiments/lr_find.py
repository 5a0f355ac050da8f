"""The learning-rate range test (1506.01186, section 3.3): short runs from a tiny to a huge learning rate."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from hpcli.analysis.curves import break_index, break_loss, is_beyond
from hpcli.analysis.reading import read
from hpcli.config import Config, differing_keys, with_overrides
from hpcli.config.controls import check_range_test
from hpcli.config.keys import scope_of
from hpcli.config.scope import Scope
from hpcli.config.varying import with_values, written
from hpcli.data.dataset import Splits
from hpcli.errors import ConfigError
from hpcli.recording.memory import MemoryRecorder
from hpcli.recording.progress import OnProgress, Progress
from hpcli.recording.recorder import Recorder
from hpcli.results.data import DataFacts
from hpcli.results.lr_find import LRFindPoint, LRFindResult, LRFindStep, LRFindValid
from hpcli.results.same_runs import same_range_tests
from hpcli.states import RunStatus
from hpcli.training.device import choose_device, generators_kept
from hpcli.training.losses import StepLoss, StepReport
from hpcli.training.schedules import Schedule, lr_find_schedule
from hpcli.training.trainer import Trainer
from hpcli.trials.trainers import new_trainer
from hpcli.views.progress import shown

VALID_EVERY = 0.15
"""Decades between measurements of the validation loss."""
VALID_BN_IMAGES = 2000
"""BatchNorm's statistics are measured anew on so many images, each time that the validation loss is."""

Array = NDArray[np.float64]


@generators_kept()
def lr_find(
    config: Config,
    vary: Mapping[str, Sequence[object]] | None = None,
    *,
    recorder: Recorder | None = None,
    on_progress: OnProgress | None = None,
    device: str = "auto",
    splits: Splits | None = None,
    trainer: Trainer | None = None,
) -> LRFindResult:
    """Train through the range `config.lr_find`, once a seed, and leave no trace: everything is put back as it was.

    Args:
        config: what to train, and the range.
        vary: a key, or weight_decay or momentum, and its values: a test of every seed for each value (1803.09820,
            section 4.4: the best weight decay is the one whose loss is lowest at the highest stable learning rate).
            None: what `config.lr_find.values` says.
        recorder: where rows go; None: memory.
        on_progress: called after every step whose loss has arrived; None: nobody, in IPython a bar.
        device: `auto`, `cpu`, `cuda` or `cuda:1`; not used with a `trainer`.
        splits: the images, if you have loaded them; not used with a `trainer`.
        trainer: test this one, from where it is. Its weights, buffers, optimizer and place in the data are restored,
            and so are the random generators of torch, numpy and python: training it next is as if nothing had been.
            One that has been trained keeps its weights for every seed; a fresh one gets each seed's own.

    Raises:
        ConfigError: a key or a value that the config does not take, or that a trainer of yours cannot be given; an
            optimizer of which a range test says nothing.
        DataError, UsageError, CheckpointError: from building the trainer.
    """
    config = config if vary is None else with_values(config, "lr_find", vary)
    for _, own in _overlaid(config, trainer):
        check_range_test(own.optimizer.name)
    recorder = recorder or MemoryRecorder()
    tests = _Tests(config, recorder, shown(on_progress, "lr_find"))
    where = choose_device(device) if trainer is None else trainer.device
    tests.say(*same_range_tests(config, on_gpu=where.type == "cuda"))
    kept = None if trainer is None else (config, trainer)
    for value, own in _overlaid(config, trainer):
        if tests.status != RunStatus.FINISHED:
            break
        if kept is None or (trainer is None and differing_keys(kept[0], own, of=Scope.TRAINER)):
            same_images = not differing_keys(config, own, of=Scope.IMAGES)
            kept = own, new_trainer(own, device=device, splits=splits if same_images else None)
        tests.run(value, own, kept[1])
    return LRFindResult.from_rows(config, tests.status, recorder)


def _overlaid(config: Config, trainer: Trainer | None) -> list[tuple[str, Config]]:
    """Each value of the varied key with its config. Where no key is varied: the config itself, under an empty name."""
    for key, values in config.lr_find.values.items():
        if trainer is not None and scope_of(key) & Scope.TRAINER:
            raise ConfigError(f"lr_find.values.{key}: takes a trainer of its own for each value; pass none")
        return [(written(value), with_overrides(config, {key: value})) for value in values]
    return [("", config)]


class _Tests:
    """Runs the tests of all values and seeds, and records their curves."""

    def __init__(self, config: Config, recorder: Recorder, on_progress: OnProgress) -> None:
        self.config, self.recorder, self.on_progress = config, recorder, on_progress
        self.status = RunStatus.FINISHED
        self.num_tests = 0
        count = sum(len(values) for values in config.lr_find.values.values()) or 1
        self.total = count * config.lr_find.seeds * config.lr_find.steps
        self.chance_loss = 0.0

    def say(self, *lines: str) -> None:
        """Say something before the first step."""
        for line in lines:
            self.on_progress(Progress(0, self.total, line=line))

    def run(self, value: str, config: Config, trainer: Trainer) -> None:
        """The tests of one value, a seed each."""
        facts = DataFacts.of(trainer.data.splits)
        facts.record(self.recorder)
        self.chance_loss = facts.chance_loss()
        before, weight_decay = trainer.state_dict(), self.config.optimizer.weight_decay
        try:
            for seed in range(before["seed"], before["seed"] + config.lr_find.seeds):
                if self.status != RunStatus.FINISHED:
                    return
                if before["is_fresh"]:
                    trainer.reset(seed)
                else:
                    trainer.load_state_dict(before)
                    trainer.seed = trainer.data.loader.seed = seed
                trainer.optimizer.set_weight_decay(config.optimizer.weight_decay)
                self._run(value, seed, config, trainer)
        finally:
            trainer.optimizer.set_weight_decay(weight_decay)
            trainer.load_state_dict(before)

    def _run(self, value: str, seed: int, config: Config, trainer: Trainer) -> None:
        test = _Test(self, value, seed, lr_find_schedule(config))
        for report in trainer.train(test.schedule):
            if not test.goes_on_after(report, trainer):
                break
        test.record_curve()
        self.num_tests += 1


class _Test:
    """One range test: one value, one seed."""

    def __init__(self, tests: _Tests, value: str, seed: int, schedule: Schedule) -> None:
        self.tests, self.value, self.seed, self.schedule = tests, value, seed, schedule
        self.losses: list[float] = []
        self.valid: list[LRFindValid] = []
        self.has_broken = False

    def goes_on_after(self, report: StepReport, trainer: Trainer) -> bool:
        """Record a step; whether another follows."""
        tests = self.tests
        stopping = tests.recorder.should_stop()
        if stopping:
            tests.status = RunStatus.INTERRUPTED
        for step_loss in report.losses + (report.wait() if stopping else ()):
            self._write(step_loss, report.momentum)
            if self.has_broken:
                return False
        due = not self.valid or report.lr >= self.valid[-1].lr * 10**VALID_EVERY
        if tests.config.lr_find.valid and due and not stopping:
            self._measure(report.lr, trainer)
        return not stopping

    def record_curve(self) -> None:
        """Write the curve, and its smoothed losses up to where the loss breaks."""
        recorder, raw = self.tests.recorder, np.array(self.losses)
        lr = self.schedule.lr[: len(raw)]
        initial = float(np.median(raw[:3]))
        reading = read(lr, raw, chance_loss=self.tests.chance_loss, initial_loss=initial)
        smoothed = np.full(len(raw), np.nan)
        if reading is not None:
            smoothed[: len(reading.smoothed)] = reading.smoothed
        for step, numbers in enumerate(zip(lr.tolist(), self.losses, smoothed.tolist(), strict=True)):
            recorder.add(LRFindPoint(step, *numbers, self.seed, self.value))
        for row in self.valid:
            recorder.add(row)

    def _write(self, step_loss: StepLoss, momentum: float) -> None:
        step, loss = step_loss
        self.losses.append(loss)
        tests = self.tests
        row = LRFindStep(step, float(self.schedule.lr[step]), momentum, loss, self.seed, self.value)
        tests.recorder.add(row)
        done = tests.num_tests * len(self.schedule) + step + 1
        tests.on_progress(Progress(done, tests.total, loss))
        self.has_broken = self._breaks()

    def _measure(self, lr: float, trainer: Trainer) -> None:
        on_train, on_valid = (trainer.evaluate(split, bn_images=VALID_BN_IMAGES) for split in ("train", "valid"))
        gap = on_valid.loss - on_train.loss
        self.valid.append(LRFindValid(lr, on_train.loss, on_valid.loss, gap, self.seed, self.value))

    def _breaks(self) -> bool:
        initial, best, chance = self.losses[0], min(self.losses), self.tests.chance_loss
        if not is_beyond(self.losses[-1], best=best, initial=initial, chance=chance):
            return False
        return break_index(self.schedule.lr, self.losses, max(4 * best, break_loss(initial, chance))) is not None
