"""Logs: one event a line on standard error, JSON where nobody watches and readable where somebody does.

Standard output belongs to the stdio transport. The libraries' own loggers (uvicorn, FastMCP, asyncpg, asyncio) go the
same way in the same form.
"""

import json
import logging
import os
import sys
from collections.abc import MutableMapping
from contextlib import suppress
from typing import Any, Literal, TextIO

import structlog
from structlog.tracebacks import ExceptionDictTransformer
from structlog.types import Processor

from coldquery.telemetry.json_line import encoder

# FastMCP's and the SDK's INFO lines name protocol sessions and repeat what our own events say.
_QUIET_LOGGERS = ("fastmcp", "mcp", "uvicorn", "asyncio", "docket")


_encode = encoder(repr)


def configure(level: str, form: Literal["auto", "json", "console"]) -> None:
    """Set up structlog and the standard library's logging, once, before anything logs.

    Args:
        level: debug, info, warning or error.
        form: `auto` is console on a terminal and JSON elsewhere.
    """
    stream = _Unfailing(sys.stderr)
    threshold = logging.getLevelNamesMapping()[level.upper()]
    shared: list[Processor] = [
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    console = form == "console" or (form == "auto" and sys.stderr.isatty())
    # Tracebacks without local variables: those hold parameters, rows and passwords.
    rendering: list[Processor] = (
        [
            _show_controls,
            structlog.dev.ConsoleRenderer(
                colors=sys.stderr.isatty(), exception_formatter=structlog.dev.plain_traceback
            ),
        ]
        if console
        else [
            structlog.processors.ExceptionRenderer(ExceptionDictTransformer(show_locals=False)),
            _to_json,
        ]
    )
    structlog.configure(
        processors=[*shared, *rendering],
        wrapper_class=structlog.make_filtering_bound_logger(threshold),
        logger_factory=lambda *_: _Lines(stream),
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(stream)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[*shared, structlog.stdlib.add_logger_name],
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *rendering],
        )
    )
    logging.basicConfig(handlers=[handler], level=threshold, force=True)
    for name in _QUIET_LOGGERS:
        logging.getLogger(name).setLevel(max(threshold, logging.WARNING))


class _Unfailing:
    """A stream for logs: what it can't take (its reader is gone, its disk is full) is lost, and no call fails by it.

    Written without a buffer, in which a lost line would wait for the interpreter's end and spoil its exit code.
    """

    def __init__(self, stream: TextIO) -> None:
        self._file = stream.fileno()

    def write(self, text: str) -> None:
        with suppress(OSError):
            os.write(self._file, text.encode(errors="backslashreplace"))

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
        self._write = stream.write

    def msg(self, line: str) -> None:
        self._write(line + "\n")

    debug = info = warning = error = critical = exception = msg


def _to_json(_: object, __: str, event: MutableMapping[str, Any]) -> str:
    """One line. The quick encoder leaves characters as they are, of which some would steer a terminal."""
    line = _encode(event)
    return line.decode() if line.isascii() and b"\x7f" not in line else json.dumps(event, default=repr)
