"""A summary as a person reads it: what of it is shown, and in which words; as text, without a terminal or a page."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TypeGuard

from hpcli.config.varying import JOINED, written
from hpcli.states import Judgement, Sign

Facts = Mapping[str, object]
"""Names and plain values, as in `summary.json`."""
HIDDEN = (
    "command",
    "run_dir",
    "status",
    "sentence",
    "refusal",
    "weight_norms",
    "decay_pairs",
    "choice_reason",
    "seeds_for_matters",
    "level",
    "extend",
    "best",
    "endpoints",
    "diagnosis",
)
"""What a summary holds for programs; a person reads it elsewhere or not at all."""


_CONTROLS = {
    code: repr(chr(code))[1:-1] for code in (*range(9), *range(11, 32), *range(0x7F, 0xA0), *range(0xD800, 0xE000))
}
"""Characters that a terminal would obey, halves of characters, and how they are shown. A line end is a line end."""
MOST_SECONDS = 3.2e10
"""A thousand years: what says that it lasted longer is damaged."""
_UNITS = ((86400 * 365, "years"), (86400, "days"), (3600, "h"), (60, "min"), (1, "s"))


def plain(text: object) -> str:
    """Text without characters that a terminal would obey: a file may be named by an escape sequence."""
    return str(text).translate(_CONTROLS)


def shown_facts(summary: Facts, *, every: bool = True) -> Facts:
    """What of a summary is for people: every number, or the tables of what is compared alone."""
    if not every:
        return {name: value for name, value in shown_facts(summary).items() if is_table(value)}
    shown = {name: value for name, value in summary.items() if name not in HIDDEN and value not in ([], {})}
    ranking = shown.get("ranking")
    return shown if not is_table(ranking) else {**shown, "ranking": [_ranked(line) for line in ranking]}


def diagnosis_lines(summary: Facts) -> list[str]:
    """What ails a training run, by its summary: a line a sign, what it says and the remedy.

    Of a short run the sentence tells of BatchNorm that lags.
    """
    found = summary.get("diagnosis")
    told = {Sign.BN_LAG} if "reestimated_loss" in summary else set()
    return [f"{each['says']} {each['remedy']}" for each in found if each["sign"] not in told] if is_table(found) else []


def is_table(value: object) -> TypeGuard[list[Facts]]:
    """Whether it is a list of facts, a line each."""
    return isinstance(value, list) and bool(value) and all(isinstance(line, dict) for line in value)


def columns_of(lines: Sequence[Facts]) -> list[str]:
    """The names of what lines of the same facts say; what is empty throughout is left out."""
    return [name for name in lines[0] if any(line[name] is not None for line in lines)]


def _ranked(line: Facts) -> Facts:
    """A value of a sweep as a person compares it with the best."""
    is_best = line["verdict"] == Judgement.BEST
    value, decayed = line["value"], line.get("decay_budget")
    return {
        "value": JOINED.join(written(each) for each in (value if isinstance(value, list) else [value])),
        "runs": line.get("runs"),
        "mean": line.get("mean"),
        "valid loss": line.get("mean_valid_loss"),
        "accuracy": line.get("mean_valid_accuracy"),
        "above the best": "" if is_best else _difference(line["difference"], line["low"], line["high"]),
        "verdict": f"{line['verdict']}, unstable" if line["unstable"] else line["verdict"],
        "best?": "" if is_best else _may_be_best(line),
        "decay": f"{decayed:.2%}" if isinstance(decayed, float) else None,
        "s a run": line.get("mean_seconds") if decayed is None else None,
    }


def _may_be_best(line: Facts) -> str:
    if line["verdict"] == Judgement.EQUAL:
        return "as good"
    return "maybe" if line["candidate"] else "no"


def _difference(difference: object, low: object, high: object) -> str:
    if not isinstance(difference, float):
        return ""
    interval = f" [{low:.2g}, {high:.2g}]" if isinstance(low, float) and isinstance(high, float) else ""
    return f"{difference:+.2g}{interval}"


def readable(name: str, value: object) -> str:
    """A value as text."""
    if value is None:
        return "-"
    if isinstance(value, dict):
        return ", ".join(f"{plain(key)} {readable(str(key), each)}" for key, each in value.items())
    if isinstance(value, list):
        return "; ".join(readable(name, each) for each in value)
    if isinstance(value, float) and name.endswith(("accuracy", "top5")):
        return f"{value:.1%}"
    return f"{value:.4g}" if isinstance(value, float) else plain(value)


def time_text(seconds: float | None) -> str:
    """A time in its largest unit: `3 h`, of a few of it with the next one: `1 h 20`."""
    if seconds is None:
        return ""
    if not seconds < MOST_SECONDS:
        return "?"
    seconds = max(seconds, 0.0)
    if seconds < 10:
        return f"{seconds:.1f} s"
    size, unit = next((each for each in _UNITS if seconds >= 1.5 * each[0]), _UNITS[-1])
    if unit == "h" and seconds < 36000:
        return f"{int(seconds // 3600)} h {int(seconds % 3600 // 60):02}"
    return f"{seconds / size:.0f} {unit}"
