"""The gateway in this process, as `coldquery serve` runs it, called from Python."""

import asyncio
import gc
import os
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager, redirect_stderr
from functools import cache
from pathlib import Path
from typing import Any

import uvloop

from coldquery.collector import freeze
from coldquery.gateway import Caller, Gateway
from coldquery.postgres.embedded import OWNER, READER, Endpoint
from coldquery.postgres.target import Target
from coldquery.sessions import Begin
from coldquery.sessions.commands import Query
from coldquery.settings import Settings
from coldquery.telemetry.logging import configure
from ops.bench.processes import pss_kib

TAG = "coldquery/bench"
CALLER = Caller("bench")
SQL = "SELECT 1"


def run[T](main: Coroutine[Any, Any, T]) -> T:
    """On uvloop, with the collector tuned and a log, though nobody reads it."""
    _log_to_nowhere()
    freeze()
    return asyncio.run(main, loop_factory=uvloop.new_event_loop)


@cache
def _log_to_nowhere() -> None:
    # Never closed: the loggers keep what they were given first.
    with redirect_stderr(Path(os.devnull).open("w")):
        configure("info", "json")


def target(endpoint: Endpoint, role: str, name: str) -> Target:
    return Target(endpoint.dsn(role), f"{TAG}/{name}", connect_timeout_s=5)


@asynccontextmanager
async def serving(endpoint: Endpoint, boot: str, **settings: Any) -> AsyncIterator[Gateway]:
    reader, writer = target(endpoint, READER, f"{boot}/read"), target(endpoint, OWNER, f"{boot}/write")
    tag = reader.application_name.removesuffix("/read")
    async with Gateway(Settings(**settings), reader, writer, tag=tag) as gateway:
        yield gateway


def query(gateway: Gateway, sql: str, *params: Any, access: str = "write") -> Query:
    return Query.model_validate({"sql": sql, "params": params, "access": access, "limits": gateway.limits(None)})


def settled_pss_kib() -> int:
    gc.collect()
    return pss_kib()


async def open_sessions(gateway: Gateway, count: int) -> None:
    """Sessions in whose transactions one statement has run."""
    for _ in range(count):
        echo = await gateway.begin(CALLER, Begin())
        await gateway.ask(CALLER, echo.id, query(gateway, SQL))


async def end_sessions(gateway: Gateway) -> None:
    for session in gateway.sessions():
        gateway.evict(session.short_id)
    await until(lambda: not gateway.sessions())


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(10):
        while not condition():  # noqa: ASYNC110 - nobody tells
            await asyncio.sleep(0.002)
