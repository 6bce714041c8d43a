"""The database goes away and comes back: the gateway says so at once, and recovers by itself."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from coldquery.errors import Code, Refusal, StartError
from coldquery.gateway import Gateway
from coldquery.postgres import availability
from coldquery.postgres.availability import Availability, Down, Up
from coldquery.postgres.target import Target
from coldquery.settings import Settings
from tests.conftest import TestDatabase
from tests.faults.proxy import Proxy, through


@pytest.fixture
async def proxy(database: TestDatabase) -> AsyncIterator[Proxy]:
    async with Proxy(database.endpoint.socket_dir / f".s.PGSQL.{database.endpoint.port}") as proxy:
        yield proxy


def target(dsn: str) -> Target:
    return Target(dsn=dsn, application_name="coldquery/test/read", connect_timeout_s=0.5)


def gateway_on(dsn: str) -> Gateway:
    return Gateway(Settings(read_pool_size=2, pool_acquire_timeout_s=1, drain_timeout_s=1), target(dsn))


async def until(gateway: Gateway, kind: type[Up] | type[Down], within_s: float = 10) -> None:
    async with asyncio.timeout(within_s):
        while not isinstance(gateway.availability.state, kind):
            await asyncio.sleep(0.01)


async def refused(gateway: Gateway, sql: str = "SELECT 1") -> Refusal:
    with pytest.raises(Refusal) as caught:
        await gateway.read(sql, timeout_ms=1000)
    return caught.value


async def test_a_gateway_without_its_database_says_when_it_tries_again_and_recovers(
    proxy: Proxy, database: TestDatabase
) -> None:
    await proxy.refuse()
    async with gateway_on(through(proxy, database)) as gateway:
        health = gateway.health()
        assert (health.ready, health.database) == (False, "down")
        refusal = await refused(gateway)
        assert refusal.code is Code.DATABASE_UNAVAILABLE
        assert refusal.retry_after_s is not None
        assert 0 < refusal.retry_after_s <= availability.BACKOFF_LIMIT_S
        await proxy.listen()
        await until(gateway, Up)
        assert gateway.health().ready
        assert (await gateway.read("SELECT 1")).result.rows == [(1,)]


async def test_a_database_that_is_cut_off_is_noticed_at_once_and_used_again(
    proxy: Proxy, database: TestDatabase
) -> None:
    async with gateway_on(through(proxy, database)) as gateway:
        await until(gateway, Up)
        assert (await gateway.read("SELECT 1")).result.rows == [(1,)]
        await proxy.refuse()
        await until(gateway, Down, within_s=1)
        assert (await refused(gateway)).code is Code.DATABASE_UNAVAILABLE
        await proxy.listen()
        await until(gateway, Up)
        assert (await gateway.read("SELECT 1")).result.rows == [(1,)]


async def test_a_network_that_swallows_everything_costs_a_read_its_deadline_and_no_more(
    proxy: Proxy, database: TestDatabase
) -> None:
    async with gateway_on(through(proxy, database)) as gateway:
        await until(gateway, Up)
        await gateway.read("SELECT 1")
        proxy.swallow()
        async with asyncio.timeout(8):
            refusal = await refused(gateway)
        assert refusal.code in {Code.DATABASE_UNAVAILABLE, Code.DEADLINE_EXCEEDED, Code.POOL_EXHAUSTED}
        await until(gateway, Down)
        await proxy.refuse()
        await proxy.listen()
        await until(gateway, Up, within_s=15)
        assert (await gateway.read("SELECT 1")).result.rows == [(1,)]


async def test_a_read_cut_in_the_middle_says_so_and_the_next_one_works(proxy: Proxy, database: TestDatabase) -> None:
    async with gateway_on(through(proxy, database)) as gateway:
        await until(gateway, Up)
        call = asyncio.create_task(gateway.read("SELECT pg_sleep(60)"))
        async with asyncio.timeout(5):
            while not await gateway_sleeps(gateway):
                await asyncio.sleep(0.01)
        proxy.cut()
        with pytest.raises(Refusal) as caught:
            await call
        assert caught.value.code is Code.CONNECTION_LOST
        assert caught.value.retryable
        await until(gateway, Up)
        async with asyncio.timeout(5):
            while True:
                try:
                    answer = await gateway.read("SELECT 1")
                except Refusal:
                    await asyncio.sleep(0.01)
                else:
                    break
        assert answer.result.rows == [(1,)]


async def gateway_sleeps(gateway: Gateway) -> bool:
    sql = "SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'PgSleep'"
    return (await gateway.read(sql)).result.rows == [(1,)]


@pytest.mark.parametrize(
    ("dsn", "words"),
    [
        ("postgresql://nobody_known@{host}/{database}", "nobody_known"),
        ("postgresql://coldquery_reader@{host}/no_such_database", "no_such_database"),
    ],
)
async def test_settings_that_the_server_refuses_stop_the_start(
    proxy: Proxy, database: TestDatabase, dsn: str, words: str
) -> None:
    dsn = dsn.format(host=f"127.0.0.1:{proxy.port}", database=database.name) + "?sslmode=disable"
    with pytest.raises(StartError, match=words) as caught:
        await Availability(target(dsn)).start()
    assert "DSN" in caught.value.next


async def test_what_revives_the_database_is_asked_before_each_attempt(proxy: Proxy, database: TestDatabase) -> None:
    await proxy.refuse()
    asked = 0

    async def revive() -> None:
        nonlocal asked
        asked += 1
        if asked == 3:
            await proxy.listen()

    watch = Availability(target(through(proxy, database)), revive)
    await watch.start()
    async with asyncio.timeout(10):
        while not isinstance(watch.state, Up):
            await asyncio.sleep(0.01)
    assert asked == 3
    await watch.stop()
