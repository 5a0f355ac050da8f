from __future__ import annotations

import random

import numpy as np
import pytest
import torch

from hpcli.errors import HpcliWarning, UsageError
from hpcli.training import device as devices


@pytest.mark.parametrize("name", ["gpu", "cuda:x", "cpu:0", "", "cuda:99"])
def test_unknown_devices_are_explained(name: str) -> None:
    with pytest.raises(UsageError, match="--device"):
        devices.choose_device(name)


def test_auto_is_what_there_is() -> None:
    assert devices.choose_device("auto").type == ("cuda" if torch.cuda.is_available() else "cpu")
    assert devices.choose_device("cpu") == torch.device("cpu")


def test_a_cpu_computes_in_float32() -> None:
    cpu = torch.device("cpu")
    assert devices.autocast_dtype("auto", cpu) is None
    assert devices.autocast_dtype("fp32", cpu) is None


def test_bf16_on_a_cpu_without_it_warns(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda: False)
    with pytest.warns(HpcliWarning, match="bf16 is many times slower"):
        assert devices.autocast_dtype("bf16", torch.device("cpu")) is torch.bfloat16


def test_generator_states_bring_every_generator_back() -> None:
    states = devices.generator_states()
    drawn = (torch.rand(2).tolist(), np.random.rand(2).tolist(), random.random(), random.gauss(0, 1))
    devices.set_generator_states(states)
    assert (torch.rand(2).tolist(), np.random.rand(2).tolist(), random.random(), random.gauss(0, 1)) == drawn
