"""Schedules and optimizers side by side, each at its own best learning rate, in equally many steps.

    python benchmarks/optimizers.py --images DIR        # a folder in ImageNet layout (train/<class>/…)
    python benchmarks/optimizers.py                     # write the table of docs/optimizers.md from what is kept

ResNet-8 on a tenth of the images, at 16×16. A learning rate is chosen by two seeds, from a grid with steps of a half
decade that is made longer while the best lies at its edge; what is compared are three others, the same for all. Every
run is a row of benchmarks/results/optimizers.csv. A machine may be busy: nothing is timed.
"""

from __future__ import annotations

import argparse
import csv
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path

import numpy as np
from tables import write_rows

from hpcli import load_config, train, verdict, with_overrides
from hpcli.data.dataset import load_splits
from hpcli.states import Judgement, RunStatus

RESULTS = Path(__file__).parent / "results" / "optimizers.csv"
CHOOSE, COMPARE = (100, 101), (0, 1, 2)
"""Seeds."""
PAGE = Path(__file__).parents[1] / "docs/optimizers.md"
TABLE = re.compile(r"(?<=<!-- side by side -->\n).*?(?=<!-- its end -->)", re.DOTALL)
LADDER = (1e-5, 3e-5, 1e-4, 3e-4, 1e-3, 3e-3, 1e-2, 3e-2, 1e-1, 3e-1, 1.0, 3.0, 10.0)
"""Learning rates."""
SIZE: Mapping[str, object] = {
    "data.image_size": 16,
    "data.train_fraction": 0.1,
    "data.validation": 0.1,
    "data.batch_size": 64,
    "data.augment": "none",  # BatchNorm measured anew, as for schedule-free, does not see augmented images
    "model.name": "resnet20",
    "model.options.num_blocks": [1, 1, 1],
    "train.threads": 1,
}
WARM: Mapping[str, object] = {"schedule.momentum": 0.9, "schedule.warmup": 0.1}
SGD: Mapping[str, object] = {"optimizer.name": "sgd", "optimizer.decay": "coupled", "optimizer.weight_decay": 5e-4}


@dataclass(frozen=True)
class Way:
    """An optimizer and a schedule, and where its learning rates are looked for; one rate: it is what the library asks for."""

    keys: Mapping[str, object]
    rates: tuple[float, ...]


ADAMW = (1e-3, 3e-3, 1e-2, 3e-2)
WAYS = {
    "AdamW, 1cycle": Way({"schedule.momentum": "0.95-0.85"}, ADAMW),
    "AdamW, cosine": Way({"schedule.name": "cosine", **WARM}, ADAMW),
    "AdamW, linear": Way({"schedule.name": "linear", **WARM}, ADAMW),
    "AdamW, WSD": Way({"schedule.name": "wsd", **WARM}, ADAMW),
    "AdamW, constant": Way({"schedule.name": "constant", **WARM}, ADAMW),
    "schedule-free AdamW": Way({"optimizer.name": "schedulefree_adamw", "schedule.name": "constant", **WARM}, ADAMW),
    "Prodigy, cosine": Way(
        {"optimizer.name": "prodigy", "schedule.name": "cosine", "schedule.momentum": 0.9, "schedule.warmup": 0.0},
        (1.0,),
    ),
    "SGD, 1cycle": Way({**SGD, "schedule.momentum": "0.95-0.85"}, (3e-2, 1e-1, 3e-1, 1.0)),
    "NAdamW, 1cycle": Way({"optimizer.name": "timm/nadamw", "schedule.momentum": "0.95-0.85"}, ADAMW),
    "Muon, 1cycle": Way({"optimizer.name": "timm/muon", "schedule.momentum": "0.95-0.85"}, (3e-3, 1e-2, 3e-2, 1e-1)),
}


@dataclass(frozen=True)
class Run:
    """A row: what was trained, to what end."""

    way: str
    stage: str  # choose, compare
    lr: float
    seed: int
    steps: int
    valid_loss: float
    valid_accuracy: float


def main() -> None:
    """Train all, and keep every run."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0] if __doc__ else None)
    parser.add_argument("ways", nargs="*", default=list(WAYS), help="some of them; default: all")
    parser.add_argument("--images", type=Path, help="CIFAR-10 as a folder, train/<class>/…; none: write the table")
    parser.add_argument("--epochs", type=int, default=4)
    parser.add_argument("--out", type=Path, default=RESULTS)
    asked = parser.parse_args()
    if asked.images is None:
        PAGE.write_text(TABLE.sub(lambda _: table(), PAGE.read_text()))
        return
    data = {"data.name": "folder", "data.root": str(asked.images.resolve()), "train.epochs": asked.epochs}
    with ProcessPoolExecutor(os.cpu_count()) as pool:
        found = pool.map(partial(runs_of, data=data), asked.ways)
        write_rows(asked.out, (asdict(each) for one in found for each in one))


def runs_of(name: str, data: Mapping[str, object]) -> list[Run]:
    """All runs of a way: those that choose its learning rate, then those that are compared."""
    way = WAYS[name]
    config = load_config(None, {**SIZE, **data, "schedule.max_lr": way.rates[0], **way.keys})
    splits = load_splits(config)

    def trained(stage: str, rate: float, seeds: Sequence[int]) -> list[Run]:
        found = []
        for seed in seeds:
            result = train(with_overrides(config, {"schedule.max_lr": rate, "seed": seed}), splits=splits)
            loss, accuracy, _ = result.judged
            loss = np.inf if loss is None or result.status == RunStatus.DIVERGED else loss
            found.append(
                Run(name, stage, rate, seed, len(result.steps["lr"]), round(loss, 5), round(accuracy or 0.0, 5))
            )
        return found

    chosen: list[Run] = []
    for rate in grid(way.rates, chosen):
        chosen += trained("choose", rate, CHOOSE)
    best = lowest(chosen) if chosen else way.rates[0]
    return chosen + trained("compare", best, COMPARE)


def grid(rates: Sequence[float], chosen: Sequence[Run]) -> Iterator[float]:
    """The learning rates to try: these, and further ones while the best lies at the edge of what has been tried."""
    if len(rates) == 1:
        return
    yield from rates
    low, high = LADDER.index(min(rates)), LADDER.index(max(rates))
    while (best := LADDER.index(lowest(chosen))) in (low, high):
        if best in (0, len(LADDER) - 1):
            return
        low, high = (low - 1, high) if best == low else (low, high + 1)
        yield LADDER[low if best == low + 1 else high]


def lowest(chosen: Sequence[Run]) -> float:
    """The learning rate with the lowest mean loss; one of which a run diverged is none."""
    means = {
        rate: np.mean([each.valid_loss for each in chosen if each.lr == rate]) for rate in {each.lr for each in chosen}
    }
    return min(means, key=lambda rate: means[rate] if np.isfinite(means[rate]) else np.inf)


def table() -> str:
    """The table of docs/optimizers.md, the best first."""
    with RESULTS.open(newline="") as file:
        rows = [row for row in csv.DictReader(line for line in file if line[0] != "#") if row["stage"] == "compare"]
    ways = list(dict.fromkeys(row["way"] for row in rows))
    losses = [[float(row["valid_loss"]) for row in rows if row["way"] == way] for way in ways]
    lines = ["| | learning rate | accuracy | loss | above the best | verdict |", "|---|---|---|---|---|---|"]
    judged = verdict(losses, ways, chance=float(np.log(10))).comparisons
    for each in sorted(judged, key=lambda one: np.inf if one.mean is None else one.mean):
        own = [row for row in rows if row["way"] == each.value]
        accuracy = 100 * np.mean([float(row["valid_accuracy"]) for row in own])
        above = (
            ""
            if each.low is None or each.verdict == Judgement.BEST
            else f"{each.difference:+.3f} [{each.low:.3f}, {each.high:.3f}]"
        )
        mean = "" if each.mean is None else f"{each.mean:.3f}"
        lines.append(
            f"| {each.value} | {float(own[0]['lr']):g} | {accuracy:.1f} % | {mean} | {above} | {each.verdict} |"
        )
    return "".join(f"{line}\n" for line in lines)


if __name__ == "__main__":
    main()
