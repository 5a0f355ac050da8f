"""Device discipline without a GPU: the trainer's own code runs on fake tensors of a device `cuda`.

What is shown: no operation mixes a tensor of the host with one of the device; the step loop neither waits for the device
nor copies anything to it; an evaluation waits at its end alone, and measuring BatchNorm anew not at all; a captured step
would meet no read of the device. What is not: numbers, speed, memory, kernels that a GPU refuses; nor the backward pass,
whose engine asks the driver (gradients are made up; the last test takes it on fake tensors of the host). A fake tensor
has a shape, a type, strides and a device, and no numbers: reading one is noted.
"""

from __future__ import annotations

import copy
import traceback
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from importlib.util import find_spec
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves, tree_map

from hpcli.config import Config, load_config, with_overrides
from hpcli.config.optimizers import decay_of
from hpcli.data import pixels
from hpcli.data.dataset import load_splits
from hpcli.models import build_model
from hpcli.states import BatchNorm
from hpcli.training import device as devices
from hpcli.training import folding
from hpcli.training.mixture import Mixture
from hpcli.training.ranks import Joined
from hpcli.training.schedules import Schedule, training_schedule
from hpcli.training.trainer import Trainer

pytestmark = [
    pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU: the tests marked gpu say more"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
]
READS = ("aten::_local_scalar_dense", "aten::item", "aten::allclose", "aten::equal")
SHAPES_FROM_NUMBERS = ("aten::nonzero", "aten::bincount", "aten::masked_select")
END = {"waits: item at evaluation.py:measure", "waits: cuda to cpu at evaluation.py:measure"}
"""An evaluation's: four numbers of one tensor, and the loss of every image."""


class Watch(TorchDispatchMode):
    """Notes every operation that makes the host wait for the device, or copies between the two, with hpcli's line."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.notes: list[str] = []
        self.seeds: list[int] = []

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        name, kwargs = func._schema.name, kwargs or {}
        assert name not in SHAPES_FROM_NUMBERS, f"{name}: a shape that depends on numbers"
        if name in READS:
            return self._read(name, args[0])
        if name == "aten::_fused_sgd_":  # has no fake implementation
            assert {each.device.type for each in tree_leaves((args, kwargs)) if isinstance(each, Tensor)} == {"cuda"}
            return None
        out = func(*args, **kwargs)
        source, target = (args[1], args[0]) if name == "aten::copy_" else (next(iter(args), None), out)
        if isinstance(source, Tensor) and isinstance(target, Tensor) and source.device != target.device:
            waits = target.device.type == "cpu" and not (kwargs.get("non_blocking") or True in args[2:])
            self._note(f"{'waits' if waits else 'copies'}: {source.device.type} to {target.device.type}")
        return out

    def _read(self, name: str, tensor: Tensor) -> object:
        if tensor.device.type == "cuda":
            self._note(f"waits: {name[6:]}")
        if name in ("aten::allclose", "aten::equal") or tensor.dtype == torch.bool:
            return True
        return 0.5 if tensor.dtype.is_floating_point else 1

    def _note(self, what: str) -> None:
        stack = [frame for frame in traceback.extract_stack() if "/hpcli/" in frame.filename]
        self.notes.append(f"{what} at {stack[-1].filename.rpartition('/')[2]}:{stack[-1].name}" if stack else what)

    def taken(self) -> Counter[str]:
        """What has been noted since the last call."""
        notes, self.notes = Counter(self.notes), []
        return notes


class Event:
    """torch.cuda.Event of a device that has always finished."""

    def record(self) -> None: ...
    def synchronize(self) -> None: ...
    def query(self) -> bool:
        return True


class AtOnce:
    """An executor without threads."""

    def __init__(self, *_: object, **__: object) -> None: ...
    def submit(self, function: Callable[[Tensor], Tensor], index: Tensor) -> Future[Tensor]:
        done: Future[Tensor] = Future()
        done.set_result(function(index))
        return done


def moved(module: nn.Module, function: Callable[[Tensor], Tensor], recurse: bool = True) -> nn.Module:
    """nn.Module._apply for fake tensors, which cannot be swapped in place."""
    for child in module.children():
        moved(child, function)
    with torch.no_grad():
        for name, weight in module._parameters.items():
            if weight is not None:
                module._parameters[name] = nn.Parameter(function(weight), weight.requires_grad)
        for name, buffer in module._buffers.items():
            module._buffers[name] = None if buffer is None else function(buffer)
    return module


def copied(value: Any) -> Any:
    """copy.deepcopy for fake tensors, which would take their mode along."""
    if isinstance(value, nn.Module):
        value = copy.copy(value)
        value._parameters = {
            name: None if weight is None else nn.Parameter(weight.detach().clone())
            for name, weight in value._parameters.items()
        }
        return value
    return tree_map(lambda leaf: leaf.clone() if isinstance(leaf, Tensor) else leaf, value)


def no_backward(loss: Tensor) -> None:
    """Tensor.backward: of a float32 loss on the device."""
    assert loss.device.type == "cuda"
    assert loss.dtype == torch.float32
    for weight in MODELS[-1].parameters():
        weight.grad = torch.empty_like(weight) if weight.requires_grad else None


MODELS: list[nn.Module] = []
"""The last one gets gradients."""


@pytest.fixture
def watch(monkeypatch: pytest.MonkeyPatch) -> Iterator[Watch]:
    found = Watch()
    generator = type("Generator", (), {"manual_seed": staticmethod(found.seeds.append)})()
    faked = {
        "device_count": lambda: 1, "current_device": lambda: 0, "is_bf16_supported": lambda **_: True, "Event": Event,
        "default_generators": (generator,), "mem_get_info": lambda _: (2**30, 2**31),
    }  # fmt: skip
    for name, value in faked.items():
        monkeypatch.setattr(torch.cuda, name, value)
    monkeypatch.setattr(torch.cuda.amp.common, "amp_definitely_not_available", lambda: False)
    monkeypatch.setattr(nn.Module, "_apply", moved)
    monkeypatch.setattr(Tensor, "backward", no_backward)
    monkeypatch.setattr(Tensor, "numpy", lambda tensor: np.zeros(tuple(tensor.shape)))
    monkeypatch.setattr(devices, "generator_states", dict)  # numpy's and Python's: no tensors
    monkeypatch.setattr(devices, "set_generator_states", lambda _: None)
    monkeypatch.setattr(folding, "copy", type("copy", (), {"deepcopy": staticmethod(copied)}))
    with FakeTensorMode(allow_non_fake_inputs=False), found:
        yield found


RESNET = {"model.name": "resnet20", "model.options.num_blocks": [1, 1, 1]}
CASES: list[dict[str, Any]] = [
    {**RESNET, "data.augment": "standard", "model.options.dropout": [0.1, 0.3]},
    {"data.augment": "source", "optimizer.name": "sgd", "train.clip_norm": 1.0, "optimizer.decay_norm_and_bias": False},
    {"data.augment": "none", "optimizer.name": "sgd", "optimizer.decay": "coupled", "train.label_smoothing": 0.1},
    {**RESNET, "optimizer.decay": "coupled", "model.freeze": "body"},
    {**RESNET, "data.augment": "none", "train.ema": 0.9, "record.grad_norm": True},
    {"train.mixup": 0.4, "train.cutmix": 1.0, "train.label_smoothing": 0.1},
]
IDS = ["standard-adamw", "source-sgdw-clip", "none-sgd", "adam-frozen", "averaged", "mixed"]


WITH_TIMM: list[Any] = [
    pytest.param(
        {"data.augment": "none", "optimizer.name": f"timm/{name}", "optimizer.decay": decay_of(f"timm/{name}")},
        id=name,
        marks=pytest.mark.skipif(find_spec("timm") is None, reason="timm is not installed"),
    )
    for name in ("muon", "nadamw", "lion", "adamc", "adan", "nadam", "mars", "clion")
]


CONTROLS: list[Any] = [
    pytest.param(
        {**RESNET, "optimizer.name": name, "schedule.name": "constant", "schedule.momentum": 0.9, "schedule.max_lr": 1.0},
        waits,
        id=name,
        marks=pytest.mark.skipif(find_spec(library) is None, reason=f"{library} is not installed"),
    )
    for name, library, waits in (
        ("schedulefree_adamw", "schedulefree", set()),
        ("prodigy", "prodigyopt", {"waits: _local_scalar_dense at optimizer.py:step"}),
    )
]  # fmt: skip
"""Prodigy reads two numbers of every weight in a step, and whether it is 0 in the first: that is the library's."""


def config_of(case: dict[str, Any]) -> Config:
    small = {"data.train_fraction": 0.3, "data.batch_size": 32, "train.epochs": 2, "model.name": "shallow3"}
    return with_overrides(load_config(), {**small, "train.cuda_graph": False, **case})


def trainer_of(case: dict[str, Any]) -> tuple[Trainer, Schedule]:
    config = config_of(case)
    trainer = Trainer.from_config(config, device="cuda", splits=load_splits(config))
    MODELS.append(trainer.model)
    return trainer, training_schedule(config, trainer.data.steps_per_epoch)


def devices_of(tree: object) -> set[str]:
    return {each.device.type for each in tree_leaves(tree) if isinstance(each, Tensor)}


def test_what_waits_is_noticed(watch: Watch) -> None:
    loss = torch.zeros(3, device="cuda").sum()
    assert not watch.taken()
    loss.item()
    loss.cpu()
    torch.zeros(3).to("cuda")
    torch.equal(loss, loss)
    assert watch.taken() == {
        "waits: _local_scalar_dense": 1,
        "waits: cuda to cpu": 1,
        "copies: cpu to cuda": 1,
        "waits: equal": 1,
    }
    with pytest.raises(RuntimeError, match="device"):
        loss + torch.zeros(3)


@pytest.mark.parametrize(
    "case", [*(pytest.param(case, id=name) for case, name in zip(CASES, IDS, strict=True)), *WITH_TIMM]
)
def test_nothing_in_the_step_loop_waits_for_the_device(case: dict[str, Any], watch: Watch) -> None:
    """Nor at the order of a new pass. Losses travel to the host beside the steps; a report of an epoch's end waits."""
    trainer, schedule = trainer_of(case)
    is_timm = "timm/" in str(case.get("optimizer.name"))
    assert trainer.numerics.dtype == torch.bfloat16
    assert devices_of(trainer.model.state_dict()) == {"cuda"}
    watch.taken()
    watch.seeds.clear()
    for _ in trainer.train(schedule):
        assert {weight.grad for weight in trainer.model.parameters()} == {None}
    assert len(schedule) == 2 * trainer.data.steps_per_epoch
    assert set(watch.taken()) == {"copies: cuda to cpu at losses.py:_send"}
    assert len(set(watch.seeds)) == len(schedule)  # dropout's, each step its own
    state = [each for each in tree_leaves(trainer.optimizer.state_dict()) if isinstance(each, Tensor)]
    assert all(each.device.type == "cuda" or (each.ndim == 0 and is_timm) for each in state)  # steps are counted here


@pytest.mark.parametrize(("case", "waits"), CONTROLS)
def test_what_waits_in_a_step_of_schedule_free_and_of_prodigy(
    case: dict[str, Any], waits: set[str], watch: Watch
) -> None:
    """Nor does making the average that is evaluated, but for what an evaluation reads at its end."""
    trainer, schedule = trainer_of(case)
    watch.taken()
    for _ in trainer.train(schedule):
        pass
    assert set(watch.taken()) == {"copies: cuda to cpu at losses.py:_send", *waits}
    trainer.evaluate("valid")
    for _ in trainer.train(schedule, 0, 2):
        pass
    watch.taken()
    trainer.evaluate("valid")
    assert set(watch.taken()) <= END
    assert devices_of(trainer.state_dict()) == {"cuda"}


def test_images_that_are_sent_wait_for_nothing_either(watch: Watch, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pixels, "ThreadPoolExecutor", AtOnce)  # a thread of its own would have no fake tensors
    monkeypatch.setattr(Tensor, "pin_memory", lambda images: images)
    trainer, schedule = trainer_of({**CASES[0], "data.resident_mb": 0})
    watch.taken()
    for _ in trainer.train(schedule):
        pass
    assert set(watch.taken()) == {
        "copies: cuda to cpu at losses.py:_send",
        "copies: cpu to cuda at pixels.py:pick",
        "copies: cpu to cuda at loader.py:_picked",  # the numbers of the images
        "copies: cpu to cuda at loader.py:_drawn",  # once a pass
    }
    trainer.evaluate("valid")
    watch.taken()
    trainer.evaluate("valid")
    assert set(watch.taken()) <= END | {"copies: cpu to cuda at pixels.py:pick"}


class Second(Joined):
    """One of two processes, whose messages get lost."""

    def __init__(self) -> None:
        self.rank, self.size, self.leads, self.seeds = 1, 2, False, (1,)

    def total(self, *tensors: Tensor) -> None:
        """Leave them as they are."""


def test_of_several_processes_none_waits_for_its_device(watch: Watch) -> None:
    """All but what torch sends, and its SyncBatchNorm, which does wait."""
    config = config_of(CASES[1])
    trainer = Trainer.from_config(config, device="cuda", splits=load_splits(config), ranks=Second())
    MODELS.append(trainer.model)
    schedule = training_schedule(config, trainer.data.steps_per_epoch)
    watch.taken()
    for _ in trainer.train(schedule):
        pass
    assert set(watch.taken()) == {"copies: cuda to cpu at losses.py:_send"}
    assert len(trainer.data.loader.batch(0)[1]) == config.data.batch_size // 2
    trainer.evaluate("valid")
    watch.taken()
    trainer.evaluate("valid")
    assert set(watch.taken()) <= END


@pytest.mark.parametrize("case", CASES, ids=IDS)
def test_an_evaluation_waits_at_its_end(case: dict[str, Any], watch: Watch) -> None:
    trainer, _ = trainer_of(case)
    trainer.evaluate("valid")
    trainer.evaluate("train", bn_images=100)  # which images is sent once
    watch.taken()
    trainer.evaluate("train", bn_images=100)
    assert set(watch.taken()) <= END
    trainer.evaluate("valid", by_class=True)
    notes = watch.taken()
    assert set(notes) <= END
    assert notes.total() == 6  # the four numbers, the confusion, the images' losses


def test_states_come_back_to_where_they_were(watch: Watch) -> None:
    """Also from the host, where a checkpoint has been; and another seed begins in the memory of the last one."""
    trainer, schedule = trainer_of(CASES[0])
    for _ in trainer.train(schedule, stop=3):
        pass
    state = trainer.state_dict()
    assert devices_of(state) == {"cuda"}
    stored = tree_map(lambda leaf: leaf.cpu() if isinstance(leaf, Tensor) else leaf, state)
    weights = list(trainer.model.parameters())
    for each in (state, stored):
        trainer.load_state_dict(each)
        for _ in trainer.train(schedule, start=3, stop=5):
            pass
        assert devices_of(trainer.optimizer.state_dict()) == {"cuda"}
    trainer.reset(1)
    trainer.optimizer.set_weight_decay(0.1)
    assert all(one is other for one, other in zip(weights, trainer.model.parameters(), strict=True))
    assert devices_of(trainer.model.state_dict()) == {"cuda"}


@pytest.mark.parametrize("bn", BatchNorm)
def test_checkpoints_from_the_host_are_mixed_on_the_device(bn: BatchNorm, watch: Watch) -> None:
    trainer, _ = trainer_of(CASES[0])
    weights = trainer.model.state_dict()
    mixture = Mixture(trainer, {name: each.cpu() for name, each in weights.items()}, weights)
    with mixture.at(0.5, 0.5, bn=bn):
        mixture.evaluate("valid")
    watch.taken()
    with mixture.at(0.25, 0.75, bn=bn):
        mixture.evaluate("valid")
    assert set(watch.taken()) <= END


@pytest.mark.parametrize("name", ["resnet20", "shallow3"])
def test_the_backward_pass_reads_nothing(name: str) -> None:
    """On fake tensors of the host, where autograd runs: a read of a number is an error there."""
    with FakeTensorMode(allow_non_fake_inputs=False):
        model = build_model(name, num_classes=10, in_channels=3, image_size=(32, 32))
        with torch.autocast("cpu", dtype=torch.bfloat16):
            logits = model(torch.zeros(8, 3, 32, 32))
        nn.functional.cross_entropy(logits.float(), torch.zeros(8, dtype=torch.int64)).backward()
        for weight in model.parameters():
            assert weight.grad is not None
            assert weight.grad.dtype == torch.float32
