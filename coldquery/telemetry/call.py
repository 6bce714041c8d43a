"""One call on its way through the gateway: who asked for what, and what became of it.

Whoever runs a part of it (a pool's job, a session, a connection) is handed the call, and tells it what that part took.
"""

from __future__ import annotations

import itertools
import re
import secrets
import time
from collections.abc import Callable, Mapping
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any, Literal

import structlog

from coldquery.errors import Code
from coldquery.telemetry import tracing
from coldquery.telemetry.logging import QUICK
from coldquery.telemetry.metrics import CALLS_BY_DOOR, DENIALS, DENIED, IN_FLIGHT, STATEMENTS, of_calls
from coldquery.telemetry.tracing import Trace

type Door = Literal["express", "fastmcp"]

CURRENT: ContextVar[Call | None] = ContextVar("coldquery_call", default=None)
"""The call that the running task serves."""

_OUTCOMES: dict[str, str] = {
    "ok": "ok",
    Code.CANCELLED: "cancelled",
    **dict.fromkeys(DENIALS, "denied"),
    **dict.fromkeys((Code.LOCK_TIMEOUT, Code.STATEMENT_TIMEOUT, Code.DEADLINE_EXCEEDED), "timeout"),
    **dict.fromkeys(
        (
            *(Code.SESSION_LIMIT, Code.SESSION_BUSY, Code.POOL_EXHAUSTED, Code.OVERLOADED, Code.SHUTTING_DOWN),
            *(Code.DATABASE_UNAVAILABLE, Code.AUDIT_UNAVAILABLE),
        ),
        "rejected",
    ),
}

_TRACEPARENT = re.compile(
    r"[ \t]*(?:00|(?!00|ff)([0-9a-f]{2}))-(?!0{32})([0-9a-f]{32})-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}(?(1)(?:-.*)?)[ \t]*"
)

_log = structlog.get_logger(__name__)

_in_flight: set[Call] = set()
IN_FLIGHT.set_function(lambda: len(_in_flight))
_boot = secrets.token_hex(4)
_numbers = itertools.count(1)


def own_request_id() -> str:
    """One that no other call of any gateway has: random bytes of this process, and a number."""
    return f"{_boot}{next(_numbers):08x}"


def request_of(*traceparents: str) -> str:
    """What joins a call's events: the trace id that its client told, by the first that is one, else one of our own.

    Source: https://www.w3.org/TR/trace-context/#traceparent-header
    """
    for each in traceparents:
        if found := _TRACEPARENT.fullmatch(each):
            return found[2]
    return own_request_id()


@dataclass(slots=True, eq=False)
class Call:
    """A tool call.

    Attributes:
        tool: which tool.
        action: of the tool; `other` if it has no such action.
        principal: who calls.
        door: by which it came in.
        client: who makes it, where their end can be known.
        session: the short id of the session that was named.
        request: what joins the events of this call: the client's trace id where it told one.
        slow_s: a statement that takes longer is told of.
        show_text: with its normalised text.
    """

    tool: str
    action: str
    principal: str
    door: Door = "fastmcp"
    client: str | None = None
    session: str | None = None
    request: str = field(default_factory=own_request_id)
    slow_s: float = float("inf")
    show_text: bool = False
    _trace: Trace | None = field(default=None, init=False)
    _began: float = field(default_factory=time.perf_counter, init=False)

    def __post_init__(self) -> None:
        _in_flight.add(self)
        self._trace = tracing.begin_call(self.tool, self.action)

    def waited(self, what: str, seconds: float) -> None:
        """It has waited until now, for so long, for a connection or in a mailbox."""
        if self._trace is not None:
            self._trace.waited(what, seconds)

    def ran(self, kind: str, seconds: float, problem: str | None, digest: Callable[[], Mapping[str, Any]]) -> None:
        """A statement has run until now for its sake.

        Args:
            kind: one of `metrics.STATEMENT_KINDS`.
            seconds: how long.
            problem: its SQLSTATE, or another word for what failed; None if it went well.
            digest: what may be written down of it.
        """
        if seconds >= self.slow_s:
            told = digest() if self.show_text else {"kind": kind}
            _log.warning(
                "slow_statement",
                request=self.request,
                tool=self.tool,
                action=self.action,
                session=self.session,
                duration_ms=round(seconds * 1000, 1),
                problem=problem,
                **told,
            )
        if self._trace is not None:
            self._trace.ran(kind, seconds, problem, digest() if self.show_text else {})

    def end(self, outcome: str) -> None:
        """It is over.

        Args:
            outcome: `ok`, or a code of the catalogue.
        """
        took_s = time.perf_counter() - self._began
        _in_flight.discard(self)
        durations, calls = of_calls(self.tool, self.action)
        durations.observe(took_s)
        calls[_OUTCOMES.get(outcome, "error")].inc()
        CALLS_BY_DOOR[self.door].inc()
        if outcome in DENIALS:
            DENIED.labels(outcome).inc()
        QUICK.tell(
            {
                "event": "call",
                "request": self.request,
                "tool": self.tool,
                "action": self.action,
                "principal": self.principal,
                "door": self.door,
                "session": self.session,
                "outcome": outcome,
                "duration_ms": round(took_s * 1000, 2),
            }
        )
        if self._trace is not None:
            self._trace.end(outcome, self.session)


def observe_statement(
    call: Call | None, kind: str, seconds: float, problem: str | None, digest: Callable[[], Mapping[str, Any]]
) -> None:
    """Count a statement, and tell the call that it has run for."""
    STATEMENTS[kind, "ok" if problem is None else "error"].observe(seconds)
    if call is not None:
        call.ran(kind, seconds, problem, digest)
