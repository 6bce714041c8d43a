"""The runtime's model check: every order of a few events, at several paces, against what callers rely on."""

import asyncio
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from typing import ClassVar, override

import pytest
import uvloop

from actors import Abandoned, Actor, ActorRef, ActorStopped, AskTimeout, ExitReason, Limits, Supervisor
from actors.testing import ManualClock, every_interleaving, settle


class Refused(Exception):  # noqa: N818 - an answer, not an error
    """A reply that is an exception."""


class Gate(Actor[str, str]):
    """Holds each command until it is let through, to be answered, declined or crashed."""

    replies: ClassVar = (Refused,)
    reasons: ClassVar = frozenset({*ExitReason, "committed"})

    def __init__(self) -> None:
        self.passes: asyncio.Queue[str] = asyncio.Queue()
        self.began: list[str] = []
        self.ended: list[str] = []
        self.unheard: list[str] = []
        self.running_now = 0
        self.torn_down = 0

    @override
    async def receive(self, command: str) -> str:
        self.note_unheard()
        self.began.append(command)
        self.running_now += 1
        assert self.running_now == 1
        try:
            match await self.passes.get():
                case "crash":
                    raise ZeroDivisionError
                case "decline":
                    raise Refused
                case "commit":
                    self.end("committed")
                case _:
                    pass
        finally:
            self.running_now -= 1
        self.ended.append(command)
        return command

    def note_unheard(self) -> None:
        abandoned: Abandoned[str, str] | None = self.take_abandoned()
        if abandoned is not None:
            self.unheard.append(abandoned.command)

    @override
    async def teardown(self, reason: str) -> None:
        await asyncio.sleep(0)
        self.torn_down += 1


@dataclass
class World:
    """One run of one schedule."""

    actor: Gate
    ref: ActorRef[str, str]
    asks: dict[str, "asyncio.Task[str]"] = field(default_factory=dict)
    cancelled: set[str] = field(default_factory=set)

    def do(self, step: str) -> None:
        verb, _, what = step.partition(" ")
        match verb:
            case "ask":
                self.asks[what] = asyncio.create_task(self.ref.ask(what, 60))
            case "hurry":
                self.asks[what] = asyncio.create_task(self.ref.ask(what, 0))
            case "cancel" if what in self.asks:
                if self.asks[what].cancel():
                    self.cancelled.add(what)
            case "stop":
                self.ref.stop("drained")
            case "kill":
                self.ref.kill()
            case "reply" | "decline" | "crash" | "commit":
                self.actor.passes.put_nowait(verb)
            case _:
                pass

    async def finish(self) -> None:
        for _ in range(4):
            self.actor.passes.put_nowait("reply")
        await settle(20)
        self.ref.stop("evicted")
        await settle(20)
        self.actor.note_unheard()

    def check(self) -> None:
        actor, answers = self.actor, self.asks
        # Invariant 3: every ask has its one answer, and after the exit nobody waits.
        assert all(task.done() for task in answers.values()), "somebody waits for ever"
        assert self.ref.reason is not None
        assert (actor.torn_down, self.ref.busy) == (1, False)
        # Invariant 2: in the order of the asks, each at most once.
        assert actor.began == [name for name in answers if name in actor.began]
        for name, task in answers.items():
            if task.cancelled():
                assert name in self.cancelled
                # What ended unheard is told, and only that.
                assert (name in actor.unheard) >= (name in actor.ended)
                continue
            match task.exception():
                case None:
                    assert task.result() == name
                    assert name in actor.ended
                case AskTimeout() | ActorStopped() as error:
                    # Invariant 4: the answer tells truly whether the command began.
                    assert error.started == (name in actor.began)
                case Refused():
                    assert name in actor.began
                case other:
                    pytest.fail(f"an answer that nobody sent: {other!r}")
            assert name not in actor.unheard


async def run_schedule(schedule: tuple[str, ...], turns: int) -> World:
    actor = Gate()
    exits: list[str] = []
    supervisor = Supervisor[str, str](
        ManualClock(), Limits(max_actors=1), on_exit=lambda ref, stone: exits.append(stone.reason)
    )
    world = World(actor, await supervisor.start(actor, "a", timeout_s=5))
    never_began: set[str] = set()
    for step in schedule:
        world.do(step)
        if step.startswith("cancel") and (name := step.removeprefix("cancel ")) in world.cancelled:
            never_began |= {name} - set(actor.began)
        await settle(turns)
    await world.finish()
    world.check()
    assert not never_began & set(actor.began), "a command ran whose caller had left before it began"
    assert exits == [world.ref.reason]
    assert supervisor.count() == 0
    return world


EVENTS = {
    "stop": (["ask A"], ["ask B"], ["reply", "reply"], ["cancel A"], ["stop"]),
    "kill": (["ask A"], ["ask B"], ["reply"], ["cancel A"], ["kill"]),
    "crash": (["ask A"], ["ask B"], ["reply"], ["cancel B"], ["crash"]),
    "commit": (["ask A"], ["ask B"], ["commit"], ["cancel A"], ["stop"]),
    "decline": (["ask A"], ["hurry B"], ["ask C"], ["decline"], ["cancel A"], ["stop"]),
}


async def explore(events: str) -> int:
    schedules = 0
    for schedule in every_interleaving(*EVENTS[events]):
        # All at once, one turn of the loop between two events, and each event digested before the next.
        for turns in (0, 1, 2, 8):
            try:
                await run_schedule(schedule, turns)
            except AssertionError as error:
                error.add_note(f"schedule {schedule}, {turns} turns between the steps")
                raise
            schedules += 1
    return schedules


def on_asyncio(program: Coroutine[object, object, int]) -> int:
    with asyncio.Runner(loop_factory=asyncio.new_event_loop) as runner:
        return runner.run(program)


def on_uvloop(program: Coroutine[object, object, int]) -> int:
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(program)


@pytest.mark.parametrize("run", [on_asyncio, on_uvloop])
@pytest.mark.parametrize(
    ("events", "schedules"), [("stop", 360), ("kill", 120), ("crash", 120), ("commit", 120), ("decline", 720)]
)
def test_every_order_of_events_keeps_the_promises(
    events: str, schedules: int, run: Callable[[Coroutine[object, object, int]], int]
) -> None:
    assert run(explore(events)) == 4 * schedules
