"""`hpcli export onnx`: the network as another program's runtime computes it."""

from __future__ import annotations

import importlib.util
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from hpcli import Run, to_onnx
from hpcli.cli import main
from hpcli.errors import UsageError
from hpcli.experiments import predict
from hpcli.results.data import DataFacts
from hpcli.runs.weights import read_weights
from hpcli.training.classifier import Classifier


@pytest.mark.parametrize("label", ["", ":best"])
def test_a_runtime_of_onnx_gives_the_same_probabilities(runs: Path, tmp_path: Path, label: str) -> None:
    runtime = pytest.importorskip("onnxruntime")
    pytest.importorskip("onnxscript")
    file, run = tmp_path / "net.onnx", f"{runs / 'train'}{label}"
    assert main(["export", "onnx", run, "--image-size", "8", "--out", str(file)]) == 0
    session = runtime.InferenceSession(str(file))
    facts = session.get_modelmeta().custom_metadata_map
    assert json.loads(facts["classes"]) == [str(digit) for digit in range(10)]
    stored = read_weights(run)
    assert stored.data is not None
    own = Classifier(
        Run.open(runs / "train").config, stored.weights, num_classes=10, shape=(8, 8, 1), mean=stored.data.mean,
        std=stored.data.std, device="cpu",
    )  # fmt: skip
    for count in (1, 5):
        images = np.random.default_rng(count).integers(0, 256, (count, 8, 8, 1), np.uint8)
        (found,) = session.run(None, {"images": images})
        np.testing.assert_allclose(found, own.probabilities(images), atol=1e-5)


def test_what_cannot_be_is_said(
    runs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    run, file = str(runs / "train"), tmp_path / "net.onnx"
    words = ["export", "onnx", run, "--out", str(file)]
    assert main([*words[:3], run, *words[3:]]) == 2
    assert "one run at a time" in capsys.readouterr().err
    assert main(["export", "onnx", str(tmp_path / "none"), "--out", str(file)]) == 2
    assert "no such run or file" in capsys.readouterr().err
    file.write_text("mine")
    assert main(words) == 2
    assert "net.onnx: is there already" in capsys.readouterr().err
    assert file.read_text() == "mine"
    file.unlink()
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: None)
    assert main(words) == 2
    assert "onnx is not installed: pip install 'hpcli[onnx]'" in capsys.readouterr().err


def test_images_of_an_unknown_size_are_asked_for(runs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("onnxscript")
    known = predict.facts_of

    def unknown(*given: object) -> DataFacts:
        return replace(known(*given), size=None)  # type: ignore[arg-type]

    monkeypatch.setattr("hpcli.experiments.onnx.facts_of", unknown)
    with pytest.raises(UsageError, match="does not say how large its images are; give --image-size"):
        to_onnx(runs / "train")
