"""A step as one CUDA graph: forward and backward are launched at once, not a kernel at a time.

A small network on a big GPU waits for its kernels to be launched, not for their results: ResNet-56 takes over a
thousand a step. What is captured is frozen: a replay runs the same kernels on whatever lies at the same addresses. So
the images are copied to a fixed place, and the optimizer, whose learning rate and momentum are numbers of Python, stays
outside.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Protocol

import torch
from torch import Tensor

from hpcli.catalog import is_code
from hpcli.config import Config
from hpcli.errors import HpcliWarning
from hpcli.training.step import Step

Descent = Callable[[Tensor, Tensor], Tensor]
"""Images and labels of a batch → its loss; the gradients are left in the weights."""
WARM_UP = 3
"""Steps before the capture: cuDNN tries its algorithms in them, and libraries make their workspaces."""


def is_captured(config: Config, device: torch.device) -> bool:
    """Whether the config's steps are: on a GPU, and not for a network of the user's own unless they ask for it."""
    asked = config.train.cuda_graph
    return device.type == "cuda" and (not is_code(config.model.name) if asked == "auto" else asked)


class Graph(Protocol):
    """Records what is done, and does it again."""

    def apart(self) -> AbstractContextManager[list[str]]:
        """Where steps warm up: they are carried out. Left, the list has what in them a capture would refuse."""

    def capture(self) -> AbstractContextManager[None]:
        """What is entered is recorded, and carried out at `replay` alone."""

    def replay(self) -> None:
        """Do again what was recorded."""


class CudaGraph:
    """`torch.cuda.CUDAGraph`, with the stream that its documentation asks for."""

    def __init__(self) -> None:
        self._graph = torch.cuda.CUDAGraph()
        self._side = torch.cuda.Stream()

    @contextmanager
    def apart(self) -> Iterator[list[str]]:
        """On a stream of its own, waited for by the GPU, not by the host; it is noted what waits for the GPU."""
        refused: list[str] = []
        self._side.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(self._side), _waits_noted(refused):
            yield refused
        torch.cuda.current_stream().wait_stream(self._side)

    @contextmanager
    def capture(self) -> Iterator[None]:
        """Record. Other threads may go on using the GPU."""
        try:
            with torch.cuda.graph(self._graph, stream=self._side, capture_error_mode="thread_local"):
                yield
        except RuntimeError:
            # A capture that breaks off leaves torch's generator in it, and the next dropout would be an error.
            generator = torch.cuda.default_generators[torch.cuda.current_device()]
            generator.graphsafe_set_state(torch.Generator("cuda").graphsafe_get_state())
            raise

    def replay(self) -> None:
        """Launch all kernels at once."""
        self._graph.replay()


@contextmanager
def _waits_noted(found: list[str]) -> Iterator[None]:
    """While entered, torch's warnings of operations that wait for the GPU go to the list; other warnings pass."""
    before = torch.cuda.get_sync_debug_mode()
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        torch.cuda.set_sync_debug_mode("warn")
        try:
            yield
        finally:
            torch.cuda.set_sync_debug_mode(before)
    for each in caught:
        if "synchronizing CUDA operation" in str(each.message):
            found.append("it waits for the GPU")
        elif "Synchronization debug mode" not in str(each.message):
            warnings.warn_explicit(each.message, each.category, each.filename, each.lineno)


class CapturedStep:
    """Takes the same steps as the `Step` it is made of, in the same order, with the same draws of dropout.

    A network whose forward pass reads a number back from the GPU cannot be captured: its steps go on as they were, and
    a warning says so. One that asks Python for something that changes from step to step would have it frozen: hooks,
    a generator of Python's, a counter.
    """

    def __init__(self, step: Step, graph: Callable[[], Graph] = CudaGraph) -> None:
        self.step, self.graph = step, graph()
        self._warm_ups = 0
        self._descend: Descent | None = None  # a replay, or the step's own; None: still warming up

    def __call__(self, images: Tensor, labels: Tensor, lr: float, momentum: float) -> Tensor:
        """Take one step; as `Step`'s. The loss that is returned is overwritten by the next step."""
        if self._descend is None and self._warm_ups == WARM_UP:
            self._descend = self._captured(images.clone(), labels.clone())
        loss = self._warm_up(images, labels) if self._descend is None else self._descend(images, labels)
        self.step.optimizer.step(lr, momentum)
        return loss

    def _warm_up(self, images: Tensor, labels: Tensor) -> Tensor:
        with self.graph.apart() as refused:
            loss = self.step.descend(images, labels)
        self._warm_ups += 1
        if self._warm_ups == WARM_UP and refused:
            self._descend = self._given_up(refused[0])
        return loss

    def _captured(self, own_images: Tensor, own_labels: Tensor) -> Descent:
        """The replay of a descent that reads the images and labels from where these lie."""
        graph = self.graph  # what is returned does not hold `self`: its memory is free once a trainer is dropped
        weights = [weight for weight in self.step.model.parameters() if weight.requires_grad]
        try:
            with graph.capture():  # which makes the gradients: the optimizer has let go of the last ones
                loss = self.step.descend(own_images, own_labels)
        except RuntimeError as error:
            self.step.optimizer.torch_optimizer.zero_grad(set_to_none=True)
            return self._given_up((str(error).splitlines() or [type(error).__name__])[0])
        gradients = [weight.grad for weight in weights]

        def replayed(images: Tensor, labels: Tensor) -> Tensor:
            own_images.copy_(images)
            own_labels.copy_(labels)
            graph.replay()
            for weight, gradient in zip(weights, gradients, strict=True):
                weight.grad = gradient  # an optimizer's step lets go of them
            return loss

        return replayed

    def _given_up(self, why: str) -> Descent:
        """The step's own descent, with a warning."""
        warnings.warn(
            f"train.cuda_graph: the step cannot be captured ({why}); it goes on kernel by kernel, slower",
            HpcliWarning,
            stacklevel=2,
        )
        return self.step.descend
