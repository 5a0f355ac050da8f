"""What the runs of a sweep were, what its finding holds for, and what is to be done about a longer run."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from hpcli.analysis.decay import carried
from hpcli.config import Config
from hpcli.config.controls import finds_rate
from hpcli.config.varying import Setting
from hpcli.results.budgets import decaying_rates
from hpcli.results.data import DataFacts
from hpcli.training.schedules import training_schedule


def horizon(settings: Sequence[Setting], data: DataFacts) -> str:
    """The first words of a sweep's sentence: For 2-epoch cycles (26 steps on 1,438 images).

    Where the settings differ in length or in images: from the lowest to the highest.
    """
    steps = [data.steps_per_epoch(each.config.data) * each.config.train.epochs for each in settings]
    return f"For {cycles(settings)} ({_span(steps)} steps on {images_of(settings, data)} images)"


def images_of(settings: Sequence[Setting], data: DataFacts) -> str:
    """How many images the settings train on: 1,438, or 900 to 9,000."""
    return _span([data.train_images_of(each.config.data) for each in settings])


def cycles(settings: Sequence[Setting]) -> str:
    """Their runs by length: 2-epoch cycles."""
    epochs = [each.config.train.epochs for each in settings]
    return f"{epochs[0]}-epoch cycles" if len(set(epochs)) == 1 else f"cycles of {_span(epochs)} epochs"


def _span(numbers: Sequence[int]) -> str:
    low, high = min(numbers), max(numbers)
    return f"{low:,}" if low == high else f"{low:,} to {high:,}"


@dataclass(frozen=True)
class Longer:
    """A weight decay that was found in short runs, for the run that it is meant for."""

    weight_decay: float
    epochs: int  # of the run to come
    brackets: tuple[float, ...]  # to compare at full length, where that is longer than a run of the sweep; else empty
    on_all_images: float | None  # what theory makes of it, where the sweep saw a part of the images; else None


def longer(setting: Setting, data: DataFacts, epochs: int) -> Longer | None:
    """What is to be done before the weight decay of a setting is used in a run of so many epochs; None: nothing.

    On the same images a decay is copied: measured at four times the length, decays around it made no difference that
    many seeds could show, and one that was carried by theory was no better. On more images theory carries it.
    """
    own, decay = setting.config, setting.config.optimizer.weight_decay
    is_l2_of_adam = own.optimizer.decay == "coupled" and own.optimizer.name != "sgd"
    is_of_theory = not is_l2_of_adam and not finds_rate(own.optimizer.name)
    is_longer, is_part = epochs > own.train.epochs, own.data.train_fraction < 1 and is_of_theory
    if decay <= 0 or not (is_longer or is_part):
        return None
    brackets = (decay / 4, decay, decay * 4) if is_longer else ()
    return Longer(decay, epochs, brackets, _on_all_images(own, data) if is_part else None)


def _on_all_images(own: Config, data: DataFacts) -> float:
    per_epoch = data.steps_per_epoch(own.data)
    in_all = per_epoch if own.data.steps_per_epoch else max(1, round(per_epoch / own.data.train_fraction))
    before, after = (training_schedule(own, steps) for steps in (per_epoch, in_all))
    coupled = own.optimizer.decay == "coupled"
    rates = [decaying_rates(own, each) / (1 - each.momentum if coupled else 1.0) for each in (before, after)]
    return carried(own.optimizer.weight_decay, *rates)
