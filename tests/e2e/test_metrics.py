"""The metrics of a gateway that runs as a user starts it: all series from the start, no more ever, and at once."""

from __future__ import annotations

import asyncio
import re
import shutil
import subprocess
import time
from typing import Any

import pytest

from ops.grafana import load
from tests.conftest import MAX_SERIES, TestDatabase
from tests.e2e.conftest import RunningGateway, reader_and_writer, run_gateway
from tests.e2e.modern import ask, http_client
from tests.faults.proxy import Proxy, through

MOST_MS, MOST_BYTES = 10, 100_000
# What counts before the first call: the gateway's own connections and questions, and its loop.
ITS_OWN = re.compile(r"coldquery_(db_connects|db_operation|event_loop_lag|pool_wait)\w+")
SLEEP = "SELECT pg_sleep(30)"


async def page_of(gateway: RunningGateway) -> str:
    async with http_client() as http:
        return (await http.get(gateway.base + "/metrics")).text


def samples(page: str) -> dict[str, float]:
    told = (line.rpartition(" ") for line in page.splitlines() if not line.startswith("#"))
    return {name: float(value) for name, _, value in told}


async def best_of_many(gateway: RunningGateway) -> tuple[float, str]:
    """The page, and how long it takes at best, in ms: the machine may be busy with something else."""
    best_ms, page = float("inf"), ""
    async with http_client() as http:
        for _ in range(20):
            began = time.perf_counter()
            page = (await http.get(gateway.base + "/metrics")).text
            best_ms = min(best_ms, (time.perf_counter() - began) * 1000)
    return best_ms, page


async def until(gateway: RunningGateway, sample: str, value: float) -> None:
    async with asyncio.timeout(15):
        while samples(await page_of(gateway))[sample] != value:
            await asyncio.sleep(0.05)


async def test_every_series_is_there_at_0_from_the_start_and_no_call_makes_another(database: TestDatabase) -> None:
    async with run_gateway(env=reader_and_writer(database, **load.SETTINGS)) as gateway:
        start = samples(await page_of(gateway))
        counting = {name for name in start if re.match(r"coldquery_\w+_(total|bucket|sum|count)\b", name)}
        assert {name: start[name] for name in counting if start[name] and not ITS_OWN.match(name)} == {}
        assert not [name for name in start if "_created" in name]
        await load.everything(gateway.url)
        page = await page_of(gateway)
        after = samples(page)
    assert after.keys() == start.keys()
    assert len(after) <= MAX_SERIES
    assert sum(after[name] > start[name] for name in counting) > len(counting) / 4, "it was a load"
    assert sum(after[f'coldquery_calls_by_door_total{{door="{each}"}}'] for each in ("express", "fastmcp")) == sum(
        count for name, count in after.items() if name.startswith("coldquery_calls_total")
    )


@pytest.mark.skipif(shutil.which("promtool") is None, reason="promtool is not installed (Debian: prometheus)")
async def test_promtool_finds_nothing_wrong_with_the_page(database: TestDatabase) -> None:
    async with run_gateway(env=reader_and_writer(database)) as gateway:
        await ask(gateway, "pg_query", {"action": "read", "sql": "SELECT 1"})
        page = await page_of(gateway)
    done = await asyncio.to_thread(
        subprocess.run, ["promtool", "check", "metrics"], input=page, text=True, capture_output=True, timeout=30
    )
    assert (done.returncode, done.stdout + done.stderr) == (0, "")


async def test_the_page_comes_at_once_while_all_is_busy_and_while_postgresql_is_away(database: TestDatabase) -> None:
    """Every connection of both pools has a statement, and so has every session; then the network swallows them all."""
    sizes = {
        "COLDQUERY_READ_POOL_SIZE": "3",
        "COLDQUERY_WRITE_POOL_SIZE": "2",
        "COLDQUERY_MAX_SESSIONS": "3",
        "COLDQUERY_POOL_ACQUIRE_TIMEOUT_S": "30",
        "COLDQUERY_DRAIN_TIMEOUT_S": "1",
    }
    async with Proxy(database.endpoint.socket_dir / f".s.PGSQL.{database.endpoint.port}") as proxy:
        dsn = through(proxy, database)
        env = {"COLDQUERY_DSN": dsn.replace("reader", "owner"), "COLDQUERY_READER_DSN": dsn, **sizes}
        async with run_gateway(env=env) as gateway:
            sessions = [(await ask(gateway, "pg_tx", {"action": "begin"}))["session_id"] for _ in range(3)]
            wanted: list[dict[str, Any]] = [
                *({"action": "read", "sql": SLEEP} for _ in range(5)),
                *({"action": "write", "sql": SLEEP, "autocommit": True} for _ in range(4)),
                *({"action": "read", "sql": SLEEP, "session_id": each} for each in sessions),
            ]
            busy = [asyncio.create_task(ask(gateway, "pg_query", each)) for each in wanted]
            await until(gateway, 'coldquery_pool_pending_requests{pool="write"}', 2)
            await until(gateway, 'coldquery_sessions{state="executing"}', 3)
            took_ms, page = await best_of_many(gateway)
            found = samples(page)
            assert (took_ms < MOST_MS, len(page) < MOST_BYTES) == (True, True), took_ms
            assert found['coldquery_pool_connections{pool="read",state="used"}'] == 3
            assert found['coldquery_pool_pending_requests{pool="read"}'] == 2
            assert found['coldquery_pool_connections{pool="write",state="used"}'] == 2
            assert found["coldquery_calls_in_flight"] == len(wanted)
            await proxy.refuse()
            await until(gateway, "coldquery_db_up", 0)
            took_ms, page = await best_of_many(gateway)
            assert took_ms < MOST_MS
            assert samples(page)["coldquery_ready"] == 0
            async with http_client() as http:
                ready, live = [await http.get(f"{gateway.base}/{each}") for each in ("readyz", "livez")]
            assert (ready.status_code, live.status_code) == (503, 200)
            assert ready.json()["reason"].startswith("database: ")
            for each in busy:
                each.cancel()
            await asyncio.gather(*busy, return_exceptions=True)
