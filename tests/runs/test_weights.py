from __future__ import annotations

from pathlib import Path

import pytest
import torch

from hpcli.config import Config, with_overrides
from hpcli.errors import CheckpointError, UsageError
from hpcli.experiments.train import train
from hpcli.run_dir import RunDir, config_beside, load_weights, shared_config
from hpcli.training.trainer import Trainer


@pytest.fixture
def finished(config: Config, tmp_path: Path) -> tuple[Path, Trainer]:
    trainer = Trainer(config)
    with RunDir.create("train", config, tmp_path / "run") as run:
        result = train(config, store=run, trainer=trainer)
        run.weights(trainer.model.state_dict())
        run.finish(result.status, result.summary)
    return tmp_path / "run", trainer


@pytest.mark.parametrize("name", ["", "checkpoints/epoch-0002.pt", "model.safetensors"])
def test_weights_come_from_a_folder_or_a_file(finished: tuple[Path, Trainer], config: Config, name: str) -> None:
    folder, trained = finished
    other = Trainer(with_overrides(config, {"seed": 5}))
    other.load_weights(load_weights(folder / name))
    assert other.evaluate("valid") == trained.evaluate("valid")
    assert not other.is_fresh


def test_weights_of_another_network_are_refused_by_name(finished: tuple[Path, Trainer], config: Config) -> None:
    other = Trainer(with_overrides(config, {"model.name": "resnet20"}))
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

    trainer = Trainer(config)
    trainer.load_weights(load_weights(finished[0]))
    with pytest.raises(StopError), RunDir.create("train", config, tmp_path / "tuned") as run:
        train(config, store=run, trainer=trainer, on_progress=stop)
    whole = Trainer(config)
    whole.load_weights(load_weights(finished[0]))
    expected = train(config, trainer=whole)
    with RunDir.reopen("train", tmp_path / "tuned", config) as run:
        resumed = train(config, store=run)
    assert resumed.steps["train_loss"].tolist() == expected.steps["train_loss"].tolist()


def test_a_label_names_one_checkpoint_of_a_run(config: Config, tmp_path: Path) -> None:
    config = with_overrides(config, {"schedule.cycles": 2, "train.epochs": 4, "train.checkpoint_epochs": "[1, 2]"})
    trainer = Trainer(config)
    with RunDir.create("train", config, tmp_path / "run") as run:
        train(config, store=run, trainer=trainer)
    last = load_weights(f"{tmp_path}/run")
    for label, same in (("epoch-0002", False), ("cycle-0", False), ("epoch-0003", True), ("cycle-1", True)):
        found = load_weights(f"{tmp_path}/run:{label}")
        assert all(torch.equal(found[name], last[name]) for name in last) == same
    with pytest.raises(CheckpointError, match=r"no checkpoint epoch-3; did you mean epoch-0003\?"):
        load_weights(f"{tmp_path}/run:epoch-3")
    assert config_beside(tmp_path / "run:cycle-1") == tmp_path / "run/config.yaml"
    assert config_beside(tmp_path / "run/checkpoints/epoch-0002.pt") == tmp_path / "run/config.yaml"


def test_a_checkpoint_file_is_verified_where_an_index_knows_it(finished: tuple[Path, Trainer]) -> None:
    """One flipped bit would load without complaint, as other weights."""
    file = finished[0] / "checkpoints/epoch-0002.pt"
    data = bytearray(file.read_bytes())
    data[len(data) // 2] ^= 1
    file.write_bytes(data)
    with pytest.raises(CheckpointError, match="SHA-256 differs"):
        load_weights(file)


def test_two_runs_share_a_config_if_images_and_network_are_the_same(config: Config, tmp_path: Path) -> None:
    settings = {
        "one": {},
        "seed": {"seed": 3, "train.epochs": 1, "data.batch_size": 16},
        "wide": {"data.split_seed": 1},
    }
    for name, keys in settings.items():
        with RunDir.create("train", with_overrides(config, keys), tmp_path / name):
            pass
    assert shared_config([tmp_path / "one", tmp_path / "seed"]) == tmp_path / "one/config.yaml"
    with pytest.raises(CheckpointError, match=r"its config differs from .*one's in data\.split_seed; -c FILE"):
        shared_config([tmp_path / "one", tmp_path / "wide"])
    with pytest.raises(CheckpointError, match="cannot be read"):
        shared_config([tmp_path / "one", tmp_path / "gone"])
    (tmp_path / "bare.pt").write_bytes(b"")
    with pytest.raises(UsageError, match="no run folder around it"):
        shared_config([tmp_path / "bare.pt"])
