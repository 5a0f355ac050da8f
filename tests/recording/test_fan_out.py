from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
import torch

from hpcli.config import Config
from hpcli.errors import CheckpointError
from hpcli.experiments.train import train
from hpcli.recording.disk import DiskRecorder
from hpcli.recording.fan_out import FanOut
from hpcli.recording.memory import MemoryRecorder
from hpcli.recording.recorder import Arrays, State, Stop
from hpcli.recording.rows import R, Row
from hpcli.results.batch import BATCH
from hpcli.results.data import ClassImages
from hpcli.results.train import Epoch, Step, WeightNorm
from hpcli.states import RunStatus


@dataclass(frozen=True)
class Place(Row, table="places"):
    alpha: float
    note: str | None = None


class Watcher:
    """Only rows, as a page that draws them would be."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, object]] = []

    def add(self, row: Row, *, durable: bool = False) -> None:
        self.calls.append(("add", (row, durable)))

    def replace(self, kind: type[R], rows: Sequence[R]) -> None:
        self.calls.append(("replace", (kind, list(rows))))

    def keep_arrays(self, name: str, arrays: Arrays) -> None:
        self.calls.append(("keep_arrays", name))

    def rows(self, kind: type[R]) -> list[R]:
        raise AssertionError("asked for rows")

    def arrays(self, name: str) -> Arrays | None:
        raise AssertionError("asked for arrays")


class Impatient(Watcher):
    """One that can ask to stop."""

    def __init__(self, rows: int) -> None:
        super().__init__()
        self.left = rows

    def should_stop(self) -> bool:
        return sum(name == "add" for name, _ in self.calls) >= self.left


class First(MemoryRecorder):
    """Notes what it is asked."""

    def __init__(self, config: Config | None = None) -> None:
        super().__init__(config)
        self.asked: list[object] = []
        self.due = self.stops = False

    def is_due(self, *, ends_epoch: bool, is_best: bool) -> bool:
        self.asked.append((ends_epoch, is_best))
        return self.due

    def save(self, state: State, *, step: int, labels: Sequence[str] = (), valid_loss: float | None = None) -> None:
        self.asked.append((step, tuple(labels), valid_loss))
        super().save(state, step=step, labels=labels, valid_loss=valid_loss)

    def load(self) -> State | None:
        return self.states.get("last")

    def should_stop(self) -> bool:
        return self.stops


def test_rows_and_arrays_go_to_all_in_order() -> None:
    first, second, watcher = MemoryRecorder(), MemoryRecorder(), Watcher()
    fan_out = FanOut(first, second, watcher)
    pixels: Arrays = {"images": np.zeros(3, np.uint8)}
    fan_out.add(Place(0.5))
    fan_out.add(Place(1.0, "b"), durable=True)
    fan_out.keep_arrays("batch", pixels)
    assert first.rows(Place) == second.rows(Place) == [Place(0.5), Place(1.0, "b")]
    fan_out.replace(Place, [Place(2.0)])
    assert first.rows(Place) == second.rows(Place) == [Place(2.0)]
    assert first.arrays("batch") is second.arrays("batch") is pixels
    assert watcher.calls == [
        ("add", (Place(0.5), False)),
        ("add", (Place(1.0, "b"), True)),
        ("keep_arrays", "batch"),
        ("replace", (Place, [Place(2.0)])),
    ]


def test_what_is_read_comes_from_the_first_alone() -> None:
    first = MemoryRecorder()
    first.add(Place(0.5))
    first.keep_arrays("batch", {"images": np.ones(2)})
    fan_out = FanOut(first, Watcher())
    assert fan_out.rows(Place) == [Place(0.5)]
    assert fan_out.arrays("batch") is first.arrays("batch")
    assert fan_out.arrays("nothing") is None
    assert fan_out.rows(ClassImages) == []


def test_states_and_weights_are_the_firsts_alone() -> None:
    first, second = First(), First()
    fan_out = FanOut(first, second)
    state: State = {"step": 3}
    fan_out.save(state, step=3, labels=("epoch-0001", "last"), valid_loss=0.5)
    fan_out.keep_weights({"w": torch.ones(2)})
    first.due = True
    assert fan_out.is_due(ends_epoch=True, is_best=False)
    first.due, second.due = False, True
    assert not fan_out.is_due(ends_epoch=False, is_best=True)
    assert fan_out.load() is state
    assert first.asked == [(3, ("epoch-0001", "last"), 0.5), (True, False), (False, True)]
    assert first.weights is not None
    assert torch.equal(first.weights["w"], torch.ones(2))
    assert (second.asked, second.states, second.weights) == ([], {}, None)


def test_any_of_them_may_ask_to_stop_and_one_that_cannot_is_not_asked() -> None:
    first, watcher, impatient = First(), Watcher(), Impatient(rows=2)
    assert not isinstance(watcher, Stop)
    fan_out = FanOut(first, watcher, impatient)
    assert not fan_out.should_stop()
    fan_out.add(Place(0.0))
    assert not fan_out.should_stop()
    fan_out.add(Place(1.0))
    assert fan_out.should_stop()
    first.stops, alone = True, FanOut(first, watcher)
    assert alone.should_stop()


def test_children_are_the_firsts(config: Config) -> None:
    first, second = MemoryRecorder(), MemoryRecorder()
    fan_out = FanOut(first, second)
    assert fan_out.find_child("a") is None
    with fan_out.child("a", config) as child:
        child.add(Place(0.5))
        child.finish(RunStatus.FINISHED, {})
    found = fan_out.find_child("a")
    assert found is first.children["a"]
    assert found is not None
    assert (found.status, found.config, found.rows(Place)) == (RunStatus.FINISHED, config, [Place(0.5)])
    assert second.children == {}


def test_a_run_is_the_same_with_others_watching(config: Config, tmp_path: Path) -> None:
    """The folder holds what it holds alone, and the watcher has every row that is in it."""
    watcher, alone = MemoryRecorder(), MemoryRecorder()
    with DiskRecorder.create("train", config, tmp_path / "run") as disk:
        result = train(config, recorder=FanOut(disk, watcher))
        disk.finish(result.status, result.summary())
    train(config, recorder=alone)
    for kind in (Step, WeightNorm, ClassImages):
        assert disk.rows(kind) == watcher.rows(kind) == alone.rows(kind) != []
    assert disk.rows(Epoch) == watcher.rows(Epoch)
    assert [replace(row, seconds=0) for row in disk.rows(Epoch)] == [
        replace(row, seconds=0) for row in alone.rows(Epoch)
    ]
    kept, seen = disk.arrays(BATCH), watcher.arrays(BATCH)
    assert kept is not None
    assert seen is not None
    assert all(np.array_equal(kept[name], seen[name]) for name in ("images", "labels"))
    assert (tmp_path / "run/model.safetensors").exists()
    assert watcher.weights is None


def test_a_run_that_a_watcher_stopped_goes_on_where_it_was(config: Config, tmp_path: Path) -> None:
    """The first one's state is what it goes on from; a watcher sees the steps once each."""
    whole, watcher = MemoryRecorder(), Impatient(rows=6)  # one says what the run is made with, five are steps
    train(config, recorder=whole)
    with DiskRecorder.create("train", config, tmp_path / "run") as disk:
        assert train(config, recorder=FanOut(disk, watcher)).status == RunStatus.INTERRUPTED
    assert len(disk.rows(Step)) == 6  # who asks is heard before a step's row is written
    later = MemoryRecorder()
    with DiskRecorder.reopen("train", tmp_path / "run", config) as disk:
        assert train(config, recorder=FanOut(disk, later)).status == RunStatus.FINISHED
    assert disk.rows(Step) == whole.rows(Step)
    assert later.rows(Step) == whole.rows(Step)[6:]


def test_a_row_that_the_first_refuses_reaches_nobody(tmp_path: Path, config: Config) -> None:
    watcher = Watcher()
    disk = DiskRecorder(tmp_path, "train", config, resumed=False)
    fan_out = FanOut(disk, watcher)
    with pytest.raises(TypeError, match="alpha: 'x'"):
        fan_out.add(Place("x"))  # type: ignore[arg-type]
    (tmp_path / "steps.csv").write_text("other\n1\n")
    with pytest.raises(CheckpointError, match="its columns are other"):
        fan_out.add(Step(0, 0.1, 0.9, 2.0))
    assert watcher.calls == []


def test_nested_ones_pass_on_what_they_get() -> None:
    innermost, middle, outer = MemoryRecorder(), MemoryRecorder(), Impatient(rows=1)
    fan_out = FanOut(FanOut(innermost, middle), outer)
    fan_out.add(Place(0.25))
    assert innermost.rows(Place) == middle.rows(Place) == fan_out.rows(Place) == [Place(0.25)]
    assert outer.calls == [("add", (Place(0.25), False))]
    assert fan_out.should_stop()
