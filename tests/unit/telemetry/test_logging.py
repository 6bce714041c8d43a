"""Logs: nothing that a caller chose steers a terminal, and no call fails because its event can't be written."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

# In a process of its own, since logging is set up once.
LOG = r"""
import logging, sys, structlog
from coldquery.telemetry.logging import configure
configure("info", sys.argv[1])
structlog.get_logger("x").info("halved", session="\ud800")
structlog.get_logger("x").info("session_began", label="a\x1b[2J\x9b31m\nforged", session="\x1b[31m")
logging.getLogger("uvicorn").warning("\x1b[2J\nforged")
print("went on")
"""


# What libraries say, and Python itself, when FastMCP has set up what it sets up at its import.
LIBRARIES = r"""
import asyncio, gc, logging, sys, warnings
from coldquery.telemetry.logging import configure
configure("debug", sys.argv[1])
import coldquery.mcp.server, asyncpg, uvicorn
for name in ("uvicorn.error", "fastmcp.server", "mcp.server", "asyncpg", "asyncio", "sse_starlette.sse"):
    logger = logging.getLogger(name)
    logger.setLevel("DEBUG")
    logger.debug("an answer with all its rows")
    logger.info("the id of a protocol session")
    logger.warning("heard of %s", name)
warnings.warn("a listener is still there", asyncpg.InterfaceWarning)
async def forget():
    async def fail():
        local = "canary"
        raise ValueError("why")
    asyncio.get_running_loop().create_task(fail())
    await asyncio.sleep(0.01)
    gc.collect()
asyncio.run(forget())
print("went on")
"""


DEFECT = r"""
import structlog, sys
from coldquery.telemetry.logging import configure
configure("info", sys.argv[1])
def fail():
    local = "canary"
    raise ValueError("why")
try:
    fail()
except ValueError as error:
    structlog.get_logger("x").error("call_crashed", label="ö", exc_info=error)
structlog.get_logger("x").error("session_ended", exc_info=None)
"""


QUICKLY = r"""
import structlog, sys
from coldquery.telemetry.logging import QUICK, configure
told = {"event": "call", "request": "7", "session": None, "label": "a\x1b[2Jö\ud800", "duration_ms": 1.5}
if "early" in sys.argv:
    QUICK.tell({"event": "call"})
configure(sys.argv[2], sys.argv[1])
structlog.get_logger("x").info(**told)
QUICK.tell(dict(told))
"""


def log(form: str, path: Path, program: str = LOG, *more: str) -> tuple[str, str]:
    # Buffered as it is by default: what could not be written must not come back at the exit.
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"}
    command = [sys.executable, "-c", program, form, *more]
    with path.open("w") as errors:
        done = subprocess.run(
            command, env=environment, stdout=subprocess.PIPE, stderr=errors, text=True, check=True, timeout=30
        )
    return done.stdout, path.read_text() if path.is_file() else ""


@pytest.mark.parametrize("form", ["json", "console"])
def test_what_would_steer_a_terminal_or_forge_a_line_is_shown(form: str, tmp_path: Path) -> None:
    _, said = log(form, tmp_path / "log")
    assert len(said.splitlines()) == said.count("\n") == 3
    assert all(each.isprintable() for each in said.splitlines())
    if form == "json":
        assert json.loads(said.splitlines()[1])["label"] == "a\x1b[2J\x9b31m\nforged"


def test_what_libraries_say_has_the_same_form_and_is_heard_from_warnings_on(tmp_path: Path) -> None:
    _, said = log("json", tmp_path / "log", LIBRARIES)
    *heard, warning, forgotten = [json.loads(line) for line in said.splitlines()]
    names = ["uvicorn.error", "fastmcp.server", "mcp.server", "asyncpg", "asyncio", "sse_starlette.sse"]
    assert [(each["logger"], each["event"], each["level"]) for each in heard] == [
        (name, f"heard of {name}", "warning") for name in names
    ]
    assert (warning["logger"], warning["level"]) == ("py.warnings", "warning")
    assert "InterfaceWarning: a listener is still there" in warning["event"]
    assert (forgotten["logger"], forgotten["exception"][0]["exc_value"]) == ("asyncio", "why")
    assert all(each["timestamp"].endswith("Z") for each in (*heard, warning, forgotten))
    # No local variables.
    assert "canary" not in said


def test_what_libraries_say_is_readable_on_a_terminal_too(tmp_path: Path) -> None:
    _, said = log("console", tmp_path / "log", LIBRARIES)
    assert "heard of asyncpg" in said
    assert "InterfaceWarning" in said
    assert "rows" not in said
    assert "canary" not in said.replace('local = "canary"', "")


def test_a_defect_is_told_with_its_traceback_and_no_local_variables(tmp_path: Path) -> None:
    _, said = log("json", tmp_path / "log", DEFECT)
    crashed, ended = map(json.loads, said.splitlines())
    (exception,) = crashed["exception"]
    assert (exception["exc_type"], exception["exc_value"]) == ("ValueError", "why")
    assert [frame["name"] for frame in exception["frames"]] == ["<module>", "fail"]
    assert (crashed["event"], crashed["level"], crashed["label"]) == ("call_crashed", "error", "ö")
    assert "canary" not in said
    assert ended.keys() == {"event", "level", "timestamp"}
    for each in (crashed, ended):
        assert abs(datetime.now(UTC) - datetime.fromisoformat(each["timestamp"])) < timedelta(minutes=1)


@pytest.mark.parametrize(("level", "lines"), [("debug", 2), ("info", 2), ("warning", 0)])
@pytest.mark.parametrize("form", ["json", "console"])
def test_the_short_way_leads_to_the_same_line(form: str, level: str, lines: int, tmp_path: Path) -> None:
    _, said = log(form, tmp_path / "log", QUICKLY, level)
    assert len(said.splitlines()) == lines
    if form == "json":
        told = [{**json.loads(line), "timestamp": ""} for line in said.splitlines()]
        assert told == told[::-1]
        assert all(each["level"] == "info" for each in told)
    else:
        assert len({line.partition(" ")[2] for line in said.splitlines()}) <= 1


def test_there_is_a_way_before_anything_is_set_up(tmp_path: Path) -> None:
    log("json", tmp_path / "log", QUICKLY, "info", "early")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no /dev/full here")
@pytest.mark.parametrize("form", ["json", "console"])
def test_a_full_disk_stops_nothing(form: str) -> None:
    assert log(form, Path("/dev/full"))[0] == "went on\n"
