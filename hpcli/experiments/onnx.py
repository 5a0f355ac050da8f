"""A trained network as an ONNX graph, for programs that know neither torch nor hpcli."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path

from hpcli.config import Config, load_config
from hpcli.errors import CheckpointError, UsageError
from hpcli.experiments.evaluate import check_numbers
from hpcli.experiments.predict import facts_of
from hpcli.runs.weights import read_weights, shared_config
from hpcli.training.classifier import Classifier
from hpcli.training.onnx import graph
from hpcli.version import __version__


def to_onnx(run: Path | str, *, config: Config | None = None, image_size: int | None = None) -> bytes:
    """A run's network as the bytes of an .onnx file.

    Its input `images` is uint8 [N, H, W, C], pixels as Pillow reads them; its output `probabilities` float32 [N, K].
    Metadata: `classes`, a JSON list of the K names, and `hpcli`, the version.

    Args:
        run: a checkpoint as `load_weights` takes it.
        config: of the network; None: the one beside the checkpoint.
        image_size: H and W; None: as in training.

    Raises:
        UsageError: no config beside the checkpoint, onnx is not installed, or it is not known how large images are.
        CheckpointError: weights that are not there, not finite, or another network's; or torch cannot export it.
        DataError: it is not known what the network was trained on.
    """
    if any(importlib.util.find_spec(each) is None for each in ("onnx", "onnxscript")):
        raise UsageError("onnx is not installed: pip install 'hpcli[onnx]'")
    stored = read_weights(run)
    config = config or load_config(shared_config([run]))
    check_numbers(stored.weights, stored.name)
    facts = facts_of(stored, config)
    size = image_size or config.data.image_size
    known = (size, size) if size else facts.size
    if known is None:
        raise UsageError(f"{stored.name}: does not say how large its images are; give --image-size")
    shape = (*known, len(facts.mean))
    about = {"classes": json.dumps(list(facts.names)), "hpcli": __version__}
    try:
        classifier = Classifier(
            config, stored.weights, num_classes=len(facts.names), shape=shape, mean=facts.mean, std=facts.std,
            device="cpu",
        )  # fmt: skip
        return graph(classifier, shape, about)
    except CheckpointError as error:
        raise CheckpointError(f"{stored.name}: {error}") from None
