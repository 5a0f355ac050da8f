from __future__ import annotations

from pathlib import Path

import pytest
import torch

from hpcli.config import Config, with_overrides
from hpcli.errors import CheckpointError
from hpcli.experiments.train import train
from hpcli.run_dir import RunDir, load_weights
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
