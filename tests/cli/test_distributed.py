"""One training by several processes, on CPUs: equal to one, stopped and gone on with, ended by an error, refused."""

from __future__ import annotations

import datetime
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from torch.distributed import TCPStore  # type: ignore[attr-defined]

import hpcli
from hpcli.cli import main
from hpcli.files import Lock
from hpcli.recording.csv_text import read_rows
from hpcli.results.made_with import MadeWith
from hpcli.results.train import Epoch, Step
from hpcli.training import launch
from hpcli.training.step import Step as StepOf
from tests.cli.test_names import write
from tests.reliability.harness import command, differences, eager, ended, in_child, outcome

NET = """
import torch
from torch import nn

class Scaled(nn.Module):
    def __init__(self):
        super().__init__()
        self.scale, self.unused = nn.Parameter(torch.tensor(0.9)), nn.Parameter(torch.ones(3))

    def forward(self, x):
        return x * self.scale

def net(num_classes, in_channels):
    return nn.Sequential(
        nn.Conv2d(in_channels, 16, 3, padding=1), nn.GroupNorm(4, 16), nn.ReLU(),
        nn.Conv2d(16, 32, 3, stride=2, padding=1), nn.GroupNorm(4, 32), nn.ReLU(),
        nn.AdaptiveAvgPool2d(1), nn.Flatten(), Scaled(), nn.Dropout(DROPOUT), nn.Linear(32, num_classes),
    )
"""
SMALL = ("-q", "--device=cpu", "--set=data.train_fraction=0.2", "--set=data.batch_size=32", "--epochs=3")
OWN = ("--set=model.name=grouped:net", "--allow-code")
DROPPING = ("train", *SMALL, *OWN, "--set=train.ema=0.9")
FREE = ("--set=optimizer.name=schedulefree_adamw", "--set=schedule.name=constant", "--set=schedule.momentum=0.9")
SGD = ("--set=optimizer.name=sgd", "--max-lr=0.1")


@dataclass(frozen=True)
class Ended:
    """How processes ended that were started together, each in its place."""

    codes: tuple[int, ...]
    said: tuple[str, ...]

    @property
    def lines(self) -> list[str]:
        """All that all of them said."""
        return "".join(self.said).splitlines()


@pytest.fixture(autouse=True)
def _network(_elsewhere: None, monkeypatch: pytest.MonkeyPatch) -> None:
    Path("grouped.py").write_text(NET.replace("DROPOUT", "0.0"))
    monkeypatch.setattr(launch, "LAST_WORD", datetime.timedelta(seconds=0.7))


def together(arguments: Sequence[str], *, size: int = 2, before: Callable[[int], object] = lambda rank: None) -> Ended:
    """Carry out a command in several processes, as torchrun would start them. `before` prepares each."""
    store = TCPStore("127.0.0.1", 0, is_master=True, wait_for_workers=False, timeout=datetime.timedelta(seconds=60))
    place = Path("said")
    place.mkdir(exist_ok=True)
    files = [place / f"{time.monotonic_ns()}-{rank}" for rank in range(size)]

    def work(rank: int) -> int:
        os.environ |= {
            "RANK": str(rank), "LOCAL_RANK": str(rank), "WORLD_SIZE": str(size), "LOCAL_WORLD_SIZE": str(size),
            "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(store.port), "TORCHELASTIC_USE_AGENT_STORE": "True",
        }  # fmt: skip
        before(rank)
        return main(list(arguments))

    children = [in_child(lambda rank=rank: work(rank), files[rank]) for rank in range(size)]  # type: ignore[misc]
    return Ended(tuple(map(ended, children)), tuple(file.read_text() for file in files))


def largest_difference(one: Path, other: Path) -> float:
    """Between the weights of two runs."""
    a, b = (load_file(path / "model.safetensors") for path in (one, other))
    assert a.keys() == b.keys()
    return max(float((a[name].double() - b[name].double()).abs().max()) for name in a)


@pytest.mark.parametrize(
    ("size", "more"),
    [(2, ("--set=train.ema=0.9",)), (3, ("--set=train.clip_norm=0.5", "--set=data.augment=source"))],
    ids=["even", "uneven"],
)
def test_several_are_one_but_for_rounding(size: int, more: tuple[str, ...]) -> None:
    arguments = ["train", *SMALL, *OWN, *SGD, *more]
    assert command([*arguments, "--out", "one"], Path("said-one")) == 0, Path("said-one").read_text()
    done = together([*arguments, "--out", "many"], size=size)
    assert done.codes == (0,) * size, done.said
    assert set(done.said[1:]) == {""}
    one, many = Path("one"), Path("many")
    assert largest_difference(one, many) < 1e-6
    for kind, columns in ((Step, ["train_loss"]), (Epoch, ["train_loss", "train_eval_loss", "valid_loss"])):
        ours, theirs = (read_rows(path / f"{kind.table}.csv", kind) for path in (one, many))
        assert len(ours) == len(theirs) == (21 if kind is Step else 3)
        for column in columns:
            expected = [getattr(row, column) for row in ours]
            assert [getattr(row, column) for row in theirs] == pytest.approx(expected, abs=1e-6)
    assert [row.processes for row in read_rows(many / "made_with.csv", MadeWith)] == [size]


def in_step(call: int, rank: int, act: Callable[[], object]) -> Callable[[int], object]:
    """Lets a process do something in one of its steps."""

    def before(own: int) -> None:
        calls, name = [0], "descend"
        real = getattr(StepOf, name)

        def descend(*arguments: object) -> object:
            calls[0] += 1
            if calls[0] == call and own == rank:
                act()
            return real(*arguments)

        setattr(StepOf, name, descend)

    return before


def sends(number: signal.Signals, to: int, call: int) -> Callable[[int], object]:
    """Lets a process get a signal in one of its steps."""
    return in_step(call, to, lambda: os.kill(os.getpid(), number))


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, object]]:
    """What two processes come to with dropout, undisturbed."""
    folder, before = tmp_path_factory.mktemp("whole"), Path.cwd()
    os.chdir(folder)
    Path("grouped.py").write_text(NET.replace("DROPOUT", "0.2"))
    with eager():
        done = together([*DROPPING, "--out", "run"])
    os.chdir(before)
    assert done.codes == (0, 0), done.said
    yield outcome(folder / "run")


@pytest.mark.parametrize(
    ("number", "to", "code"),
    [(signal.SIGTERM, 0, 143), (signal.SIGUSR1, 1, 138), (signal.SIGINT, 1, 143)],
    ids=lambda each: str(each),
)
def test_a_signal_to_any_stops_all_after_a_step_and_they_go_on_bit_for_bit(
    number: signal.Signals, to: int, code: int, whole: dict[str, object]
) -> None:
    Path("grouped.py").write_text(NET.replace("DROPOUT", "0.2"))
    with eager():
        done = together([*DROPPING, "--out", "run"], before=sends(number, to, 10))
        assert done.codes == (code, code), done.said
        about = json.loads(Path("run/status.json").read_text())
        assert (about["status"], about["exit_code"]) == ("interrupted", code)
        assert about["saved"] == about["step"] == (9 if to == 0 else 10)
        resumed = together(["train", "--resume", "run", "-q", "--device=cpu", "--allow-code"])
        assert (resumed.codes, resumed.lines) == ((0, 0), [])
    assert outcome(Path("run")) == whole, differences(whole, outcome(Path("run")))


def test_another_number_of_processes_goes_on_and_says_so() -> None:
    with eager():
        assert together(["train", *SMALL, *OWN, "--out", "run"], before=sends(signal.SIGTERM, 0, 5)).codes == (143, 143)
        assert command(["train", "--resume", "run", "--device=cpu", "-q", "--allow-code"], Path("said-one")) == 0
    (line,) = Path("said-one").read_text().splitlines()
    assert "begun with cpu, fp32, 1 thread, 2 processes, goes on with cpu, fp32, 1 thread: it will not be" in line
    assert [row.processes for row in read_rows(Path("run/made_with.csv"), MadeWith)] == [2, 1]


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (["train", "--set=a.b=1"], 2, "a: unknown key"),
        (["train", "--nothing"], 2, "--nothing"),
        (["train", "--resume", "nowhere"], 2, "nowhere: no such run folder"),
        (["train", "--set=data.name=folder", "--set=data.root=nowhere"], 3, "nowhere"),
        (["train", "--device=cuda:1"], 2, "--device cuda:1: each of several processes takes one"),
        (["train", "--device=cuda"], 2, "--device cuda: 2 processes on a machine with 0 GPUs"),
        (["train", "--set=model.name=resnet20"], 2, "resnet20 has BatchNorm, which 2 processes share on GPUs alone"),
        (["train", "--set=model.name=resnet20", "--dry-run"], 2, "resnet20 has BatchNorm, which 2 processes share"),
        (["train", "--set=train.cutmix=1"], 2, "train.cutmix: an image is mixed with one from the batch's other end"),
        (["train", *FREE], 2, "optimizer.name: schedulefree_adamw is evaluated by an average, for one process alone"),
        (["train", "--set=model.name=shallow3", "--set=data.batch_size=1"], 2, "each of 2 processes needs an image"),
        (["lr-find"], 2, "lr-find: 2 processes were started together, which train alone can use"),
        (["sweep", "schedule.max_lr", "--values=1,2"], 2, "hpcli sweep --resume RUN --worker"),
        (["predict", "run", "images"], 2, "predict: 2 processes were started together"),
    ],
    ids=lambda each: " ".join(each) if isinstance(each, list) else "",
)
def test_an_error_is_said_once(arguments: list[str], code: int, says: str) -> None:
    started = time.monotonic()
    done = together(
        [*arguments, *(["--device=cpu"] if "train" in arguments and "device" not in str(arguments) else [])]
    )
    assert done.codes == (code, code)
    assert done.said[1] == ""
    (line,) = done.lines
    assert says in line
    assert time.monotonic() - started < 15


def test_a_folder_in_use_ends_all() -> None:
    with eager():
        assert together(["train", *SMALL, *OWN, "--out", "run"], before=sends(signal.SIGTERM, 0, 5)).codes == (143, 143)
    lock = Lock(Path("run/.lock"))
    done = together(["train", "--resume", "run", "--device=cpu", "--allow-code"])
    lock.release()
    assert done.codes == (8, 8)
    (line,) = done.lines
    assert "run" in line


def out_of_memory() -> None:
    """Fail."""
    raise MemoryError


def test_the_error_of_one_ends_all() -> None:
    for rank in (0, 1):
        done = together(["train", *SMALL, *OWN, "--out", f"run{rank}"], before=in_step(5, rank, out_of_memory))
        assert done.codes == (5, 5)
        assert done.said[1 - rank] == ""
        (line,) = done.lines
        assert "out of memory" in line
        assert json.loads(Path(f"run{rank}/status.json").read_text())["status"] == "failed"


def test_a_process_that_is_killed_ends_all() -> None:
    done = together(["train", *SMALL, *OWN, "--out", "run"], before=sends(signal.SIGKILL, 1, 5))
    assert done.codes == (11, -signal.SIGKILL)
    (line,) = done.lines
    assert "another process of this training is gone; --resume goes on" in line
    done = together(["train", *SMALL, *OWN, "--out", "other"], before=sends(signal.SIGKILL, 0, 5))
    assert done.codes == (-signal.SIGKILL, 11)
    assert done.lines == []


def test_a_run_that_diverges_or_is_over_ends_all_alike() -> None:
    done = together(["train", *SMALL, *OWN, *SGD[:1], "--max-lr=1e6", "--out", "run"])
    assert (done.codes, done.said[1]) == ((6, 6), "")
    assert json.loads(Path("run/status.json").read_text())["status"] == "diverged"
    again = together(["train", "--resume", "run", "--device=cpu", "--allow-code", "-q"])
    assert (again.codes, again.lines) == ((6, 6), [])


def test_other_images_on_another_machine_are_refused() -> None:
    write(Path("images"), ("cat", "dog"))
    shutil.copytree("images", "elsewhere/images")
    Path("elsewhere/images/train/cat/0.png").unlink()

    def before(rank: int) -> None:
        if rank == 1:
            os.environ["LOCAL_RANK"] = "0"
            os.chdir("elsewhere")

    data = ("--set=data.name=folder", "--set=data.root=images", "--set=data.batch_size=4")
    done = together(["train", "-q", "--device=cpu", *data, "--set=model.name=shallow3"], before=before)
    assert (done.codes, done.said[0]) == ((2, 2), "")
    assert "data.root: the images of process 1 are not those of the first; copy them" in done.said[1]


def torchrun(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Carry out `hpcli` by torchrun itself, two processes of it."""
    started = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "2", "-m", "hpcli", *arguments]
    path = os.pathsep.join([str(Path(hpcli.__file__).parents[1]), os.environ.get("PYTHONPATH", "")])
    environment = {**os.environ, "PYTHONPATH": path, "OMP_NUM_THREADS": "1"}
    return subprocess.run(started, capture_output=True, text=True, check=False, env=environment, timeout=300)


@pytest.mark.parametrize("runs", [2, pytest.param(20, marks=pytest.mark.slow)])
def test_by_torchrun_it_ends_cleanly(runs: int) -> None:
    for number in range(runs):
        arguments = ("--set=model.name=shallow3", "--set=data.train_fraction=0.1", "--set=data.batch_size=32")
        done = torchrun("train", "-q", "--device=cpu", *arguments, "--epochs=1", f"--out=run{number}")
        assert (done.returncode, done.stdout) == (0, ""), done.stderr
        assert "Traceback" not in done.stderr
        assert "error" not in done.stderr
        assert read_rows(Path(f"run{number}/made_with.csv"), MadeWith)[0].processes == 2


@pytest.mark.gpu
@pytest.mark.skipif(torch.cuda.device_count() < 2, reason="needs two GPUs")
def test_on_two_gpus_batchnorm_measures_the_whole_batch() -> None:
    """A network of BatchNorm comes to what one GPU makes of it, and its processes end with the same statistics."""
    network = (
        "--set=model.name=resnet20",
        "--set=model.options.num_blocks=[1,1,1]",
        "--set=model.options.dropout=[0,0]",
    )
    exact = ("--set=train.precision=fp32", "--set=train.deterministic=true", "--set=train.cuda_graph=false")
    arguments = ("train", "-q", "--device=cuda", *SMALL[2:], *SGD, *network, *exact)
    alone = subprocess.run([sys.executable, "-m", "hpcli", *arguments, "--out=one"], check=False, capture_output=True)
    assert alone.returncode == 0, alone.stderr
    done = torchrun(*arguments, "--out=two")
    assert done.returncode == 0, done.stderr
    assert largest_difference(Path("one"), Path("two")) < 1e-3
    ours, theirs = (read_rows(Path(name, "metrics.csv"), Epoch) for name in ("one", "two"))
    assert [row.valid_loss for row in theirs] == pytest.approx([row.valid_loss for row in ours], rel=1e-2)
