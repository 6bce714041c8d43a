"""`coldquery serve`: put the parts together, run until told to stop, and take them apart in order."""

from __future__ import annotations

import asyncio
import contextlib
import os
import secrets
import signal
import socket
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path

import structlog
from starlette.types import ASGIApp

from coldquery import banner
from coldquery.collector import freeze
from coldquery.control.server import serve_control
from coldquery.database import Database, open_database, tag_of
from coldquery.errors import StartError
from coldquery.express.calls import Calls
from coldquery.express.http import ExpressLane
from coldquery.express.stdio import StdioLane
from coldquery.gateway import Gateway
from coldquery.mcp.stdio import standard_streams
from coldquery.postgres.target import Target
from coldquery.settings import Loaded, Settings
from coldquery.telemetry import tracing
from coldquery.telemetry.audit import NO_AUDIT, Audit, Sink
from coldquery.telemetry.sinks import AuditFile, StandardOutput
from coldquery.web.health import health_routes
from coldquery.web.metrics import METRICS_PATH, metrics_route
from coldquery.web.refusals import NoteRefusals
from coldquery.web.serving import listen, listen_for_pages, serve_pages, server, url_host

MCP_PATH = "/mcp"
# A handshake-era client that went away without a word is forgotten after so long.
HANDSHAKE_IDLE_S = 1800

_log = structlog.get_logger(__name__)


async def serve(load: Callable[[], Loaded]) -> None:
    """Serve until a signal, or until standard input ends when that is the transport.

    Args:
        load: reads the settings; called again on SIGHUP.

    Raises:
        StartError: something that only the operator can mend keeps the gateway from starting.
    """
    loaded = load()
    settings = loaded.settings
    listener = listen(settings.host, settings.port, "port") if settings.transport == "http" else None
    pages = listen_for_pages(settings.metrics_address)
    audit = _open_audit(settings)
    async with contextlib.AsyncExitStack() as stack:
        if settings.tracing:
            stack.enter_context(tracing.exporting(version("coldquery")))
        database = await stack.enter_async_context(open_database(settings, meanwhile=_import_adapter))
        tag = tag_of(secrets.token_hex(4))

        def targets(settings: Settings) -> tuple[Target, Target]:
            return database.targets(settings, tag)

        gateway = Gateway(settings, *targets(settings), tag=tag, audit=audit, revive=database.revive)
        # These outlive the sessions, so that an operator can see what holds up a drain.
        async with serve_control(gateway), serve_pages(gateway, pages) as metrics, gateway:
            stop = _on_signals(gateway, lambda: _reload(gateway, load, targets))
            if listener is None:
                await _serve_stdio(gateway, loaded, database, stop, metrics=metrics)
            else:
                await _serve_http(gateway, loaded, database, stop, listener, metrics=metrics)
    _log.info("stopped")


async def application(gateway: Gateway, *, with_metrics: bool, express: bool) -> ASGIApp:
    """All that is served over HTTP: MCP, by one door or two, behind their guard, and the operator's pages."""
    from coldquery.mcp import server as mcp  # noqa: PLC0415 - takes a second; the embedded server starts meanwhile
    from coldquery.mcp.internals import Guard  # noqa: PLC0415

    settings, tools = gateway.settings, mcp.build_tools(gateway)
    framework = (await mcp.build_server(gateway, tools)).http_app(
        path=MCP_PATH, host_origin_protection=False, session_idle_timeout=HANDSHAKE_IDLE_S
    )
    framework.router.routes.extend(health_routes(gateway))
    if with_metrics:
        framework.router.routes.append(metrics_route(gateway))
    app: ASGIApp = ExpressLane(framework, MCP_PATH, Calls(tools, mcp.INFO)) if express else framework
    return NoteRefusals(Guard(app, settings.allowed_hosts, settings.allowed_origins), gateway.audit)


async def _serve_http(
    gateway: Gateway,
    loaded: Loaded,
    database: Database,
    stop: asyncio.Event,
    listener: socket.socket,
    *,
    metrics: str | None,
) -> None:
    settings = loaded.settings
    app = await application(gateway, with_metrics=metrics is None, express=settings.express)
    serving_mcp = server(
        app,
        lifespan="on",
        timeout_graceful_shutdown=max(1, round(settings.drain_timeout_s)),
    )
    freeze()
    port = listener.getsockname()[1]
    url = f"http://{url_host(settings.host)}:{port}"
    metrics = metrics or url + METRICS_PATH
    banner.show(loaded, gateway, database.place, url=url + MCP_PATH, health=url + "/health", metrics=metrics)
    serving = asyncio.create_task(serving_mcp.serve(sockets=[listener]))
    await _ended_or_stopped(serving, stop)
    serving_mcp.should_exit = True
    await serving


async def _serve_stdio(
    gateway: Gateway, loaded: Loaded, database: Database, stop: asyncio.Event, *, metrics: str | None
) -> None:
    from coldquery.mcp import server as mcp  # noqa: PLC0415 - as above
    from coldquery.mcp.internals import STDIO_CLIENT, run_stdio  # noqa: PLC0415

    settings = loaded.settings
    tools = mcp.build_tools(gateway)
    calls = Calls(tools if settings.express else (), mcp.INFO)
    async with (
        standard_streams() as (lines, output),
        contextlib.aclosing(StdioLane(lines, output, STDIO_CLIENT, calls)) as lane,
    ):
        server = await mcp.build_server(gateway, tools, lane.open)
        freeze()
        banner.show(loaded, gateway, database.place, metrics=metrics)
        serving = asyncio.create_task(run_stdio(server, lane, output))
        await _ended_or_stopped(serving, stop)
        if serving.done():
            gateway.client_gone(STDIO_CLIENT)
        serving.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await serving


async def _ended_or_stopped(serving: asyncio.Task[None], stop: asyncio.Event) -> None:
    stopping = asyncio.create_task(stop.wait())
    await asyncio.wait([serving, stopping], return_when=asyncio.FIRST_COMPLETED)
    stopping.cancel()


def _import_adapter() -> None:
    """The slowest import, done while the embedded server starts."""
    import coldquery.mcp.server  # noqa: F401, PLC0415


def _open_audit(settings: Settings) -> Audit:
    if settings.audit is None:
        return NO_AUDIT
    sink: Sink
    if settings.audit == "stdout":
        sink = StandardOutput()
    else:
        path = Path(settings.audit).expanduser().absolute()
        sink = AuditFile(path, settings.audit_max_bytes, settings.audit_keep)
    return Audit(sink, refuse=settings.audit_failure == "refuse")


def _on_signals(gateway: Gateway, reload: Callable[[], asyncio.Task[None]]) -> asyncio.Event:
    stop = asyncio.Event()
    reloads: set[asyncio.Task[None]] = set()

    def on_stop() -> None:
        if stop.is_set():
            _log.warning("killed_by_second_signal")
            os._exit(1)
        gateway.drain()
        stop.set()

    def on_reload() -> None:
        task = reload()
        reloads.add(task)
        task.add_done_callback(reloads.discard)

    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGTERM, on_stop)
    loop.add_signal_handler(signal.SIGINT, on_stop)
    loop.add_signal_handler(signal.SIGHUP, on_reload)
    return stop


def _reload(
    gateway: Gateway, load: Callable[[], Loaded], targets: Callable[[Settings], tuple[Target, Target]]
) -> asyncio.Task[None]:
    async def reload() -> None:
        try:
            settings = load().settings
        except StartError as error:
            _log.error("reload_refused", reason=str(error), next=error.next)
            return
        await gateway.reload(settings, *targets(settings))
        _log.info("reloaded")

    return asyncio.create_task(reload())
