"""The rules by which a crew keeps its workers, wherever they live: others for the lost, an end to that, none left behind."""

from __future__ import annotations

from pathlib import Path

import pytest

from hpcli.errors import DataError, HpcliError
from hpcli.trials.crew import MOST_LOST, Crew
from hpcli.trials.launcher import End, Launcher, Process

RUN = Path("runs/some")


class Played(Process):
    """A worker's process that ends when the test says so."""

    def __init__(self, *, stubborn: bool = False) -> None:
        self.ended: End | None = None
        self.stubborn, self.told = stubborn, list[str]()

    def end(self) -> End | None:
        return self.ended

    def terminate(self) -> None:
        self.told.append("terminate")
        self.ended = None if self.stubborn else End.by(143)

    def wait(self, seconds: float) -> bool:
        return self.ended is not None

    def kill(self) -> None:
        self.told.append("kill")
        self.ended = End.by(-9)


class Stage(Launcher):
    """Starts them, and keeps all that it has started."""

    def __init__(self) -> None:
        self.started: list[Played] = []
        self.is_closed = False

    def start(self) -> Played:
        self.started.append(Played())
        return self.started[-1]

    def close(self) -> None:
        assert all(each.ended for each in self.started)
        self.is_closed = True


@pytest.fixture
def stage() -> Stage:
    return Stage()


def test_as_many_are_at_work_as_are_asked_for_and_needed(stage: Stage) -> None:
    crew = Crew(RUN, 3, stage)
    assert crew.is_alone
    crew.keep(2)
    assert len(stage.started) == 2
    crew.keep(9)
    crew.keep(1)
    assert len(stage.started) == 3
    assert not crew.is_alone


def test_another_is_started_for_one_that_is_lost_five_times_in_a_row(stage: Stage) -> None:
    crew = Crew(RUN, 1, stage)
    for lost in range(MOST_LOST):
        assert not crew.is_losing
        crew.keep(4)
        assert (len(stage.started), crew.lost) == (lost + 1, lost)
        stage.started[-1].ended = End("its node died")
    crew.keep(4)
    assert crew.is_losing
    assert crew.is_alone
    assert (len(stage.started), crew.how) == (MOST_LOST, "its node died")
    crew.lost = 0  # a trial has ended
    crew.keep(4)
    assert len(stage.started) == MOST_LOST + 1


@pytest.mark.parametrize(("code", "how"), [(-9, "signal 9"), (143, "exit code 143"), (0, "exit code 0")])
def test_a_signal_is_a_loss(code: int, how: str, stage: Stage) -> None:
    crew = Crew(RUN, 1, stage)
    crew.keep(1)
    stage.started[0].ended = End.by(code)
    crew.keep(1)
    assert (len(stage.started), crew.lost, crew.how) == (2, 1, how)


def test_an_error_of_a_worker_ends_the_sweep_with_its_exit_code(stage: Stage) -> None:
    crew = Crew(RUN, 2, stage)
    crew.keep(2)
    stage.started[1].ended = End.by(DataError.exit_code)
    with pytest.raises(
        HpcliError, match="a worker of runs/some ended with exit code 3: what it said is above"
    ) as raised:
        crew.keep(2)
    assert raised.value.exit_code == DataError.exit_code


def test_all_are_told_to_stop_and_who_does_not_is_killed(stage: Stage) -> None:
    crew = Crew(RUN, 2, stage)
    crew.keep(2)
    stage.started[1].stubborn = True
    crew.close()
    assert [each.told for each in stage.started] == [["terminate"], ["terminate", "kill"]]
    assert stage.is_closed
    assert crew.is_alone
