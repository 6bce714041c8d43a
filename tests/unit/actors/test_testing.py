import asyncio
from contextvars import ContextVar
from math import factorial

import pytest

from actors import LoopClock
from actors.testing import ManualClock, every_interleaving, settle

REQUEST: ContextVar[str] = ContextVar("REQUEST", default="none")


def test_timers_fire_in_order_each_at_its_own_time() -> None:
    clock = ManualClock(10)
    fired: list[tuple[str, float]] = []

    def fire(name: str) -> None:
        fired.append((name, clock.now()))

    clock.call_at(13, fire, "b")
    clock.call_at(12, fire, "a")
    clock.call_at(13, fire, "c")
    clock.call_at(99, fire, "later")
    clock.advance(5)
    assert fired == [("a", 12), ("b", 13), ("c", 13)]
    assert (clock.now(), clock.armed) == (15, 1)


def test_a_timer_armed_by_a_timer_fires_in_the_same_advance_if_it_is_due() -> None:
    clock = ManualClock()
    fired: list[float] = []

    def again() -> None:
        fired.append(clock.now())
        clock.call_at(clock.now() + 2, again)

    clock.call_at(1, again)
    clock.advance(6)
    assert fired == [1, 3, 5]


def test_a_cancelled_timer_does_not_fire() -> None:
    clock = ManualClock()
    fired: list[str] = []
    timer = clock.call_at(1, fired.append, "x")
    timer.cancel()
    clock.advance(2)
    assert (fired, timer.armed) == ([], False)


def test_what_is_overdue_fires_at_the_next_advance_without_turning_time_back() -> None:
    clock = ManualClock(10)
    times: list[float] = []
    clock.call_at(3, lambda: times.append(clock.now()))
    assert times == []
    clock.advance(0)
    assert times == [10]


def test_time_does_not_go_back() -> None:
    with pytest.raises(ValueError, match="not go back"):
        ManualClock().advance(-1)


@pytest.mark.parametrize("which", ["manual", "loop"])
async def test_callbacks_of_either_clock_run_in_an_empty_context(which: str) -> None:
    clock = ManualClock() if which == "manual" else LoopClock()
    REQUEST.set("whoever armed the timer")
    seen: asyncio.Future[str] = asyncio.get_running_loop().create_future()
    clock.call_at(clock.now() + 0.001, lambda: seen.set_result(REQUEST.get()))
    if isinstance(clock, ManualClock):
        clock.advance(1)
    async with asyncio.timeout(5):
        assert await seen == "none"


async def test_the_loops_clock_forgets_a_cancelled_timer() -> None:
    clock = LoopClock()
    fired: list[str] = []
    clock.call_at(clock.now(), fired.append, "cancelled").cancel()
    done = asyncio.Event()
    clock.call_at(clock.now(), done.set)
    async with asyncio.timeout(5):
        await done.wait()
    assert fired == []


async def test_settle_lets_a_chain_of_wake_ups_run_out() -> None:
    steps: list[int] = []

    async def chain() -> None:
        for step in range(20):
            steps.append(step)
            await asyncio.sleep(0)

    task = asyncio.create_task(chain())
    await settle(5)
    assert 0 < len(steps) < 20
    await settle()
    assert task.done()


def test_every_interleaving_keeps_the_order_within_a_sequence() -> None:
    assert ["".join(schedule) for schedule in every_interleaving("ab", "c")] == ["abc", "acb", "cab"]
    assert list(every_interleaving("", "")) == [()]


def test_every_interleaving_yields_each_order_once() -> None:
    schedules = list(every_interleaving("a", "b", "rr", "c", "s"))
    assert len(schedules) == len(set(schedules)) == factorial(6) // 2
