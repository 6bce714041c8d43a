"""`coldquery serve --transport stdio` as a process, over all that its standard streams may be."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import tty
from collections import Counter
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import asyncpg

from tests.conftest import TestDatabase
from tests.e2e.conftest import COLDQUERY, clean_environment, reader_and_writer
from tests.e2e.doors.test_stdio import CLOSED, Era, notify, settled
from tests.integration.sessions.asking import SLEEPING, until

ERA = Era("2025-11-25")
OPENING = [ERA.initialize("init"), notify("initialized"), ERA.read("opens", "SELECT 1")]
LONGEST = 1 << 21
PATIENCE_S = 30.0


@dataclass
class Served:
    """A process, what it wrote to standard error, and how its streams are spoken to."""

    process: asyncio.subprocess.Process
    errors: IO[bytes]

    def send(self, *lines: bytes) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(b"".join(lines))

    async def line(self) -> dict[str, Any]:
        assert self.process.stdout is not None
        async with asyncio.timeout(PATIENCE_S):
            reply: dict[str, Any] = json.loads(await self.process.stdout.readline())
        return reply

    async def open(self) -> None:
        self.send(*OPENING)
        assert [(await self.line())["id"] for _ in range(2)] == ["init", "opens"]

    async def rest(self, at_a_time: int = 1 << 20) -> bytes:
        """All that comes until the end, read in pieces."""
        assert self.process.stdout is not None
        read = b""
        async with asyncio.timeout(PATIENCE_S):
            while piece := await self.process.stdout.read(at_a_time):
                read += piece
        return read

    async def ended(self) -> int:
        """The exit code. What it still has to say is not read before there is one."""
        async with asyncio.timeout(PATIENCE_S):
            while self.process.returncode is None:
                await asyncio.sleep(0.005)
            if self.process.stdout is not None:
                await self.process.stdout.read()
            return await self.process.wait()

    def logged(self, event: str) -> list[dict[str, Any]]:
        lines = Path(self.errors.name).read_bytes().splitlines(keepends=True)
        return [each for line in lines if line.endswith(b"\n") and (each := json.loads(line))["event"] == event]

    async def has_ended_calls(self, count: int) -> None:
        async with asyncio.timeout(PATIENCE_S):
            while len(self.logged("call")) < count:
                await asyncio.sleep(0.02)

    def memory_bytes(self) -> int:
        return int(Path(f"/proc/{self.process.pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGESIZE")


@asynccontextmanager
async def served(
    database: TestDatabase, *flags: str, stdin: Any = -1, stdout: Any = -1, limit: int = LONGEST
) -> AsyncIterator[Served]:
    """Start one; its log must have no error in it when it ends."""
    environment = clean_environment(reader_and_writer(database))
    environment.pop("PYTHONUNBUFFERED", None)
    with tempfile.NamedTemporaryFile() as errors:
        process = await asyncio.create_subprocess_exec(
            *(COLDQUERY, "serve", "--transport", "stdio", *flags),
            env=environment,
            stdin=stdin,
            stdout=stdout,
            stderr=errors,
            limit=limit,
        )
        running = Served(process, errors)
        try:
            yield running
            assert await running.ended() == 0
            said = Path(errors.name).read_text()
            assert "Traceback" not in said
            assert '"level":"error"' not in said
        finally:
            if process.returncode is None:
                process.kill()
                await running.ended()


def replies(output: bytes) -> list[dict[str, Any]]:
    """Each line as JSON."""
    assert output.endswith(b"\n")
    return [json.loads(line) for line in output.split(b"\n")[:-1]]


def answered(output: Iterable[dict[str, Any]]) -> dict[Any, Any]:
    """What was answered to each id, once."""
    output = list(output)
    assert max(Counter((type(each["id"]), each["id"]) for each in output).values()) == 1
    return {each["id"]: settled(each) for each in output}


async def test_three_hundred_calls_at_once_are_answered_whole_to_a_slow_reader_and_all_the_rest_when_told_to_stop(
    shelf: TestDatabase, observer: asyncpg.Connection[Any]
) -> None:
    sizes = [each * each // 8 for each in range(300)]
    calls = [ERA.read(each, "SELECT repeat('ü', $1::int)", size) for each, size in enumerate(sizes)]
    found: list[dict[Any, Any]] = []
    for flag in ("--express", "--no-express"):
        async with served(shelf, flag, limit=1 << 12) as running:
            await running.open()
            running.send(*calls)
            await running.has_ended_calls(2)
            read = b""
            assert running.process.stdout is not None
            async with asyncio.timeout(PATIENCE_S):
                while read.count(b"\n") < 300:
                    read += await running.process.stdout.read(1 << 13)
                    await asyncio.sleep(0.0005)
            sleeping = "SELECT pg_sleep(60)"
            with_more = {"arguments": {"action": "read", "sql": sleeping}, "_meta": {"example.org/more": 1}}
            running.send(ERA.ask("more", "tools/call", name="pg_query", **with_more))
            running.send(*(ERA.read(f"asleep {each}", sleeping) for each in range(3)))
            await until(observer, SLEEPING, wanted=4)
            running.process.send_signal(signal.SIGTERM)
            async with asyncio.timeout(5):
                read += await running.rest()
                await running.ended()
            doors = Counter(each["door"] for each in running.logged("call"))
            assert doors["express"] == (303 if flag == "--express" else 0)
        found.append(answered(replies(read)))
    express, framework = found
    assert express == framework
    assert len(express) == 304
    assert all(express[each]["error"] == CLOSED for each in ("more", "asleep 0", "asleep 1", "asleep 2"))
    rows = [express[each]["result"]["content"][0]["text"]["rows"] for each in range(300)]
    assert rows == [[["ü" * size]] for size in sizes]


async def test_a_client_that_does_not_read_is_not_read_from_until_it_does_and_does_not_hold_up_the_end(
    shelf: TestDatabase,
) -> None:
    # A megabyte each, of which the client's own buffer takes a few.
    large = "SELECT repeat('x', 60000) FROM generate_series(1, 17)"
    async with served(shelf) as running:
        await running.open()
        began = running.memory_bytes()
        for ended in (1, 28):
            running.send(*(ERA.read(each, large) for each in range(25)))
            await running.has_ended_calls(ended + 25)
            running.send(ERA.read("late", "SELECT 1"), ERA.read("later", "x" * 100_000))
            # It has come long before that.
            await asyncio.sleep(0.3)
            assert len(running.logged("call")) == ended + 25
            assert running.memory_bytes() - began < 150 << 20
            if ended == 1:
                got = [(await running.line())["id"] for _ in range(27)]
                assert sorted(got[:25]) == list(range(25))
                assert set(got[25:]) == {"late", "later"}
        running.process.send_signal(signal.SIGTERM)
        async with asyncio.timeout(5):
            await running.ended()


async def test_a_client_that_has_closed_its_end_of_the_output_ends_the_gateway(shelf: TestDatabase) -> None:
    reading, writing = os.pipe()
    async with served(shelf, stdout=writing) as running:
        os.close(writing)
        with os.fdopen(reading, "rb") as output:
            running.send(*OPENING)
            opened = [await asyncio.to_thread(output.readline) for _ in range(2)]
            assert [json.loads(each)["id"] for each in opened] == ["init", "opens"]
        async with asyncio.timeout(PATIENCE_S):
            # The input stays open; what it brings is answered to nobody.
            while running.process.returncode is None:
                running.send(ERA.read(1, "SELECT 1"))
                await asyncio.sleep(0.02)


async def test_input_and_output_may_be_files(shelf: TestDatabase, tmp_path: Path) -> None:
    script, output = tmp_path / "in", tmp_path / "out"
    calls = [ERA.read(each, "SELECT 1") for each in range(20)]
    # The last line has no end.
    script.write_bytes(b"".join([*OPENING, b"no json\n", *calls, ERA.ask("last", "ping")])[:-1])
    with script.open("rb") as stdin, output.open("wb") as stdout:
        async with served(shelf, stdin=stdin, stdout=stdout) as running:
            await running.ended()
    got = answered(replies(output.read_bytes()))
    assert got["init"]["result"]["protocolVersion"] == ERA.version
    # A file ends at once, and with it the calls that have not been answered. One that the SDK is just about to answer
    # then is not answered at all: it rather says nothing than two things.
    assert set(got) <= {"init", "opens", "last", *range(20)}
    assert all("result" in each or each["error"] == CLOSED for each in got.values())
    assert len(got) > 10


async def test_input_and_output_may_be_nothing(shelf: TestDatabase) -> None:
    async with served(shelf, stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.DEVNULL) as running:
        await running.ended()
        assert running.logged("stopped")


async def test_input_and_output_may_be_a_terminal_and_its_end_ends_the_gateway(shelf: TestDatabase) -> None:
    ours, its = os.openpty()
    tty.setraw(its)
    async with served(shelf, stdin=its, stdout=its):
        os.close(its)
        os.write(ours, b"".join(OPENING))
        read = b""
        while read.count(b"\n") < 2:
            read += await asyncio.to_thread(os.read, ours, 1 << 16)
        os.write(ours, ERA.read(7, "SELECT 7"))
        while read.count(b"\n") < 3:
            read += await asyncio.to_thread(os.read, ours, 1 << 16)
        assert list(answered(replies(read))) == ["init", "opens", 7]
        os.close(ours)


async def test_input_and_output_may_be_sockets_as_node_makes_them(shelf: TestDatabase) -> None:
    (to, its_input), (fro, its_output) = socket.socketpair(), socket.socketpair()
    with to, fro:
        async with served(shelf, stdin=its_input, stdout=its_output) as running:
            its_input.close()
            its_output.close()
            to.sendall(b"".join([*OPENING, ERA.read(7, "SELECT 7")]))
            read = b""
            while read.count(b"\n") < 3:
                read += await asyncio.to_thread(fro.recv, 1 << 16)
            assert set(answered(replies(read))) == {"init", "opens", 7}
            to.shutdown(socket.SHUT_WR)
            await running.ended()


STRAY = """
import asyncio, os, sys
from coldquery.mcp.stdio import standard_streams

async def main():
    async with standard_streams() as (lines, output):
        print("stray")
        os.system("echo child")
        os.write(1, b"raw\\n")
        await output.write(b'{"id":1}\\n')
        assert [line async for line in lines] == [b"1\\n", b"2"]
        print("stray again")

asyncio.run(main())
print("after")
"""


def test_what_others_print_goes_to_standard_error_even_what_was_in_a_buffer() -> None:
    environment = clean_environment()
    environment.pop("PYTHONUNBUFFERED", None)
    ran = subprocess.run(
        [sys.executable, "-c", STRAY], env=environment, input=b"1\n2", capture_output=True, timeout=30, check=True
    )
    assert ran.stdout.splitlines() == [b'{"id":1}', b"after"]
    assert sorted(ran.stderr.splitlines()) == [b"child", b"raw", b"stray", b"stray again"]
