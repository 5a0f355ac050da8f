"""What many tests need: a run that takes a tenth of a second, one thread, so that sums are the same every time, and a
finished run of every kind.
"""

from __future__ import annotations

import json
import math
import os
from pathlib import Path

import pytest
import torch

from hpcli.config import Config, load_config, read_config, with_overrides
from hpcli.errors import DIVERGED

os.environ.setdefault("OMP_NUM_THREADS", "1")  # the commands that tests start share the cores with other tests


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture
def config() -> Config:
    """Digits, the shallow net and a fifth of the images: 7 steps an epoch, 3 epochs."""
    return with_overrides(
        load_config(),
        {
            "data.train_fraction": 0.2,
            "data.batch_size": 32,
            "model.name": "shallow3",
            "train.epochs": 3,
            "lr_find.steps": 25,
        },
    )


SMALL = ["--set=data.train_fraction=0.2", "--set=data.batch_size=32", "--set=schedule.max_lr=3e-3"]
NET = ["--set=model.name=shallow3"]
LINE = ["interpolate", "--ckpt-a", "{one}:cycle-0", "--ckpt-b", "{one}"]
KINDS = {
    "train": ["train", "--epochs=2", *SMALL, *NET],
    "train, from weights, by SGD": [
        *("train", "--init={one}:best", "--epochs=2", "--set=optimizer.name=sgd", "--set=train.clip_norm=1.0"),
        *(*SMALL, "--set=model.options.num_blocks=[1,1,1]"),
    ],
    "train, diverged": [
        *("train", "--epochs=2", *SMALL, *NET, "--max-lr=1e9", "--momentum=0.9"),
        *("--set=optimizer.name=sgd", "--set=schedule.name=constant"),
    ],
    "lr-find": ["lr-find", "--steps=150", "--end-lr=1", "--seeds=2", "--valid", *SMALL, *NET],
    "lr-find, weight decays": [
        *("lr-find", "--steps=120", "--end-lr=1", "--seeds=1", "--weight-decay=1e-4,1e-1", *SMALL, *NET),
    ],
    "lr-find, refused": ["lr-find", "--steps=20", "--seeds=1", *SMALL, *NET],
    "sweep-mom": ["sweep-mom", "--values=0.95-0.85,0.9", "--seeds=2", *SMALL, *NET],
    "sweep-wd": ["sweep-wd", "--values=1e-4,1,10", "--seeds=3", "--epochs=1", *SMALL, *NET],
    "sweep, refined": [
        *("sweep", "schedule.max_lr", "--values=1e-4,1e-2", "--seeds=2", "--epochs=3", "--refine", *SMALL, *NET),
        "--set=data.batch_size=16",
    ],
    "sweep, from weights, until decided": [
        *("sweep-wd", "--values=1e-4,1e-2", "--seeds=2", "--until-decided", "--max-seeds=3", "--epochs=1"),
        *("--init={one}", *SMALL, "--set=model.options.num_blocks=[1,1,1]"),
    ],
    "sweep, one key": ["sweep", "data.batch_size", "--values=32,64", "--seeds=2", "--epochs=1", *SMALL, *NET],
    "sweep, two keys": [
        *("sweep", "schedule.max_lr", "--values=1e-3,1e9", "momentum", "--values=0.95-0.85,0.8", "--seeds=2"),
        *("--epochs=1", *SMALL, *NET),
    ],
    "sweep, diverged": ["sweep", "schedule.max_lr", "--values=1e8,1e9", "--seeds=1", "--epochs=1", *SMALL, *NET],
    "batch-size": ["batch-size", "--sizes=16,32", *SMALL, *NET],
    "interpolate, two": [*LINE, "--alphas=-1:3:5"],
    "interpolate, two, averaged": [*LINE, "--alphas=0,1", "--bn=interpolate", "--save-average=0.5"],
    "interpolate, three": [*LINE, "--ckpt-c={other}", "--alphas=0,1", "--plane-points=3"],
    "evaluate": ["evaluate", "{one}"],
    "evaluate, train": ["evaluate", "{one}:best", "--split=train"],
}
"""A command line for every kind of run there is; {one} and {other} are the folders of two training runs."""


@pytest.fixture(scope="session")
def kinds() -> dict[str, list[str]]:
    return KINDS


@pytest.fixture(scope="session")
def two_runs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Two seeds of two cycles each, of a network with BatchNorm."""
    from hpcli.cli import main

    torch.set_num_threads(1)
    folder = tmp_path_factory.mktemp("two_runs")
    runs = {name: folder / name for name in ("one", "other")}
    words = ["--epochs=4", "--set=schedule.cycles=2", "--set=model.options.num_blocks=[1,1,1]", "--device=cpu", "-q"]
    for seed, path in enumerate(runs.values()):
        assert main(["train", f"--out={path}", f"--seed={seed}", *SMALL, *words]) == 0
    return runs


@pytest.fixture(scope="session", params=KINDS)
def run_of_each_kind(
    request: pytest.FixtureRequest, two_runs: dict[str, Path], tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """The folder of a run of one kind after the other, which is what its name says."""
    from hpcli.cli import main

    torch.set_num_threads(1)
    path, name = tmp_path_factory.mktemp("kinds") / "run", request.param
    words = [word.format(**two_runs) for word in KINDS[name]]
    code = main([*words, f"--out={path}", "--device=cpu", "-q"])
    summary = json.loads((path / "summary.json").read_text())
    assert code == json.loads((path / "status.json").read_text())["exit_code"] == DIVERGED * ("diverged" in name)
    assert ("refused" in name) == bool(summary.get("refusal"))
    given = math.prod(len(values) for values in read_config(path / "config.yaml").sweep.values.values())
    assert ("refined" in name) == (len(summary.get("ranking", [])) > given)
    return path
