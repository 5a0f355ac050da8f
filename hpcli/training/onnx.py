"""A classifier as an ONNX graph."""

from __future__ import annotations

import io
import logging
import warnings
from collections.abc import Mapping
from contextlib import redirect_stdout

import torch
from torch import Tensor, nn

from hpcli.errors import CheckpointError
from hpcli.training.classifier import Classifier


class _WithPixels(nn.Module):
    """Pixels as they are read → probabilities: what normalises them is part of the graph."""

    def __init__(self, classifier: Classifier) -> None:
        super().__init__()
        self.model, self.normalize = classifier.model, classifier.normalize

    def forward(self, images: Tensor) -> Tensor:
        """uint8 [N, H, W, C] → float32 [N, K]."""
        logits: Tensor = self.model(self.normalize(images))
        return logits.float().softmax(1)


def graph(classifier: Classifier, shape: tuple[int, int, int], facts: Mapping[str, str]) -> bytes:
    """A classifier on the CPU as the bytes of an .onnx file: `images` → `probabilities`, for any N.

    Args:
        classifier: on the CPU.
        shape: (H, W, C) of its images.
        facts: for the file's metadata.

    Raises:
        CheckpointError: torch cannot export such a network.
    """
    images, batch = torch.zeros(2, *shape, dtype=torch.uint8), torch.export.Dim("batch")
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings(), redirect_stdout(io.StringIO()):  # torch tells of its work, and of what it lacks
            warnings.simplefilter("ignore")
            program = torch.onnx.export(
                _WithPixels(classifier).eval(), (images,), input_names=["images"], output_names=["probabilities"],
                dynamo=True, dynamic_shapes=({0: batch},), verbose=False,
            )  # fmt: skip
    except torch.onnx.OnnxExporterError as error:
        reason = str(error).strip().splitlines()[0]
        raise CheckpointError(f"torch cannot export this network as ONNX ({reason})") from None
    assert program is not None
    message = program.model_proto
    for key, text in facts.items():
        message.metadata_props.add(key=key, value=text)
    data: bytes = message.SerializeToString()
    return data
