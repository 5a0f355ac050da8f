"""What follows a result is decided from the result alone, and read from a run folder."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import numpy as np
import pytest
from pydantic import JsonValue

from hpcli import Run
from hpcli.analysis.gain import gain
from hpcli.cli import main
from hpcli.config import Config
from hpcli.config.varying import positions
from hpcli.results.after_sweep import _beyond
from hpcli.results.batch_size import BatchSize, BatchSizeResult
from hpcli.results.following import RUN, Following
from hpcli.results.sweep import SweepResult
from hpcli.results.tune import TuneResult
from hpcli.results.tune_trials import TunePlan
from hpcli.results.tune_words import more_pairs
from hpcli.results.tuning import Tuning
from hpcli.states import RunStatus

pytestmark = pytest.mark.filterwarnings("ignore::hpcli.errors.HpcliWarning")

FAST = ["--set=data.train_fraction=0.2", "--set=data.batch_size=32", "--set=model.name=shallow3", "--device=cpu", "-q"]
READ = "import sys, hpcli; print(hpcli.Run.open('a').result.following.words); assert 'torch' not in sys.modules"


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def test_the_folder_of_a_run_may_be_called_anything() -> None:
    following = Following(("train", "-c", f"{RUN}/best.yaml"), notes=(f"see {RUN}/best.yaml",))
    line = following.line("runs/it's; rm {run}")
    assert shlex.split(line) == ["hpcli", "train", "-c", "runs/it's; rm {run}/best.yaml"]
    assert following.said("a", "") == ["see a/best.yaml"]
    assert following.of_run
    assert not Following(("train",)).of_run


def test_it_is_read_from_a_folder_without_torch() -> None:
    assert main(["train", "--epochs=3", "--max-lr=0.03", "--out=a", *FAST, "--set=data.train_fraction=1"]) == 0
    assert Run.open("a").result.following == Following(("evaluate", RUN))
    done = subprocess.run([sys.executable, "-c", READ], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == str(("evaluate", RUN))


def test_sizes_around_the_fastest_that_have_images_enough() -> None:
    rows = tuple(BatchSize(size, rate, 1.0, None, True) for size, rate in ((16, 50.0), (32, 100.0), (64, 101.0)))
    result = BatchSizeResult(RunStatus.FINISHED, Config(), rows, images=50)
    assert result.following == Following(("sweep", "data.batch_size", "--values", "16,32"))
    assert BatchSizeResult(RunStatus.INTERRUPTED, Config(), rows, images=50).following is None


def test_a_sweep_leads_to_training_with_its_choice() -> None:
    words = ["sweep", "schedule.max_lr", "--values=1e-3,1e-2", "--seeds=2", "--epochs=3", "--out=a"]
    assert main([*words, *FAST]) == 0
    result = Run.open("a").result
    assert result.following is None or result.following.words == ("train",)
    chosen = result.summary()["choice"]
    assert (chosen is None) == (result.following is None)
    if result.following is not None:
        assert result.following.keys["schedule.max_lr"] == chosen


@pytest.mark.parametrize("status", [RunStatus.INTERRUPTED, RunStatus.FAILED, RunStatus.DIVERGED])
def test_a_tuning_that_was_not_finished_leads_to_none(status: RunStatus) -> None:
    from hpcli.recording.memory import MemoryRecorder

    config = Config()
    assert TuneResult.from_rows(config, status, MemoryRecorder(config)).following is None


@pytest.mark.parametrize(
    ("key", "values", "lower", "upper"),
    [
        ("optimizer.weight_decay", [0.0, 0.01, 0.1], True, False),
        ("optimizer.weight_decay", [1e-4, 0.01, 1.0], False, False),
        ("data.batch_size", [1, 8, 64], True, False),
        ("data.batch_size", [2, 8, 64], False, False),
        ("schedule.pct_start", [0.3, 0.6, 1.0], False, True),
        ("schedule.momentum", [0.0, 0.5, 0.99], True, False),
        ("schedule.momentum", ["0.95-0.85", 0.9, 0.5], False, False),
    ],
)
def test_nothing_lies_beyond_what_a_key_takes(key: str, values: list[JsonValue], lower: bool, upper: bool) -> None:
    settings = [SimpleNamespace(values=(value,)) for value in values]
    stand_in = cast(SweepResult, SimpleNamespace(keys=(key,), settings=settings))
    assert (SweepResult._is_limit(stand_in, 0), SweepResult._is_limit(stand_in, 2)) == (lower, upper)


@pytest.mark.parametrize(
    ("key", "values", "place", "said"),
    [
        ("schedule.momentum", ["0.99-0.9", "0.95-0.85", 0.9, 0.7], 3, "0.7\\. .* --values 0.1"),
        ("schedule.momentum", [0.85, 0.9, 0.95], 2, "0.95\\. .* --values 0.975"),
        ("schedule.momentum", [0, 0.5, 0.9], 0, None),  # there is no memory below none
        ("schedule.momentum", ["0.99-0.9", "0.95-0.85", 0.9], 0, "0.99-0.9\\. .* --values 0.9945-0.945"),
        ("schedule.max_lr", [1e-3, 3e-3, 1e-2], 2, "0.01\\. .* --values 0.033"),
        ("data.batch_size", [16, 64, 512], 2, "512\\. .* --values 4096"),
        ("data.batch_size", [1, 64, 512], 0, None),
        ("data.batch_size", [16, 128, 1024], 2, None),  # 8192 are more than there are images
        ("schedule.pct_start", [0.01, 0.1, 0.9], 2, None),
        ("schedule.momentum", [0.9, 0.9, 0.9], 0, None),
        ("optimizer.weight_decay", [1e-4, 1e-3, 1e-2], 0, "1e-4\\. .* --values 1e-5"),
        ("optimizer.weight_decay", [0, 1e-3, 1e-2], 2, "0.01\\. .* --values 0.1"),
        ("optimizer.weight_decay", [0, 1e-3, 1e-2], 0, None),
        ("train.label_smoothing", [0.1, 0.15, 0.2], 2, None),  # how far it may go is not known
        ("data.augment", ["none", "standard", "source"], 2, None),
    ],
)
def test_beyond_an_edge_lies_a_step_on_the_keys_own_scale(
    key: str, values: list[JsonValue], place: int, said: str | None
) -> None:
    settings = [SimpleNamespace(values=(value,)) for value in values]
    about = {"settings": settings, "scale": positions(key, values), "seconds": np.full((len(values), 4), 26.4)}
    about["data"] = SimpleNamespace(num_train_images=5000)
    stand_in = cast(SweepResult, SimpleNamespace(keys=(key,), **about))
    notes = _beyond(stand_in, place)
    assert len(notes) == (said is not None)
    for found in Following(("train",), notes=tuple(notes)).said("a b", "hpcli sweep-mom --resume 'a b'"):
        assert re.search(f"beyond {said}, about 2 min; then, with what is found:$", found)
        assert "hpcli sweep-mom --resume 'a b' --values" in found


@pytest.mark.parametrize(
    ("pairs", "compared", "more"),
    [(3, True, (42, 12)), (12, True, (96, 48)), (13, True, None), (50, True, None), (3, False, None), (0, True, None)],
)
def test_more_pairs_are_offered_where_they_can_be_had(pairs: int, compared: bool, more: object) -> None:
    """Not where the present setting has won the search: there is nothing to compare it with."""
    plan = TunePlan(24, 24 - 2 * pairs, pairs, 1, 100, 0, 1500, None)
    verdict = gain([0.1] * pairs, [0.0] * pairs, on_surface=(0.1, 0.1), noise=0.1) if compared else None
    assert more_pairs(cast(Tuning, SimpleNamespace(plan=plan, gain=verdict, pairs=[0.0] * pairs))) == more
