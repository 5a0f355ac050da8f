from __future__ import annotations

import random

import numpy as np
import pytest
import torch

from hpcli.errors import UsageError
from hpcli.training import device as devices


@pytest.mark.parametrize("name", ["gpu", "cuda:x", "cpu:0", "", "cuda:99"])
def test_unknown_devices_are_explained(name: str) -> None:
    with pytest.raises(UsageError, match="--device"):
        devices.choose_device(name)


def test_auto_is_what_there_is() -> None:
    assert devices.choose_device("auto").type == ("cuda" if torch.cuda.is_available() else "cpu")
    assert devices.choose_device("cpu") == torch.device("cpu")


def test_generator_states_bring_every_generator_back() -> None:
    states = devices.generator_states()
    drawn = (torch.rand(2).tolist(), np.random.rand(2).tolist(), random.random(), random.gauss(0, 1))
    devices.set_generator_states(states)
    assert (torch.rand(2).tolist(), np.random.rand(2).tolist(), random.random(), random.gauss(0, 1)) == drawn


def test_generators_are_kept_whatever_happens_meanwhile() -> None:
    states = devices.generator_states()
    with pytest.raises(ZeroDivisionError), devices.generators_kept():
        torch.rand(2), np.random.rand(2), random.random()
        _ = 1 / 0
    after = devices.generator_states()
    assert torch.equal(after["torch"], states["torch"])
    assert (after["python"], after["numpy"][2:]) == (states["python"], states["numpy"][2:])


def test_a_cpus_memory_is_not_measured() -> None:
    devices.start_peak_memory(torch.device("cpu"))
    assert devices.peak_memory(torch.device("cpu")) is None
