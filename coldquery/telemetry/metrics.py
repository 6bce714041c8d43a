"""What Prometheus is told: every metric that counts or measures, in a registry of the gateway's own.

They belong to the process, as Prometheus has it. What a scrape has to look up first, such as how many sessions are
open, is in coldquery/web/metrics.py. Every label has a closed set of values, all of which are there at 0 from the
start: a counter that is born at 1 has no increase, and its alert stays silent.
https://prometheus.io/docs/practices/instrumentation/#avoid-missing-metrics
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable
from functools import cache
from itertools import product
from typing import Any, override

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    GCCollector,
    Histogram,
    ProcessCollector,
    disable_created_metrics,
)

# A second series for each counter and histogram that no query here asks for.
disable_created_metrics()  # type: ignore[no-untyped-call]

REGISTRY = CollectorRegistry()
ProcessCollector(registry=REGISTRY)
GCCollector(registry=REGISTRY)

OTHER = "other"


class QuickHistogram(Histogram):
    """The library's, without its locks: only the event loop's thread observes, and every call several times."""

    _sum: Any
    _buckets: list[Any]
    _upper_bounds: list[float]

    @override
    def observe(self, amount: float, exemplar: dict[str, str] | None = None) -> None:
        """See the library."""
        self._sum._value += amount  # noqa: SLF001
        self._buckets[bisect_left(self._upper_bounds, amount)]._value += 1  # noqa: SLF001


class QuickCounter(Counter):
    """The same of counters."""

    _value: Any

    @override
    def inc(self, amount: float = 1, exemplar: dict[str, str] | None = None) -> None:
        """See the library."""
        self._value._value += amount  # noqa: SLF001


OUTCOMES = ("ok", "error", "denied", "timeout", "cancelled", "rejected")
DOORS = ("express", "fastmcp")
STATEMENT_KINDS = ("read", "write", "ddl", "explain", "maintenance", "tx_control", OTHER)
# The classes that a gateway can meet. https://www.postgresql.org/docs/current/errcodes-appendix.html
SQLSTATE_CLASSES = (
    *("08", "0A", "21", "22", "23", "25", "28", "3D", "40", "42", "53", "54", "55", "57", "58", "P0", "XX"),
    OTHER,
)
ENDS = (
    *("committed", "rolled_back", "commit_unknown", "idle_timeout", "max_lifetime", "client_gone", "connection_lost"),
    *("evicted", "killed", "drained", "crashed"),
)
LEAKS = ("connection_left_open", "backend_without_actor", "backend_gone", "client_gone", "blocking")
REJECTIONS = ("session_limit", "database_unavailable", "shutting_down", "invalid_argument", OTHER)
DENIALS = ("write_denied", "read_only", "statement_not_allowed", "permission_denied")
COMMITS = ("committed", "rolled_back", "unknown", "refused")
POOLS = ("read", "write")

# OpenTelemetry's for MCP and for databases. https://opentelemetry.io/docs/specs/semconv/database/database-metrics/
_CALL_BUCKETS = (0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.5, 1, 5, 30)
_DATABASE_BUCKETS = (0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1, 5, 10, 30, 60)
_WAIT_BUCKETS = (0.0005, 0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1, 5, 30)


def known(value: str, values: Iterable[str]) -> str:
    """The value, if it is one of the closed set, else `other`: what comes from outside makes no new series."""
    return value if value in values else OTHER


def _counter(name: str, words: str, **labels: tuple[str, ...]) -> Counter:
    counter = QuickCounter(f"coldquery_{name}", words, tuple(labels), registry=REGISTRY)
    _zero(counter, labels)
    return counter


def _histogram(name: str, words: str, buckets: tuple[float, ...], **labels: tuple[str, ...]) -> Histogram:
    histogram = QuickHistogram(f"coldquery_{name}", words, tuple(labels), buckets=buckets, registry=REGISTRY)
    _zero(histogram, labels)
    return histogram


def _zero(metric: Counter | Histogram, labels: dict[str, tuple[str, ...]]) -> None:
    if labels:
        for values in product(*labels.values()):
            metric.labels(*values)


# Calls. Their labels' values are told by `expect_calls`.
CALLS: Counter = QuickCounter(
    "coldquery_calls", "Tool calls that have ended.", ("tool", "action", "outcome"), registry=REGISTRY
)
_BY_DOOR = _counter("calls_by_door_total", "Tool calls that have ended, by the door they came in by.", door=DOORS)
CALLS_BY_DOOR = {door: _BY_DOOR.labels(door) for door in DOORS}
CALL_SECONDS: Histogram = QuickHistogram(
    "coldquery_call_duration_seconds",
    "How long tool calls took, from their arguments to their result.",
    ("tool", "action"),
    buckets=_CALL_BUCKETS,
    registry=REGISTRY,
)
IN_FLIGHT = Gauge("coldquery_calls_in_flight", "Tool calls that are under way.", registry=REGISTRY)
DENIED = _counter("denials_total", "Calls that were denied for what they would do.", reason=DENIALS)
RESULT_ROWS = _histogram(
    "result_rows", "Rows of an answer.", (0, 1, 2, 5, 10, 20, 50, 100, 200, 500, 1_000, 2_000, 5_000, 10_000)
)
RESULT_BYTES = _histogram(
    "result_bytes", "Bytes of an answer's rows as JSON.", tuple(float(4**n * 1024) for n in range(-1, 8))
)
TRUNCATED = _counter("results_truncated_total", "Answers that were cut.", limit=("rows", "bytes", "cell"))

# Sessions.
OPENED = _counter("sessions_opened_total", "Sessions that were opened.", access=("read_write", "read_only"))
ENDED = _counter("sessions_ended_total", "Sessions that have ended.", reason=ENDS)
REJECTED = _counter("sessions_rejected_total", "Sessions that were not opened.", reason=REJECTIONS)
LEAKED = _counter("session_leaks_total", "Leaks that the reaper found and ended.", kind=LEAKS)
AGE_SECONDS = _histogram(
    "session_age_seconds",
    "How old sessions were when they ended.",
    (1, 5, 15, 30, 60, 120, 300, 600, 1_800, 3_600, 14_400),
)
IDLE_SECONDS = _histogram(
    "session_idle_seconds", "How long sessions were idle before a command.", (0.1, 1, 5, 15, 60, 300, 900, 1_800)
)
MAILBOX_SECONDS = _histogram("mailbox_wait_seconds", "How long commands waited in a session's mailbox.", _WAIT_BUCKETS)
MAILBOX_REJECTED = _counter(
    "mailbox_rejected_total",
    "Commands that never ran: the mailbox was full, the session ended first, or the caller's deadline passed.",
    reason=("full", "ended", "deadline"),
)
COMMITTED = _counter(
    "commit_outcomes_total",
    "What became of a COMMIT: `rolled_back` is PostgreSQL's answer to one in a failed transaction, `refused` an error.",
    outcome=COMMITS,
)
RESOLVED = _counter(
    "commit_resolutions_total",
    "What PostgreSQL said of a COMMIT whose answer was lost.",
    result=("committed", "rolled_back", "unknown"),
)

# PostgreSQL.
STATEMENT_SECONDS = _histogram(
    "db_operation_duration_seconds",
    "How long statements took in PostgreSQL, the fetching of their rows included.",
    _DATABASE_BUCKETS,
    kind=STATEMENT_KINDS,
    outcome=("ok", "error"),
)
STATEMENTS = {
    (kind, outcome): STATEMENT_SECONDS.labels(kind, outcome) for kind in STATEMENT_KINDS for outcome in ("ok", "error")
}
"""The same by kind and outcome, looked up once."""
DATABASE_ERRORS = _counter(
    "db_errors_total", "Errors of PostgreSQL, by their SQLSTATE's class.", sqlstate_class=SQLSTATE_CLASSES
)
CANCELS = _counter(
    "db_cancels_total",
    "Cancel requests: `failed` if no answer came of it in time, so that the connection was cut.",
    result=("confirmed", "failed"),
)
POOL_SECONDS = _histogram("pool_wait_seconds", "How long a job waited for a connection.", _WAIT_BUCKETS, pool=POOLS)
POOL_TIMEOUTS = _counter("pool_timeouts_total", "Jobs for which no connection came free in time.", pool=POOLS)
CONNECTS = _counter("db_connects_total", "Attempts to open a connection to PostgreSQL.", outcome=("ok", "error"))

# The gateway itself.
LAG_SECONDS = _histogram(
    "event_loop_lag_seconds",
    "How much later than asked the event loop woke a task.",
    (0.001, 0.005, 0.01, 0.05, 0.1, 0.25, 0.5, 1, 5),
)
AUDIT_LINES = _counter("audit_lines_total", "Lines that were written to the audit stream.")
AUDIT_FAILURES = _counter("audit_write_failures_total", "Attempts to write to the audit stream that failed.")
REFUSED_REQUESTS = _counter(
    "auth_failures_total", "HTTP requests that were refused before they reached a tool.", reason=("401", "403", "421")
)


@cache
def of_calls(tool: str, action: str) -> tuple[Histogram, dict[str, Counter]]:
    """The durations of one tool's action, and its calls by their outcome."""
    return CALL_SECONDS.labels(tool, action), {each: CALLS.labels(tool, action, each) for each in OUTCOMES}


def expect_calls(tool: str, actions: Iterable[str]) -> None:
    """Put a tool's calls at 0: all its actions, and `other` for what is none of them."""
    for action in (*actions, OTHER):
        of_calls(tool, action)


def sample_values() -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
    """Every sample by its name and labels, as it is now."""
    found: dict[tuple[str, tuple[tuple[str, str], ...]], float] = {}
    for family in REGISTRY.collect():
        for sample in family.samples:
            labels: Any = sorted(sample.labels.items())
            found[sample.name, tuple(labels)] = sample.value
    return found
