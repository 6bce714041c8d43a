"""The audit's promises: lines in their order, none lost while they can be kept, and no commit without them."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import AsyncIterator
from types import SimpleNamespace
from typing import Any

import pytest

from coldquery.errors import Code, Refusal
from coldquery.telemetry import audit as module
from coldquery.telemetry.audit import NO_AUDIT, Audit
from coldquery.telemetry.call import Call
from coldquery.telemetry.metrics import sample_values


class Memory:
    """A sink that can be made to fail, or to take its time."""

    def __init__(self) -> None:
        self.data = b""
        self.writes: list[bool] = []
        self.broken = False
        self.closed = False
        self.gate = threading.Event()
        self.gate.set()

    def append(self, data: bytes, *, sync: bool) -> None:
        self.gate.wait(10)
        if self.broken:
            raise OSError(28, "No space left on device")
        self.data += data
        self.writes.append(sync)

    def close(self) -> None:
        self.closed = True

    @property
    def events(self) -> list[str]:
        return [json.loads(line)["event"] for line in self.data.splitlines()]


@pytest.fixture
async def sink() -> AsyncIterator[Memory]:
    sink = Memory()
    yield sink
    sink.gate.set()


def failures() -> float:
    return sample_values()["coldquery_audit_write_failures_total", ()]


async def test_a_line_tells_who_did_what_when(sink: Memory) -> None:
    audit = Audit(sink)
    call = Call("pg_query", "write", "ada", session="Zx3_aB-9", request="r1")
    audit.note("statement", call, kind="write", sqlstate=None, tables=["t"])
    audit.note("session_ended", None, session="Zx3_aB-9")
    await audit.settle()
    first, second = map(json.loads, sink.data.splitlines())
    assert first.pop("time").endswith("+00:00")
    assert first == {
        "event": "statement",
        "request": "r1",
        "principal": "ada",
        "tool": "pg_query",
        "action": "write",
        "kind": "write",
        "tables": ["t"],
        "session": "Zx3_aB-9",
    }
    assert (second["event"], second["session"]) == ("session_ended", "Zx3_aB-9")


async def test_without_a_sink_no_notes_are_taken() -> None:
    NO_AUDIT.note("statement")
    assert (NO_AUDIT.on, NO_AUDIT.pending) == (False, 0)
    await NO_AUDIT.secure()
    await NO_AUDIT.settle()


async def test_only_what_is_settled_is_synced_to_the_disk(sink: Memory) -> None:
    audit = Audit(sink)
    audit.note("statement")
    await audit.secure()
    assert sink.writes == [False]
    await audit.settle()
    assert sink.writes == [False, True]
    await audit.settle()
    assert sink.writes == [False, True], "nothing was new"


async def test_many_who_wait_share_one_write(sink: Memory) -> None:
    audit = Audit(sink)
    sink.gate.clear()
    audit.note("first")
    waiting = [asyncio.create_task(audit.settle())]
    await asyncio.sleep(0.01)
    for number in range(50):
        audit.note(f"{number}")
        waiting.append(asyncio.create_task(audit.settle()))
    await asyncio.sleep(0.01)
    sink.gate.set()
    await asyncio.gather(*waiting)
    assert sink.events == ["first", *map(str, range(50))]
    assert len(sink.writes) == 2


async def test_while_it_cant_be_written_nothing_is_committed_and_no_line_is_lost(sink: Memory) -> None:
    audit = Audit(sink)
    before = failures()
    sink.broken = True
    audit.note("one")
    with pytest.raises(Refusal) as caught:
        await audit.secure()
    assert (caught.value.code, caught.value.retryable) == (Code.AUDIT_UNAVAILABLE, True)
    await audit.settle()  # what has been committed is told all the same
    audit.note("two")
    assert (audit.pending, failures()) == (2, before + 2)
    sink.broken = False
    await audit.secure()
    assert (sink.events, audit.pending) == (["one", "two"], 0)


async def test_with_warn_it_goes_on(sink: Memory) -> None:
    audit = Audit(sink, refuse=False)
    sink.broken = True
    audit.note("one")
    await audit.secure()
    assert audit.pending == 1


async def test_a_disk_that_hangs_costs_no_more_than_the_time_limit(
    sink: Memory, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "SECURE_TIMEOUT_S", 0.05)
    monkeypatch.setattr(module, "SETTLE_TIMEOUT_S", 0.05)
    audit = Audit(sink)
    sink.gate.clear()
    audit.note("one")
    with pytest.raises(Refusal, match="can't be written"):
        await audit.secure()
    audit.note("two")
    await audit.settle()
    sink.gate.set()
    await audit.secure()
    assert sink.events == ["one", "two"], "the write that was late is not done again"


async def test_a_caller_who_leaves_leaves_the_write_under_way(sink: Memory) -> None:
    audit = Audit(sink)
    sink.gate.clear()
    audit.note("one")
    leaving = asyncio.create_task(audit.settle())
    await asyncio.sleep(0.01)
    leaving.cancel()
    with pytest.raises(asyncio.CancelledError):
        await leaving
    audit.note("two")
    sink.gate.set()
    await audit.settle()
    assert sink.events == ["one", "two"]


async def test_what_nobody_waits_for_is_written_soon(sink: Memory, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "FLUSH_EVERY_S", 0.01)
    audit = Audit(sink)
    running = asyncio.create_task(audit.run())
    audit.note("denial")
    async with asyncio.timeout(5):
        while audit.pending:
            await asyncio.sleep(0.01)
    running.cancel()
    assert sink.events == ["denial"]


async def test_of_too_many_lines_the_newest_are_lost_and_that_is_told(
    sink: Memory, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "MAX_PENDING", 3)
    audit = Audit(sink, refuse=False)
    sink.broken = True
    for number in range(6):
        audit.note(f"{number}")
        await audit.secure()
    assert audit.pending == 3
    sink.broken = False
    await audit.settle()
    assert sink.events == ["0", "1", "5", "lost"]
    assert json.loads(sink.data.splitlines()[-1])["lines"] == 3


async def test_closing_writes_what_is_left(sink: Memory) -> None:
    audit = Audit(sink)
    audit.note("session_ended")
    await audit.close()
    assert (sink.events, sink.closed) == (["session_ended"], True)


async def test_at_the_end_what_could_not_be_written_is_told_and_nothing_is_noted_any_more(
    sink: Memory, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[Any] = []
    monkeypatch.setattr(module, "_log", SimpleNamespace(error=lambda event, **more: told.append((event, more))))
    audit = Audit(sink)
    audit.note("session_ended")
    sink.broken = True
    await audit.close()
    assert told[-1] == ("audit_lines_lost", {"lines": 1})
    audit.note("too late")
    await audit.secure()
    await audit.settle()
    assert (audit.on, audit.pending) == (False, 1)


async def test_a_write_that_hangs_holds_up_no_exit(sink: Memory, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "SETTLE_TIMEOUT_S", 0.01)
    audit = Audit(sink)
    audit.note("session_ended")
    sink.gate.clear()
    await audit.close()
    assert {each.daemon for each in threading.enumerate() if each.name == "audit"} == {True}
    assert not sink.closed


async def test_a_failure_of_any_kind_is_tried_again_and_fails_no_commit(
    sink: Memory, monkeypatch: pytest.MonkeyPatch
) -> None:
    def append(data: bytes, *, sync: bool) -> None:
        raise ValueError("I/O operation on closed file")

    audit = Audit(sink)
    audit.note("commit")
    with monkeypatch.context() as patch:
        patch.setattr(sink, "append", append)
        await audit.settle()
        with pytest.raises(Refusal):
            await audit.secure()
    await audit.settle()
    assert sink.events == ["commit"]
