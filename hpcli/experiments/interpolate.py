"""The loss on the line between two checkpoints (1702.04283, section 4), the weights' part told from BatchNorm's."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

from hpcli.analysis.interpolation import rise_error, variance_zeros
from hpcli.config import Config, read_config, with_overrides
from hpcli.config.alphas import parse_alphas
from hpcli.data.dataset import Splits
from hpcli.errors import CheckpointError, UsageError
from hpcli.experiments.plane import OnCost, PlaneMeasurement, no_matter, record_products
from hpcli.recording.memory import MemoryRecorder
from hpcli.recording.progress import OnProgress, Progress
from hpcli.recording.recorder import Recorder
from hpcli.results.data import DataFacts
from hpcli.results.interpolate import ENDS, Average, End, InterpolateResult, Place, VarianceZero
from hpcli.results.plane import Product
from hpcli.runs.trained_on import fitting
from hpcli.runs.weights import Stored, read_weights, shared_config
from hpcli.states import BatchNorm, RunStatus
from hpcli.training.evaluation import Evaluation
from hpcli.training.mixture import Mixture
from hpcli.training.trainer import Trainer
from hpcli.training.weights import Weights
from hpcli.views.progress import shown

Checkpoint = Weights | Path | str
"""Tensors by name, or a reference to a checkpoint as `load_weights` takes it."""
SAME = 1e-3
"""Relative difference of a loss up to which a resumed line is the same line; another GPU may round differently."""


def interpolate(
    a: Checkpoint | None = None,
    b: Checkpoint | None = None,
    c: Checkpoint | None = None,
    *,
    config: Config | None = None,
    recorder: Recorder | None = None,
    on_progress: OnProgress | None = None,
    on_cost: OnCost = no_matter,
    device: str = "auto",
    splits: Splits | None = None,
    trainer: Trainer | None = None,
) -> InterpolateResult:
    """Measure w(α) = (1−α)·A + α·B at every α of `config.interpolate`, and with a third checkpoint the plane.

    The training loss is measured on the fixed sample of un-augmented training images that `train` measures
    `train_eval_loss` on, so at α = 0 and 1, with BatchNorm's statistics as they are stored, both losses are those of
    the run's own metrics; in bfloat16 and TF32 to about three digits, as BatchNorm is folded into the weights.

    Args:
        a: checkpoint A; None: `interpolate.ckpt_a` of the config.
        b: checkpoint B; None: `ckpt_b`.
        c: a third one, for the plane (1802.10026, figure 1); None: `ckpt_c`, or no plane.
        config: the data, the network, and the section `interpolate`; None: of A's run, where checkpoints are paths.
        recorder: where rows go, and the model of `save_average` as a checkpoint `average`; None: memory. One that has
            rows already is gone on with.
        on_progress: called after every measurement; None: nobody, in IPython a bar.
        on_cost: told what the plane will cost before it starts.
        device: `auto`, `cpu`, `cuda` or `cuda:1`; not used with a `trainer`.
        splits: the images, if you have loaded them; not used with a `trainer`.
        trainer: use this one's data and network; its state is put back as it was.

    Raises:
        UsageError: a checkpoint or the config is missing.
        CheckpointError: checkpoints of another network, or others than those of the rows that are there already; three
            on one line.
    """
    config = _config_of([each for each in (a, b, c) if each is not None], config)
    chosen = config.interpolate
    given = [own or named for own, named in ((a, chosen.ckpt_a), (b, chosen.ckpt_b), (c, chosen.ckpt_c))]
    if given[0] is None or given[1] is None:
        raise UsageError("--ckpt-a, --ckpt-b: name the two checkpoints, each a run folder or a file")
    if c is not None and chosen.ckpt_c is None:
        config = with_overrides(config, {"interpolate.ckpt_c": "given"})
    stored = [read_weights(each) if isinstance(each, str | Path) else each for each in given if each is not None]
    trainer, recorder = (
        trainer or Trainer.from_config(config, device=device, splits=splits),
        recorder or MemoryRecorder(),
    )
    DataFacts.of(trainer.data.splits).check_unchanged(recorder)
    weights = [fitting(each, trainer.data.splits, config) if isinstance(each, Stored) else each for each in stored]
    before = trainer.state_dict()
    try:
        report = shown(on_progress, "interpolate")
        status = _Line(config, Mixture(trainer, *weights[:2]), recorder, report).measure()
        if status == RunStatus.FINISHED and len(weights) == 3:
            status = PlaneMeasurement(config, Mixture(trainer, *weights), recorder, report).measure(on_cost)
        return InterpolateResult.from_rows(config, status, recorder)
    finally:
        trainer.load_state_dict(before)


def _config_of(checkpoints: Sequence[Checkpoint], config: Config | None) -> Config:
    """The config to measure by: the given one, or the config of the first checkpoint's run."""
    if any(isinstance(each, Config) for each in checkpoints):
        raise UsageError("interpolate takes checkpoints, and the config by its name: interpolate(config=...)")
    if config is not None:
        return config
    paths = [each for each in checkpoints if isinstance(each, str | Path)]
    if not paths or len(paths) < len(checkpoints):
        raise UsageError("config: needed where checkpoints are tensors; pass the one that they were trained by")
    own = {f"interpolate.{key}": None for key in ("ckpt_a", "ckpt_b", "ckpt_c", "save_average")}
    return with_overrides(read_config(shared_config(paths)), own)


class _Line:
    """Measures place by place, a row each."""

    def __init__(self, config: Config, mixture: Mixture, recorder: Recorder, on_progress: OnProgress) -> None:
        self.config, self.mixture, self.recorder, self.on_progress = config.interpolate, mixture, recorder, on_progress
        self.alphas = parse_alphas(self.config.alphas)
        asked = tuple(mode for mode in BatchNorm if self.config.bn in (mode, "both"))
        self.modes = asked if mixture.norms or len(asked) == 1 else (BatchNorm.INTERPOLATE,)  # else they are the same
        self.ends = {
            (alpha, mode): self._evaluated(alpha, mode)
            for mode in {BatchNorm.INTERPOLATE, *self.modes}
            for alpha in ENDS.values()
        }

    def measure(self) -> RunStatus:
        """Measure the places that are missing. Finished, or interrupted."""
        places = [(alpha, mode) for alpha in self.alphas for mode in self.modes]
        done = self.recorder.rows(Place)
        self._check(done)
        self._describe()
        for index, (alpha, mode) in enumerate(places[len(done) :], start=len(done) + 1):
            if self.recorder.should_stop():
                return RunStatus.INTERRUPTED
            place = self._place(alpha, mode)
            self.recorder.add(place, durable=True)
            loss = math.nan if place.valid_loss is None else place.valid_loss
            self.on_progress(Progress(index, len(places), loss))
        if self.config.save_average is not None:
            self._save_average(self.config.save_average)
        return RunStatus.FINISHED

    def _check(self, done: list[Place]) -> None:
        """Measure a known place again: the checkpoints or the data may have changed since."""
        known = next((place for place in done if place.valid_loss is not None), None)
        if known is None or known.valid_loss is None:
            return
        again = self._place(known.alpha, known.bn).valid_loss
        if again is None or not math.isclose(again, known.valid_loss, rel_tol=SAME, abs_tol=1e-6):
            now = math.nan if again is None else again
            raise CheckpointError(
                f"at α = {known.alpha:g} the validation loss is {now:.6g}, it was {known.valid_loss:.6g}: "
                "the checkpoints or the data have changed since; start anew"
            )

    def _describe(self) -> None:
        """Record the two ends, and the geometry of their weights."""
        DataFacts.of(self.mixture.trainer.data.splits).record(self.recorder)
        ends = []
        for name, alpha in ENDS.items():
            train, valid = self.ends[alpha, BatchNorm.INTERPOLATE]  # BatchNorm's statistics as they come
            numbers = (each for part in (train, valid) for each in (part.loss, part.accuracy, part.standard_error))
            ends.append(End(name, *numbers))
        self.recorder.replace(End, ends)
        if len(self.recorder.rows(Product)) < len(ENDS) ** 2:  # a plane has recorded those of three
            record_products(self.mixture, self.recorder)
        zeros = {layer: variance_zeros(*two) for layer, two in self.mixture.variances().items()}
        self.recorder.replace(VarianceZero, [VarianceZero(layer, *two) for layer, two in zeros.items()])

    def _place(self, alpha: float, mode: BatchNorm) -> Place:
        train, valid = self.ends.get((alpha, mode)) or self._evaluated(alpha, mode)
        first, last = (self.ends[end, mode][0].losses for end in ENDS.values())
        error = rise_error(alpha, train.losses, first, last)
        return Place(alpha, mode, *_measures(train), *_measures(valid), error if math.isfinite(error) else None)

    def _evaluated(self, alpha: float, mode: BatchNorm) -> tuple[Evaluation, Evaluation]:
        with self.mixture.at(1 - alpha, alpha, bn=mode):
            return self.mixture.evaluate("train"), self.mixture.evaluate("valid")

    def _save_average(self, alpha: float) -> None:
        """Keep the model at `alpha`, BatchNorm's statistics measured anew, and measure it."""
        trainer = self.mixture.trainer
        with self.mixture.at(1 - alpha, alpha, bn=BatchNorm.RECOMPUTE):
            numbers = [*_measures(self.mixture.evaluate("train")), *_measures(self.mixture.evaluate("valid"))]
            has_test = trainer.data.splits.test is not None
            numbers += _measures(self.mixture.evaluate("test")) if has_test else (None, None)
            state = {**trainer.state_dict(), "is_fresh": False}
        self.recorder.replace(Average, [Average(alpha, *numbers)])
        about = DataFacts.of(trainer.data.splits).plain()
        self.recorder.save({"trainer": state, "data": about}, step=0, labels=("average",))
        self.recorder.keep_weights(state["model"], about)


def _measures(found: Evaluation) -> tuple[float | None, float | None]:
    """Loss and accuracy; where the loss is not finite, neither means anything."""
    return (found.loss, found.accuracy) if math.isfinite(found.loss) else (None, None)
