import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any, override

import pytest

from actors import (
    Actor,
    ActorRef,
    ActorStopped,
    Draining,
    ExitReason,
    Limits,
    Supervisor,
    Tombstone,
    TooManyActors,
)
from actors.testing import ManualClock, settle


class Worker(Actor[str, str]):
    """Works on a command until the test lets it go on."""

    def __init__(self) -> None:
        self.gate = asyncio.Event()
        self.setup_gate = asyncio.Event()
        self.setup_gate.set()
        self.teardown_gate = asyncio.Event()
        self.teardown_gate.set()
        self.torn_down = 0

    @override
    async def setup(self) -> None:
        await self.setup_gate.wait()

    @override
    async def receive(self, command: str) -> str:
        if command == "crash":
            raise ZeroDivisionError
        if command == "work":
            await self.gate.wait()
        return command

    @override
    async def teardown(self, reason: str) -> None:
        self.detail = f"rolled back: {reason}"
        await self.teardown_gate.wait()
        self.torn_down += 1

    @override
    def describe(self) -> str:
        return "working" if self.running else "waiting"

    @override
    def kind(self, command: str) -> str:
        return command


def slow_to_start() -> Worker:
    worker = Worker()
    worker.setup_gate.clear()
    return worker


type Exits = list[tuple[str, str]]
type Pool = Supervisor[str, str]
type Make = Callable[..., Pool]


@pytest.fixture
def exits() -> Exits:
    return []


@pytest.fixture
async def make(clock: ManualClock, exits: Exits) -> AsyncIterator[Make]:
    made: list[Pool] = []

    def make(**limits: Any) -> Pool:
        def on_exit(ref: ActorRef[str, str], stone: Tombstone) -> None:
            exits.append((stone.id, stone.reason))

        supervisor = Supervisor[str, str](clock, Limits(**{"max_actors": 10, **limits}), on_exit=on_exit)
        made.append(supervisor)
        return supervisor

    yield make
    async with asyncio.timeout(5):
        for supervisor in made:
            assert await supervisor.drain(0, 1) == ()
    assert clock.armed == 0, "no timer outlives its actor"


async def busy(ref: ActorRef[str, str]) -> "asyncio.Task[str]":
    task = asyncio.create_task(ref.ask("work", 60))
    await settle()
    assert ref.busy
    return task


# Admission


async def test_an_actor_can_be_looked_up_listed_and_counted(make: Make) -> None:
    supervisor = make()
    a = await supervisor.start(Worker(), "a", key="ann", timeout_s=1)
    b = await supervisor.start(Worker(), "b", key="bob", timeout_s=1)
    assert supervisor.lookup("a") is a
    assert supervisor.lookup("c") is None
    assert supervisor.list() == (a, b)
    assert (supervisor.count(), supervisor.count("ann"), supervisor.count("eve")) == (2, 1, 0)
    assert (a.key, a.started_at, a.describe()) == ("ann", 1000.0, "waiting")


async def test_invariant_13_a_slot_is_taken_before_anything_awaits(make: Make) -> None:
    supervisor = make(max_actors=1)
    worker = slow_to_start()
    starting = asyncio.create_task(supervisor.start(worker, "a", timeout_s=5))
    await asyncio.sleep(0)
    with pytest.raises(TooManyActors) as caught:
        await supervisor.start(Worker(), "b", timeout_s=1)
    assert (caught.value.limit, caught.value.key, caught.value.next_expiry_s) == (1, None, None)
    assert supervisor.lookup("a") is None, "nobody has been told of it yet"
    worker.setup_gate.set()
    await starting


async def test_one_owner_can_be_limited_while_others_are_admitted(make: Make, clock: ManualClock) -> None:
    supervisor = make(max_per_key=1, idle_timeout_s=100)
    await supervisor.start(Worker(), "b", key="bob", timeout_s=1)
    clock.advance(30)
    await supervisor.start(Worker(), "a", key="ann", timeout_s=1)
    with pytest.raises(TooManyActors) as caught:
        await supervisor.start(Worker(), "a2", key="ann", timeout_s=1)
    assert (caught.value.limit, caught.value.key, caught.value.next_expiry_s) == (1, "ann", 100)
    assert "100 s" in str(caught.value)
    await supervisor.start(Worker(), "nobody's", timeout_s=1)
    await supervisor.start(Worker(), "nobody's either", timeout_s=1)


async def test_the_next_expiry_is_that_of_the_actor_that_can_go_first(make: Make, clock: ManualClock) -> None:
    supervisor = make(idle_timeout_s=100, max_lifetime_s=120)
    assert supervisor.next_expiry_s() is None
    worker = Worker()
    ref = await supervisor.start(worker, "a", timeout_s=1)
    clock.advance(10)
    assert supervisor.next_expiry_s() == 90
    task = await busy(ref)
    clock.advance(5)
    assert supervisor.next_expiry_s() == 100, "busy, and idle from now on at the earliest"
    clock.advance(50)
    assert supervisor.next_expiry_s() == 55, "its lifetime ends before"
    worker.gate.set()
    await task


async def test_a_name_is_never_used_twice(make: Make) -> None:
    supervisor = make()
    worker = slow_to_start()
    starting = asyncio.create_task(supervisor.start(worker, "a", timeout_s=5))
    await asyncio.sleep(0)
    with pytest.raises(ValueError, match="twice"):
        await supervisor.start(Worker(), "a", timeout_s=1)
    worker.setup_gate.set()
    ref = await starting
    with pytest.raises(ValueError, match="twice"):
        await supervisor.start(Worker(), "a", timeout_s=1)
    ref.stop("drained")
    await ref.join(1)
    with pytest.raises(ValueError, match="twice"):
        await supervisor.start(Worker(), "a", timeout_s=1)


async def test_a_starter_that_is_cancelled_leaves_nothing_behind(make: Make, exits: Exits) -> None:
    supervisor = make(max_actors=1)
    worker = slow_to_start()
    worker.teardown_gate.clear()
    starting = asyncio.create_task(supervisor.start(worker, "a", timeout_s=5))
    await settle()
    starting.cancel()
    await settle()
    assert starting.cancelled()
    assert supervisor.count() == 1, "the slot is held until what was half set up is torn down"
    worker.teardown_gate.set()
    await settle()
    assert (supervisor.count(), worker.torn_down, exits, supervisor.lookup("a")) == (0, 1, [], None)


@pytest.mark.parametrize("turns", range(6))
async def test_a_starter_cancelled_at_any_step_gets_the_actor_or_leaves_nothing(make: Make, turns: int) -> None:
    supervisor = make()
    worker = slow_to_start()
    starting = asyncio.create_task(supervisor.start(worker, "a", timeout_s=5))
    await settle()
    worker.setup_gate.set()
    await settle(turns)
    starting.cancel()
    await settle()
    assert starting.cancelled() == (worker.torn_down == 1)
    assert starting.cancelled() == (supervisor.count() == 0)


async def test_the_crossing_of_a_finished_setup_and_a_cancelled_starter_undoes_the_start(make: Make) -> None:
    class Crossing(Worker):
        @override
        async def setup(self) -> None:
            await super().setup()
            # Due right after this set-up is reported and before the starter takes its next step.
            asyncio.get_running_loop().call_soon(starting.cancel)

    supervisor = make()
    worker = Crossing()
    starting = asyncio.create_task(supervisor.start(worker, "a", timeout_s=5))
    await settle()
    assert starting.cancelled()
    assert (worker.torn_down, supervisor.count()) == (1, 0)


async def test_an_actor_that_ends_before_its_starter_sees_it_was_not_started(make: Make, exits: Exits) -> None:
    class ShortLived(Worker):
        @override
        async def setup(self) -> None:
            asyncio.get_running_loop().call_soon(self.ref.stop, "evicted")

    supervisor = make()
    with pytest.raises(ActorStopped) as caught:
        await supervisor.start(ShortLived(), "a", timeout_s=1)
    assert (caught.value.reason, caught.value.started) == ("evicted", False)
    await settle()
    assert (supervisor.count(), exits) == (0, [])


# Exit


async def test_invariant_17_an_end_is_told_once_and_leaves_a_tombstone(
    make: Make, exits: Exits, clock: ManualClock
) -> None:
    supervisor = make()
    worker = Worker()
    worker.teardown_gate.clear()
    ref = await supervisor.start(worker, "a", key="ann", timeout_s=1)
    clock.advance(5)
    with pytest.raises(ActorStopped):
        await ref.ask("crash", 1)
    assert supervisor.lookup("a") is ref, "until its teardown is done"
    assert (supervisor.count(), exits) == (1, [])
    worker.teardown_gate.set()
    clock.advance(2)
    await ref.join(1)
    assert exits == [("a", "crashed")]
    assert supervisor.count() == 0
    assert supervisor.lookup("a") == Tombstone(
        id="a",
        key="ann",
        reason="crashed",
        started_at=1000.0,
        ended_at=1007.0,
        last_command="crash",
        detail="rolled back: crashed",
    )


async def test_a_failing_subscriber_is_reported_and_breaks_nothing(clock: ManualClock) -> None:
    def on_exit(ref: ActorRef[str, str], stone: Tombstone) -> None:
        assert supervisor.count() == 0, "its slot is free by now"
        raise RuntimeError("a defect of the subscriber")

    reported: list[dict[str, Any]] = []
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(lambda loop, context: reported.append(context))
    try:
        supervisor = Supervisor[str, str](clock, Limits(max_actors=1), on_exit=on_exit)
        ref = await supervisor.start(Worker(), "a", timeout_s=1)
        ref.stop("drained")
        assert await ref.join(1) == "drained"
    finally:
        loop.set_exception_handler(None)
    assert [str(context["exception"]) for context in reported] == ["a defect of the subscriber"]
    assert isinstance(supervisor.lookup("a"), Tombstone)


async def test_a_tombstone_ages_out(make: Make, clock: ManualClock) -> None:
    supervisor = make(tombstone_ttl_s=3600)
    (await supervisor.start(Worker(), "a", timeout_s=1)).stop("drained")
    await settle()
    clock.advance(3599)
    assert isinstance(supervisor.lookup("a"), Tombstone)
    clock.advance(1)
    assert supervisor.lookup("a") is None
    assert supervisor.lookup("a") is None


async def test_of_too_many_tombstones_the_one_not_asked_after_for_longest_goes(make: Make) -> None:
    supervisor = make(max_tombstones=2)
    for name in "abc":
        (await supervisor.start(Worker(), name, timeout_s=1)).stop("drained")
        await settle()
        supervisor.lookup("a")
    assert isinstance(supervisor.lookup("a"), Tombstone)
    assert supervisor.lookup("b") is None
    assert isinstance(supervisor.lookup("c"), Tombstone)


# Expiry


async def test_an_idle_actor_ends_when_its_time_is_up(make: Make, clock: ManualClock, exits: Exits) -> None:
    supervisor = make(idle_timeout_s=900)
    ref = await supervisor.start(Worker(), "a", timeout_s=1)
    clock.advance(899)
    assert await ref.ask("hello", 1) == "hello"
    assert ref.idle_since == 1899
    clock.advance(899)
    await settle()
    assert exits == [], "counted from the end of the last command"
    clock.advance(1)
    await settle()
    assert exits == [("a", "idle_timeout")]


async def test_a_slow_setup_takes_nothing_from_the_idle_time(make: Make, clock: ManualClock) -> None:
    supervisor = make(idle_timeout_s=900)
    worker = slow_to_start()
    starting = asyncio.create_task(supervisor.start(worker, "a", timeout_s=5))
    await settle()
    clock.advance(50)
    worker.setup_gate.set()
    ref = await starting
    assert (ref.started_at, ref.idle_since, supervisor.next_expiry_s()) == (1000, 1050, 900)


async def test_an_actor_can_have_an_idle_time_of_its_own(make: Make, clock: ManualClock, exits: Exits) -> None:
    supervisor = make(idle_timeout_s=900)
    await supervisor.start(Worker(), "a", timeout_s=1, idle_timeout_s=60)
    await supervisor.start(Worker(), "b", timeout_s=1)
    clock.advance(60)
    await settle()
    assert exits == [("a", "idle_timeout")]


async def test_invariant_14_a_busy_actor_is_not_idle(make: Make, clock: ManualClock, exits: Exits) -> None:
    supervisor = make(idle_timeout_s=900)
    worker = Worker()
    ref = await supervisor.start(worker, "a", timeout_s=1)
    task = await busy(ref)
    assert (ref.busy, ref.idle_since) == (True, None)
    clock.advance(5000)
    worker.gate.set()
    assert await task == "work"
    assert ref.idle_since == 6000
    clock.advance(899)
    await settle()
    assert exits == []
    clock.advance(1)
    await settle()
    assert exits == [("a", "idle_timeout")]


async def test_a_command_that_waits_when_the_idle_time_is_up_keeps_the_actor(make: Make, clock: ManualClock) -> None:
    supervisor = make(idle_timeout_s=900)
    ref = await supervisor.start(Worker(), "a", timeout_s=1)
    ref.tell("hello")
    clock.advance(900)
    assert ref.reason is None
    assert await ref.ask("again", 1) == "again"


async def test_an_actor_ends_at_its_lifetime_however_busy(make: Make, clock: ManualClock, exits: Exits) -> None:
    supervisor = make(idle_timeout_s=900, max_lifetime_s=3600, stop_grace_s=10)
    worker = Worker()
    ref = await supervisor.start(worker, "a", timeout_s=1)
    task = await busy(ref)
    clock.advance(3600)
    await settle()
    assert ref.reason == "max_lifetime"
    assert not task.done(), "the running command has the grace"
    clock.advance(2000)
    await settle()
    assert isinstance(task.exception(), ActorStopped)
    assert exits == [("a", "max_lifetime")]


async def test_a_command_that_ends_within_the_grace_is_answered(make: Make, clock: ManualClock, exits: Exits) -> None:
    supervisor = make(max_lifetime_s=3600, stop_grace_s=10)
    worker = Worker()
    task = await busy(await supervisor.start(worker, "a", timeout_s=1))
    clock.advance(3609)
    worker.gate.set()
    assert await task == "work"
    await settle()
    assert exits == [("a", "max_lifetime")]


async def test_a_stale_timer_does_not_touch_a_successor_of_the_same_name(make: Make, clock: ManualClock) -> None:
    supervisor = make(idle_timeout_s=100, max_lifetime_s=200, max_tombstones=0, stop_grace_s=50)
    first = Worker()
    ref = await supervisor.start(first, "a", timeout_s=1)
    supervisor.evict("a")
    await ref.join(1)
    clock.advance(90)
    successor = await supervisor.start(Worker(), "a", timeout_s=1)
    clock.advance(99)
    await settle()
    assert supervisor.lookup("a") is successor
    assert successor.reason is None


async def test_an_actor_already_ending_is_not_idle(make: Make, clock: ManualClock, exits: Exits) -> None:
    supervisor = make(idle_timeout_s=100)
    worker = Worker()
    worker.teardown_gate.clear()
    ref = await supervisor.start(worker, "a", timeout_s=1)
    ref.stop("evicted")
    await settle()
    clock.advance(1000)
    worker.teardown_gate.set()
    await settle()
    assert exits == [("a", "evicted")]


# Eviction and drain


async def test_an_eviction_is_soft_and_then_hard(make: Make, clock: ManualClock, exits: Exits) -> None:
    supervisor = make(stop_grace_s=10)
    task = await busy(await supervisor.start(Worker(), "a", timeout_s=1))
    assert supervisor.evict("a")
    clock.advance(9)
    assert supervisor.evict("a", "killed"), "a second time neither changes the reason nor extends the grace"
    await settle()
    assert not task.done()
    clock.advance(1)
    await settle()
    assert isinstance(task.exception(), ActorStopped)
    assert exits == [("a", "evicted")]
    assert not supervisor.evict("a")


async def test_an_actor_evicted_twice_leaves_no_timer(make: Make, clock: ManualClock) -> None:
    supervisor = make()
    ref = await supervisor.start(Worker(), "a", timeout_s=1)
    supervisor.evict("a")
    supervisor.evict("a")
    await ref.join(1)
    assert clock.armed == 0


async def test_a_drain_ends_the_idle_at_once_and_lets_the_running_finish(make: Make, exits: Exits) -> None:
    supervisor = make()
    worker = Worker()
    task = await busy(await supervisor.start(worker, "busy", timeout_s=1))
    await supervisor.start(Worker(), "idle", timeout_s=1)
    draining = asyncio.create_task(supervisor.drain(30, 5))
    await settle()
    assert exits == [("idle", "drained")]
    assert supervisor.draining
    with pytest.raises(Draining):
        await supervisor.start(Worker(), "late", timeout_s=1)
    worker.gate.set()
    assert await draining == ()
    assert task.result() == "work"
    assert exits == [("idle", "drained"), ("busy", "drained")]


async def test_a_drain_kills_when_the_soft_time_is_up(make: Make, clock: ManualClock, exits: Exits) -> None:
    supervisor = make()
    task = await busy(await supervisor.start(Worker(), "a", timeout_s=1))
    draining = asyncio.create_task(supervisor.drain(30, 5))
    await settle()
    clock.advance(30)
    assert await draining == ()
    assert isinstance(task.exception(), ActorStopped)
    assert exits == [("a", "drained")]


async def test_a_second_drain_without_patience_goes_straight_to_the_kill(make: Make, exits: Exits) -> None:
    supervisor = make()
    task = await busy(await supervisor.start(Worker(), "a", timeout_s=1))
    first = asyncio.create_task(supervisor.drain(30, 5))
    await settle()
    assert await supervisor.drain(0, 5) == ()
    assert await first == ()
    assert task.exception() is not None
    assert exits == [("a", "drained")]


async def test_a_drain_names_those_that_do_not_end(make: Make, clock: ManualClock) -> None:
    class Stubborn(Worker):
        @override
        async def receive(self, command: str) -> str:
            while not self.gate.is_set():
                try:
                    await self.gate.wait()
                except asyncio.CancelledError:
                    continue
            return command

    supervisor = make()
    worker = Stubborn()
    ref = await supervisor.start(worker, "a", timeout_s=1)
    task = await busy(ref)
    draining = asyncio.create_task(supervisor.drain(0, 5))
    await settle()
    clock.advance(5)
    assert await draining == (ref,)
    worker.gate.set()
    assert await task == "work"


@pytest.mark.parametrize("turns", [1, 2, 3, 20])
async def test_a_drain_undoes_the_starts_that_are_under_way(make: Make, exits: Exits, turns: int) -> None:
    supervisor = make()
    worker = slow_to_start()
    starting = asyncio.create_task(supervisor.start(worker, "a", timeout_s=5))
    # After one turn the actor's task exists and has not taken its first step.
    await settle(turns)
    assert await supervisor.drain(0, 5) == ()
    with pytest.raises(Draining):
        await starting
    assert exits == []


async def test_a_drain_does_not_wait_for_a_setup_to_finish(make: Make) -> None:
    supervisor = make()
    starting = asyncio.create_task(supervisor.start(slow_to_start(), "a", timeout_s=5))
    await settle()
    async with asyncio.timeout(5):
        assert await supervisor.drain(30, 5) == (), "though its clock stands still"
    with pytest.raises(Draining):
        await starting


async def test_a_drain_whose_caller_leaves_stays_in_force(make: Make) -> None:
    supervisor = make()
    worker = Worker()
    ref = await supervisor.start(worker, "a", timeout_s=1)
    task = await busy(ref)
    draining = asyncio.create_task(supervisor.drain(30, 5))
    await settle()
    draining.cancel()
    await settle()
    assert (supervisor.draining, ref.reason) == (True, "drained")
    worker.gate.set()
    assert await task == "work"
    await ref.join(1)


async def test_at_the_limit_a_start_waits_for_the_slot_of_an_actor_that_is_ending(make: Make) -> None:
    pool = make(max_actors=1)
    first = Worker()
    first.teardown_gate.clear()
    ref = await pool.start(first, "a", timeout_s=1)
    with pytest.raises(TooManyActors):
        await pool.start(Worker(), "b", timeout_s=1)
    ref.stop(ExitReason.EVICTED)
    second = asyncio.create_task(pool.start(Worker(), "c", timeout_s=1))
    await settle()
    assert not second.done()
    with pytest.raises(TooManyActors):
        await pool.start(Worker(), "d", timeout_s=1)
    first.teardown_gate.set()
    assert (await second).id == "c"
    assert pool.count() == 1


async def test_a_start_that_waits_for_a_slot_in_vain_is_refused_in_time(make: Make) -> None:
    pool = make(max_actors=5, max_per_key=1)
    first = Worker()
    first.teardown_gate.clear()
    ref = await pool.start(first, "a", timeout_s=1, key="ann")
    ref.stop(ExitReason.EVICTED)
    with pytest.raises(TooManyActors) as caught:
        await pool.start(Worker(), "b", timeout_s=0.02, key="ann")
    assert caught.value.key == "ann"
    waiting = asyncio.create_task(pool.start(Worker(), "c", timeout_s=1, key="ann"))
    await settle()
    waiting.cancel()
    await asyncio.wait([waiting])
    first.teardown_gate.set()
    await ref.join(1)
    assert (await pool.start(Worker(), "d", timeout_s=1, key="ann")).id == "d"
