"""Logs: nothing that a caller chose steers a terminal, and no call fails because its event can't be written."""

from __future__ import annotations

import json
import os
import subprocess
import sys
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


def log(form: str, path: Path) -> tuple[str, str]:
    # Buffered as it is by default: what could not be written must not come back at the exit.
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"}
    command = [sys.executable, "-c", LOG, form]
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


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no /dev/full here")
@pytest.mark.parametrize("form", ["json", "console"])
def test_a_full_disk_stops_nothing(form: str) -> None:
    assert log(form, Path("/dev/full"))[0] == "went on\n"
