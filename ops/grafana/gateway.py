"""The dashboard *Gateway*: what is asked of it, how fast it answers, what goes wrong, and what it needs for that."""

from __future__ import annotations

from grafana_foundation_sdk.models import units
from grafana_foundation_sdk.models.dashboard import Dashboard

from ops.grafana.board import Panels, board
from ops.grafana.panels import BAD, GOOD, LIMIT, WARNING, Query, figure, heat, lines, quantiles, stack
from ops.grafana.promql import of, per_minute, quantile, rate, seen, total

CALLS = "coldquery_calls_total"
CALL_SECONDS = "coldquery_call_duration_seconds"
STATEMENT_SECONDS = "coldquery_db_operation_duration_seconds"
LAG_SECONDS = "coldquery_event_loop_lag_seconds"


def gateway() -> Dashboard:
    """The dashboard."""
    return board(
        "coldquery-gateway",
        "ColdQuery: Gateway",
        "What agents ask of the gateway, how fast it answers, what goes wrong, and what it needs for that.",
        [*_now(), *_calls(), *_statements(), *_connections(), *_answers(), *_process()],
    )


def _now() -> Panels:
    used = f"sum by (instance, pool) ({of('coldquery_pool_connections', 'state="used"')})"
    return [
        figure(
            "Up",
            "database: PostgreSQL answers. ready: and the gateway takes new work.",
            units.BoolYesNo,
            Query(f"min ({of('coldquery_db_up')})", "database"),
            Query(f"min ({of('coldquery_ready')})", "ready"),
            steps=[(1, GOOD)],
            good=BAD,
            none="no gateway",
        ),
        figure("Calls", "Tool calls that ended.", units.RequestsPerSecond, Query(rate(CALLS), "calls")),
        figure(
            "Failed calls",
            "Of all calls: SQL errors of the agents, denials, timeouts, cancelled and rejected calls.",
            units.PercentUnit,
            Query(f"{rate(CALLS, 'outcome!="ok"')} / {rate(CALLS)}", "failed"),
            steps=[(0.2, WARNING), (0.5, BAD)],
            good=GOOD,
        ),
        figure(
            "Slowest calls",
            "One call in a hundred takes longer than this.",
            units.Seconds,
            Query(quantile(0.99, CALL_SECONDS), "p99"),
            steps=[(1, WARNING), (5, BAD)],
            good=GOOD,
        ),
        figure(
            "Busiest pool",
            "Connections in use, of those that it may have (read_pool_size, write_pool_size). At 100 % calls wait.",
            units.PercentUnit,
            Query(f"max ({used} / on (instance, pool) {of('coldquery_pool_connections_limit')})", "in use"),
            steps=[(0.8, WARNING), (1, BAD)],
            good=GOOD,
        ),
        figure(
            "Event loop lag",
            "How late the gateway is with everything that it does; one in a hundred is later than this.",
            units.Seconds,
            Query(quantile(0.99, LAG_SECONDS), "p99"),
            steps=[(0.1, WARNING), (0.25, BAD)],
            good=GOOD,
        ),
    ]


def _calls() -> Panels:
    return [
        stack(
            "Calls by tool",
            "All that ended, whether well or not.",
            units.RequestsPerSecond,
            Query(seen(rate(CALLS, by="tool")), "{{tool}}"),
            width=6,
            none="no calls",
        ),
        stack(
            "Calls by door",
            "express: the short way, several times as fast. fastmcp: the framework's, for older clients and for what "
            "asks for more than a result.",
            units.RequestsPerSecond,
            Query(rate("coldquery_calls_by_door_total", by="door"), "{{door}}"),
            width=6,
        ),
        stack(
            "Failed calls by tool and outcome",
            "error: PostgreSQL's, or the arguments. denied: for what it would do. timeout, cancelled: it took too long "
            "for the gateway or its agent. rejected: a limit was reached.",
            units.CountsPerMinute,
            Query(seen(per_minute(CALLS, 'outcome!="ok"', by="tool, outcome")), "{{tool}} {{outcome}}"),
            width=6,
            none="no call has failed",
        ),
        quantiles(
            "Call latency",
            "From a call's arguments to its result: half of the calls, 95 % and 99 % of them are faster.",
            Query(quantile(0.5, CALL_SECONDS), "p50"),
            Query(quantile(0.95, CALL_SECONDS), "p95"),
            Query(quantile(0.99, CALL_SECONDS), "p99"),
            width=6,
            none="no calls",
        ),
    ]


def _statements() -> Panels:
    return [
        stack(
            "Statements by kind",
            "What PostgreSQL was given to do; tx_control is BEGIN, COMMIT, ROLLBACK and savepoints.",
            units.OpsPerSecond,
            Query(seen(rate(f"{STATEMENT_SECONDS}_count", by="kind")), "{{kind}}"),
            none="no statements",
        ),
        quantiles(
            "Statement latency",
            "In PostgreSQL, with the fetching of the rows and the waiting for locks; 95 % are faster.",
            Query(seen(quantile(0.95, STATEMENT_SECONDS, by="kind")), "{{kind}}"),
            none="no statements",
        ),
        stack(
            "Errors and denials",
            "Errors of PostgreSQL by their SQLSTATE's class (22 data, 23 constraint, 42 syntax or name, 55 locks, 57 "
            "cancelled), denied calls, and HTTP requests that reached no tool.",
            units.CountsPerMinute,
            Query(seen(per_minute("coldquery_db_errors_total", by="sqlstate_class")), "SQLSTATE {{sqlstate_class}}"),
            Query(seen(per_minute("coldquery_denials_total", by="reason")), "denied: {{reason}}"),
            Query(seen(per_minute("coldquery_auth_failures_total", by="reason")), "HTTP {{reason}}"),
            none="no errors",
        ),
    ]


def _connections() -> Panels:
    return [
        lines(
            "Connections of the pools",
            "Those in use, against how many there may be. Sessions have connections of their own.",
            units.Short,
            Query(f"sum by (pool) ({of('coldquery_pool_connections', 'state="used"')})", "{{pool}}"),
            Query(total("coldquery_pool_pending_requests", by="pool"), "{{pool}} waits"),
            Query(total("coldquery_pool_connections_limit", by="pool"), f"{{{{pool}}}} {LIMIT}"),
        ),
        quantiles(
            "Wait for a connection",
            "How long calls without a session waited for a connection of their pool; 99 % were faster.",
            Query(seen(quantile(0.99, "coldquery_pool_wait_seconds", by="pool")), "{{pool}}"),
            none="no call asked for one",
        ),
        lines(
            "Connects, timeouts, cancels",
            "Connections that were opened or could not be, calls for which none came free in time, and statements that "
            "were cancelled (failed: no answer came, and the connection was cut).",
            units.CountsPerMinute,
            Query(per_minute("coldquery_db_connects_total", by="outcome"), "connect {{outcome}}"),
            Query(per_minute("coldquery_pool_timeouts_total", by="pool"), "{{pool}} pool timed out"),
            Query(per_minute("coldquery_db_cancels_total", by="result"), "cancel {{result}}"),
        ),
    ]


def _answers() -> Panels:
    return [
        heat(
            "Size of answers",
            "Bytes of an answer's rows as JSON: what an agent has to read.",
            units.BytesIEC,
            "coldquery_result_bytes",
        ),
        lines(
            "Rows of answers",
            "Half of the answers, and 99 % of them, have no more rows.",
            units.Short,
            Query(quantile(0.5, "coldquery_result_rows"), "p50"),
            Query(quantile(0.99, "coldquery_result_rows"), "p99"),
            width=6,
            none="no answers",
        ),
        stack(
            "Cut answers",
            "By the limit that was reached: max_rows, max_bytes, max_cell_bytes.",
            units.CountsPerMinute,
            Query(per_minute("coldquery_results_truncated_total", by="limit"), "{{limit}}"),
            width=6,
        ),
    ]


def _process() -> Panels:
    return [
        quantiles(
            "Lag of the event loop",
            "How much later than asked a task was woken. While it is late, everything waits.",
            Query(quantile(0.5, LAG_SECONDS), "p50"),
            Query(quantile(0.99, LAG_SECONDS), "p99"),
            width=6,
        ),
        lines(
            "Audit",
            "Lines that were written, attempts that failed, and lines that wait now.",
            units.Short,
            Query(per_minute("coldquery_audit_lines_total"), "written a minute"),
            Query(per_minute("coldquery_audit_write_failures_total"), "attempts a minute that failed"),
            Query(total("coldquery_audit_pending_lines"), "wait"),
            width=6,
        ),
        lines(
            "Memory",
            "Resident, of each gateway.",
            units.BytesIEC,
            Query(of("process_resident_memory_bytes"), "{{instance}}"),
            width=6,
        ),
        lines(
            "CPU",
            "Of one core, of each gateway; at 100 % it can't go faster.",
            units.PercentUnit,
            Query(rate("process_cpu_seconds_total", by="instance"), "{{instance}}"),
            width=6,
        ),
    ]
