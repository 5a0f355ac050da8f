from __future__ import annotations

import hashlib
from pathlib import Path

import pytest
import torch

from hpcli.config import Config, with_overrides
from hpcli.errors import CheckpointError, UsageError
from hpcli.experiments.train import train
from hpcli.recording.disk import DiskRecorder
from hpcli.runs.weights import config_beside, load_weights, pinned, reference, shared_config
from hpcli.training.trainer import Trainer


@pytest.fixture
def finished(config: Config, tmp_path: Path) -> tuple[Path, Trainer]:
    trainer = Trainer.from_config(config)
    with DiskRecorder.create("train", config, tmp_path / "run") as run:
        result = train(config, recorder=run, trainer=trainer)
        run.finish(result.status, result.summary())
    return tmp_path / "run", trainer


def flip(file: Path) -> None:
    data = bytearray(file.read_bytes())
    data[len(data) // 2] ^= 1
    file.write_bytes(data)


@pytest.mark.parametrize(
    "name", ["", "/checkpoints/epoch-0002.pt", "/model.safetensors", ":last", ":epoch-0002", ":cycle-0"]
)
def test_weights_come_from_a_folder_a_file_or_a_label(
    finished: tuple[Path, Trainer], config: Config, name: str
) -> None:
    folder, trained = finished
    other = Trainer.from_config(with_overrides(config, {"seed": 5}))
    other.load_weights(load_weights(f"{folder}{name}"))
    assert other.evaluate("valid") == trained.evaluate("valid")
    assert not other.is_fresh


def test_weights_of_another_network_are_refused_by_name(finished: tuple[Path, Trainer], config: Config) -> None:
    other = Trainer.from_config(with_overrides(config, {"model.name": "resnet20"}))
    before = {name: tensor.clone() for name, tensor in other.model.state_dict().items()}
    with pytest.raises(
        CheckpointError, match=r"conv1\.weight: the model has \[16, 1, 3, 3\], the checkpoint \[32, 1, 5, 5\]"
    ):
        other.load_weights(load_weights(finished[0]))
    assert all(torch.equal(before[name], tensor) for name, tensor in other.model.state_dict().items())


def test_what_holds_no_weights_is_named(tmp_path: Path) -> None:
    (tmp_path / "junk.pt").write_bytes(b"junk")
    (tmp_path / "junk.safetensors").write_bytes(b"junk")
    torch.save({"a": 1}, tmp_path / "other.pt")
    for name, what in {
        "missing.pt": "No such file",
        "junk.pt": "not a checkpoint of hpcli",
        "junk.safetensors": "not a safetensors file",
        "other.pt": "holds no model",
        "": "no checkpoint in it",
    }.items():
        with pytest.raises(CheckpointError, match=what):
            load_weights(tmp_path / name)


def test_a_run_from_weights_resumes_from_them_even_before_its_first_checkpoint(
    finished: tuple[Path, Trainer], config: Config, tmp_path: Path
) -> None:
    class StopError(Exception):
        pass

    def stop(_: object) -> None:
        raise StopError

    trainer = Trainer.from_config(config)
    trainer.load_weights(load_weights(finished[0]))
    with pytest.raises(StopError), DiskRecorder.create("train", config, tmp_path / "tuned") as run:
        train(config, recorder=run, trainer=trainer, on_progress=stop)
    whole = Trainer.from_config(config)
    whole.load_weights(load_weights(finished[0]))
    expected = train(config, trainer=whole)
    with DiskRecorder.reopen("train", tmp_path / "tuned", config) as run:
        resumed = train(config, recorder=run)
    assert resumed.steps["train_loss"].tolist() == expected.steps["train_loss"].tolist()


def test_a_label_names_one_checkpoint_of_a_run(config: Config, tmp_path: Path) -> None:
    config = with_overrides(config, {"schedule.cycles": 2, "train.epochs": 4, "train.checkpoint_epochs": [1, 2]})
    with DiskRecorder.create("train", config, tmp_path / "run") as run:
        train(config, recorder=run)
    last = load_weights(f"{tmp_path}/run")
    for label, same in (("epoch-0002", False), ("cycle-0", False), ("epoch-0003", True), ("cycle-1", True)):
        found = load_weights(f"{tmp_path}/run:{label}")
        assert all(torch.equal(found[name], last[name]) for name in last) == same
    with pytest.raises(CheckpointError, match=r"no checkpoint epoch-3; it has best, last, .*epoch-0003"):
        load_weights(f"{tmp_path}/run:epoch-3")
    assert config_beside(tmp_path / "run:cycle-1") == tmp_path / "run/config.yaml"
    assert config_beside(tmp_path / "run/checkpoints/epoch-0002.pt") == tmp_path / "run/config.yaml"


def test_a_checkpoint_file_is_verified_where_an_index_knows_it(finished: tuple[Path, Trainer]) -> None:
    """One flipped bit would load without complaint, as other weights."""
    file = finished[0] / "checkpoints/epoch-0002.pt"
    flip(file)
    for name in (file, f"{finished[0]}:last", f"{finished[0]}:epoch-0002"):
        with pytest.raises(CheckpointError, match="SHA-256 differs"):
            load_weights(name)


def test_two_runs_share_a_config_if_images_and_network_are_the_same(config: Config, tmp_path: Path) -> None:
    settings: dict[str, dict[str, object]] = {
        "one": {},
        "seed": {"seed": 3, "train.epochs": 1, "data.batch_size": 16},
        "wide": {"data.split_seed": 1},
    }
    for name, keys in settings.items():
        with DiskRecorder.create("train", with_overrides(config, keys), tmp_path / name):
            pass
    assert shared_config([tmp_path / "one", tmp_path / "seed"]) == tmp_path / "one/config.yaml"
    with pytest.raises(CheckpointError, match=r"its config differs from .*one's in data\.split_seed; -c FILE"):
        shared_config([tmp_path / "one", tmp_path / "wide"])
    with pytest.raises(CheckpointError, match="cannot be read"):
        shared_config([tmp_path / "one", tmp_path / "gone"])
    (tmp_path / "bare.pt").write_bytes(b"")
    with pytest.raises(UsageError, match="no run folder around it"):
        shared_config([tmp_path / "bare.pt"])
    with pytest.raises(UsageError, match="no run folder around it"):
        shared_config([tmp_path / "one", tmp_path / "bare.pt"])


@pytest.mark.parametrize(
    ("other", "keys"),
    [
        ({"model.name": "resnet20"}, r"model\.name"),
        ({"data.validation": 0.3, "data.train_fraction": 0.5}, r"data\.train_fraction, data\.validation"),
        ({"model.options.width": 7}, r"model\.options\.width"),
    ],
)
def test_what_keeps_two_runs_from_sharing_a_config_is_named(
    config: Config, tmp_path: Path, other: dict[str, object], keys: str
) -> None:
    for name, own in (("one", config), ("two", with_overrides(config, other))):
        DiskRecorder.create("train", own, tmp_path / name)
    with pytest.raises(CheckpointError, match=rf"two: its config differs from .*one's in {keys}; -c FILE"):
        shared_config([tmp_path / "one", f"{tmp_path}/two"])


def test_a_reference_is_a_path_a_label_and_a_hash(tmp_path: Path) -> None:
    digest = "0123456789abcdef" * 4
    (tmp_path / "run").mkdir()
    for text, parts in {
        f"{tmp_path}/run": (tmp_path / "run", None, None),
        f"{tmp_path}/run:best": (tmp_path / "run", "best", None),
        f"{tmp_path}/run:best@sha256:{digest}": (tmp_path / "run", "best", digest),
        f"{tmp_path}/run@sha256:{digest}": (tmp_path / "run", None, digest),
        f"{tmp_path}/gone:best": (tmp_path / "gone:best", None, None),
        f"{tmp_path}/run@sha256:{digest[:-1]}": (tmp_path / f"run@sha256:{digest[:-1]}", None, None),
    }.items():
        found = reference(text)
        assert (found.path, found.label, found.sha256) == parts
    (tmp_path / "run:odd").mkdir()
    assert reference(tmp_path / "run:odd").path == tmp_path / "run:odd"
    assert reference(f"{tmp_path}/run:odd:last").label == "last"
    assert str(reference(f"{tmp_path}/run:best@sha256:{digest}")) == f"{tmp_path}/run:best"


@pytest.mark.parametrize("name", ["run", "run:epoch-0002", "run/checkpoints/epoch-0002.pt", "run/model.safetensors"])
def test_a_pinned_reference_means_what_it_meant(
    finished: tuple[Path, Trainer], monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    """Absolute, so from another folder too; with another file under its name it is refused."""
    folder, trained = finished
    monkeypatch.chdir(folder.parent)
    text = pinned(name)
    monkeypatch.chdir("/")
    file = folder / ("model.safetensors" if "model" in name else "checkpoints/epoch-0002.pt")
    assert text == f"{folder.parent / name}@sha256:{hashlib.sha256(file.read_bytes()).hexdigest()}"
    weights = load_weights(text)
    assert all(torch.equal(weights[each], tensor) for each, tensor in trained.model.state_dict().items())
    assert pinned(text) == text
    flip(file)
    with pytest.raises(CheckpointError, match=r"SHA-256"):
        load_weights(text)


def test_a_pinned_run_that_went_on_still_gives_the_old_weights(config: Config, tmp_path: Path) -> None:
    """`RUN` is its newest checkpoint, and by its hash the one that was the newest, while it is kept."""
    config = with_overrides(config, {"train.checkpoint_epochs": [0]})
    with DiskRecorder.create("train", config, tmp_path / "run") as run:
        run.save({"trainer": {"model": {"w": torch.zeros(2)}}}, step=6, labels=("epoch-0000",), valid_loss=0.5)
        old, best = pinned(tmp_path / "run"), pinned(f"{tmp_path}/run:best")
        assert old.removeprefix(f"{tmp_path}/run@") == best.removeprefix(f"{tmp_path}/run:best@")
        run.save({"trainer": {"model": {"w": torch.ones(2)}}}, step=9, labels=("epoch-0001",), valid_loss=0.25)
    for text, number in ((old, 0.0), (best, 0.0), (f"{tmp_path}/run", 1.0), (f"{tmp_path}/run:best", 1.0)):
        assert load_weights(text)["w"].tolist() == [number, number]
    gone = f"{tmp_path}/run:best@sha256:{'0' * 64}"
    with pytest.raises(
        CheckpointError, match=r"run:best: has changed since the config was written \(another SHA-256\)"
    ):
        load_weights(gone)


def test_pinning_what_is_not_there_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="cannot be read"):
        pinned(tmp_path / "gone.pt")
    with pytest.raises(CheckpointError, match="no checkpoint in it"):
        pinned(tmp_path)
    with pytest.raises(CheckpointError, match="no checkpoint best; it has none with a name"):
        load_weights(f"{tmp_path}:best")
