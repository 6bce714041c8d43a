"""The container's health check, against a server that answers what it is told to."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

import pytest

from coldquery import healthcheck

OK = b'HTTP/1.1 200 OK\r\ncontent-length: 15\r\n\r\n{"status":"ok"}'
AWAY = b'HTTP/1.1 503 Service Unavailable\r\n\r\n{"reason":"database: away"}'


# Of a container's processor, for each check; Python's own start is most of it.
MOST_CPU_S = 0.1


@asynccontextmanager
async def server(pages: Mapping[str, bytes], host: str = "127.0.0.1") -> AsyncIterator[str]:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        request = await reader.readuntil(b"\r\n\r\n")
        assert f"\r\nHost: {'[::1]' if ':' in host else host}:" in request.decode()
        writer.write(pages[request.decode().split()[1]])
        writer.close()

    running = await asyncio.start_server(answer, host, 0)
    async with running:
        yield str(running.sockets[0].getsockname()[1])


async def check(*arguments: str, **environment: str) -> int:
    return await asyncio.to_thread(healthcheck.main, arguments, environment)


async def test_it_asks_whether_the_gateway_can_work(capsys: pytest.CaptureFixture[str]) -> None:
    async with server({"/readyz": AWAY, "/livez": OK}) as port:
        assert await check(f"127.0.0.1:{port}") == 1
        assert "database: away" in capsys.readouterr().out
        assert await check("--live", f"127.0.0.1:{port}") == 0


async def test_it_finds_the_gateway_by_its_own_settings() -> None:
    async with server({"/readyz": OK}) as port:
        assert await check(COLDQUERY_HOST="0.0.0.0", COLDQUERY_PORT=port) == 0
        assert await check(COLDQUERY_METRICS_ADDRESS=f"0.0.0.0:{port}", COLDQUERY_PORT="1") == 0


async def test_an_address_of_version_6_is_named_as_http_has_it() -> None:
    async with server({"/readyz": OK}, "::1") as port:
        assert await check(f"[::1]:{port}") == 0
        assert await check(COLDQUERY_HOST="::", COLDQUERY_PORT=port) == 0


@pytest.mark.parametrize("address", ["127.0.0.1:1", "[::1]:1", "nonsense", "127.0.0.1:x"])
async def test_no_answer_is_a_failure_with_words(address: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert await check(address) == 1
    assert "no answer from" in capsys.readouterr().out


async def test_an_answer_that_is_no_http_is_a_failure() -> None:
    async with server({"/readyz": b""}) as port:
        assert await check(f"127.0.0.1:{port}") == 1


def cpu_of_check(address: str) -> float:
    """What a check costs as a container runs it, in seconds."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("COVERAGE")}
    command = [sys.executable, "-m", "coldquery.healthcheck", address]
    quiet = [(os.POSIX_SPAWN_OPEN, 1, os.devnull, os.O_WRONLY, 0)]
    pid = os.posix_spawn(sys.executable, command, environment, file_actions=quiet)
    _, status, used = os.wait4(pid, 0)
    assert os.waitstatus_to_exitcode(status) == 0
    return used.ru_utime + used.ru_stime


async def test_it_costs_next_to_nothing() -> None:
    async with server({"/readyz": OK}) as port:
        # The best of some, for the machine may be busy with something else.
        costs = [await asyncio.to_thread(cpu_of_check, f"127.0.0.1:{port}") for _ in range(5)]
    assert min(costs) < MOST_CPU_S


def test_it_imports_nothing_that_costs() -> None:
    program = "import sys, coldquery.healthcheck; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=30)
    assert {"fastmcp", "asyncpg", "structlog", "http.client", "asyncio"} & set(done.stdout.split()) == set()
