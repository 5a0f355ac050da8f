"""What a run was trained on is kept with it, and compared wherever it is used again."""

from __future__ import annotations

import contextlib
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from safetensors import safe_open

from hpcli import evaluate, load_config, load_weights, train
from hpcli.cli import main
from hpcli.data.dataset import ImageData, Split, Splits
from hpcli.data.fingerprint import fingerprint
from hpcli.errors import CheckpointError
from hpcli.recording.disk import DiskRecorder

FAST = ["--device=cpu", "-q"]
NET = ["--set=model.name=shallow3", "--set=data.batch_size=4", "--set=data.name=folder", "--set=data.cache_dir=cache"]
CLASSES = ("cat", "dog", "ship")


def write(root: Path, classes: tuple[str, ...] = CLASSES, count: int = 8, seed: int = 0) -> None:
    random = np.random.default_rng(seed)
    for name in classes:
        folder = root / "train" / name
        folder.mkdir(parents=True)
        for number in range(count):
            Image.fromarray(random.integers(0, 256, (8, 8, 3), np.uint8)).save(folder / f"{number}.png")


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with `images/`, a run on them, `run/`, and one more, `other/`."""
    folder = tmp_path_factory.mktemp("trained")
    write(folder / "images")
    with contextlib.chdir(folder):
        for seed, name in enumerate(("run", "other")):
            keys = [*NET, "--set=data.root=images", f"--seed={seed}", f"--out={name}"]
            assert main(["train", "--epochs=1", *keys, *FAST]) == 0
    return folder


@pytest.fixture
def here(trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of all that, to be in and to spoil."""
    shutil.copytree(trained, tmp_path / "here")
    monkeypatch.chdir(tmp_path / "here")
    return tmp_path / "here"


def error_of(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> tuple[int, str]:
    """Exit code and the one line of error."""
    capsys.readouterr()
    code = main([*arguments, *FAST])
    (line,) = [each for each in capsys.readouterr().err.splitlines() if each.startswith("error: ")] or [""]
    return code, line


USES = {
    "evaluate": ["evaluate", "run", "--data=new"],
    "evaluate a file": ["evaluate", "run/model.safetensors", "--data=new"],
    "--init": ["train", "--init=run", "--set=data.root=new", *NET],
    "--init of a file": ["lr-find", "--steps=20", "--init=run/model.safetensors", "--set=data.root=new", *NET],
    "interpolate": ["interpolate", "--ckpt-a=run", "--ckpt-b=other", "-c", "c.yaml"],
}


@pytest.mark.parametrize(
    ("use", "classes", "why"),
    [
        *((use, ("airplane", "cat", "dog"), "the data lack ship and have airplane (3 classes now, 3") for use in USES),
        ("--init", ("cat", "dog"), "the data lack ship (2 classes now, 3 then)"),
        ("evaluate", ("cat", "dog", "yak"), "the data lack ship and have yak (3 classes now, 3 then)"),
        ("--init", ("cat", "dog", "ship", "yak"), "the data have yak (4 classes now, 3 then)"),
    ],
)
def test_weights_of_other_classes_are_refused_by_name(
    use: str, classes: tuple[str, ...], why: str, here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write(here / "new", classes)
    Path("c.yaml").write_text(Path("run/config.yaml").read_text().replace("root: images", "root: new"))
    code, line = error_of(USES[use], capsys)
    assert code == 4
    assert "run" in line
    assert why in line


@pytest.mark.parametrize("use", ["evaluate a file", "--init", "interpolate"])
def test_the_same_classes_elsewhere_are_fine(use: str, here: Path) -> None:
    write(here / "new", seed=1)
    Path("c.yaml").write_text(Path("run/config.yaml").read_text().replace("root: images", "root: new"))
    assert main([*USES[use], *FAST]) == 0


def test_classes_in_another_order_are_refused(tmp_path: Path) -> None:
    """Their outputs would be taken for one another."""
    config = load_config(overrides={"model.name": "shallow3", "data.batch_size": 4, "train.epochs": 1})
    images, labels = np.zeros((20, 8, 8, 1), np.uint8), np.arange(20) % 2
    images[labels == 1] += 200

    def data(*classes: str) -> Splits:
        part = Split(images, labels)
        return Splits(part, part, None, ImageData(part, None, classes, (0.4,), (0.2,), flip=False))

    with DiskRecorder.create("train", config, tmp_path / "run") as run:
        train(config, recorder=run, splits=data("dark", "bright"), device="cpu")
    with pytest.raises(CheckpointError, match="their order is bright, dark now, dark, bright then"):
        evaluate(config, tmp_path / "run/model.safetensors", splits=data("bright", "dark"), device="cpu")


def _delete(root: Path) -> None:
    (root / "train/dog/0.png").unlink()


def _add(root: Path) -> None:
    shutil.copy(root / "train/dog/0.png", root / "train/dog/more.png")
    shutil.copy(root / "train/dog/1.png", root / "train/dog/even more.png")


def _replace(root: Path) -> None:
    for number, file in enumerate(sorted((root / "train").rglob("*.png"))):
        Image.new("RGB", (8, 8), (number, 0, 0)).save(file)


def _rename(root: Path) -> None:
    (root / "train/ship").rename(root / "train/boat")


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (_delete, "23 images now, 24 then"),
        (_add, "26 images now, 24 then"),
        (_replace, "other train images, though as many (18)"),
        (_rename, "the data lack ship and have boat"),
    ],
)
def test_a_run_is_not_gone_on_with_on_other_images(
    change: object, why: str, here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert callable(change)
    change(here / "images")
    tables = {path.name: path.read_bytes() for path in Path("run").glob("*.csv")}
    Path("run/summary.json").unlink()
    code, line = error_of(["train", "--resume=run"], capsys)
    assert (code, why in line) == (3, True), line
    assert {path.name: path.read_bytes() for path in Path("run").glob("*.csv")} == tables


def test_a_sweep_is_not_gone_on_with_on_other_images(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    sweep = ["sweep-wd", "--values=1e-3,1e-1", "--seeds=1", "--sweep-epochs=1", "--out=sweep", "--set=data.root=images"]
    sweep = [word for word in sweep if word != "--sweep-epochs=1"] + ["--set=sweep.epochs=1", *NET]
    assert main([*sweep, *FAST]) in (0, 9)
    _delete(here / "images")
    code, line = error_of(["sweep-wd", "--resume=sweep", "--seeds=2"], capsys)
    assert code == 3
    assert "23 images now, 24 then" in line


def test_a_run_goes_on_where_nothing_has_changed(here: Path) -> None:
    Path("run/summary.json").unlink()
    assert main(["train", "--resume=run", *FAST]) == 0


@pytest.mark.parametrize("command", [["evaluate", "run"], ["interpolate", "--ckpt-a=run", "--ckpt-b=other"]])
def test_measuring_on_data_that_have_changed_since_is_a_warning(
    command: list[str], here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*command, *FAST]) == 0
    assert "warning" not in capsys.readouterr().err
    _delete(here / "images")
    assert main([*command, *FAST]) == 0
    assert "/run: the data have changed since it was trained: 23 images now, 24 then" in capsys.readouterr().err


def test_what_a_run_was_trained_on_stands_with_its_weights(here: Path) -> None:
    table = Path("run/data.csv").read_text().splitlines()
    assert table[0] == "part,images,sha256"
    assert [line.split(",")[:2] for line in table[1:]] == [["train", "18"], ["valid", "6"]]
    with safe_open("run/model.safetensors", "pt") as file:
        about = json.loads(file.metadata()["hpcli"])
    assert [each[1] for each in about["classes"]] == list(CLASSES)
    assert [",".join(map(str, each)) for each in about["parts"]] == table[1:]
    assert load_weights("run/model.safetensors").keys() == load_weights("run:last").keys()


def test_the_fingerprint_knows_images_and_classes_and_no_order() -> None:
    random = np.random.default_rng(0)
    images, labels = random.integers(0, 256, (30, 4, 5, 3), np.uint8), np.arange(30) % 3
    order, own = random.permutation(30), fingerprint(images, labels, CLASSES)
    assert fingerprint(images[order], labels[order], CLASSES) == own
    assert fingerprint(images[::-1], labels[::-1], CLASSES) == own
    assert fingerprint(images, (labels + 1) % 3, ("ship", "cat", "dog")) == own
    assert fingerprint(images, (labels + 1) % 3, CLASSES) != own
    assert fingerprint(images.reshape(30, 5, 4, 3), labels, CLASSES) != own
    assert fingerprint(images[:29], labels[:29], CLASSES) != own
    for place in ((0, 0, 0, 0), (29, 3, 4, 2)):
        changed = images.copy()
        changed[place] ^= 1
        assert fingerprint(changed, labels, CLASSES) != own
