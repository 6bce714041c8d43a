"""Standard input as lines: what is too long harms nothing after it, and nothing more is read than the client reads."""

from __future__ import annotations

import asyncio
import os

import pytest

from coldquery.mcp import stdio
from coldquery.mcp.stdio import Lines


class Gate:
    """Whether there is room for what goes out, and whether somebody reads it."""

    def __init__(self) -> None:
        self.opened = asyncio.Event()
        self.is_there = True

    async def room(self) -> bool:
        await self.opened.wait()
        return self.is_there


async def _room() -> bool:
    return True


@pytest.mark.parametrize("comes_at_once", [True, False])
async def test_a_line_that_is_too_long_is_passed_on_as_no_json_and_the_next_is_read(comes_at_once: bool) -> None:
    reader = asyncio.StreamReader(limit=16)
    lines = Lines(reader, _room)
    reader.feed_data(b'{"a": 1}\n' + b"x" * 100)
    assert await anext(lines) == b'{"a": 1}\n'
    too_long = asyncio.ensure_future(anext(lines))
    if not comes_at_once:
        await asyncio.sleep(0)
    reader.feed_data(b"y" * 10 + b'\n{"b": 2}\n')
    reader.feed_eof()
    assert await too_long == b"too long"
    assert [line async for line in lines] == [b'{"b": 2}\n']


@pytest.mark.parametrize("length", [15, 16, 17, 18])
async def test_a_line_about_as_long_as_may_be_takes_no_other_with_it(length: int) -> None:
    reader = asyncio.StreamReader(limit=16)
    reader.feed_data(b"x" * length + b"\n{}\n[]\n")
    reader.feed_eof()
    first, *rest = [line async for line in Lines(reader, _room)]
    assert first == (b"x" * length + b"\n" if length <= 16 else b"too long")
    assert rest == [b"{}\n", b"[]\n"]


@pytest.mark.parametrize(
    ("fed", "read"),
    [(b"", []), (b"{}", [b"{}"]), (b"{}\n", [b"{}\n"]), (b"\n\r\n", [b"\n", b"\r\n"]), (b"x" * 17, [])],
)
async def test_the_input_may_end_anywhere(fed: bytes, read: list[bytes]) -> None:
    reader = asyncio.StreamReader(limit=16)
    reader.feed_data(fed)
    reader.feed_eof()
    assert [line async for line in Lines(reader, _room)] == read


async def test_input_that_is_cut_off_has_ended() -> None:
    reader = asyncio.StreamReader()
    reader.set_exception(ConnectionResetError())
    assert [line async for line in Lines(reader, _room)] == []


async def test_no_line_is_read_while_the_client_is_behind_and_none_after_it_has_left() -> None:
    reader, gate = asyncio.StreamReader(), Gate()
    reader.feed_data(b"1\n2\n")
    lines = Lines(reader, gate.room)
    first = asyncio.ensure_future(anext(lines))
    for _ in range(5):
        await asyncio.sleep(0)
    assert not first.done()
    gate.opened.set()
    assert await first == b"1\n"
    gate.is_there = False
    assert [line async for line in lines] == []


async def test_what_is_written_to_a_pipe_comes_out_whole_though_it_is_read_late() -> None:
    reading, writing = os.pipe()
    with os.fdopen(reading, "rb") as pipe:
        async with stdio._output(writing) as output:
            # More than a pipe holds, and nobody reads it yet.
            for each in (b"1", b"2" * 200_000, b"3"):
                await output.write(each + b"\n")
            os.close(writing)
            read = asyncio.create_task(asyncio.to_thread(pipe.read))
        assert await read == b"1\n" + b"2" * 200_000 + b"\n3\n"


async def test_a_client_that_never_reads_holds_writers_up_and_the_end_for_a_moment_only(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(stdio, "LAST_LINES_S", 0.05)
    monkeypatch.setattr(stdio, "MOST_UNREAD_BYTES", 1000)
    reading, writing = os.pipe()
    async with asyncio.timeout(5), stdio._output(writing) as output:
        held_up = asyncio.ensure_future(output.write(b"x" * 200_000 + b"\n"))
        waiting = asyncio.ensure_future(output.room())
        await asyncio.wait([held_up, waiting], timeout=0.05)
        assert not held_up.done()
        assert not waiting.done()
    await held_up
    assert not await waiting
    os.close(reading)
    os.close(writing)


async def test_where_nobody_reads_any_more_writing_is_no_error_and_the_input_ends() -> None:
    reading, writing = os.pipe()
    os.close(reading)
    async with asyncio.timeout(5), stdio._output(writing) as output:
        while await output.room():
            await output.write(b"{}\n")
            await asyncio.sleep(0)
        await output.write(b"{}\n")
    os.close(writing)


async def test_a_disk_that_is_full_ends_the_input() -> None:
    with open("/dev/full", "wb", buffering=0) as full:  # noqa: PTH123
        async with stdio._output(full.fileno()) as output:
            assert await output.room()
            await output.write(b"{}\n")
            assert not await output.room()
            await output.write(b"{}\n")
