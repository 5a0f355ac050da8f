"""torch's switches are the process's: they are a trainer's only while it computes."""

from __future__ import annotations

import os
from typing import Any

import pytest
import torch

from hpcli.config import Config, with_overrides
from hpcli.errors import HpcliWarning
from hpcli.training.numerics import Numerics
from hpcli.training.schedules import constant
from hpcli.training.trainer import Trainer

CPU, GPU = torch.device("cpu"), torch.device("cuda")
PRECISIONS = ("auto", "fp32", "tf32", "bf16")


def switches() -> dict[str, object]:
    """All that a trainer may set."""
    backends: Any = torch.backends
    return {
        "fp32_precision": backends.fp32_precision,
        "matmul": backends.cuda.matmul.fp32_precision,
        "conv": backends.cudnn.conv.fp32_precision,
        "rnn": backends.cudnn.rnn.fp32_precision,
        "benchmark": torch.backends.cudnn.benchmark,
        "deterministic": torch.are_deterministic_algorithms_enabled(),
        "warn_only": torch.is_deterministic_algorithms_warn_only_enabled(),
    }


@pytest.fixture
def before(monkeypatch: pytest.MonkeyPatch) -> dict[str, object]:
    """The switches as they are; cuBLAS's own, which it reads once a process, is not set."""
    monkeypatch.setenv("CUBLAS_WORKSPACE_CONFIG", "")
    monkeypatch.delenv("CUBLAS_WORKSPACE_CONFIG")
    return switches()


@pytest.fixture(params=[True, False], ids=["bf16", "no bf16"])
def has_bf16(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> bool:
    """A GPU that is not there, with bfloat16 or without."""
    has = bool(request.param)
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda *, including_emulation: has or including_emulation)
    return has


@pytest.mark.usefixtures("has_bf16")
@pytest.mark.parametrize("deterministic", [False, True])
@pytest.mark.parametrize("precision", PRECISIONS)
@pytest.mark.parametrize("device", [CPU, GPU])
def test_asking_sets_nothing(
    before: dict[str, object], device: torch.device, precision: str, deterministic: bool
) -> None:
    numerics = Numerics.of(precision, device, deterministic=deterministic)
    assert numerics.device == device
    assert switches() == before
    assert "CUBLAS_WORKSPACE_CONFIG" not in os.environ


@pytest.mark.parametrize("deterministic", [False, True])
def test_a_cpu_computes_in_float32_unless_told_otherwise(deterministic: bool) -> None:
    of = {precision: Numerics.of(precision, CPU, deterministic=deterministic) for precision in PRECISIONS}
    assert {precision: numerics.dtype for precision, numerics in of.items()} == {
        "auto": None, "fp32": None, "tf32": None, "bf16": torch.bfloat16,
    }  # fmt: skip
    assert {(numerics.fp32_precision, numerics.deterministic) for numerics in of.values()} == {(None, False)}


def test_a_gpu_computes_in_what_it_has(has_bf16: bool) -> None:
    of = {precision: Numerics.of(precision, GPU) for precision in PRECISIONS}
    auto = (torch.bfloat16, None) if has_bf16 else (None, "ieee")
    assert {precision: (numerics.dtype, numerics.fp32_precision) for precision, numerics in of.items()} == {
        "auto": auto, "fp32": (None, "ieee"), "tf32": (None, "tf32"), "bf16": (torch.bfloat16, None),
    }  # fmt: skip
    assert Numerics.of("auto", GPU, deterministic=True).deterministic


@pytest.mark.usefixtures("has_bf16")
@pytest.mark.parametrize("deterministic", [False, True])
@pytest.mark.parametrize("precision", PRECISIONS)
def test_while_active_the_switches_are_the_trainers_and_then_as_before(
    before: dict[str, object], precision: str, deterministic: bool
) -> None:
    numerics = Numerics.of(precision, GPU, deterministic=deterministic)
    with numerics.active():
        during = switches()
    assert during["benchmark"] == (not deterministic)
    assert during["deterministic"] == deterministic
    for name in ("fp32_precision", "matmul", "conv", "rnn"):
        assert during[name] == (numerics.fp32_precision or before[name])
    assert switches() == before
    assert os.environ.get("CUBLAS_WORKSPACE_CONFIG") == (":4096:8" if deterministic else None)


def test_an_error_puts_them_back_too(before: dict[str, object]) -> None:
    with pytest.raises(ZeroDivisionError), Numerics(GPU, None, "tf32", True).active():
        _ = 1 / 0
    assert switches() == before


def test_the_inner_of_two_gives_back_to_the_outer(before: dict[str, object]) -> None:
    with Numerics(GPU, None, "tf32", True).active():
        outer = switches()
        with Numerics(GPU, None, "ieee", False).active():
            assert switches() != outer
        assert switches() == outer
    assert switches() == before


def test_convolutions_are_reached_where_the_general_switch_does_not_reach_them(
    before: dict[str, object], monkeypatch: pytest.MonkeyPatch
) -> None:
    """As in torch 2.11: float32 on a GPU would have been TF32."""
    general = type("Switch", (), {"fp32_precision": "none", "cuda": torch.backends.cuda, "cudnn": torch.backends.cudnn})
    monkeypatch.setattr(torch, "backends", general)
    with Numerics(GPU, None, "ieee").active():
        during = switches()
    assert [during[name] for name in ("fp32_precision", "matmul", "conv", "rnn")] == ["ieee"] * 4
    assert switches() == before


def test_what_the_user_set_is_given_back(before: dict[str, object], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUBLAS_WORKSPACE_CONFIG", ":16:8")
    monkeypatch.setattr(torch.backends.cudnn, "benchmark", True)
    torch.use_deterministic_algorithms(True, warn_only=True)
    backends: Any = torch.backends
    backends.fp32_precision = "tf32"
    try:
        own = switches()
        assert own != before
        with Numerics(GPU, None, "ieee", True).active():
            assert switches() != own
        assert switches() == own
        assert os.environ["CUBLAS_WORKSPACE_CONFIG"] == ":16:8"
    finally:
        backends.fp32_precision = before["fp32_precision"]
        torch.use_deterministic_algorithms(False)


@pytest.mark.parametrize("deterministic", [False, True])
def test_a_cpu_needs_none(before: dict[str, object], deterministic: bool) -> None:
    with Numerics(CPU, torch.bfloat16, "tf32", deterministic).active():
        assert switches() == before
    assert switches() == before
    assert "CUBLAS_WORKSPACE_CONFIG" not in os.environ


def test_a_trainer_that_waits_for_its_caller_has_given_them_back(config: Config, before: dict[str, object]) -> None:
    """Between steps the switches are the caller's, during one the trainer's."""
    trainer = Trainer.from_config(with_overrides(config, {"train.deterministic": True}), device="cpu")
    seen: list[bool] = []
    numerics = Numerics(GPU, None, "ieee", deterministic=True)
    trainer.numerics = Numerics(CPU)
    object.__setattr__(trainer.numerics, "active", numerics.active)  # as on a GPU, on a device that there is
    trainer.model.register_forward_pre_hook(lambda *_: seen.append(torch.are_deterministic_algorithms_enabled()))
    for _ in trainer.train(constant(3, 1e-3, 0.9)):
        assert switches() == before
    trainer.evaluate("valid")
    assert switches() == before
    assert len(seen) > 3
    assert all(seen)


def test_autocast_computes_in_the_reduced_type() -> None:
    one = torch.ones(2, 2)
    for numerics, dtype in ((Numerics(CPU, torch.bfloat16), torch.bfloat16), (Numerics(CPU), torch.float32)):
        with numerics.autocast():
            assert (one @ one).dtype == dtype
    assert (one @ one).dtype == torch.float32


def test_bf16_on_a_cpu_without_units_for_it_warns(monkeypatch: pytest.MonkeyPatch, config: Config) -> None:
    """Where a trainer is made: to ask for numerics says nothing."""
    monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda: False)
    numerics = Numerics.of("bf16", CPU)
    assert numerics.dtype is torch.bfloat16
    with pytest.warns(HpcliWarning, match="bf16 is many times slower"):
        numerics.warn_if_slow()
    with pytest.warns(HpcliWarning, match="bf16 is many times slower"):
        Trainer.from_config(with_overrides(config, {"train.precision": "bf16"}), device="cpu")
    Numerics.of("auto", CPU).warn_if_slow()
    Numerics(GPU, torch.bfloat16).warn_if_slow()
    monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda: True)
    numerics.warn_if_slow()


@pytest.mark.gpu
@pytest.mark.parametrize("precision", PRECISIONS)
def test_on_a_gpu_training_leaves_the_switches_as_they_were(
    config: Config, before: dict[str, object], precision: str
) -> None:
    settings: dict[str, object] = {"train.precision": precision, "train.deterministic": True}
    trainer = Trainer.from_config(with_overrides(config, settings), device="cuda")
    for _ in trainer.train(constant(3, 1e-3, 0.9)):
        assert switches() == before
    trainer.evaluate("valid", bn_images=100)
    assert switches() == before
