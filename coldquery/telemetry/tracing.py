"""Spans, by OpenTelemetry's API: a call, what it waited for, and the statements that ran for its sake.

They cost nothing as long as no provider is there: `start` installs one that exports, and whoever uses the gateway as a
library may have installed another before the server is built. Names and attributes are those of the conventions for MCP
and for databases.
https://opentelemetry.io/docs/specs/semconv/database/postgresql/
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from opentelemetry import trace
from opentelemetry.trace import NoOpTracerProvider, ProxyTracerProvider, Span, SpanKind, Status, StatusCode

from coldquery.errors import StartError

_NAME = "coldquery"
LAST_SPANS_S = 2.0
_tracer = trace.get_tracer(_NAME)
_wanted = False


@contextmanager
def exporting(version: str) -> Iterator[None]:
    """Export spans by OTLP over HTTP, to where the environment's OTEL_EXPORTER_OTLP_… variables say.

    At the end what is left is sent, for a moment only: a collector that is away must not hold up the exit.

    Raises:
        StartError: the packages for that are not installed.
    """
    try:
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter  # noqa: PLC0415 - an extra
        from opentelemetry.sdk.resources import Resource  # noqa: PLC0415
        from opentelemetry.sdk.trace import TracerProvider  # noqa: PLC0415
        from opentelemetry.sdk.trace.export import BatchSpanProcessor  # noqa: PLC0415
    except ImportError:
        raise StartError(
            "`tracing` needs packages that are not installed.",
            next="Install coldquery[otel], or leave `tracing` out.",
        ) from None
    resource = Resource.create({"service.name": _NAME, "service.version": version})
    provider = TracerProvider(resource=resource, shutdown_on_exit=False)
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    trace.set_tracer_provider(provider)
    look()
    try:
        yield
    finally:
        last = threading.Thread(target=provider.shutdown, name="spans", daemon=True)
        last.start()
        last.join(LAST_SPANS_S)


def look() -> None:
    """See whether anybody wants spans. Asked at each call it would take longer than all the rest of its telemetry."""
    global _wanted  # noqa: PLW0603 - the provider is one for the process, too
    _wanted = not isinstance(trace.get_tracer_provider(), ProxyTracerProvider | NoOpTracerProvider)


def wanted() -> bool:
    """Whether anybody wants spans, as `look` saw it."""
    return _wanted


def trace_id() -> str | None:
    """Of the trace that the client has told of, or that a span of ours began; None if there is none."""
    context = trace.get_current_span().get_span_context()
    return f"{context.trace_id:032x}" if context.is_valid else None


def name_span(name: str) -> None:
    """Name the span that is current, if anybody wants spans."""
    if _wanted:
        trace.get_current_span().update_name(name)


def begin_call(tool: str, action: str) -> Trace | None:
    """Begin the span of a tool call, below whatever span is current; None if nobody wants spans."""
    if not _wanted:
        return None
    span = _tracer.start_span(
        f"{tool} {action}",
        attributes={"mcp.method.name": "tools/call", "gen_ai.tool.name": tool, "coldquery.action": action},
    )
    return Trace(span)


class Trace:
    """The spans of one call. What it waited for and the statements are told when they are over."""

    __slots__ = ("_context", "_span")

    def __init__(self, span: Span) -> None:
        self._span = span
        self._context = trace.set_span_in_context(span)

    def waited(self, what: str, seconds: float) -> None:
        """For a connection, or in a mailbox."""
        self._past(f"wait for {what}", SpanKind.INTERNAL, seconds, {})

    def ran(self, kind: str, seconds: float, problem: str | None, digest: Mapping[str, Any]) -> None:
        """A statement, from its sending to the last of its rows."""
        attributes = {"db.system.name": "postgresql", "coldquery.statement.kind": kind}
        if text := digest.get("statement"):
            attributes["db.query.text"] = text
        if problem is not None:
            attributes["db.response.status_code"] = attributes["error.type"] = problem
        self._past(kind, SpanKind.CLIENT, seconds, attributes, failed=problem is not None)

    def end(self, outcome: str, session: str | None) -> None:
        """The call is over."""
        if session is not None:
            self._span.set_attribute("coldquery.session", session)
        if outcome != "ok":
            self._span.set_attribute("error.type", outcome)
            self._span.set_status(Status(StatusCode.ERROR))
        self._span.end()

    def _past(
        self, name: str, kind: SpanKind, seconds: float, attributes: Mapping[str, Any], *, failed: bool = False
    ) -> None:
        now = time.time_ns()
        span = _tracer.start_span(
            name, self._context, kind, attributes=attributes, start_time=now - round(seconds * 1e9)
        )
        if failed:
            span.set_status(Status(StatusCode.ERROR))
        span.end(now)
