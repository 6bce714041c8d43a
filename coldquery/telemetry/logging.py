"""Logs: one event a line on standard error, JSON where nobody watches and readable where somebody does.

Standard output belongs to the stdio transport. What libraries say (uvicorn, FastMCP, asyncpg, asyncio), and Python's
own warnings, go the same way in the same form.
"""

import json
import logging
import os
import sys
import time
from collections.abc import Callable, MutableMapping
from contextlib import suppress
from typing import Any, Literal, TextIO

import structlog
from structlog.tracebacks import ExceptionDictTransformer
from structlog.types import Processor

from coldquery.telemetry.json_line import encoder

# What libraries say below that names protocol sessions, holds answers with all their rows (sse-starlette's DEBUG does),
# or repeats what our own events say.
_LIBRARIES_FROM = logging.WARNING

_log = structlog.get_logger(__name__)

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
    console = form == "console" or (form == "auto" and sys.stderr.isatty())
    json_line = _JsonLine()
    rendering = _for_people(sys.stderr.isatty()) if console else [json_line]
    if threshold > logging.INFO:
        QUICK.tell = _tell_nobody
    elif not console:
        QUICK.tell = lambda event: stream.send(json_line(None, "info", event))
    structlog.configure(
        processors=rendering,
        wrapper_class=structlog.make_filtering_bound_logger(threshold),
        logger_factory=lambda *_: _Lines(stream.send),
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(stream)
    # On the handler, which no library can talk past by a level that it gives to its own logger.
    handler.setLevel(max(threshold, _LIBRARIES_FROM))
    handler.terminator = ""
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[structlog.stdlib.add_logger_name],
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *rendering, _decoded],
        )
    )
    logging.basicConfig(handlers=[handler], level=handler.level, force=True)
    logging.captureWarnings(capture=True)


class Quick:
    """Tells the event that every call has, at level info.

    Attributes:
        tell: takes it as a dict, with its name as `event`. By structlog, as all others, unless `configure` knows a
            shorter way to the same line: structlog's steps take as long as all else of telemetry together.
    """

    def __init__(self) -> None:
        self.tell: Callable[[dict[str, Any]], object] = lambda event: _log.info(**event)


QUICK = Quick()


def _tell_nobody(_: object) -> None:
    """The level is higher."""


class _Unfailing:
    """A stream for logs: what it can't take (its reader is gone, its disk is full) is lost, and no call fails by it.

    Written without a buffer, in which a lost line would wait for the interpreter's end and spoil its exit code.
    """

    def __init__(self, stream: TextIO) -> None:
        self._file = stream.fileno()

    def send(self, line: bytes) -> None:
        with suppress(OSError):
            os.write(self._file, line)

    def write(self, text: str) -> None:
        self.send(text.encode(errors="backslashreplace"))

    def flush(self) -> None:
        """There is nothing to flush."""


class _Lines:
    """A logger that hands on the lines that it is given. structlog's own takes a lock for it, and checks more."""

    def __init__(self, send: Callable[[bytes], None]) -> None:
        self.debug = self.info = self.warning = self.error = self.critical = self.exception = send


class _JsonLine:
    """An event as a line of JSON, with its level and the time.

    The seconds are written once for all events in them. The quick encoder leaves characters as they are, of which some
    would steer a terminal.
    """

    def __init__(self) -> None:
        self._encode = encoder(repr)
        self._second = 0, ""

    def __call__(self, _: object, level: str, event: MutableMapping[str, Any]) -> bytes:
        now, rest_ns = divmod(time.time_ns(), 1_000_000_000)
        second, words = self._second
        if now != second:
            words = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(now))
            self._second = now, words
        event["level"] = level
        event["timestamp"] = f"{words}.{rest_ns // 1_000:06d}Z"
        if "exc_info" in event:
            event = _render_exception(None, level, event)
        line = self._encode(event)
        is_plain = line.isascii() and b"\x7f" not in line
        return (line if is_plain else json.dumps(event, default=repr).encode()) + b"\n"


def _for_people(colors: bool) -> list[Processor]:
    return [
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        _show_controls,
        structlog.dev.ConsoleRenderer(colors=colors, exception_formatter=structlog.dev.plain_traceback),
        _encoded,
    ]


def _show_controls(_: object, __: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Make characters visible that would steer a terminal, or forge a line: callers choose some of the texts."""
    for name, value in event.items():
        if isinstance(value, str) and not value.isprintable():
            event[name] = "".join(each if each.isprintable() else repr(each)[1:-1] for each in value)
    return event


def _encoded(_: object, __: str, line: Any) -> bytes:
    return f"{line}\n".encode(errors="backslashreplace")


def _decoded(_: object, __: str, line: Any) -> str:
    return bytes(line).decode()
