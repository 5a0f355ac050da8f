"""`hpcli check` on a set-up that works, and on ones that are broken in a known way."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from hpcli import check, load_config, train
from hpcli.cli import main
from hpcli.errors import CHECK_FAILED

pytestmark = pytest.mark.filterwarnings("ignore::hpcli.errors.HpcliWarning")

CODE = """
import hpcli
import numpy as np
import torch

from hpcli.data.digits import digits


def wrong_labels():
    data = digits()
    labels = np.random.default_rng(0).permutation(data.train.labels)
    return hpcli.ImageData(hpcli.Split(data.train.images, labels), classes=data.classes)


def twice():
    data = digits()
    valid = hpcli.Split(data.train.images[:50], data.train.labels[:50])
    return hpcli.ImageData(data.train, data.test, data.classes, valid=valid)


class Blind(torch.nn.Module):
    def __init__(self, channels, classes):
        super().__init__()
        self.body = torch.nn.Linear(1, classes)

    def forward(self, images):
        return self.body(torch.ones(len(images), 1, device=images.device))


def blind(num_classes, in_channels):
    return Blind(in_channels, num_classes)


def zero(num_classes, in_channels):
    layers = torch.nn.Flatten(), torch.nn.Linear(64, 32), torch.nn.ReLU(), torch.nn.Linear(32, num_classes)
    net = torch.nn.Sequential(*layers)
    for weights in net.parameters():
        torch.nn.init.zeros_(weights)
    return net
"""
NET = ["--set=model.name=shallow3", "--device=cpu"]


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("hpcli.experiments.check.SHORT_SECONDS", 0.2)
    monkeypatch.setattr("hpcli.experiments.check.SHORTEST", 60)
    Path("broken_check.py").write_text(CODE)
    monkeypatch.syspath_prepend(tmp_path)


def statuses(*words: str, capsys: pytest.CaptureFixture[str]) -> tuple[int, dict[str, str]]:
    capsys.readouterr()
    code = main(["check", "--json", "--allow-code", "--device=cpu", *words])
    found = json.loads(capsys.readouterr().out)
    assert found["train_seconds"] > 0
    return code, {each["name"]: each["status"] for each in found["checks"]}


def test_the_digits_are_fine_and_a_screen_says_so(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", *NET]) == 0
    printed = capsys.readouterr().out.splitlines()
    assert len(printed) == 9
    assert [line.split()[0] for line in printed[:7]] == ["ok"] * 7
    assert "images/s: 10 epochs take about" in printed[7]
    assert printed[8] == "All 7 checks are ok."
    assert not Path("runs").exists()


@pytest.mark.parametrize(
    ("words", "bad"),
    [
        (["--set=data.name=broken_check:wrong_labels", *NET], {"labels mean something"}),
        (["--set=data.name=broken_check:twice", "--set=data.validation=valid", *NET], {"duplicates"}),
        (["--set=schedule.max_lr=1e4", *NET], {"one batch by heart"}),
        (["--set=schedule.max_lr=1e-9", *NET], {"one batch by heart"}),
        (["--set=model.name=broken_check:blind"], {"one batch by heart", "input is used", "labels mean something"}),
        (
            ["--set=model.name=broken_check:zero"],
            {"gradients", "one batch by heart", "input is used", "labels mean something"},
        ),
    ],
)
def test_what_is_broken_is_found_and_nothing_else(
    words: list[str], bad: set[str], capsys: pytest.CaptureFixture[str]
) -> None:
    code, found = statuses(*words, capsys=capsys)
    assert code == CHECK_FAILED == 10
    assert {name for name, each in found.items() if each == "bad"} == bad


def test_a_folder_of_one_class_or_of_two_of_which_one_is_nearly_all(capsys: pytest.CaptureFixture[str]) -> None:
    random = np.random.default_rng(0)
    for name, count in (("many", 99), ("few", 3)):
        folder = Path("images/train") / name
        folder.mkdir(parents=True)
        for number in range(count):
            Image.fromarray(random.integers(0, 99 if name == "few" else 256, (8, 8, 3), np.uint8)).save(
                folder / f"{number}.png"
            )
    words = ["--set=data.name=folder", "--set=data.root=images", "--set=data.batch_size=16", *NET]
    code, found = statuses(*words, capsys=capsys)
    assert (code, found["class balance"]) == (CHECK_FAILED, "bad")
    (Path("images/train/few")).rename("few")
    assert main(["check", *words]) == 3
    assert "only the class many; at least two are needed" in capsys.readouterr().err


def test_a_check_changes_no_training() -> None:
    config = load_config(
        overrides={"train.epochs": 1, "model.name": "shallow3", "data.train_fraction": 0.2, "data.batch_size": 32}
    )
    before = train(config, device="cpu").valid_loss
    found = check(config, device="cpu")
    assert found.checks[0].name == "class balance"
    assert train(config, device="cpu").valid_loss == before
