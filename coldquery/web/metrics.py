"""`/metrics`: what the gateway counts, and how things stand with it now.

Made from what it knows already, waiting for nobody: a full pool or a dead database must not blind whoever watches.
https://prometheus.io/docs/instrumenting/exposition_formats/
"""

from __future__ import annotations

import asyncio
import platform
from collections import Counter
from collections.abc import Iterable
from importlib.metadata import PackageNotFoundError, version
from typing import override

from prometheus_client import CollectorRegistry
from prometheus_client.core import GaugeMetricFamily, InfoMetricFamily
from prometheus_client.registry import Collector
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from coldquery.gateway import Gateway
from coldquery.telemetry.exposition import Exposition
from coldquery.telemetry.metrics import POOLS, REGISTRY

METRICS_PATH = "/metrics"
TEXT_FORMAT = "text/plain; version=0.0.4; charset=utf-8"
CLOSING = "closing"
SESSION_STATES = {
    "idle in transaction": "idle",
    "active": "executing",
    "idle in transaction (aborted)": "failed",
    "ended": CLOSING,
}


def metrics_route(gateway: Gateway) -> Route:
    """The page."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(Standing(gateway))
    exposition = Exposition(REGISTRY, registry)

    async def metrics(_: Request) -> Response:
        return Response(exposition.render(), headers={"content-type": TEXT_FORMAT})

    return Route(METRICS_PATH, metrics, methods=["GET"])


class Standing(Collector):
    """How things stand with a gateway at the moment of the scrape."""

    def __init__(self, gateway: Gateway) -> None:
        self._gateway = gateway
        self._build = _build()

    @override
    def collect(self) -> Iterable[GaugeMetricFamily | InfoMetricFamily]:
        """See prometheus_client."""
        yield self._build
        yield from self._sessions()
        yield from self._pools()
        health = self._gateway.health()
        yield _gauge("db_up", "1 while PostgreSQL answers.", health.database == "up")
        yield _gauge("ready", "1 while PostgreSQL answers and the gateway takes new work.", health.ready)
        yield _gauge("asyncio_tasks", "Tasks of the event loop.", len(asyncio.all_tasks()))
        yield _gauge("audit_pending_lines", "Lines that wait to be written.", self._gateway.audit.pending)

    def _sessions(self) -> Iterable[GaugeMetricFamily]:
        gateway = self._gateway
        sessions = gateway.sessions()
        limits = gateway.session_limits
        states = Counter(dict.fromkeys(SESSION_STATES.values(), 0))
        states.update(SESSION_STATES.get(each.state, CLOSING) for each in sessions)
        yield _by("sessions", "Open sessions.", "state", states)
        yield _gauge("sessions_limit", "How many may be open.", limits.max_sessions)
        yield _gauge("session_oldest_age_seconds", "The oldest session's.", max((s.age_s for s in sessions), default=0))
        yield _gauge(
            "session_oldest_idle_seconds",
            "How long the session has been idle that has been so for longest.",
            max((each.idle_s or 0 for each in sessions), default=0),
        )
        yield _gauge("session_idle_limit_seconds", "After so long an idle session ends.", limits.idle_timeout_s)
        yield _gauge("sessions_blocking", "Sessions that others wait for.", sum(bool(each.blocks) for each in sessions))
        waiting = [each.queued for each in sessions]
        yield _gauge("mailbox_waiting_commands", "Commands that wait in mailboxes.", sum(waiting))
        yield _gauge("mailbox_deepest", "Commands in the fullest mailbox.", max(waiting, default=0))
        yield _gauge("mailbox_limit", "How many commands a mailbox holds.", limits.mailbox_capacity)
        yield _gauge("spare_connections", "Connections that wait for a session to begin.", gateway.spare_connections)

    def _pools(self) -> Iterable[GaugeMetricFamily]:
        pools = dict(zip(POOLS, self._gateway.pools(), strict=True))
        connections = GaugeMetricFamily(
            "coldquery_pool_connections", "Connections of a pool.", labels=("pool", "state")
        )
        for name, pool in pools.items():
            connections.add_metric((name, "used"), pool.used)
            connections.add_metric((name, "idle"), pool.idle)
        yield connections
        limits = {name: pool.limit for name, pool in pools.items()}
        yield _by("pool_connections_limit", "How many connections a pool may have.", "pool", limits)
        waiting = {name: pool.waiting for name, pool in pools.items()}
        yield _by("pool_pending_requests", "Jobs that wait for a connection.", "pool", waiting)


def _gauge(name: str, words: str, value: float) -> GaugeMetricFamily:
    return GaugeMetricFamily(f"coldquery_{name}", words, value=value)


def _by(name: str, words: str, label: str, values: dict[str, int] | Counter[str]) -> GaugeMetricFamily:
    family = GaugeMetricFamily(f"coldquery_{name}", words, labels=(label,))
    for value, count in values.items():
        family.add_metric((value,), count)
    return family


def _build() -> InfoMetricFamily:
    facts = {"python": platform.python_version()}
    for package in ("coldquery", "fastmcp", "asyncpg"):
        try:
            facts[package] = version(package)
        except PackageNotFoundError:
            facts[package] = "unknown"
    return InfoMetricFamily("coldquery_build", "What runs.", value=facts)
