"""A dry run is true: it refuses what the run would refuse before its first step, in the same words, and makes nothing."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from hpcli import catalog
from hpcli.cli import main

pytestmark = pytest.mark.filterwarnings("ignore::hpcli.errors.HpcliWarning")

FAST = ["--set=data.train_fraction=0.2", "--set=data.batch_size=32", "--set=model.name=shallow3", "--device=cpu"]
NET = """
from torch import nn
import numpy as np
from hpcli import ImageData
from hpcli.data.dataset import Split

def net(num_classes, in_channels):
    return nn.Sequential(nn.Flatten(), nn.LazyLinear(num_classes))

def narrow(num_classes):
    return nn.Sequential(nn.Flatten(), nn.LazyLinear(3))
"""


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of the shallow net."""
    run = tmp_path_factory.mktemp("trained") / "run"
    assert main(["train", "--epochs=1", "-q", f"--out={run}", *FAST]) == 0
    return run


REFUSED: dict[str, tuple[list[str], int]] = {
    "code as a data set": (["train", "--set=data.name=own:data"], 2),
    "code as a network": (["train", "--set=model.name=own:net"], 2),
    "code as a network, lr-find": (["lr-find", "--set=model.name=own:net"], 2),
    "code as a network, sweep": (["sweep-wd", "--values=0,1", "--set=model.name=own:net"], 2),
    "code as a network, batch-size": (["batch-size", "--set=model.name=own:net"], 2),
    "code as a value": (["sweep", "model.name", "--values=shallow3,own:net"], 2),
    "code as a value that is retuned": (["sweep-wd", "--values=0,1", "--retune=model.name=shallow3,own:net"], 2),
    "code that is not there": (["train", "--set=model.name=own:nothing", "--allow-code"], 2),
    "code that does not fit": (["train", "--set=model.name=own:narrow", "--allow-code"], 2),
    "a network's option": (["train", "--set=model.options.depth=3"], 2),
    "an unknown network of a library": (["train", "--set=model.name=torchvision/resnet17"], 2),
    "a batch of one": (["train", "--set=data.batch_size=1"], 2),
    "a batch larger than the images": (["train", "--set=data.batch_size=5000"], 2),
    "a batch larger than the images, sweep": (["sweep", "data.batch_size", "--values=16,5000"], 2),
    "a size larger than the images": (["batch-size", "--sizes=16,5000"], 2),
    "refining words": (["sweep", "model.name", "--values=resnet20,shallow3", "--refine"], 2),
    "a checkpoint that is not there": (["train", "--init=nowhere"], 4),
    "a checkpoint of another network": (["train", "--init={trained}"], 4),
    "a checkpoint of another network, evaluate": (["evaluate", "{trained}", "--set=model.name=resnet20"], 4),
    "a checkpoint of another network, interpolate": (
        ["interpolate", "--ckpt-a={trained}", "--ckpt-b={trained}", "--set=model.name=resnet20"],
        4,
    ),
    "no such images": (["evaluate", "{trained}", "--split=test", "--set=data.validation=test"], 3),
    "images that differ in size": (["train", "--set=data.name=folder", "--set=data.root={images}"], 3),
    "images that differ in size, evaluate": (["evaluate", "{trained}", "--data={images}", "--set=data.name=folder"], 3),
    "an unknown device": (["train", "--device=tpu"], 2),
    "a device that is not there": (["lr-find", "--device=cuda:7"], 2),
    "a device that is not there, sweep": (["sweep-wd", "--values=0,1", "--device=cuda:7"], 2),
    "a folder that is there": (["train", "--out={full}"], 2),
    "a file that is there": (["train", "--out={full}/note"], 2),
    "another config": (["train", "--resume={trained}", "--epochs=3"], 4),
    "another command's run": (["sweep-wd", "--resume={trained}", "--values=0,1"], 2),
    "no run": (["train", "--resume=nowhere"], 2),
}


def pictures(root: Path) -> None:
    """An image folder whose last image is turned by its camera, so that it is 3×2 where the others are 2×3."""
    for name in ("cat", "dog"):
        (root / "train" / name).mkdir(parents=True)
        for number in range(8):
            Image.new("RGB", (3, 2)).save(root / "train" / name / f"{number}.png")
    turned = Image.Exif()
    turned[0x0112] = 6
    Image.new("RGB", (3, 2)).save(root / "train/dog/7.png", exif=turned)


def test_a_plan_says_that_images_are_counted_as_files(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    """Without decoding nobody knows which can be."""
    pictures(tmp_path / "images")
    (tmp_path / "images/train/dog/8.png").write_bytes(b"no image")
    of_images = [
        "--set=data.name=folder",
        "--set=data.root=images",
        "--set=data.image_size=4",
        "--set=data.batch_size=2",
    ]
    assert main(["train", "--dry-run", "--json", *of_images]) == 0
    plan = json.loads(capsys.readouterr().out)
    assert plan["train_images"] + plan["valid_images"] == 17
    assert plan["not_decoded"] == "images are counted as files; the run leaves out those that cannot be decoded"
    assert main(["train", "--dry-run", "--json"]) == 0
    assert "not_decoded" not in json.loads(capsys.readouterr().out)


@pytest.mark.parametrize("what", REFUSED)
def test_what_the_run_refuses_the_plan_refuses(
    what: str, trained: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "full").mkdir()
    (tmp_path / "full/note").write_text("mine")
    pictures(tmp_path / "images")
    (tmp_path / "own.py").write_text(NET)
    monkeypatch.syspath_prepend(str(tmp_path))
    words, code = REFUSED[what]
    arguments = [word.format(trained=trained, full=tmp_path / "full", images=tmp_path / "images") for word in words]
    before = sorted(tmp_path.rglob("*"))
    said = []
    for more in (["--dry-run"], []):
        monkeypatch.setattr(catalog, "allowed_code", set())
        assert main([*arguments, *more]) == code
        said.append([line for line in capsys.readouterr().err.splitlines() if line.startswith("error: ")])
        if more:
            made = {path for path in tmp_path.rglob("*") if "__pycache__" not in str(path)}
            assert made == set(before)
    assert said[0] == said[1]
    assert len(said[0]) == 1


def test_a_damaged_run_is_refused_and_a_finished_one_said(
    trained: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copytree(trained, tmp_path / "copy")
    assert main(["train", "--resume=copy", "--dry-run"]) == 0
    with Path("copy/steps.csv").open("a") as file:
        file.write("x\n")
    assert main(["train", "--resume=copy", "--dry-run"]) == 4
    assert "steps.csv" in capsys.readouterr().err


def test_code_that_is_allowed_passes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "own.py").write_text(NET)
    monkeypatch.syspath_prepend(str(tmp_path))
    words = ["sweep", "model.name", "--values=shallow3,own:net", "--allow-code", "--seeds=1", "--epochs=1", *FAST[:2]]
    assert main([*words, "--dry-run"]) == 0
    assert main([*words, "--device=cpu", "-q"]) == 0


@pytest.mark.parametrize("name", ["cifar10", "cifar100"])
def test_nothing_is_downloaded(
    name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("downloads")

    monkeypatch.setattr("torchvision.datasets.utils.urllib.request.urlopen", refuse)
    monkeypatch.setattr("torchvision.datasets.cifar.download_and_extract_archive", refuse)
    assert main(["train", "--dry-run", "--json", f"--set=data.name={name}"]) == 0
    printed = capsys.readouterr()
    plan = json.loads(printed.out)
    assert (plan["train_images"], plan["valid_images"], plan["test_images"]) == (40_000, 10_000, 10_000)
    assert plan["classes"] == int(name[5:])
    assert "is not there; the run downloads it (170 MB)" in printed.err
    assert list(tmp_path.iterdir()) == []


def planned(capsys: pytest.CaptureFixture[str], *arguments: str) -> dict[str, Any]:
    assert main([*arguments, "--dry-run", "--json", "-q"]) == 0
    return dict(json.loads(capsys.readouterr().out))


def test_a_range_test_says_what_it_will_take(capsys: pytest.CaptureFixture[str]) -> None:
    plan = planned(capsys, "lr-find", "--steps=100", "--seeds=4", "--weight-decay=1e-4,1e-2")
    assert (plan["steps"], plan["seeds"], plan["tests"], plan["steps_in_all"]) == (100, 4, 8, 800)
    plan = planned(capsys, "lr-find")
    assert (plan["steps"], plan["seeds"], plan["tests"], plan["steps_in_all"]) == (210, 3, 3, 630)


def test_batch_sizes_are_listed(capsys: pytest.CaptureFixture[str]) -> None:
    assert planned(capsys, "batch-size", "--sizes=64,16,64")["sizes"] == "16, 64"


def test_what_cannot_be_written_to_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Path("file").write_text("")
    assert main(["train", "--dry-run", "--out=file/run"]) == 2
    assert "Not a directory" in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["file"]
