"""Real MCP clients hear how far maintenance is, and stop it, over both transports and in both protocol eras."""

from __future__ import annotations

import asyncio
from typing import Any

import asyncpg
import pytest

from tests.conftest import TestDatabase
from tests.e2e.conftest import RunningGateway, StdioClients
from tests.e2e.test_clients import ERAS, TRANSPORTS, body
from tests.e2e.test_transactions import over
from tests.integration.sessions.asking import until

RUNNING = """
SELECT count(*) FROM pg_stat_activity
WHERE datname = current_database() AND state = 'active' AND query LIKE 'VACUUM%'
"""
VACUUM: dict[str, Any] = {"action": "vacuum", "table": "entry", "full": True, "autocommit": True}


@pytest.mark.parametrize("era", ERAS)
@pytest.mark.parametrize("transport", TRANSPORTS)
async def test_a_client_hears_whom_a_vacuum_waits_for_and_what_it_has_changed(
    transport: str, era: str, ledger_gateway: RunningGateway, ledger: TestDatabase, *, ledger_over_stdio: StdioClients
) -> None:
    heard: list[tuple[float, float | None, str | None]] = []
    told = asyncio.Event()

    async def hear(progress: float, total: float | None, message: str | None) -> None:
        heard.append((progress, total, message))
        told.set()

    writer = await asyncpg.connect(ledger.owner_dsn)
    async with over(transport, era, ledger_gateway, ledger_over_stdio) as client:
        async with writer.transaction():
            await writer.execute("INSERT INTO entry VALUES (1, 1)")
            calling = asyncio.create_task(client.call_tool("pg_admin", VACUUM, progress_handler=hear))
            async with asyncio.timeout(5):
                await told.wait()
        answer = body(await calling)
    assert (answer["command"], answer["table"]) == ("VACUUM (FULL) public.entry", "public.entry")
    assert answer["summary"].startswith("Table size: ")
    assert heard[0][1:] == (100, f"waiting for a lock; before it comes: process {writer.get_server_pid()}")
    assert [each[0] for each in heard] == sorted({each[0] for each in heard})
    await writer.close()


@pytest.mark.parametrize("era", ERAS)
@pytest.mark.parametrize("transport", TRANSPORTS)
async def test_a_vacuum_that_its_client_cancels_is_gone(
    transport: str, era: str, ledger_gateway: RunningGateway, ledger: TestDatabase, *, ledger_over_stdio: StdioClients
) -> None:
    observer, writer = await asyncpg.connect(ledger.superuser_dsn), await asyncpg.connect(ledger.owner_dsn)
    async with over(transport, era, ledger_gateway, ledger_over_stdio) as client, writer.transaction():
        await writer.execute("LOCK TABLE entry IN SHARE UPDATE EXCLUSIVE MODE")
        calling = asyncio.create_task(client.call_tool("pg_admin", {**VACUUM, "full": False}))
        await until(observer, RUNNING, wanted=1)
        calling.cancel()
        await asyncio.wait([calling])
        await until(observer, RUNNING, wanted=0, within_s=1)
    await writer.close()
    await observer.close()
