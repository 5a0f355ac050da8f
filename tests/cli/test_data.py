"""The command line on images and code of one's own, and `hpcli evaluate`."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from hpcli.cli import main

FAST = ["--set", "model.name=shallow3", "--set", "data.batch_size=8", "--device", "cpu"]


@pytest.fixture
def photographs(tmp_path: Path) -> Path:
    """Two classes that can be told apart: dark and bright."""
    random = np.random.default_rng(0)
    for part, count in (("train", 40), ("test", 6)):
        for label, name in enumerate(("dark", "bright")):
            folder = tmp_path / "photographs" / part / name
            folder.mkdir(parents=True)
            for number in range(count):
                pixels = random.integers(120 * label, 120 * label + 130, (9, 12, 3), np.uint8)
                Image.fromarray(pixels).save(folder / f"{number}.png")
    return tmp_path / "photographs"


def test_a_folder_is_trained_on_and_evaluated(photographs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    keys = ["--set", "data.name=folder", "--set", f"data.root={photographs}", "--set", "data.image_size=8"]
    assert main(["train", "--epochs", "4", "--out", "run", *keys, *FAST]) == 0
    assert "decoded 92 images in" in capsys.readouterr().err
    assert main(["evaluate", "run", "--out", "on-test", "--json", "--device", "cpu"]) == 0
    printed = capsys.readouterr()
    assert "decoded" not in printed.err
    summary = json.loads(printed.out)
    trained = json.loads(Path("run/summary.json").read_text())
    assert (summary["split"], summary["images"]) == ("test", 12)
    assert summary["loss"] == pytest.approx(trained["test_loss"], rel=1e-5)
    assert summary["accuracy"] == trained["test_accuracy"]
    table = Path("on-test/evaluation.csv").read_text().splitlines()
    assert table[0] == "class,images,accuracy,mistaken_for"
    assert [line.split(",")[:2] for line in table[1:]] == [["bright", "6"], ["dark", "6"]]
    assert Path("on-test/confusion.png").stat().st_size > 1000
    assert main(["evaluate", "run/model.safetensors", "--split", "valid", "--json", "-q", "--device", "cpu"]) == 0
    assert json.loads(capsys.readouterr().out)["loss"] == pytest.approx(trained["valid_loss"], rel=1e-5)


@pytest.fixture
def trained(photographs: Path) -> list[str]:
    """A run on them, `run`, and the words that name its data."""
    keys = ["--set", "data.name=folder", "--set", f"data.root={photographs}", "--set", "data.image_size=8"]
    assert main(["train", "--epochs", "4", "--out", "run", "-q", *keys, *FAST]) == 0
    return keys


def evaluated(*arguments: str, capsys: pytest.CaptureFixture[str]) -> dict[str, object]:
    capsys.readouterr()
    assert main(["evaluate", "run", "--json", "--device", "cpu", *arguments]) == 0
    summary: dict[str, object] = json.loads(capsys.readouterr().out)
    return summary


def test_what_is_evaluated_needs_neither_training_images_nor_a_batch_of_them(
    photographs: Path, trained: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    """Images of test/, or of the classes alone, come to what the run's own test images do: they are normalised alike."""
    own = evaluated(capsys=capsys)
    assert own["loss"] == pytest.approx(json.loads(Path("run/summary.json").read_text())["test_loss"], rel=1e-5)
    Path("new").mkdir()
    shutil.copytree(photographs / "test", "new/test")
    for place in ("new", "new/test"):
        found = evaluated("--data", place, capsys=capsys)
        assert (found["split"], found["images"]) == ("test", 12)
        assert found["loss"] == pytest.approx(own["loss"], rel=1e-5)
    shutil.rmtree("new/test/bright")
    found = evaluated("--data", "new", "--dry-run", capsys=capsys)
    assert (found["test_images"], found["train_images"]) == (6, 0)
    found = evaluated("--data", "new", capsys=capsys)
    assert (found["images"], found["worst_class"]) == (6, "dark")
    for split in ("valid", "train"):
        assert main(["evaluate", "run", "--data", "new", "--split", split, "--device", "cpu"]) == 3
        assert f"no {split} images: there are none" in capsys.readouterr().err
    Path("empty").mkdir()
    assert main(["evaluate", "run", "--data", "empty", "--device", "cpu"]) == 3
    assert "empty: nothing to measure on" in capsys.readouterr().err


def test_few_images_can_be_evaluated_and_not_trained_on(
    photographs: Path, trained: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("dark", "bright"):
        Path("few/train", name).mkdir(parents=True)
        for number in range(3):
            shutil.copy(photographs / f"train/{name}/{number}.png", f"few/train/{name}/{number}.png")
    assert evaluated("--data", "few", "--split", "valid", capsys=capsys)["images"] == 2
    assert main(["train", *trained, "--set", "data.root=few", *FAST]) == 2
    assert "data.batch_size: 8 is more than the 4 training images" in capsys.readouterr().err


def test_a_run_without_a_checkpoint_is_refused_before_images_are_decoded(
    trained: list[str], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hpcli.data.decode_cache.decode", lambda *_: pytest.fail("decoded"))
    shutil.rmtree("run/checkpoints")
    for words in (["run"], ["run", "-c", "run/config.yaml"], ["run", "--set", "data.image_size=9"]):
        assert main(["evaluate", *words, "--device", "cpu"]) == 4
        assert "run: no checkpoint in it" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "code", "why"),
    [
        (["evaluate", "nowhere"], 2, "nowhere: no run folder around it"),
        (["evaluate", "nowhere", "-c", "c.yaml"], 4, "nowhere: cannot be read (No such file or directory)"),
        (["evaluate"], 2, "CKPT: none given; name a run folder or a file"),
        (["evaluate", "-c", "c.yaml"], 2, "CKPT: none given, and none in c.yaml; name a run folder or a file"),
        (["evaluate", "run", "-c", "c.yaml", "--split", "best"], 2, "evaluate.split=best: did you mean test?"),
        (["train", "--set", "data.name=folder", "--set", "data.root=nowhere"], 3, "nowhere: no such folder"),
        (["train", "--set", "model.name=torchvision/resnet19", "--out", "o"], 2, "did you mean resnet1"),
        (["train", "--set", "model.name=mine:net", "--out", "o"], 2, "add --allow-code if you trust it"),
        (["train", "--dry-run", "--set", "data.name=mine:images"], 2, "add --allow-code if you trust it"),
        (["train", "--set", "data.name=cifar12"], 2, "did you mean cifar1"),
    ],
)  # fmt: skip
def test_errors_are_one_line(arguments: list[str], code: int, why: str, capsys: pytest.CaptureFixture[str]) -> None:
    Path("c.yaml").write_text("seed: 0\n")
    assert main([*arguments, *(["--device", "cpu"] if arguments[0] == "train" else [])]) == code
    printed = capsys.readouterr().err
    assert why in printed
    assert "Traceback" not in printed
    assert len([line for line in printed.splitlines() if line.startswith("error: ")]) == 1
    assert "evaluate" not in arguments or not Path("runs").exists()


def test_code_of_ones_own_runs_with_allow_code(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code = "import torch.nn as nn\ndef net(num_classes, image_size):\n    return nn.Sequential(nn.Flatten(), nn.Linear(image_size[0] * image_size[1], num_classes))\n"
    (tmp_path / "mine_of_cli.py").write_text(code)
    own = ["--set", "model.name=mine_of_cli:net", "--allow-code", "--device", "cpu", "--json", "-q"]
    assert main(["train", "--epochs", "2", "--max-lr", "1e-2", *own]) == 0
    assert json.loads(capsys.readouterr().out)["valid_accuracy"] > 0.5
