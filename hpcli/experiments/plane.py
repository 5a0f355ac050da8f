"""The validation loss on the plane through three checkpoints (Garipov et al., 1802.10026, figure 1)."""

from __future__ import annotations

import math
import time
from collections.abc import Callable

from hpcli.config import Config
from hpcli.errors import CheckpointError
from hpcli.recording.progress import OnProgress, Progress
from hpcli.recording.recorder import Recorder
from hpcli.results.plane import Corner, PlanePoint, Product, statistics_of, through
from hpcli.states import RunStatus
from hpcli.training.evaluation import Evaluation
from hpcli.training.mixture import Mixture

OnCost = Callable[[int, float], None]
"""Told, before the plane is measured, the number of points and an estimate of the seconds they will take."""


def no_matter(points: int, seconds: float) -> None:
    """Ignores the cost."""


class PlaneMeasurement:
    """Measures a grid of `config.interpolate.plane_points` squared, point by point, a row each.

    BatchNorm's statistics are measured anew at every point, unless `config.interpolate.bn` is `interpolate`.
    """

    def __init__(self, config: Config, mixture: Mixture, recorder: Recorder, on_progress: OnProgress) -> None:
        """Lay the plane through the mixture's three checkpoints.

        Raises:
            CheckpointError: all three lie on one line.
        """
        self.config, self.mixture, self.recorder, self.on_progress = config, mixture, recorder, on_progress
        self.bn = statistics_of(config)
        record_products(mixture, recorder)
        try:
            self.plane = through(recorder.rows(Product))
        except ValueError as error:
            raise CheckpointError(f"{error}; --ckpt-c names one beside the line from A to B") from None

    def measure(self, on_cost: OnCost) -> RunStatus:
        """Measure the points that are missing. Finished, or interrupted."""
        started = time.perf_counter()
        losses = {name: self._at(*place).loss for name, place in self.plane.corners.items()}
        seconds = (time.perf_counter() - started) / len(losses)
        places = {name: (*place, _known(losses[name])) for name, place in self.plane.corners.items()}
        self.recorder.replace(Corner, [Corner(name, *about) for name, about in places.items()])
        x, y = self.plane.grid(self.config.interpolate.plane_points)
        left = [(float(each_x), float(each_y)) for each_y in y for each_x in x][len(self.recorder.rows(PlanePoint)) :]
        on_cost(len(left), seconds * len(left))
        for index, place in enumerate(left, start=1):
            if self.recorder.should_stop():
                return RunStatus.INTERRUPTED
            found = self._at(*place)
            accuracy = found.accuracy if math.isfinite(found.loss) else None
            self.recorder.add(PlanePoint(*place, _known(found.loss), accuracy), durable=True)
            self.on_progress(Progress(index, len(left), found.loss))
        return RunStatus.FINISHED

    def _at(self, x: float, y: float) -> Evaluation:
        with self.mixture.at(*self.plane.coefficients(x, y), bn=self.bn):
            return self.mixture.evaluate("valid")


def record_products(mixture: Mixture, recorder: Recorder) -> None:
    """Write down the inner products of a mixture's checkpoints: distances, angles and the plane follow from them."""
    products, letters = mixture.products(), "abc"
    pairs = [(i, j) for i in range(len(products)) for j in range(len(products))]
    recorder.replace(Product, [Product(letters[i], letters[j], float(products[i, j])) for i, j in pairs])


def _known(value: float) -> float | None:
    return value if math.isfinite(value) else None
