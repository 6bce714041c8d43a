"""One actor, driven through its reference."""

import asyncio
import gc
import weakref
from collections.abc import AsyncIterator, Awaitable, Callable
from contextvars import ContextVar, copy_context
from typing import Any, ClassVar, override

import pytest

from actors import (
    Abandoned,
    Actor,
    ActorRef,
    ActorStopped,
    AskTimeout,
    ExitReason,
    Limits,
    MailboxFull,
    Phase,
    StartTimeout,
    Supervisor,
)
from actors.testing import ManualClock, settle

type Step = Callable[[Scripted], Awaitable[object]]

REQUEST: ContextVar[str] = ContextVar("REQUEST", default="none")


class Declined(Exception):  # noqa: N818 - an answer, not an error
    """An answer of the domain."""


class Scripted(Actor[Step, object]):
    """Does what each command says. Everything that happens to it is in `log`."""

    replies: ClassVar = (Declined,)
    reasons: ClassVar = frozenset({*ExitReason, "committed", "connection_lost", "commit_unknown"})
    teardown_timeout_s: ClassVar = 0.05

    def __init__(self) -> None:
        self.log: list[object] = []
        self.gate = asyncio.Event()
        self.on_setup: Step = nothing
        self.on_teardown: Step = nothing
        self.broken_hook: str | None = None

    @override
    async def setup(self) -> None:
        self.log.append("setup")
        await self.on_setup(self)

    @override
    async def receive(self, command: Step) -> object:
        return await command(self)

    @override
    async def teardown(self, reason: str) -> None:
        self.log.append(f"teardown {reason}")
        try:
            await self.on_teardown(self)
        finally:
            self.log.append("released")

    @override
    def on_abandon(self, command: Step) -> None:
        self._hook("abandon", command)

    @override
    def on_stop(self, reason: str) -> None:
        self._hook("stop", reason)

    @override
    def on_signal(self, signal: object) -> None:
        self._hook("signal", signal)

    def _hook(self, name: str, fact: object) -> None:
        self.log.append((name, fact, REQUEST.get()))
        if self.broken_hook == name:
            raise RuntimeError("broken hook")


async def nothing(actor: Scripted) -> object:
    return None


async def echo(actor: Scripted) -> object:
    return "echo"


async def gated(actor: Scripted) -> object:
    """Runs until the test opens the gate."""
    actor.log.append("began")
    await actor.gate.wait()
    actor.gate.clear()
    actor.log.append("done")
    return "gated"


async def decline(actor: Scripted) -> object:
    raise Declined("no")


async def crash(actor: Scripted) -> object:
    raise ZeroDivisionError("a defect")


async def commit(actor: Scripted) -> object:
    await actor.gate.wait()
    actor.end("committed")
    return "COMMIT"


async def never(actor: Scripted) -> object:
    return await asyncio.get_running_loop().create_future()


type Started = tuple[Scripted, ActorRef[Step, object]]


@pytest.fixture
async def supervisor(clock: ManualClock) -> AsyncIterator[Supervisor[Step, object]]:
    supervisor = Supervisor[Step, object](clock, Limits(max_actors=10, mailbox_capacity=2))
    yield supervisor
    async with asyncio.timeout(5):
        assert await supervisor.drain(0, 1) == ()


@pytest.fixture
async def started(supervisor: Supervisor[Step, object]) -> Started:
    actor = Scripted()
    return actor, await supervisor.start(actor, "a", timeout_s=1)


async def an_ask(ref: ActorRef[Step, object], step: Step, timeout_s: float = 5) -> "asyncio.Task[object]":
    """An ask that has had the time to begin, if nothing else runs."""
    task = asyncio.create_task(ref.ask(step, timeout_s))
    await settle()
    return task


async def the_error_of(task: "asyncio.Task[object]") -> BaseException | None:
    await asyncio.wait([task], timeout=5)
    return task.exception()


# Answers


async def test_an_ask_returns_the_reply(started: Started) -> None:
    _, ref = started
    assert await ref.ask(echo, 1) == "echo"
    assert (ref.reason, ref.busy, ref.id, ref.key) == (None, False, "a", None)


async def test_an_exception_of_the_domain_is_a_reply_and_the_actor_lives_on(started: Started) -> None:
    _, ref = started
    with pytest.raises(Declined):
        await ref.ask(decline, 1)
    assert await ref.ask(echo, 1) == "echo"


async def test_a_tell_runs_in_its_turn(started: Started) -> None:
    actor, ref = started
    actor.gate.set()
    ref.tell(gated)
    assert await ref.ask(echo, 1) == "echo"
    assert actor.log == ["setup", "began", "done"]


async def test_invariant_2_one_command_runs_at_a_time_in_the_order_accepted(started: Started) -> None:
    _, ref = started
    order: list[str] = []

    def numbered(name: str) -> Step:
        async def step(actor: Scripted) -> object:
            order.append(f"{name} begins")
            await asyncio.sleep(0)
            order.append(f"{name} ends")
            return name

        return step

    replies = await asyncio.gather(ref.ask(numbered("a"), 1), ref.ask(numbered("b"), 1))
    assert list(replies) == ["a", "b"]
    assert order == ["a begins", "a ends", "b begins", "b ends"]


async def test_a_full_mailbox_refuses_at_once(started: Started) -> None:
    actor, ref = started
    running = await an_ask(ref, gated)
    ref.tell(echo)
    ref.tell(echo)
    with pytest.raises(MailboxFull):
        await ref.ask(echo, 1)
    assert ref.queued == 2
    actor.gate.set()
    assert await running == "gated"


async def test_the_callers_context_travels_in_the_envelope(started: Started) -> None:
    _, ref = started

    async def look(actor: Scripted) -> object:
        envelope = actor.running
        assert envelope is not None
        return envelope.context, envelope.phase

    assert await ref.ask(look, 1, context="request 7") == ("request 7", Phase.RUNNING)


async def test_the_actors_own_context_is_empty(supervisor: Supervisor[Step, object]) -> None:
    REQUEST.set("the starter's")
    actor = Scripted()
    ref = await supervisor.start(actor, "a", timeout_s=1)

    async def look(actor: Scripted) -> object:
        return dict(copy_context())

    assert await ref.ask(look, 1) == {}


async def test_an_idle_actor_holds_neither_the_last_command_nor_its_reply(started: Started) -> None:
    _, ref = started

    class Rows(list[int]):
        pass

    async def many_rows(actor: Scripted) -> object:
        return Rows([1, 2, 3])

    reply = weakref.ref(await ref.ask(many_rows, 1))
    command = weakref.ref(many_rows)
    del many_rows
    await settle()
    gc.collect()
    assert reply() is None
    assert command() is None


async def test_an_error_that_was_the_reply_is_in_no_cycle(started: Started) -> None:
    _, ref = started

    async def declines(actor: Scripted) -> object:
        raise Declined

    async def heard() -> weakref.ref[Declined]:
        try:
            await ref.ask(declines, 1)
        except Declined as error:
            return weakref.ref(error)
        raise AssertionError

    gc.disable()
    try:
        error = await heard()
        await settle()
        assert error() is None
    finally:
        gc.enable()


async def test_an_actor_describes_itself_and_names_its_commands(started: Started) -> None:
    _, ref = started
    assert ref.describe() is None
    assert ref.last_command is None
    await ref.ask(echo, 1)
    assert ref.last_command == "function"


# Callers who leave


async def test_invariant_4_an_ask_abandoned_before_it_began_never_runs(started: Started) -> None:
    actor, ref = started
    running = await an_ask(ref, gated)
    queued = await an_ask(ref, crash)
    queued.cancel()
    await settle()
    assert ref.queued == 0, "and it makes room at once"
    actor.gate.set()
    assert await running == "gated"
    assert await ref.ask(echo, 1) == "echo"
    assert actor.last_abandoned is None


async def test_an_ask_whose_deadline_passes_in_the_queue_never_runs(started: Started) -> None:
    actor, ref = started
    running = await an_ask(ref, gated)
    with pytest.raises(AskTimeout) as caught:
        await ref.ask(crash, 0.001)
    assert not caught.value.started
    actor.gate.set()
    assert await running == "gated"
    assert ref.reason is None


async def test_an_ask_whose_deadline_is_past_when_its_turn_comes_never_runs(started: Started) -> None:
    _, ref = started
    with pytest.raises(AskTimeout) as caught:
        await ref.ask(crash, 0)
    assert not caught.value.started
    assert ref.reason is None


async def test_invariant_5_a_callers_cancellation_reaches_the_hook_and_not_the_command(started: Started) -> None:
    actor, ref = started
    REQUEST.set("the caller's")
    caller = await an_ask(ref, gated)
    caller.cancel()
    await settle()
    assert caller.cancelled()
    assert actor.log == ["setup", "began", ("abandon", gated, "none")], "in an empty context"
    assert ref.busy
    actor.gate.set()
    await settle()
    assert actor.log[-1] == "done"


async def test_what_an_abandoned_command_did_is_kept_for_the_next_reply(started: Started) -> None:
    actor, ref = started
    caller = await an_ask(ref, gated)
    caller.cancel()
    actor.gate.set()

    async def tell_it(actor: Scripted) -> object:
        return actor.take_abandoned()

    assert await ref.ask(tell_it, 1) == Abandoned(gated, "gated", None)
    assert await ref.ask(tell_it, 1) is None, "told once"


async def test_an_error_of_an_abandoned_command_is_kept_too(started: Started) -> None:
    actor, ref = started

    async def gated_decline(actor: Scripted) -> object:
        await actor.gate.wait()
        raise Declined

    with pytest.raises(AskTimeout) as caught:
        await ref.ask(gated_decline, 0.001)
    assert caught.value.started
    assert actor.log[-1] == ("abandon", gated_decline, "none")
    actor.gate.set()
    await settle()
    assert actor.last_abandoned is not None
    assert isinstance(actor.last_abandoned.error, Declined)


async def test_an_answer_that_crosses_the_callers_cancellation_is_kept(started: Started) -> None:
    actor, ref = started

    async def answer_and_lose_the_caller(actor: Scripted) -> object:
        # Due right after the answer was given and before the caller's task takes its next step.
        asyncio.get_running_loop().call_soon(caller.cancel)
        return "lost"

    caller = asyncio.create_task(ref.ask(answer_and_lose_the_caller, 1))
    await asyncio.wait([caller])
    if not caller.cancelled():
        pytest.fail("the test did not hit the crossing")
    assert actor.last_abandoned == Abandoned(answer_and_lose_the_caller, "lost", None)


async def test_a_command_can_see_that_its_caller_has_gone(started: Started) -> None:
    actor, ref = started
    seen: list[Phase] = []

    async def look(actor: Scripted) -> object:
        await actor.gate.wait()
        assert actor.running is not None
        seen.append(actor.running.phase)
        return None

    caller = await an_ask(ref, look)
    caller.cancel()
    await settle()
    actor.gate.set()
    await settle()
    assert seen == [Phase.ORPHANED]


# Ends


async def test_a_command_can_end_the_actor_and_still_be_answered(started: Started) -> None:
    actor, ref = started
    committing = await an_ask(ref, commit)
    waiting = await an_ask(ref, echo)
    actor.gate.set()
    assert await committing == "COMMIT"
    refused = await the_error_of(waiting)
    assert isinstance(refused, ActorStopped)
    assert (refused.reason, refused.started) == ("committed", False)
    assert await ref.join(1) == "committed"
    assert actor.log == ["setup", "teardown committed", "released"]


async def test_an_exception_of_the_domain_can_end_the_actor_too(started: Started) -> None:
    _, ref = started

    async def lose(actor: Scripted) -> object:
        actor.end("connection_lost")
        raise Declined

    with pytest.raises(Declined):
        await ref.ask(lose, 1)
    assert await ref.join(1) == "connection_lost"


async def test_a_crash_is_told_to_the_running_and_to_those_who_wait(started: Started) -> None:
    actor, ref = started

    async def gated_crash(actor: Scripted) -> object:
        await actor.gate.wait()
        return await crash(actor)

    running, waiting = await an_ask(ref, gated_crash), await an_ask(ref, echo)
    actor.gate.set()
    errors = [await the_error_of(running), await the_error_of(waiting)]
    assert [(e.reason, e.started) for e in errors if isinstance(e, ActorStopped)] == [
        ("crashed", True),
        ("crashed", False),
    ]
    assert await ref.join(1) == "crashed"
    assert isinstance(ref.error, ZeroDivisionError)
    assert actor.log[-2:] == ["teardown crashed", "released"]


async def test_the_running_caller_is_told_before_the_teardown_is_done(started: Started) -> None:
    actor, ref = started
    actor.on_teardown = gated
    with pytest.raises(ActorStopped):
        await ref.ask(crash, 1)
    assert actor.log[-1] != "released"
    actor.gate.set()
    await ref.join(1)


async def test_a_verdict_stands_whatever_breaks_afterwards(started: Started) -> None:
    _, ref = started

    async def commit_then_crash(actor: Scripted) -> object:
        actor.end("committed")
        return await crash(actor)

    with pytest.raises(ActorStopped) as caught:
        await ref.ask(commit_then_crash, 1)
    assert (caught.value.reason, caught.value.started) == ("committed", True)
    assert await ref.join(1) == "committed"
    assert isinstance(ref.error, ZeroDivisionError)


async def test_a_soft_stop_lets_the_running_command_end_and_refuses_the_rest_at_once(started: Started) -> None:
    actor, ref = started
    running, waiting = await an_ask(ref, gated), await an_ask(ref, echo)
    ref.stop("drained")
    refused = await the_error_of(waiting)
    assert isinstance(refused, ActorStopped)
    assert not refused.started
    with pytest.raises(ActorStopped):
        await ref.ask(echo, 1)
    with pytest.raises(ActorStopped):
        ref.tell(echo)
    assert ("stop", "drained", "none") in actor.log
    assert not running.done()
    actor.gate.set()
    assert await running == "gated"
    assert await ref.join(1) == "drained"


async def test_invariant_19_a_commit_that_succeeds_during_a_stop_is_told_as_committed(started: Started) -> None:
    actor, ref = started
    committing = await an_ask(ref, commit)
    ref.stop("drained")
    actor.gate.set()
    assert await committing == "COMMIT"
    assert await ref.join(1) == "committed"


async def test_of_several_stops_the_first_reason_counts(started: Started) -> None:
    _, ref = started
    ref.stop("connection_lost")
    ref.stop("evicted")
    ref.kill()
    assert await ref.join(1) == "connection_lost"


async def test_a_kill_cancels_the_running_command(started: Started) -> None:
    actor, ref = started
    running = await an_ask(ref, never)
    ref.kill()
    error = await the_error_of(running)
    assert isinstance(error, ActorStopped)
    assert (error.reason, error.started) == ("killed", True)
    assert await ref.join(1) == "killed"
    assert actor.log[-2:] == ["teardown killed", "released"]


async def test_a_killed_command_can_still_give_the_verdict(started: Started) -> None:
    _, ref = started

    async def interrupted_commit(actor: Scripted) -> object:
        try:
            return await never(actor)
        finally:
            actor.end("commit_unknown")

    running = await an_ask(ref, interrupted_commit)
    ref.kill()
    error = await the_error_of(running)
    assert isinstance(error, ActorStopped)
    assert (error.reason, error.started) == ("commit_unknown", True)
    assert await ref.join(1) == "commit_unknown"


async def test_a_killed_command_that_answers_nevertheless_is_heard(started: Started) -> None:
    _, ref = started

    async def stubborn(actor: Scripted) -> object:
        try:
            return await never(actor)
        except asyncio.CancelledError:
            return "answered"

    running = await an_ask(ref, stubborn)
    ref.kill()
    assert await running == "answered"
    assert await ref.join(1) == "killed"


async def test_a_driver_that_turns_the_kill_into_an_error_of_its_own_is_no_crash(started: Started) -> None:
    _, ref = started

    async def translating(actor: Scripted) -> object:
        try:
            return await never(actor)
        except asyncio.CancelledError as error:
            raise OSError("connection closed") from error

    running = await an_ask(ref, translating)
    ref.kill()
    assert isinstance(await the_error_of(running), ActorStopped)
    assert await ref.join(1) == "killed"
    assert isinstance(ref.error, OSError)


async def test_a_cancellation_that_nobody_asked_for_is_a_crash(started: Started) -> None:
    _, ref = started

    async def await_something_cancelled(actor: Scripted) -> object:
        future: asyncio.Future[object] = asyncio.get_running_loop().create_future()
        future.cancel()
        return await future

    with pytest.raises(ActorStopped):
        await ref.ask(await_something_cancelled, 1)
    assert await ref.join(1) == "crashed"


async def test_an_actor_that_kills_itself_still_tears_down_in_peace(started: Started) -> None:
    actor, ref = started
    actor.on_teardown = lambda actor: asyncio.sleep(0)

    async def kill_yourself(actor: Scripted) -> object:
        actor.ref.kill()
        return "last words"

    assert await ref.ask(kill_yourself, 1) == "last words"
    assert await ref.join(1) == "killed"
    assert ref.error is None


async def test_a_task_cancelled_by_the_loops_end_counts_as_killed() -> None:
    actor = Scripted()

    async def program() -> ActorRef[Step, object]:
        supervisor = Supervisor[Step, object](ManualClock(), Limits(max_actors=1))
        return await supervisor.start(actor, "a", timeout_s=1)

    def run() -> ActorRef[Step, object]:
        with asyncio.Runner(loop_factory=asyncio.new_event_loop) as runner:
            return runner.run(program())

    ref = await asyncio.to_thread(run)
    assert ref.reason == "killed"
    assert actor.log == ["setup", "teardown killed", "released"]


async def test_reasons_are_a_closed_set(started: Started) -> None:
    _, ref = started
    with pytest.raises(ValueError, match="bored"):
        ref.stop("bored")
    assert await ref.ask(echo, 1) == "echo"


async def test_a_set_of_reasons_without_the_runtimes_own_is_refused_with_the_class() -> None:
    with pytest.raises(TypeError, match="killed"):

        class Immortal(Actor[Any, Any]):
            reasons: ClassVar = frozenset({"crashed"})


async def test_a_verdict_after_the_end_changes_nothing(started: Started) -> None:
    actor, ref = started
    ref.stop("drained")
    await ref.join(1)
    actor.end("committed")
    assert ref.reason == "drained"


# Teardown


async def test_invariant_20_a_stuck_teardown_is_bounded(started: Started) -> None:
    actor, ref = started
    actor.on_teardown = never
    ref.stop("drained")
    assert await ref.join(1) == "drained"
    assert isinstance(ref.error, TimeoutError)
    assert actor.log[-1] == "released"


async def test_a_kill_cuts_a_teardown_short(supervisor: Supervisor[Step, object]) -> None:
    class Patient(Scripted):
        teardown_timeout_s: ClassVar = 60.0

    actor = Patient()
    actor.on_teardown = never
    ref = await supervisor.start(actor, "a", timeout_s=1)
    ref.stop("drained")
    await settle()
    ref.kill()
    assert await ref.join(1) == "drained"
    assert actor.log[-1] == "released"


async def test_a_teardown_that_fails_does_not_change_the_reason(started: Started) -> None:
    actor, ref = started
    actor.on_teardown = crash
    actor.gate.set()
    assert await ref.ask(commit, 1) == "COMMIT"
    assert await ref.join(1) == "committed"
    assert isinstance(ref.error, ZeroDivisionError)


async def test_join_has_a_deadline(started: Started) -> None:
    _, ref = started
    with pytest.raises(TimeoutError):
        await ref.join(0)


# Hooks


async def test_a_signal_is_told_at_once_even_while_a_command_runs(started: Started) -> None:
    actor, ref = started
    running = await an_ask(ref, gated)
    ref.signal("blocks others")
    assert actor.log[-1] == ("signal", "blocks others", "none")
    actor.gate.set()
    assert await running == "gated"


async def test_a_signal_comes_too_late_for_an_actor_that_ends(started: Started) -> None:
    actor, ref = started
    ref.stop("drained")
    ref.signal("too late")
    await ref.join(1)
    assert actor.log == ["setup", "teardown drained", "released"]


@pytest.mark.parametrize("hook", ["abandon", "stop", "signal"])
async def test_a_hook_that_raises_crashes_the_actor_and_not_who_triggered_it(started: Started, hook: str) -> None:
    actor, ref = started
    actor.broken_hook = hook
    running = await an_ask(ref, gated)
    match hook:
        case "abandon":
            running.cancel()
        case "stop":
            ref.stop("drained")
        case _:
            ref.signal("x")
    await asyncio.wait([running])
    assert await ref.join(1) == "crashed"
    assert isinstance(ref.error, RuntimeError)


async def test_the_hooks_do_nothing_by_default(clock: ManualClock) -> None:
    gate = asyncio.Event()

    class Plain(Actor[str, str]):
        @override
        async def receive(self, command: str) -> str:
            await gate.wait()
            return command

    supervisor = Supervisor[str, str](clock, Limits(max_actors=1))
    ref = await supervisor.start(Plain(), "a", timeout_s=1)
    caller = asyncio.create_task(ref.ask("a", 5))
    await settle()
    ref.signal("x")
    ref.stop("drained")
    caller.cancel()
    await settle()
    assert ref.busy
    gate.set()
    assert await ref.join(1) == "drained"


# Starts


async def test_a_failing_setup_fails_the_start_and_is_torn_down(supervisor: Supervisor[Step, object]) -> None:
    actor = Scripted()
    actor.on_setup = crash
    with pytest.raises(ZeroDivisionError):
        await supervisor.start(actor, "a", timeout_s=1)
    assert actor.log == ["setup", "teardown crashed", "released"]
    assert supervisor.count() == 0


async def test_a_setup_that_hangs_is_given_up(supervisor: Supervisor[Step, object]) -> None:
    actor = Scripted()
    actor.on_setup = never
    with pytest.raises(StartTimeout) as caught:
        await supervisor.start(actor, "a", timeout_s=0.01)
    assert caught.value.timeout_s == 0.01
    await settle()
    assert actor.log == ["setup", "teardown killed", "released"]
    assert supervisor.count() == 0


async def test_a_late_start_timer_does_not_touch_an_actor_that_is_ready(supervisor: Supervisor[Step, object]) -> None:
    actor = Scripted()

    async def block_the_loop_past_the_limit(actor: Scripted) -> object:
        loop = asyncio.get_running_loop()
        until = loop.time() + 0.02
        while loop.time() < until:
            pass
        return None

    actor.on_setup = block_the_loop_past_the_limit
    ref = await supervisor.start(actor, "a", timeout_s=0.001)
    assert await ref.ask(echo, 1) == "echo"


async def test_a_starter_cancelled_just_as_its_time_is_up_is_cancelled(supervisor: Supervisor[Step, object]) -> None:
    actor = Scripted()
    actor.on_setup = never
    starting = asyncio.create_task(supervisor.start(actor, "a", timeout_s=0.002))
    await asyncio.sleep(0)
    loop = asyncio.get_running_loop()
    loop.call_later(0.001, starting.cancel)
    # Busy until both timers are due, so that they fire in one turn of the loop.
    until = loop.time() + 0.02
    while loop.time() < until:
        pass
    await asyncio.wait([starting], timeout=5)
    assert starting.cancelled()
    await settle()
    assert actor.log[-1] == "released"


async def test_a_cancelled_setup_of_others_making_is_no_reason_to_cancel_the_starter(
    supervisor: Supervisor[Step, object],
) -> None:
    actor = Scripted()

    async def await_something_cancelled(actor: Scripted) -> object:
        future: asyncio.Future[object] = asyncio.get_running_loop().create_future()
        future.cancel()
        return await future

    actor.on_setup = await_something_cancelled
    with pytest.raises(ActorStopped) as caught:
        await supervisor.start(actor, "a", timeout_s=1)
    assert caught.value.reason == "crashed"


async def test_a_setup_may_decide_that_there_is_nothing_to_serve(supervisor: Supervisor[Step, object]) -> None:
    actor = Scripted()

    async def give_up(actor: Scripted) -> object:
        actor.end("connection_lost")
        return None

    actor.on_setup = give_up
    with pytest.raises(ActorStopped) as caught:
        await supervisor.start(actor, "a", timeout_s=1)
    assert caught.value.reason == "connection_lost"


async def test_an_actor_lives_once(supervisor: Supervisor[Step, object]) -> None:
    actor = Scripted()
    with pytest.raises(RuntimeError, match="not been started"):
        _ = actor.ref
    ref = await supervisor.start(actor, "a", timeout_s=1)
    assert actor.ref is ref
    with pytest.raises(RuntimeError, match="lives once"):
        await supervisor.start(actor, "b", timeout_s=1)
    assert supervisor.count() == 1
