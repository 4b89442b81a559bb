"""When the stages of a run must end."""

from __future__ import annotations

from eqsat.pipeline.progress import Schedule


def test_shares_are_of_what_is_left() -> None:
    schedule = Schedule(start=100.0, budget_s=50.0)
    assert (schedule.deadline(0.5), schedule.end) == (125.0, 150.0)
    schedule.begin(130.0)
    assert (schedule.deadline(0.5), schedule.end) == (140.0, 150.0)


def test_a_budget_that_is_gone_has_no_shares() -> None:
    schedule = Schedule(start=0.0, budget_s=10.0)
    schedule.begin(25.0)
    assert schedule.deadline(0.5) == schedule.end == 25.0


def test_time_on_top_moves_the_end() -> None:
    schedule = Schedule(start=0.0, budget_s=10.0)
    schedule.start += 600.0
    assert schedule.end == 610.0
