"""`hpcli predict`: the same answers as `evaluate`'s, and what cannot be read."""

from __future__ import annotations

import contextlib
import csv
import json
import shutil
import warnings
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from hpcli import predict
from hpcli.cli import main
from hpcli.data.unlabelled import find_images
from hpcli.errors import DataError, HpcliWarning
from hpcli.experiments.predict import Predictor

CLASSES = ("bright", "dark $x$", "猫")


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """`photos/` with three classes that overlap, of JPEG, grey of 16 bits and turned files; and a run on it, `run/`."""
    folder, random = tmp_path_factory.mktemp("predict"), np.random.default_rng(0)
    for part, count in (("train", 40), ("test", 50)):
        for label, name in enumerate(CLASSES):
            place = folder / "photos" / part / name
            place.mkdir(parents=True)
            for number in range(count):
                pixels = random.normal(100 + 25 * label, 60, (10, 14, 3)).clip(0, 255).astype(np.uint8)
                image = Image.fromarray(pixels)
                if number % 3 == 0:
                    exif = Image.Exif()
                    exif[0x0112] = 6
                    image.save(place / f"{number}.jpg", exif=exif)
                elif number % 3 == 1:
                    Image.fromarray(pixels[..., 0].astype(np.uint16) * 16).save(place / f"{number}.png")
                else:
                    image.save(place / f"{number}.webp", lossless=True)
    with contextlib.chdir(folder), pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(folder / "cache"))
        keys = [
            "data.name=folder",
            "data.root=photos",
            "data.image_size=8",
            "data.batch_size=12",
            "model.name=shallow3",
        ]
        words = [f"--set={each}" for each in keys]
        assert main(["train", "--epochs=3", "--out=run", "--device=cpu", "-q", *words]) == 0
    return folder


@pytest.fixture
def here(trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    shutil.copytree(trained, tmp_path / "here")
    monkeypatch.chdir(tmp_path / "here")
    return tmp_path / "here"


def rows_of(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(text.splitlines()))


@pytest.mark.parametrize("checkpoint", ["run", "run:best", "run/model.safetensors"])
def test_answers_are_those_that_evaluate_counts(
    checkpoint: str, here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """To the image, class by class; where the images are all that is left of the data, too."""
    assert main(["evaluate", checkpoint, "--out=scores", "--device=cpu", "-q", "--json"]) == 0
    score = json.loads(capsys.readouterr().out)
    (here / "photos/test").rename(here / "elsewhere")
    shutil.rmtree("photos")
    assert main(["predict", checkpoint, "elsewhere", "--device=cpu", "--csv=-"]) == 0
    printed = capsys.readouterr()
    rows = rows_of(printed.out)
    pairs = [(Path(row["file"]).parent.name, row["class"]) for row in rows]
    assert len(rows) == score["images"] == 150
    assert sum(real == taken for real, taken in pairs) == round(score["accuracy"] * 150)
    counted = {
        (row["class"], row["taken_for"]): int(row["images"])
        for row in rows_of(Path("scores/confusion.csv").read_text())
    }
    assert counted == {pair: pairs.count(pair) for pair in set(pairs)}
    assert 0.4 < score["accuracy"] < 1  # both happen
    assert "150 images: " in printed.err
    found = predict(checkpoint, "elsewhere", device="cpu")
    assert found.names == CLASSES
    assert found.probabilities.shape == (150, 3)
    assert found.probabilities.sum(1) == pytest.approx(1, abs=1e-5)
    assert [found.names[each] for each in found.labels] == [row["class"] for row in rows]
    losses = [
        -np.log(row[CLASSES.index(file.parent.name)])
        for file, row in zip(found.files, found.probabilities, strict=True)
    ]
    assert np.mean(losses) == pytest.approx(score["loss"], rel=1e-4)


def test_evaluate_scales_deep_greys_of_another_folder_as_training_did(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """12 bits stand in 16: a folder whose own images are all dark would be scaled otherwise."""
    for name in CLASSES:
        (here / "dim" / name).mkdir(parents=True)
        for number in range(6):
            pixels = np.full((8, 8), 100 + 20 * number, np.uint16)
            Image.fromarray(pixels).save(here / "dim" / name / f"{number}.png")
    assert main(["evaluate", "run", "--data=dim", "--out=scores", "--device=cpu", "--json", "-q"]) == 0
    score = json.loads(capsys.readouterr().out)
    found = predict("run", "dim", device="cpu")
    right = [found.names[label] == file.parent.name for file, label in zip(found.files, found.labels, strict=True)]
    assert score["images"] == 18
    assert np.mean(right) == pytest.approx(score["accuracy"])
    losses = [
        -np.log(row[CLASSES.index(file.parent.name)])
        for file, row in zip(found.files, found.probabilities, strict=True)
    ]
    assert np.mean(losses) == pytest.approx(score["loss"], rel=1e-4)


def test_what_cannot_be_read_is_a_row_and_the_others_go_on(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    good = next(Path("photos/test/猫").iterdir())
    Path("in\x1b[2Jvalid.png").write_bytes(b"no image")
    words = ["predict", "run", "in\x1b[2Jvalid.png", str(good), str(good), "--device=cpu"]
    assert main(words) == 0
    printed = capsys.readouterr()
    assert len(printed.out.splitlines()) == 2  # the one that is named twice is one
    assert "in\\x1b[2Jvalid.png  " in printed.out
    assert "cannot be read: cannot identify image file" in printed.out
    assert "1 image: 1 " in printed.err
    assert "1 could not be read" in printed.err
    assert main([*words, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["images"], found["unreadable"]) == (1, 1)
    assert found["answers"][0]["error"] == "cannot identify image file"
    assert main([*words[:3], "--device=cpu", "--csv=out.csv"]) == 3
    (row,) = rows_of(Path("out.csv").read_text())
    assert (row["class"], row["error"]) == ("", "cannot identify image file")
    assert "error: in\\x1b[2Jvalid.png: cannot be read" in capsys.readouterr().err


def test_several_classes_an_image(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["predict", "run", "photos/test/猫", "--top=9", "--csv=out.csv", "-q", "--device=cpu"]) == 0
    assert capsys.readouterr() == ("", "")
    rows = rows_of(Path("out.csv").read_text())
    assert list(rows[0]) == [
        "file",
        "class",
        "probability",
        "class_2",
        "probability_2",
        "class_3",
        "probability_3",
        "error",
    ]
    for row in rows:
        chances = [float(row[name]) for name in ("probability", "probability_2", "probability_3")]
        assert chances == sorted(chances, reverse=True)
        assert sum(chances) == pytest.approx(1, abs=1e-4)
        assert {row["class"], row["class_2"], row["class_3"]} == set(CLASSES)


def test_memory_is_bounded_by_a_batch(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = predict("run", "photos/test", device="cpu").probabilities
    monkeypatch.setattr("hpcli.training.classifier.fast_eval_batch", lambda *_: 7)
    assert predict("run", "photos/test", device="cpu").probabilities == pytest.approx(whole, abs=1e-5)


@pytest.mark.parametrize(
    ("words", "code", "why"),
    [
        (["nix", "photos"], 2, "nix: no such run or file"),
        (["run", "photo"], 3, "photo: no such file or folder; name image files, or folders that hold some"),
        (["run", "cache"], 3, "cache: no image in it"),
        (["run:worst", "photos"], 4, "no checkpoint worst"),
        (["run", "photos", "--json", "--csv=x"], 2, "--json and --csv: choose one"),
        (["run", "photos", "--csv=none/x.csv"], 2, "none/x.csv: No such file or directory"),
        (["run", "photos", "--device=cuda:9"], 2, "--device cuda:9"),
        (["run", "photos", "-c", "net.yaml"], 4, "the model has"),
    ],
)
def test_errors_are_one_line(
    words: list[str], code: int, why: str, here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("net.yaml").write_text("data: {name: folder, image_size: 8}\n")
    shutil.rmtree("cache")
    Path("cache").mkdir()
    assert main(["predict", *words]) == code
    lines = [line for line in capsys.readouterr().err.splitlines() if line.startswith("error: ")]
    assert len(lines) == 1
    assert why in lines[0]


@pytest.mark.filterwarnings("ignore::hpcli.errors.HpcliWarning")
def test_weights_that_do_not_say_are_measured_by_their_training_data(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from safetensors.torch import load_file, save_file

    expected = predict("run/model.safetensors", "photos/test", device="cpu").probabilities
    save_file(load_file("run/model.safetensors"), "run/bare.safetensors")
    assert predict("run/bare.safetensors", "photos/test", device="cpu").probabilities == pytest.approx(
        expected, abs=1e-5
    )
    shutil.move("photos/test", "elsewhere")
    shutil.rmtree("photos")
    assert main(["predict", "run/bare.safetensors", "elsewhere"]) == 3
    (line,) = [line for line in capsys.readouterr().err.splitlines() if line.startswith("error: ")]
    assert "bare.safetensors: does not say by what its images were normalised, and its training data are not" in line


def test_images_of_a_built_in_data_set_have_one_size(capsys: pytest.CaptureFixture[str]) -> None:
    """An image of another size is refused, not shown to a network that would take it; `--image-size` scales it."""
    assert main(["train", "--epochs=1", "--out=digits", "-q", "--set=model.name=shallow3", "--device=cpu"]) == 0
    Image.fromarray(np.zeros((20, 30, 3), np.uint8)).save("large.png")
    assert main(["predict", "digits", "large.png"]) == 3
    assert "is 30×20, and the network knows 8×8; --image-size 8 scales images" in capsys.readouterr().err
    assert main(["predict", "digits", "large.png", "--image-size=8"]) == 0
    capsys.readouterr()
    for name in "37":
        Path("own", name).mkdir(parents=True)
        Image.fromarray(np.zeros((8, 8), np.uint8)).save(f"own/{name}/a.png")
    assert main(["evaluate", "digits", "--data=own", "--json", "-q"]) == 0
    assert json.loads(capsys.readouterr().out)["images"] == 2


def test_files_under_folders_each_once(tmp_path: Path) -> None:
    for name in ("b/two.png", "a/one.png", "a/.hidden.png"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        Image.fromarray(np.zeros((2, 2), np.uint8)).save(tmp_path / name)
    (tmp_path / "a/notes.txt").write_text("x")
    with pytest.warns(HpcliWarning, match=r"not used: 1 file that is no image: .*notes\.txt"):
        found = find_images([tmp_path / "b/two.png", tmp_path])
    assert [each.name for each in found] == ["two.png", "one.png"]
    with pytest.raises(DataError, match="no such file or folder"):
        find_images([tmp_path / "c"])


def test_a_name_that_breaks_the_line_stays_in_its_line(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    first = next(Path("photos/test").rglob("*.*"))
    shutil.copy(first, f"one\ntwo\u202e{first.suffix}")
    capsys.readouterr()
    assert main(["predict", "run", f"one\ntwo\u202e{first.suffix}", "--device=cpu"]) == 0
    (line,) = capsys.readouterr().out.splitlines()
    assert line.startswith(f"one\\ntwo\\u202e{first.suffix}  ")


def test_warnings_of_whoever_uses_the_answers_are_not_silenced(here: Path) -> None:
    """Those of Pillow are, which say nothing of what to do."""
    predictor = Predictor.open("run", find_images([Path("photos/test")]), device="cpu")
    for _ in predictor.answers(1):
        with pytest.raises(UserWarning, match="mine"):  # in these tests a warning is an error
            warnings.warn("mine", stacklevel=1)
        break
