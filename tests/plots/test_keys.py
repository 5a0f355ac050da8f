"""Pictures of what runs tell of each key, as tunings and sweeps by points draw them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from matplotlib.figure import Figure

from hpcli import plots, sweep
from hpcli.config import Config, with_overrides
from hpcli.config.space import DECAY, LR, MOMENTUM
from hpcli.plots.sweep_points import of_points
from hpcli.results.points import fitted
from tests.results.test_points import CHANCE, THREE, Values, config, surface_of

CHOICES: Values = {LR: [1e-3, 1e-1], "data.augment": ["none", "standard"], MOMENTUM: ["0.95-0.85", 0.9]}


def drawn(values: Values, tmp_path: Path, **keys: object) -> dict[str, Figure]:
    found = of_points(surface_of(config(values, **keys), 0), "2-epoch cycles")
    for name, figure in found.items():
        figure.savefig(tmp_path / f"{name}.png")
    return found


def legend(figure: Figure) -> set[str]:
    return {text.get_text() for each in figure.legends for text in each.get_texts()}


def test_every_run_is_drawn_against_each_key_with_the_profile(tmp_path: Path) -> None:
    made = surface_of(config(THREE), 0)
    figure = of_points(made, "2-epoch cycles")["sweep_keys"]
    panels = [axes for axes in figure.axes if axes.get_visible()]
    assert [axes.get_xlabel() for axes in panels] == ["max_lr", "1 − momentum", "weight_decay"]
    for axes, profile in zip(panels, made.profiles, strict=True):
        (runs,) = [each for each in axes.collections if len(np.asarray(each.get_offsets())) == 16]
        assert np.asarray(runs.get_offsets())[:, 1] == pytest.approx(np.exp(made.searched.losses))
        levels = [line for line in axes.lines if line.get_label() not in ("present", "to use")]
        best = min(part.loss for part in profile.parts)
        heights = [float(np.asarray(line.get_ydata())[0]) for line in levels]
        assert heights == pytest.approx([np.exp(best + part.middle) for part in profile.parts])
    assert legend(figure) == {"lowest that the others allow", "its 95 % interval", "a run", "present", "to use"}
    assert figure.get_suptitle() == "What 16 runs of 2-epoch cycles tell of each key"
    figure.savefig(tmp_path / "keys.png")


def test_one_key_has_no_others_and_no_maps(tmp_path: Path) -> None:
    found = drawn({LR: [1e-3, 1e-1]}, tmp_path, sweep__points=12)
    assert list(found) == ["sweep_keys"]
    (axes,) = found["sweep_keys"].axes
    assert axes.get_title(loc="left") == "What 12 runs of 2-epoch cycles tell of max_lr"
    assert legend(found["sweep_keys"]) == {"fitted", "its 95 % interval", "a run", "present", "to use"}


def test_two_keys_are_one_map(tmp_path: Path) -> None:
    found = drawn({LR: [1e-3, 1e-1], DECAY: [1e-3, 1]}, tmp_path, sweep__points=12)
    axes, _ = found["sweep_maps"].axes  # and its colours
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("max_lr", "weight_decay")
    assert axes.get_title(loc="left") == "The fitted loss"


def test_choices_are_named_and_a_pair_is_no_1_minus_m(tmp_path: Path) -> None:
    figure = drawn(CHOICES, tmp_path)["sweep_keys"]
    panels = [axes for axes in figure.axes if axes.get_visible()]
    assert [axes.get_xlabel() for axes in panels] == ["max_lr", "data.augment", "momentum"]
    assert [tick.get_text() for tick in panels[2].get_xticklabels()] == ["0.95-0.85", "0.9"]


def test_nothing_is_drawn_of_nothing() -> None:
    made = fitted(config(THREE), [], None, CHANCE)
    assert made is not None
    assert of_points(made, "2-epoch cycles") == {}


def test_runs_that_all_diverged_are_drawn_without_a_profile(tmp_path: Path) -> None:
    short = with_overrides(config({LR: [1e8, 1e9], DECAY: [0.1, 1], MOMENTUM: [0.8, 0.9]}), SMALL)
    result = sweep(short)
    figures = plots.figures(result)
    assert list(figures) == ["sweep_keys"]
    assert legend(figures["sweep_keys"]) >= {"diverged or failed (drawn at 1.1 × guessing)"}
    assert "keys" not in result.summary()
    figures["sweep_keys"].savefig(tmp_path / "keys.png")


SMALL: dict[str, object] = {
    "sweep.points": 4, "sweep.seeds": 1, "sweep.epochs": 1, "model.name": "shallow3", "data.train_fraction": 0.2,
    "data.batch_size": 32, "optimizer.name": "sgd", "sweep.parallel": 1,
}  # fmt: skip


def test_a_sweep_by_points_shows_no_grid(tmp_path: Path) -> None:
    own: Config = with_overrides(config({LR: [1e-3, 1e-1], DECAY: [0.1, 1]}), {**SMALL, "optimizer.name": "adamw"})
    figures = plots.figures(sweep(own))
    assert "sweep_keys" in figures
    assert {"sweep", "sweep_map", "sweep_curves"}.isdisjoint(figures)
