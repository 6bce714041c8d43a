import asyncio

import pytest

from actors import ActorStopped, AskTimeout, Envelope, MailboxFull, Phase
from actors.mailbox import Abandoned, Mailbox

type Ask = Envelope[str, int]


def an_ask(command: str = "a") -> tuple[Ask, asyncio.Future[int]]:
    reply: asyncio.Future[int] = asyncio.get_running_loop().create_future()
    return Envelope(command, reply=reply, deadline=10.0, timeout_s=2.0), reply


async def test_an_answer_reaches_a_caller_who_waits() -> None:
    envelope, reply = an_ask()
    assert envelope.begin()
    envelope.resolve(7)
    assert (envelope.phase, reply.result(), envelope.unheard) == (Phase.ANSWERED, 7, None)


async def test_an_error_reaches_a_caller_who_waits() -> None:
    envelope, reply = an_ask()
    assert envelope.begin()
    error = ValueError("no")
    envelope.reject(error)
    assert (envelope.phase, reply.exception(), envelope.unheard) == (Phase.ANSWERED, error, None)


async def test_what_is_abandoned_in_the_queue_is_dropped() -> None:
    envelope, _ = an_ask()
    assert envelope.abandon() is Phase.DROPPED
    assert envelope.abandon() is None, "the second time changes nothing"


async def test_what_is_abandoned_while_it_runs_is_kept_unheard() -> None:
    envelope, reply = an_ask()
    assert envelope.begin()
    reply.cancel()
    assert envelope.abandon() is Phase.ORPHANED
    envelope.resolve(7)
    assert envelope.phase is Phase.UNHEARD
    assert envelope.unheard == Abandoned("a", 7, None)


async def test_an_error_is_kept_unheard_too() -> None:
    envelope, reply = an_ask()
    assert envelope.begin()
    reply.cancel()
    error = ValueError("no")
    envelope.reject(error)
    assert envelope.unheard == Abandoned("a", None, error)
    assert envelope.abandon() is None, "the caller's own step comes after; there is nothing left to abandon"


async def test_an_answer_that_crosses_the_callers_cancellation_is_unheard() -> None:
    envelope, _ = an_ask()
    assert envelope.begin()
    envelope.resolve(7)
    assert envelope.abandon() is Phase.UNHEARD
    assert envelope.unheard == Abandoned("a", 7, None)


async def test_an_error_that_crosses_the_callers_cancellation_is_unheard() -> None:
    envelope, _ = an_ask()
    assert envelope.begin()
    error = ValueError("no")
    envelope.reject(error)
    assert envelope.abandon() is Phase.UNHEARD
    assert envelope.unheard == Abandoned("a", None, error)


async def test_a_command_does_not_begin_once_its_callers_cancellation_is_under_way() -> None:
    envelope, reply = an_ask()
    reply.cancel()
    assert not envelope.begin()
    assert envelope.phase is Phase.DROPPED


@pytest.mark.parametrize(("begun", "phase"), [(False, Phase.DROPPED), (True, Phase.ORPHANED)])
async def test_a_caller_whose_deadline_passes_is_told_whether_the_command_began(begun: bool, phase: Phase) -> None:
    envelope, reply = an_ask()
    if begun:
        assert envelope.begin()
    assert envelope.expire() is phase
    error = reply.exception()
    assert isinstance(error, AskTimeout)
    assert (error.started, error.timeout_s) == (begun, 2.0)
    assert envelope.expire() is None


async def test_a_refused_command_never_runs_and_its_caller_is_told_why() -> None:
    envelope, reply = an_ask()
    envelope.refuse("drained")
    error = reply.exception()
    assert isinstance(error, ActorStopped)
    assert (error.reason, error.started, envelope.phase) == ("drained", False, Phase.DROPPED)


async def test_refusing_a_caller_who_is_leaving_is_harmless() -> None:
    envelope, reply = an_ask()
    reply.cancel()
    envelope.refuse("drained")
    assert envelope.phase is Phase.DROPPED


async def test_a_tell_has_nobody_to_answer() -> None:
    for tell in (resolved := Envelope[str, int]("a"), rejected := Envelope[str, int]("b")):
        assert tell.begin()
        assert tell.expire() is None
    resolved.resolve(7)
    rejected.reject(ValueError("no"))
    assert (resolved.phase, rejected.phase) == (Phase.ANSWERED, Phase.ANSWERED)
    assert resolved.abandon() is None
    Envelope[str, int]("c").refuse("drained")


async def test_commands_come_out_in_the_order_they_went_in() -> None:
    mailbox = Mailbox[str, int](3)
    for command in "abc":
        mailbox.put(Envelope(command))
    got = [await mailbox.get() for _ in range(3)]
    assert [envelope.command for envelope in got if envelope] == ["a", "b", "c"]


async def test_a_full_mailbox_refuses_at_once_and_says_how_many_wait() -> None:
    mailbox = Mailbox[str, int](2)
    mailbox.put(Envelope("a"))
    mailbox.put(Envelope("b"))
    with pytest.raises(MailboxFull) as caught:
        mailbox.put(Envelope("c"))
    assert caught.value.capacity == 2
    assert len(mailbox) == 2


async def test_a_discarded_envelope_makes_room() -> None:
    mailbox = Mailbox[str, int](1)
    envelope = Envelope[str, int]("a")
    mailbox.put(envelope)
    mailbox.discard(envelope)
    mailbox.discard(envelope)
    mailbox.put(Envelope("b"))
    assert len(mailbox) == 1


async def test_closing_overtakes_whatever_waits() -> None:
    mailbox = Mailbox[str, int](2)
    envelope, reply = an_ask()
    mailbox.put(envelope)
    mailbox.close("evicted")
    assert await mailbox.get() is None
    assert isinstance(reply.exception(), ActorStopped)
    with pytest.raises(ActorStopped) as caught:
        mailbox.put(Envelope("late"))
    assert (caught.value.reason, caught.value.started) == ("evicted", False)


async def test_closing_wakes_the_reader() -> None:
    mailbox = Mailbox[str, int](1)
    async with asyncio.timeout(5), asyncio.TaskGroup() as group:
        reader = group.create_task(mailbox.get())
        await asyncio.sleep(0)
        mailbox.close("killed")
    assert reader.result() is None


async def test_a_mailbox_without_room_makes_no_sense() -> None:
    with pytest.raises(ValueError, match="at least one"):
        Mailbox[str, int](0)
