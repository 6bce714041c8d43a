"""The control socket: who may use it, what it answers, and that nobody can hold it up. Only the gateway is a fake."""

from __future__ import annotations

import asyncio
import json
import os
import socket
import stat
import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import override

import pytest
from structlog.testing import capture_logs

from coldquery.control import client, directory, server
from coldquery.control.client import evict, list_sessions
from coldquery.control.directory import control_directory
from coldquery.control.server import serve_control
from coldquery.errors import StartError
from coldquery.gateway import Gateway
from coldquery.sessions.root import SessionInfo

INFO = SessionInfo("Zx3_aB-9", "ada", "nightly import", "idle in transaction", 75.5, 3.25, "query", 4711, (12, 13))
OURS = os.getpid()


class FakeGateway(Gateway):
    def __init__(self, *infos: SessionInfo) -> None:
        self.infos = infos
        self.evicted: list[str] = []

    @override
    def sessions(self, principal: str | None = None) -> tuple[SessionInfo, ...]:
        return self.infos

    @override
    def evict(self, short_id: str) -> bool:
        self.evicted.append(short_id)
        return any(info.short_id == short_id for info in self.infos)


@pytest.fixture(autouse=True)
def lair(scratch: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The control directory of these tests, which nobody has made yet."""
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(scratch))
    return scratch / "coldquery"


def move(lair: Path, pid: int) -> None:
    """Makes this process's gateway one of another process."""
    (lair / f"{OURS}.sock").rename(lair / f"{pid}.sock")


async def told(call: Callable[..., object], *arguments: object) -> StartError:
    with pytest.raises(StartError) as caught:
        await asyncio.to_thread(call, *arguments)
    assert caught.value.next
    return caught.value


async def say(lair: Path, line: bytes) -> bytes:
    reader, writer = await asyncio.open_unix_connection(str(lair / f"{OURS}.sock"))
    try:
        writer.write(line)
        async with asyncio.timeout(5):
            return await reader.read()
    except ConnectionError:
        return b""
    finally:
        writer.close()


def test_the_directory_is_the_users_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    monkeypatch.setenv("XDG_RUNTIME_DIR", "/run/user/1000")
    assert control_directory() == Path("/run/user/1000/coldquery")
    for unusable in ("", "relative"):
        monkeypatch.setenv("XDG_RUNTIME_DIR", unusable)
        assert control_directory() == Path("/tmp/coldquery-1000")
    monkeypatch.delenv("XDG_RUNTIME_DIR")
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    assert control_directory() == Path("/run/coldquery")


async def test_only_the_user_can_reach_the_socket_and_it_goes_with_the_gateway(lair: Path) -> None:
    async with serve_control(FakeGateway(INFO)):
        assert stat.S_IMODE(lair.stat().st_mode) == 0o700
        (path,) = lair.iterdir()
        assert path.name == f"{OURS}.sock"
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert list(lair.iterdir()) == []


async def test_a_running_gateway_lists_its_sessions(lair: Path) -> None:
    async with serve_control(FakeGateway(INFO)):
        listing = await asyncio.to_thread(list_sessions)
        assert await asyncio.to_thread(list_sessions, OURS) == listing
    expected = {
        "short_id": "Zx3_aB-9",
        "principal": "ada",
        "label": "nightly import",
        "state": "idle in transaction",
        "age_s": 75.5,
        "idle_s": 3.25,
        "last_command": "query",
        "backend_pid": 4711,
        "blocks": [12, 13],
        "queued": 0,
    }
    assert listing == {OURS: [expected]}


async def test_a_session_is_evicted_by_its_short_id() -> None:
    gateway = FakeGateway(INFO)
    with capture_logs() as logs:
        async with serve_control(gateway):
            assert await asyncio.to_thread(evict, INFO.short_id) == OURS
            assert await asyncio.to_thread(evict, INFO.short_id, OURS) == OURS
    assert gateway.evicted == [INFO.short_id] * 2
    assert [(log["event"], log["session"]) for log in logs] == [("evicted_by_operator", INFO.short_id)] * 2


async def test_an_unknown_session_is_told_with_the_next_step() -> None:
    gateway = FakeGateway(INFO)
    async with serve_control(gateway):
        error = await told(evict, "nobody")
        gateway.evict = lambda short_id: False  # type: ignore[method-assign]
        ended_meanwhile = await told(evict, INFO.short_id)
    assert "nobody" in str(error)
    assert "coldquery sessions" in error.next
    assert INFO.short_id in str(ended_meanwhile)


async def test_no_gateway_is_told_with_the_next_step(lair: Path) -> None:
    assert "coldquery serve" in (await told(list_sessions)).next
    lair.mkdir(mode=0o700)
    assert "coldquery serve" in (await told(list_sessions)).next
    async with serve_control(FakeGateway(INFO)):
        assert "process 1." in str(await told(list_sessions, 1))
        assert "process 1." in str(await told(evict, INFO.short_id, 1))


async def test_of_several_gateways_the_one_with_the_session_evicts_it(lair: Path) -> None:
    first, second = FakeGateway(INFO), FakeGateway(replace(INFO, short_id="other"))
    async with serve_control(first):
        move(lair, 1)
        async with serve_control(second):
            move(lair, 2)
            listing = await asyncio.to_thread(list_sessions)
            assert {pid: [each["short_id"] for each in sessions] for pid, sessions in listing.items()} == {
                1: [INFO.short_id],
                2: ["other"],
            }
            assert list(await asyncio.to_thread(list_sessions, 2)) == [2]
            assert await asyncio.to_thread(evict, "other") == 2
            second.infos = first.infos
            error = await told(evict, INFO.short_id)
            assert "1, 2" in str(error)
            assert "--gateway" in error.next
            assert await asyncio.to_thread(evict, INFO.short_id, 1) == 1
    assert (first.evicted, second.evicted) == ([INFO.short_id], ["other"])


async def test_the_socket_of_a_dead_gateway_is_removed_by_whoever_meets_it(lair: Path) -> None:
    lair.mkdir(mode=0o700)
    for name in ("1.sock", f"{OURS}.sock", f"{OURS}.unready"):
        with socket.socket(socket.AF_UNIX) as dead:
            dead.bind(str(lair / name))
    async with serve_control(FakeGateway(INFO)):
        assert list(await asyncio.to_thread(list_sessions)) == [OURS]
        assert [path.name for path in lair.iterdir()] == [f"{OURS}.sock"]


def linked(lair: Path) -> None:
    elsewhere = lair.with_name("elsewhere")
    elsewhere.mkdir(mode=0o700)
    lair.symlink_to(elsewhere)


def opened(lair: Path) -> None:
    lair.mkdir()
    lair.chmod(0o770)


def anothers(lair: Path) -> None:
    lair.mkdir(mode=0o700)
    os.chown(lair, 4711, 4711)


@pytest.mark.parametrize(
    ("make", "words"), [(linked, "no directory"), (opened, "open to other users"), (anothers, "another user")]
)
async def test_a_directory_that_others_could_have_filled_is_refused_by_both_sides(
    lair: Path, make: Callable[[Path], None], words: str
) -> None:
    if make is anothers and os.geteuid() != 0:
        pytest.skip("only root can give a directory away")
    make(lair)
    with capture_logs() as logs:
        async with serve_control(FakeGateway(INFO)):
            error = await told(list_sessions)
    assert words in str(error)
    assert str(lair) in error.next
    assert [(log["event"], log["log_level"]) for log in logs] == [("control_unavailable", "warning")]
    assert words in logs[0]["reason"]


async def test_a_gateway_that_can_make_no_socket_serves_on_with_a_warning(
    lair: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    too_long_for_a_socket = lair.with_name("long" * 30)
    too_long_for_a_socket.mkdir()
    for runtime in (lair / "missing", too_long_for_a_socket):
        monkeypatch.setenv("XDG_RUNTIME_DIR", str(runtime))
        with capture_logs() as logs:
            async with serve_control(FakeGateway(INFO)):
                pass
        assert [log["event"] for log in logs] == ["control_unavailable"]


@pytest.mark.parametrize(
    "line",
    [b"", b"\n", b"[]\n", b"\xff\n", b'{"command": "sql"}\n', b'{"command": "evict"}\n', b"[" * 1000 + b"\n"],
)
async def test_what_is_no_command_is_answered_with_an_error(lair: Path, line: bytes) -> None:
    async with serve_control(FakeGateway(INFO)):
        path = str(lair / f"{OURS}.sock")
        reader, writer = await asyncio.open_unix_connection(path)
        writer.write(line)
        writer.write_eof()
        async with asyncio.timeout(5):
            assert list(json.loads(await reader.read())) == ["error"]
        writer.close()


async def test_a_line_that_is_too_long_is_not_read_to_its_end(lair: Path) -> None:
    async with serve_control(FakeGateway(INFO)):
        assert b"answer" not in await say(lair, b" " * 1_000_000 + b'{"command": "list"}\n')
        assert b"answer" in await say(lair, b'{"command": "list"}\n')


async def test_a_client_that_says_nothing_is_hung_up_on(lair: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "TIMEOUT_S", 0.05)
    async with serve_control(FakeGateway(INFO)):
        assert await say(lair, b"") == b""


async def test_clients_over_the_limit_are_hung_up_on(lair: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "MAX_CLIENTS", 1)
    async with serve_control(FakeGateway(INFO)):
        _, waiting = await asyncio.open_unix_connection(str(lair / f"{OURS}.sock"))
        assert await say(lair, b'{"command": "list"}\n') == b""
        assert "does not answer" in str(await told(list_sessions))
        waiting.close()


async def test_clients_that_neither_speak_nor_read_do_not_hold_up_the_end(
    lair: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server, "TIMEOUT_S", 60)
    crowd = FakeGateway(replace(INFO, label="x" * 1_000_000))
    async with asyncio.timeout(5), serve_control(crowd):
        _, silent = await asyncio.open_unix_connection(str(lair / f"{OURS}.sock"))
        with socket.socket(socket.AF_UNIX) as deaf:
            deaf.connect(str(lair / f"{OURS}.sock"))
            deaf.sendall(b'{"command": "list"}\n')
            assert await asyncio.to_thread(list_sessions)
    silent.close()


@pytest.mark.parametrize(
    ("answer", "words"), [(b"", "understood"), (b"{}\n", "understood"), (b"[]\n", "understood"), (None, "timed out")]
)
async def test_a_gateway_that_gives_no_answer_is_told_within_the_deadline(
    lair: Path, monkeypatch: pytest.MonkeyPatch, answer: bytes | None, words: str
) -> None:
    monkeypatch.setattr(client, "TIMEOUT_S", 0.05 if answer is None else 5)
    lair.mkdir(mode=0o700)
    with socket.socket(socket.AF_UNIX) as strange:
        strange.bind(str(lair / "7.sock"))
        strange.listen()

        def reply() -> None:
            connection, _ = strange.accept()
            connection.recv(1000)
            connection.sendall(answer or b"")
            connection.close()

        thread = threading.Thread(target=reply)
        if answer is not None:
            thread.start()
        error = await told(list_sessions)
        if answer is not None:
            thread.join()
    assert "process 7" in str(error)
    assert words in str(error)


async def test_an_answer_without_an_end_is_not_read_for_ever(lair: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client, "ANSWER_LIMIT_BYTES", 1000)
    async with serve_control(FakeGateway(replace(INFO, label="x" * 1_000_000))):
        assert "understood" in str(await told(list_sessions))


def test_a_directory_that_cant_be_looked_at_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(path: Path) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(client, "require_private", refuse)
    with pytest.raises(StartError, match="Permission denied"):
        list_sessions()
    assert directory.control_directory().name == "coldquery"
