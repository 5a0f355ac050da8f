"""Every file of a run folder damaged in several ways: healed, or one error that names it; never in silence."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from hpcli import Run
from hpcli.config import Config, load_config, with_overrides
from hpcli.errors import CheckpointError, HpcliError, UsageError
from hpcli.experiments.train import train
from hpcli.recording import checkpoints
from hpcli.recording.csv_files import CsvFiles
from hpcli.recording.disk import DiskRecorder
from hpcli.recording.folder import write_arrays
from hpcli.recording.status import _digest as digest
from hpcli.results.train import Epoch, Step
from hpcli.states import RunStatus

pytestmark = pytest.mark.filterwarnings("ignore::hpcli.errors.HpcliWarning")


def go_on(path: Path, config: Config) -> None:
    with DiskRecorder.reopen("train", path, config) as recorder:
        if recorder.summary is None:
            result = train(config, recorder=recorder, device="cpu")
            recorder.finish(result.status, result.summary())


@pytest.fixture(scope="module")
def small() -> Config:
    keys = {"data.train_fraction": 0.1, "data.batch_size": 32, "model.name": "shallow3", "train.epochs": 2}
    return with_overrides(load_config(), keys)


class Killed(BaseException):
    pass


@pytest.fixture(scope="module")
def runs(small: Config, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A finished run, one that was asked to stop after its first epoch, and one that was killed there."""
    folder = tmp_path_factory.mktemp("runs")
    torch.set_num_threads(1)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(checkpoints, "AT_MOST_SECONDS", 0.0)
        with DiskRecorder.create("train", small, folder / "finished") as recorder:
            result = train(small, recorder=recorder, device="cpu")
            recorder.finish(result.status, result.summary())
        with DiskRecorder.create("train", small, folder / "stopped") as recorder:
            patch.setattr(recorder, "should_stop", lambda: bool(recorder.rows(Epoch)))
            result = train(small, recorder=recorder, device="cpu")
            recorder.finish(result.status, result.summary())
    shutil.copytree(folder / "stopped", folder / "killed")
    status = json.loads((folder / "stopped/status.json").read_text()) | {"status": "running", "files": {}}
    del status["sha256"]
    (folder / "killed/status.json").write_text(json.dumps(status | {"sha256": digest(status)}))
    return {name: folder / name for name in ("finished", "stopped", "killed")}


def flipped(data: bytes) -> bytes:
    """With another digit in the middle."""
    at = next((n for n in range(len(data) // 2, len(data)) if data[n : n + 1].isdigit()), len(data) // 2)
    other = b"1" if data[at : at + 1] != b"1" else b"2"
    return data[:at] + other + data[at + 1 :]


DAMAGES: dict[str, Callable[[bytes], bytes]] = {
    "empty": lambda _: b"",
    "junk": lambda _: b"\xff\x00junk",
    "a list": lambda _: b"[]",
    "cut": lambda data: data[: len(data) // 2],
    "another digit": flipped,
}
FILES = (
    "status.json", "config.yaml", "summary.json", "environment.json", "steps.csv", "metrics.csv", "classes.csv", "test.csv",
    "weight_norms.csv", "batch.npz", "model.safetensors", "checkpoints/index.json",
)  # fmt: skip
HARMLESS = {"environment.json", "summary.json"}
"""Files that nothing is gone on from: written anew, or only read."""


@pytest.mark.parametrize("state", ["finished", "stopped", "killed"])
@pytest.mark.parametrize("name", FILES)
def test_a_damaged_file_is_healed_or_named(
    runs: dict[str, Path], small: Config, tmp_path: Path, name: str, state: str
) -> None:
    if not (runs[state] / name).exists():
        pytest.skip("this run has no such file")
    for number, (damage, change) in enumerate(DAMAGES.items()):
        path = tmp_path / str(number)
        shutil.copytree(runs[state], path)
        (path / name).write_bytes(change((path / name).read_bytes()))
        try:
            Run.open(path).result  # noqa: B018
            go_on(path, small)
        except HpcliError as error:
            code = 3 if "data have changed" in str(error) else 4  # classes that are gone are other data
            assert (error.exit_code, "\n" in str(error)) == (code, False), (damage, error)
            assert name.rpartition("/")[2] in str(error), (damage, error)
            continue
        same = {file: (path / file).read_bytes() for file in ("steps.csv", "model.safetensors", "classes.csv")}
        assert same == {file: (runs["finished"] / file).read_bytes() for file in same}, damage
        needed = state != "killed" and name not in HARMLESS and not name.startswith("checkpoints")
        assert not needed, f"{name}, {damage}: not noticed"


def test_an_archive_without_its_arrays_is_damaged(runs: dict[str, Path], small: Config, tmp_path: Path) -> None:
    """A bit of a name was flipped: the archive can be read, and holds something else."""
    path = tmp_path / "killed"
    shutil.copytree(runs["killed"], path)  # it could not write down what its files are
    write_arrays(path / "batch.npz", {"imagds": np.zeros(1), "labels": np.zeros(1)})
    with pytest.raises(CheckpointError, match=r"batch\.npz: damaged, it holds no images and labels; delete it"):
        go_on(path, small)


def test_values_changed_before_the_checkpoint_are_noticed(runs: dict[str, Path], small: Config, tmp_path: Path) -> None:
    """Also of a run that was killed; what came after its checkpoint is dropped anyway."""
    for name in ("steps.csv", "metrics.csv"):
        path = tmp_path / name
        shutil.copytree(runs["killed"], path)
        (path / name).write_bytes(flipped((path / name).read_bytes()))
        with pytest.raises(CheckpointError, match=rf"{name}: changed since its checkpoint was saved"):
            go_on(path, small)


def test_a_changed_config_names_the_key(runs: dict[str, Path], small: Config, tmp_path: Path) -> None:
    for state in ("stopped", "killed"):
        path = tmp_path / state
        shutil.copytree(runs[state], path)
        text = (path / "config.yaml").read_text()
        (path / "config.yaml").write_text("# a comment is no change\n" + text)
        assert Run.open(path).config == small
        (path / "config.yaml").write_text(text.replace("clip_norm: null", "clip_norm: 1.0"))
        with pytest.raises(CheckpointError, match=r"config\.yaml: train\.clip_norm is not what the run was asked"):
            go_on(path, with_overrides(small, {"train.clip_norm": 1.0}))


@pytest.mark.parametrize("what", ["checkpoints/index.json", "checkpoints"])
def test_checkpoints_that_are_gone_do_not_start_a_run_anew(
    runs: dict[str, Path], small: Config, tmp_path: Path, what: str
) -> None:
    path = tmp_path / "run"
    shutil.copytree(runs["killed"], path)
    before = (path / "steps.csv").read_bytes()
    shutil.rmtree(path / what) if what == "checkpoints" else (path / what).unlink()
    with pytest.raises(CheckpointError, match="checkpoints"):
        go_on(path, small)
    assert (path / "steps.csv").read_bytes() == before


def test_what_is_not_the_runs_stays(runs: dict[str, Path], small: Config, tmp_path: Path) -> None:
    """Tables, checkpoints and pages of somebody's own, in the folder that is gone on with."""
    path = tmp_path / "run"
    shutil.copytree(runs["stopped"], path)
    for name in ("precious.csv", "checkpoints/mine.pt", "checkpoints/x.tmp", "notes.md"):
        (path / name).write_text("years of work")
    go_on(path, small)
    for name in ("precious.csv", "checkpoints/mine.pt", "checkpoints/x.tmp", "notes.md"):
        assert (path / name).read_text() == "years of work"
    assert (path / "steps.csv").read_bytes() == (runs["finished"] / "steps.csv").read_bytes()


@pytest.mark.parametrize(
    "change", [{"tables": {"../precious": 5}}, {"file": "../precious.pt"}, {"tables": {"steps": -1}}, {"step": "7"}]
)
def test_an_index_names_nothing_outside_its_folder(
    runs: dict[str, Path], small: Config, tmp_path: Path, change: dict[str, object]
) -> None:
    path = tmp_path / "run"
    shutil.copytree(runs["killed"], path)
    (tmp_path / "precious.csv").write_text("years of work")
    index = json.loads((path / "checkpoints/index.json").read_text())
    for entry in index["entries"]:
        entry.update(change)
    index["sha256"] = checkpoints._digest(index["entries"])  # as somebody would who means it
    (path / "checkpoints/index.json").write_text(json.dumps(index))
    with pytest.raises(CheckpointError, match=r"index\.json: damaged"):
        go_on(path, small)
    assert (tmp_path / "precious.csv").read_text() == "years of work"


def test_a_link_in_place_of_a_table_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "precious.csv").write_text("step,lr,momentum,train_loss\nyears of work\n")
    (tmp_path / "run").mkdir()
    (tmp_path / "run/steps.csv").symlink_to(tmp_path / "precious.csv")
    with pytest.raises(CheckpointError, match=r"steps\.csv: a link"):
        CsvFiles(tmp_path / "run").cut_back({"steps": 5})
    with pytest.raises(OSError, match=r"steps\.csv"):
        CsvFiles(tmp_path / "run").append(Step(0, 0.1, 0.9, 2.3))
    assert "years of work" in (tmp_path / "precious.csv").read_text()


def test_some_config_makes_no_run_folder(small: Config, tmp_path: Path) -> None:
    (tmp_path / "config.yaml").write_text("seed: 3\n")
    (tmp_path / "data.csv").write_text("mine")
    with pytest.raises(UsageError, match=r"not a run folder \(it has no status\.json\)"):
        go_on(tmp_path, small)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["config.yaml", "data.csv"]


def test_an_extension_that_was_cut_off_is_gone_on_with(
    small: Config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Killed after it was noted what is asked, and before config.yaml was written: what is asked counts."""
    few = with_overrides(small, {"sweep.values": {"optimizer.weight_decay": [0.0, 0.1]}, "sweep.seeds": 2})
    more = with_overrides(few, {"sweep.seeds": 4})
    with DiskRecorder.create("sweep", few, tmp_path / "run") as recorder:
        recorder.finish(RunStatus.FINISHED, {})
    with monkeypatch.context() as patch:
        patch.setattr(DiskRecorder, "_write_config", lambda _: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt), DiskRecorder.reopen("sweep", tmp_path / "run", more):
            pass
    assert "seeds: 2" in (tmp_path / "run/config.yaml").read_text()
    assert Run.open(tmp_path / "run").config == more
    with DiskRecorder.reopen("sweep", tmp_path / "run", more) as recorder:
        assert recorder.summary is None
        recorder.finish(RunStatus.FINISHED, {})
    assert Run.open(tmp_path / "run").config == more


@pytest.mark.parametrize("change", [("seeds: 2", "seeds: 3"), ("- 0.1", "- 0.3")])
def test_a_config_that_is_edited_extends_no_run(small: Config, tmp_path: Path, change: tuple[str, str]) -> None:
    """Whether a person did it or the disk: options extend a run. A cut file used to start other trials."""
    few = with_overrides(small, {"sweep.values": {"optimizer.weight_decay": [0.0, 0.1]}, "sweep.seeds": 2})
    with DiskRecorder.create("sweep", few, tmp_path / "run"):
        pass
    path = tmp_path / "run/config.yaml"
    text = path.read_text()
    assert text.count(change[0]) == 1
    path.write_text(text.replace(*change))
    with pytest.raises(
        CheckpointError, match=r"config\.yaml: sweep[.a-z_]+ is not what the run was asked; put it back"
    ):
        Run.open(tmp_path / "run").config  # noqa: B018
