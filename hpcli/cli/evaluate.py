"""`hpcli evaluate`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from hpcli.cli.command import Call, command
from hpcli.errors import UsageError

if TYPE_CHECKING:
    from hpcli.config import Config
    from hpcli.data.dataset import Splits
    from hpcli.data.decode import OnDecode
    from hpcli.recording.progress import OnProgress
    from hpcli.recording.recorder import Recorder
    from hpcli.results import Result

Checkpoint = Annotated[
    str | None, typer.Argument(metavar="CKPT", help="A run folder, RUN_DIR:best, RUN_DIR:epoch-0007, or a file.")
]


@command(("data.root", "evaluate.split"), checkpoints=("evaluate.checkpoint",))
def evaluate(call: Call, checkpoint: Checkpoint = None) -> int:
    """Evaluate weights: loss, accuracy, top-5, accuracy by class, and a picture of what is taken for what."""
    from hpcli.runs.weights import config_beside

    if checkpoint is None and call.shared.config is None:
        raise UsageError("CKPT: none given; name a run folder or a file, or a config that names one by -c FILE")
    file = None if checkpoint is None else config_beside(checkpoint)
    if file is None and call.shared.config is None:
        raise UsageError(f"{checkpoint}: no run folder around it to take the config from; name one by -c FILE")
    keys: dict[str, object] = {} if checkpoint is None else {"evaluate.checkpoint": checkpoint}
    keys |= _folder_of(file or call.shared.config, call.keys.get("data.root"))
    session = call.session(keys, config=file)
    if session.config.evaluate.checkpoint is None:
        raise UsageError(f"CKPT: none given, and none in {call.shared.config}; name a run folder or a file")
    return session.run(_experiment, load=_load)


def _folder_of(file: Path | None, root: object) -> dict[str, object]:
    """The key that makes `--data DIR` a folder of images for a run of a data set that is none."""
    from hpcli.catalog import DATASETS
    from hpcli.config import read_config

    if root is None or file is None or any(Path(str(root)).glob("cifar-10*")):
        return {}
    return {"data.name": "folder"} if read_config(file).data.name in DATASETS else {}


def _load(config: Config, *, on_decode: OnDecode) -> Splits:
    from hpcli.experiments.evaluate import load_to_evaluate

    return load_to_evaluate(config, on_decode=on_decode)


def _experiment(config: Config, *, recorder: Recorder, on_progress: OnProgress, device: str, splits: Splits) -> Result:
    from hpcli.experiments.evaluate import evaluate as experiment

    return experiment(config, recorder=recorder, device=device, splits=splits)
