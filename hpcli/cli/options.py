"""Options that commands share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

ConfigFile = Annotated[
    Path | None, typer.Option("-c", "--config", help="YAML config; without it, the digits that come with hpcli.")
]
Settings = Annotated[list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="Set a key; repeatable.")]
Out = Annotated[Path | None, typer.Option(help="The run folder itself; must not exist. Default: a new one in runs/.")]
Seed = Annotated[int | None, typer.Option(help="Governs initial weights, data order, augmentation and dropout.")]
Device = Annotated[str, typer.Option(help="auto, cpu, cuda or cuda:1.")]
Json = Annotated[bool, typer.Option("--json", help="The summary as one JSON object on stdout; all else on stderr.")]
Quiet = Annotated[bool, typer.Option("-q", "--quiet", help="Show errors and warnings only.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Show the resolved plan; train nothing, write nothing.")]
Start = Annotated[
    Path | None,
    typer.Option("--init", metavar="CKPT", help="Start from these weights: a run folder, a checkpoint or safetensors."),
]
AllowCode = Annotated[
    bool, typer.Option("--allow-code", help="Run a model or data set that the config names as module:function.")
]
Values = Annotated[str | None, typer.Option(metavar="LIST", help="One value, or several to overlay: 1e-4,1e-3.")]
