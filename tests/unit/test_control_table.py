"""Sessions as people read them, and the command line that shows them."""

from __future__ import annotations

import asyncio
import json
import os
from pathlib import Path
from typing import override

import pytest

from coldquery.cli import main
from coldquery.control.client import Session
from coldquery.control.server import serve_control
from coldquery.control.table import duration, printable, sessions_table
from coldquery.gateway import Gateway
from coldquery.sessions.root import SessionInfo

BUSY = Session(
    short_id="Zx3_aB-9",
    principal="ada",
    label=None,
    state="active",
    age_s=7505.0,
    idle_s=None,
    last_command="query",
    backend_pid=4711,
    blocks=[12, 13],
    queued=0,
)
IDLE = BUSY | Session(
    short_id="kk0Pq_1x",
    principal="local",
    label="nightly \x1b[2Jimport",
    state="idle in transaction (aborted)",
    age_s=200.9,
    idle_s=12.9,
    last_command=None,
    backend_pid=4712,
    blocks=[],
    queued=0,
)
TABLE = """\
session   state                          age        idle  principal  last command  blocks  label
Zx3_aB-9  active                         2 h 5 min  -     ada        query         12, 13  -
kk0Pq_1x  idle in transaction (aborted)  3 min      12 s  local      -             -       nightly \\x1b[2Jimport"""


class FakeGateway(Gateway):
    def __init__(self) -> None:
        """It needs no database."""

    @override
    def sessions(self, principal: str | None = None) -> tuple[SessionInfo, ...]:
        return (SessionInfo("-x3_aB-9", "ada", "import", "active", 1.5, None, "query", 4711, ()),)

    @override
    def evict(self, short_id: str) -> bool:
        return True


def test_the_sessions_of_one_gateway_are_a_table() -> None:
    assert sessions_table({1: [BUSY, IDLE]}) == TABLE
    assert sessions_table({1: []}) == "no sessions"


def test_the_sessions_of_several_gateways_are_under_their_process_ids() -> None:
    lines = sessions_table({41: [BUSY, IDLE], 42: []}).splitlines()
    assert lines == ["gateway 41", *(f"  {line}" for line in TABLE.splitlines()), "", "gateway 42", "  no sessions"]


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (0, "0 s"),
        (59.9, "59 s"),
        (60, "1 min"),
        (3599, "59 min"),
        (3600, "1 h"),
        (7505, "2 h 5 min"),
        (90_000, "25 h"),
    ],
)
def test_a_time_is_told_as_it_would_be_said(seconds: float, words: str) -> None:
    assert duration(seconds) == words


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("Zürich 東京 🙂", "Zürich 東京 🙂"),
        ("a\nb\tc\r", "a\\nb\\tc\\r"),
        ("\x1b]0;title\x07", "\\x1b]0;title\\x07"),
        ("\x9b2J", "\\x9b2J"),
        ("\u202eevil\u2028", "\\u202eevil\\u2028"),
        ("\ud800", "\\ud800"),
    ],
)
def test_nothing_in_a_text_steers_the_terminal(text: str, shown: str) -> None:
    assert printable(text) == shown


async def test_the_command_lists_and_evicts(
    scratch: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(scratch))
    pid = str(os.getpid())
    async with serve_control(FakeGateway()):

        async def run(*arguments: str) -> str:
            assert await asyncio.to_thread(main, ["sessions", *arguments]) == 0
            return capsys.readouterr().out

        assert (await run()).splitlines()[1].split() == [
            "-x3_aB-9",
            "active",
            "1",
            "s",
            "-",
            "ada",
            "query",
            "-",
            "import",
        ]
        (row,) = json.loads(await run("--json"))
        assert (row["gateway"], row["short_id"], row["idle_s"]) == (int(pid), "-x3_aB-9", None)
        for arguments in (
            ("evict", "--", "-x3_aB-9"),
            ("evict", "--gateway", pid, "--", "-x3_aB-9"),
            ("--gateway", pid, "evict", "--", "-x3_aB-9"),
        ):
            assert "-x3_aB-9" in await run(*arguments)
    assert await asyncio.to_thread(main, ["sessions", "--gateway", pid]) == 1
    assert "Next: " in capsys.readouterr().err
