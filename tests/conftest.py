"""What many tests need: a run that takes a tenth of a second, and one thread, so that sums are the same every time."""

from __future__ import annotations

import math
import os

import pytest
import torch

from hpcli.config import Config, load_config, with_overrides
from hpcli.results.data import DataFacts

os.environ.setdefault("OMP_NUM_THREADS", "1")  # the commands that tests start share the cores with other tests


def pytest_configure(config: pytest.Config) -> None:
    """Hide a GPU from all tests but those marked gpu, which `-m gpu` runs: the others expect numbers of a CPU."""
    asked = str(config.getoption("markexpr", ""))
    if "gpu" not in asked or "not gpu" in asked:
        os.environ["CUDA_VISIBLE_DEVICES"] = ""


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture
def _anything_is_learnt(monkeypatch: pytest.MonkeyPatch) -> None:
    """For sweeps whose runs are too short to learn: nothing is at chance."""
    monkeypatch.setattr(DataFacts, "chance_loss", lambda _: math.inf)


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
