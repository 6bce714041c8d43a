"""The dashboard *Sessions*: what is held open, since when, whom it keeps waiting, and how it ends."""

from __future__ import annotations

from grafana_foundation_sdk.models import units
from grafana_foundation_sdk.models.dashboard import Dashboard

from ops.grafana.board import Panels, board
from ops.grafana.panels import BAD, GOOD, LIMIT, WARNING, Query, figure, heat, lines, quantiles, stack
from ops.grafana.promql import grown, highest, of, per_minute, quantile, seen, total


def sessions() -> Dashboard:
    """The dashboard."""
    return board(
        "coldquery-sessions",
        "ColdQuery: Sessions",
        "The transactions that agents hold open: how many, how old, whom they keep waiting, and how they end.",
        [*_now(), *_over_time(), *_spread(), *_ends(), *_trouble()],
    )


def _now() -> Panels:
    idle, idle_limit = of("coldquery_session_oldest_idle_seconds"), of("coldquery_session_idle_limit_seconds")
    return [
        figure(
            "Open sessions",
            "Each holds a transaction and a connection open. `coldquery sessions` says whose they are.",
            units.Short,
            Query(total("coldquery_sessions"), "open"),
        ),
        figure(
            "Share of the limit",
            "At 100 % no further session begins until one ends (max_sessions).",
            units.PercentUnit,
            Query(f"{total('coldquery_sessions')} / {total('coldquery_sessions_limit')}", "in use"),
            steps=[(0.8, WARNING), (0.95, BAD)],
            good=GOOD,
        ),
        figure(
            "Sessions that block",
            "Others wait in PostgreSQL for locks of these. `coldquery sessions` says who waits, and evicts.",
            units.Short,
            Query(total("coldquery_sessions_blocking"), "blocking"),
            steps=[(1, WARNING)],
            good=GOOD,
        ),
        figure(
            "Oldest session",
            "As long as its transaction is open, vacuum can't clear away what was deleted since.",
            units.Seconds,
            Query(highest("coldquery_session_oldest_age_seconds"), "age"),
        ),
        figure(
            "Longest idle",
            "As a share of the time after which an idle session ends (idle_timeout_s). Above 100 % nobody ends it.",
            units.PercentUnit,
            Query(f"max ({idle} / {idle_limit})", "of the limit"),
            steps=[(0.8, WARNING), (1.2, BAD)],
            good=GOOD,
        ),
        figure(
            "Must stay at 0",
            "Leaks that the reaper had to end, and commits of which nobody knows whether they happened, "
            "in the time that is shown.",
            units.Short,
            Query(grown("coldquery_session_leaks_total"), "leaks"),
            Query(grown("coldquery_commit_outcomes_total", 'outcome="unknown"'), "in doubt"),
            steps=[(0.5, BAD)],
            good=GOOD,
        ),
    ]


def _over_time() -> Panels:
    return [
        stack(
            "Open sessions by state",
            "idle: in a transaction, waiting for its agent. executing: a statement runs. failed: only a rollback is "
            "taken. closing: it ends.",
            units.Short,
            Query(total("coldquery_sessions", by="state"), "{{state}}"),
            Query(total("coldquery_sessions_limit"), LIMIT),
            width=12,
        ),
        lines(
            "Oldest session and longest idle",
            "Of the sessions that are open now. Two lines that climb side by side are one agent that forgot its "
            "transaction.",
            units.Seconds,
            Query(highest("coldquery_session_oldest_age_seconds"), "oldest session"),
            Query(highest("coldquery_session_oldest_idle_seconds"), "longest idle"),
            width=12,
        ),
    ]


def _spread() -> Panels:
    return [
        heat(
            "Age at the end",
            "How old sessions were when they ended. Those that are still open are not in it.",
            units.Seconds,
            "coldquery_session_age_seconds",
        ),
        heat(
            "Idle before a command",
            "How long sessions waited for their agents from one command to the next.",
            units.Seconds,
            "coldquery_session_idle_seconds",
        ),
    ]


def _ends() -> Panels:
    return [
        stack(
            "Ends by reason",
            "committed and rolled_back are the agents' own; the others were ended for them.",
            units.CountsPerMinute,
            Query(seen(per_minute("coldquery_sessions_ended_total", by="reason")), "{{reason}}"),
            none="no session has ended",
        ),
        stack(
            "Outcomes of COMMIT",
            "rolled_back: PostgreSQL's answer to a COMMIT in a failed transaction. refused: an error, such as a "
            "deferred constraint's. unknown: the answer was lost, and PostgreSQL could not be asked.",
            units.CountsPerMinute,
            Query(per_minute("coldquery_commit_outcomes_total", by="outcome"), "{{outcome}}"),
        ),
        quantiles(
            "Mailbox wait",
            "How long commands waited for the one before them in the same session.",
            Query(quantile(0.5, "coldquery_mailbox_wait_seconds"), "p50"),
            Query(quantile(0.99, "coldquery_mailbox_wait_seconds"), "p99"),
            none="no command",
        ),
    ]


def _trouble() -> Panels:
    return [
        lines(
            "Who waits",
            "Sessions for whose locks others wait, and commands that wait in mailboxes.",
            units.Short,
            Query(total("coldquery_sessions_blocking"), "sessions that block"),
            Query(total("coldquery_mailbox_waiting_commands"), "commands in mailboxes"),
            Query(highest("coldquery_mailbox_deepest"), "in the fullest mailbox"),
        ),
        stack(
            "Begun and refused",
            "Sessions that began, and those that did not, by the reason.",
            units.CountsPerMinute,
            Query(seen(per_minute("coldquery_sessions_opened_total", by="access")), "begun: {{access}}"),
            Query(seen(per_minute("coldquery_sessions_rejected_total", by="reason")), "refused: {{reason}}"),
        ),
        lines(
            "Leaks and commands that never ran",
            "Leaks by their kind, each ended by the reaper; and commands of which the mailbox was full, the session "
            "ended first, or the deadline passed.",
            units.CountsPerMinute,
            Query(per_minute("coldquery_session_leaks_total", by="kind"), "{{kind}}"),
            Query(per_minute("coldquery_mailbox_rejected_total", by="reason"), "never ran: {{reason}}"),
        ),
    ]
