"""The kinds of value that config keys take: names that are known, ranges, pairs."""

from __future__ import annotations

import os
import re
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, Field, JsonValue, PlainSerializer, PlainValidator

from hpcli.catalog import DATASETS, LIBRARIES, MODELS, SCHEDULES, in_libraries
from hpcli.config.momentum import Momentum, parse_momentum
from hpcli.config.optimizers import why_refused
from hpcli.errors import did_you_mean

Auto = Literal["auto"]


def _known(names: dict[str, str], kind: str) -> AfterValidator:
    def check(name: str) -> str:
        """The name, if there is something of it, or if it names own code."""
        library, slash, rest = name.partition("/")
        elsewhere = kind == "model" and slash and library in LIBRARIES and rest
        own = kind != "schedule" and re.fullmatch(r"[\w.]+:\w+", name)
        if name not in names and not elsewhere and not own:
            known = [f"{each}/{rest}" for each in LIBRARIES] if slash and kind == "model" else names
            exact = in_libraries(name) if kind == "model" else []
            raise ValueError(f"unknown {kind}; {did_you_mean(exact[0] if exact else name, exact or known)}")
        return name

    return AfterValidator(check)


def _optimizer(name: str) -> str:
    fault = why_refused(name)
    if fault is not None:
        raise ValueError(fault)
    return name


def _validation(value: Any) -> float | str:
    if value in ("auto", "valid", "test"):
        return str(value)
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < 1:
        raise ValueError(
            "must be a fraction of the training images, such as 0.1, or one of the words auto, valid, test"
        )
    return float(value)


def _or_auto(lowest: int, highest: int) -> PlainValidator:
    def check(value: Any) -> Any:
        """The value, if it is auto or a whole number in the range."""
        if value == "auto":
            return "auto"
        if isinstance(value, bool) or not isinstance(value, int) or not lowest <= value <= highest:
            raise ValueError(f"must be a whole number from {lowest} to {highest}, or the word auto")
        return value

    return PlainValidator(check, json_schema_input_type=int | Auto)


def _tuple(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value


def _path(value: Any) -> Any:
    return os.fspath(value) if isinstance(value, os.PathLike) else value


def _values(values: dict[str, list[Any]]) -> dict[str, list[Any]]:
    empty = [key for key, each in values.items() if not each]
    if empty:
        raise ValueError(f"{empty[0]}: no values; give at least one")
    return values


DatasetName = Annotated[str, _known(DATASETS, "data set")]
ModelName = Annotated[str, _known(MODELS, "model")]
OptimizerName = Annotated[str, AfterValidator(_optimizer)]
ScheduleName = Annotated[str, _known(SCHEDULES, "schedule")]
Validation = Annotated[float | str, PlainValidator(_validation)]
Seeds = Annotated[int | Auto, _or_auto(1, 100)]
FreshSeeds = Annotated[int | Auto, _or_auto(0, 50)]
AtOnce = Annotated[int | Auto, _or_auto(1, 1000)]
CycleEpochs = Annotated[int | Auto, _or_auto(1, 10**9)]
Positive = Annotated[float, Field(gt=0)]
PositiveInt = Annotated[int, Field(ge=1, le=10**9)]
Fraction = Annotated[float, Field(gt=0, le=1)]
MomentumKey = Annotated[
    Momentum,
    PlainValidator(parse_momentum),
    PlainSerializer(lambda momentum: str(momentum) if momentum.cyclic else momentum.high, when_used="json"),
]
Checkpoint = Annotated[str | None, BeforeValidator(_path)]
Values = Annotated[dict[str, list[JsonValue]], AfterValidator(_values)]
"""Keys, each with the values that it takes in turn."""
Sizes = Annotated[tuple[PositiveInt, ...], BeforeValidator(_tuple)]
Epochs = Annotated[tuple[Annotated[int, Field(ge=0)], ...], BeforeValidator(_tuple)]
Milestones = Annotated[tuple[Positive, ...], BeforeValidator(_tuple)]
