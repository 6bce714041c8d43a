"""Logs: one event a line on standard error, JSON where nobody watches and readable where somebody does.

Standard output belongs to the stdio transport. What libraries say (uvicorn, FastMCP, asyncpg, asyncio), and Python's
own warnings, go the same way in the same form.
"""

import json
import logging
import os
import sys
import time
from collections.abc import MutableMapping
from contextlib import suppress
from typing import Any, Literal, TextIO

import structlog
from structlog.tracebacks import ExceptionDictTransformer
from structlog.types import Processor

from coldquery.telemetry.json_line import encoder

# What libraries say below that names protocol sessions, holds answers with all their rows (sse-starlette's DEBUG does),
# or repeats what our own events say.
_LIBRARIES_FROM = logging.WARNING

_encode = encoder(repr)
# Tracebacks without local variables: those hold parameters, rows and passwords.
_render_exception = structlog.processors.ExceptionRenderer(ExceptionDictTransformer(show_locals=False))


def configure(level: str, form: Literal["auto", "json", "console"]) -> None:
    """Set up structlog and the standard library's logging, once, before anything logs.

    Args:
        level: debug, info, warning or error; libraries are heard from warning on, at the least.
        form: `auto` is console on a terminal and JSON elsewhere.
    """
    stream = _Unfailing(sys.stderr)
    threshold = logging.getLevelNamesMapping()[level.upper()]
    shared: list[Processor] = [
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    console = form == "console" or (form == "auto" and sys.stderr.isatty())
    rendering: list[Processor] = (
        [
            _show_controls,
            structlog.dev.ConsoleRenderer(
                colors=sys.stderr.isatty(), exception_formatter=structlog.dev.plain_traceback
            ),
        ]
        if console
        else [_render_exception, _to_json]
    )
    structlog.configure(
        # Every call is told of, so that our own lines go a shorter way to the same JSON.
        processors=[*shared, *rendering] if console else [_Stamp(), _to_line],
        wrapper_class=structlog.make_filtering_bound_logger(threshold),
        logger_factory=lambda *_: _Lines(stream),
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(stream)
    # On the handler, which no library can talk past by a level that it gives to its own logger.
    handler.setLevel(max(threshold, _LIBRARIES_FROM))
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[*shared, structlog.stdlib.add_logger_name],
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *rendering],
        )
    )
    logging.basicConfig(handlers=[handler], level=handler.level, force=True)
    logging.captureWarnings(capture=True)


class _Unfailing:
    """A stream for logs: what it can't take (its reader is gone, its disk is full) is lost, and no call fails by it.

    Written without a buffer, in which a lost line would wait for the interpreter's end and spoil its exit code.
    """

    def __init__(self, stream: TextIO) -> None:
        self._file = stream.fileno()

    def write(self, text: str) -> None:
        self.send(text.encode(errors="backslashreplace"))

    def send(self, data: bytes) -> None:
        with suppress(OSError):
            os.write(self._file, data)

    def flush(self) -> None:
        """There is nothing to flush."""


def _show_controls(_: object, __: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Make characters visible that would steer a terminal, or forge a line: callers choose some of the texts."""
    for name, value in event.items():
        if isinstance(value, str) and not value.isprintable():
            event[name] = "".join(each if each.isprintable() else repr(each)[1:-1] for each in value)
    return event


class _Lines:
    """A logger that writes what it is given as a line. structlog's own takes a lock for it, and checks more."""

    def __init__(self, stream: _Unfailing) -> None:
        self._stream = stream

    def msg(self, line: str | bytes) -> None:
        if isinstance(line, bytes):
            self._stream.send(line)
        else:
            self._stream.write(line + "\n")

    debug = info = warning = error = critical = exception = msg


class _Stamp:
    """Adds the level and the time, of which the seconds are written once for all events in them."""

    def __init__(self) -> None:
        self._second = 0, ""

    def __call__(self, _: object, level: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
        now, rest_ns = divmod(time.time_ns(), 1_000_000_000)
        second, words = self._second
        if now != second:
            words = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(now))
            self._second = now, words
        event["level"] = level
        event["timestamp"] = f"{words}.{rest_ns // 1_000:06d}Z"
        return event


def _to_line(_: object, level: str, event: MutableMapping[str, Any]) -> bytes:
    """As `_to_json`, with its end."""
    if "exc_info" in event:
        event = _render_exception(None, level, event)
    line = _encode(event)
    return line + b"\n" if line.isascii() and b"\x7f" not in line else f"{json.dumps(event, default=repr)}\n".encode()


def _to_json(_: object, __: str, event: MutableMapping[str, Any]) -> str:
    """One line. The quick encoder leaves characters as they are, of which some would steer a terminal."""
    line = _encode(event)
    return line.decode() if line.isascii() and b"\x7f" not in line else json.dumps(event, default=repr)
