"""A step as one CUDA graph: forward and backward are launched at once, not a kernel at a time. So is a forward pass.

A small network on a big GPU waits for its kernels to be launched, not for their results: ResNet-56 takes over a
thousand a step. What is captured is frozen: a replay runs the same kernels on whatever lies at the same addresses. So
the images are copied to a fixed place, and the optimizer, whose learning rate and momentum are numbers of Python, stays
outside.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from functools import partial
from typing import Protocol

import torch
from torch import Tensor

from hpcli.catalog import is_code
from hpcli.config import Config
from hpcli.errors import HpcliWarning
from hpcli.training.step import Step

WARM_UP = 3
"""Steps before the capture: cuDNN tries its algorithms in them, and libraries make their workspaces."""


def is_captured(config: Config, device: torch.device, processes: int = 1) -> bool:
    """Whether the config's steps are: on a GPU, and not for a network of the user's own unless they ask for it.

    Those of several processes are not, which is said: SyncBatchNorm asks the device how many images it has met.
    """
    asked = config.train.cuda_graph
    found = device.type == "cuda" and (not is_code(config.model.name) if asked == "auto" else asked)
    if found and processes > 1:
        warnings.warn(
            f"train.cuda_graph: the steps of {processes} processes are taken kernel by kernel",
            HpcliWarning,
            stacklevel=2,
        )
    return found and processes == 1


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


class Captured:
    """A function of tensors that is carried out as it is a few times, then recorded once, then done again.

    One that asks the device for a number, or is refused for another reason, goes on as it is.
    """

    def __init__(
        self,
        function: Callable[..., Tensor],
        graph: Graph,
        *,
        warm_up: int,
        refused: Callable[[str], object] = lambda why: None,
    ) -> None:
        """Wait to be called.

        Args:
            function: of tensors, which keep their shapes; a replay overwrites what it returned before.
            graph: that records it.
            warm_up: calls before that.
            refused: told once why it cannot be.
        """
        self.function, self.graph, self.refused = function, graph, refused
        self._warm_ups_left = warm_up
        self._waits: list[str] = []  # what in the last one a capture would refuse
        self._now: Callable[..., Tensor] | None = None  # a replay, or the function; None: still warming up

    @property
    def is_replayed(self) -> bool:
        """Whether calls are replays by now."""
        return self._now not in (None, self.function)

    def __call__(self, *tensors: Tensor) -> Tensor:
        """As the function's."""
        if self._now is None and not self._warm_ups_left:
            self._now = self._given_up(self._waits[0]) if self._waits else self._captured(tensors)
        return self._warm_up(tensors) if self._now is None else self._now(*tensors)

    def _warm_up(self, tensors: Sequence[Tensor]) -> Tensor:
        with self.graph.apart() as self._waits:
            found = self.function(*tensors)
        self._warm_ups_left -= 1
        return found

    def _captured(self, tensors: Sequence[Tensor]) -> Callable[..., Tensor]:
        """The replay of a call, which reads its tensors from copies of these."""
        own = [each.clone() for each in tensors]
        graph = self.graph  # what is returned does not hold `self`: its memory is free once a trainer is dropped
        try:
            with graph.capture():
                found = self.function(*own)
        except RuntimeError as error:
            return self._given_up((str(error).splitlines() or [type(error).__name__])[0])

        def replayed(*tensors: Tensor) -> Tensor:
            """The graph's step on other tensors, put into the places it reads."""
            for place, tensor in zip(own, tensors, strict=True):
                place.copy_(tensor)
            graph.replay()
            return found

        return replayed

    def _given_up(self, why: str) -> Callable[..., Tensor]:
        self.refused(why)
        return self.function


class CapturedStep:
    """Takes the same steps as the `Step` it is made of, in the same order, with the same draws of dropout.

    A network whose forward pass reads a number back from the GPU cannot be captured: its steps go on as they were, and
    a warning says so. One that asks Python for something that changes from step to step would have it frozen: hooks,
    a generator of Python's, a counter.
    """

    def __init__(self, step: Step, graph: Callable[[], Graph] = CudaGraph) -> None:
        self.step = step
        self.descend = Captured(step.descend, graph(), warm_up=WARM_UP, refused=partial(_goes_on, step))
        self._weights = [weight for weight in step.model.parameters() if weight.requires_grad]
        self._gradients: list[Tensor | None] | None = None  # where a replay leaves them

    def __call__(self, images: Tensor, labels: Tensor, lr: float, momentum: float) -> Tensor:
        """Take one step; as `Step`'s. The loss that is returned is overwritten by the next step."""
        loss = self.descend(images, labels)
        if self.descend.is_replayed:
            self._attach_gradients()
        self.step.optimizer.step(lr, momentum)
        return loss

    @property
    def grad_norm(self) -> Tensor | None:
        """As `Step`'s; overwritten by the next step, too."""
        return self.step.grad_norm

    def _attach_gradients(self) -> None:
        """An optimizer's step lets go of the gradients, which the capture made and every replay fills."""
        if self._gradients is None:
            self._gradients = [weight.grad for weight in self._weights]
        for weight, gradient in zip(self._weights, self._gradients, strict=True):
            weight.grad = gradient


def _goes_on(step: Step, why: str) -> None:
    """Let go of gradients that a capture began, and warn."""
    step.optimizer.torch_optimizer.zero_grad(set_to_none=True)
    warnings.warn(
        f"train.cuda_graph: the step cannot be captured ({why}); it goes on kernel by kernel, slower",
        HpcliWarning,
        stacklevel=2,
    )
