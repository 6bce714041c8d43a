"""What an answer costs: a stateless read, its rows as JSON, and the caps on an answer that has no end.

    uv run python -m ops.bench.answers [--rounds 5]

It calls the gateway from Python, in this process and as `coldquery serve` runs it, over an embedded PostgreSQL in a
scratch directory. Rounds are interleaved, so that a machine that gets slower meanwhile hits all alike. Timings stand
beside their targets and prove nothing; the facts are proven, and the exit code is 1 if one does not hold.
"""

from __future__ import annotations

import argparse
import multiprocessing
import resource
import sys
from concurrent.futures import ProcessPoolExecutor

import asyncpg
import msgspec

from coldquery.gateway import Gateway
from coldquery.postgres.embedded import READER, Endpoint
from ops.bench.harness import scratch_postgres
from ops.bench.inside import run, serving, target
from ops.bench.measures import Call, Fact, Measure, print_facts, print_head, print_measures, rotated, timed

BY_KEY = "SELECT id, sku, name, stock FROM shop.products WHERE id = $1"
ROWS = """
SELECT i AS order_id, (i * 7919) % 500 AS customer_id, 'customer ' || i AS full_name, i % 2 = 0 AS is_shipped,
       (i * 1.25)::numeric(10, 2) AS total_amount, date '2026-01-01' + i % 365 AS ordered_on,
       timestamptz '2026-01-01 12:00+00' + i * interval '1 minute' AS updated_at, i * 0.1::float8 AS discount_rate,
       CASE WHEN i % 10 = 0 THEN NULL ELSE 'note ' || i END AS remarks, i::int8 * 1000 AS tracking_number
FROM generate_series(1, 1000) AS i
"""
ENDLESS = "SELECT * FROM generate_series(1, 50000000)"
LIMITED = ENDLESS + " LIMIT 1001"


async def by_key(endpoint: Endpoint, rounds: int) -> list[Measure]:
    """A row by its key: from a pool as asyncpg's users do it, and from the gateway with all of its safety."""
    plain = Measure("asyncpg: acquire, fetch, release", "µs")
    ours = Measure("Gateway.read", "µs", plain, "at most 1.6")
    pool = target(endpoint, READER, "plain").dsn
    async with (
        asyncpg.create_pool(pool, min_size=1, max_size=4) as connections,
        serving(endpoint, "by_key") as gateway,
    ):

        async def fetch() -> None:
            async with connections.acquire() as connection:
                await connection.fetch(BY_KEY, 47)

        subjects: list[tuple[Measure, Call]] = [(plain, fetch), (ours, lambda: gateway.read(BY_KEY, [47]))]
        await interleave(subjects, rounds, turns=40, count=50)
    return [plain, ours]


async def rows(endpoint: Endpoint, rounds: int) -> tuple[list[Measure], list[Fact]]:
    """A thousand rows of ten columns as JSON: asyncpg and the fastest serialiser, and the gateway's own way."""
    connection = await target(endpoint, READER, "rows").connect()
    await connection.execute("BEGIN READ ONLY")
    encoder = msgspec.json.Encoder(enc_hook=str)
    plain = Measure("asyncpg's fetch and msgspec, 1,000 x 10", "ms")
    own = Measure("Connection.run, the same bytes", "ms", plain, "at most 2")
    whole = Measure("Gateway.read", "ms", plain)
    async with serving(endpoint, "rows") as gateway:
        limits = gateway.limits(None)

        async def fetch() -> bytes:
            return encoder.encode([tuple(row) for row in await connection.fetch(ROWS)])

        async def run_one() -> bytes:
            return (await connection.run(ROWS, (), limits, cached=True)).rows_json

        assert await fetch() == await run_one()
        subjects: list[tuple[Measure, Call]] = [(plain, fetch), (own, run_one), (whole, lambda: gateway.read(ROWS))]
        await interleave(subjects, rounds, turns=10, count=5)
        answer = (await gateway.read(ROWS)).result
    names = [column.name for column in answer.columns]
    objects = msgspec.json.encode([dict(zip(names, row, strict=True)) for row in answer.rows])
    columns = msgspec.json.encode([{"name": each.name, "type": each.type} for each in answer.columns])
    share = (len(answer.rows_json) + len(columns)) / len(objects)
    await connection.close()
    return [plain, own, whole], [Fact("bytes of a table, of those of a list of objects", f"{share:.2f}", share <= 0.55)]


async def interleave(subjects: list[tuple[Measure, Call]], rounds: int, *, turns: int, count: int) -> None:
    for number in range(-1, rounds):
        times: list[list[float]] = [[] for _ in subjects]
        for turn in range(turns):
            for each, (_, call) in rotated(list(zip(times, subjects, strict=True)), turn):
                each.extend(await timed(call, count))
        if number >= 0:  # the first only warms up
            for (measure, _), each in zip(subjects, times, strict=True):
                measure.add(each)


def endless(endpoint: Endpoint, sql: str) -> tuple[float, int]:
    """Seconds, and the memory that this process took at most, in KiB. For a process of its own."""

    async def once(gateway: Gateway) -> None:
        answer = await gateway.read(sql, timeout_ms=120_000)
        assert answer.result.truncated is not None
        assert len(answer.result.rows) == 1000

    async def measure() -> float:
        async with serving(endpoint, "endless", max_statement_timeout_ms=120_000) as gateway:
            await gateway.read("SELECT 1")
            return (await timed(lambda: once(gateway)))[0]

    return run(measure()), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def caps(endpoint: Endpoint, rounds: int) -> tuple[list[Measure], list[Fact]]:
    limited = Measure("50 million rows, LIMIT 1001", "ms")
    capped = Measure("50 million rows, no LIMIT", "ms", limited, "at most 2")
    peaks: list[int] = []
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn"), max_tasks_per_child=1) as fresh:
        for _ in range(rounds):
            seconds, least = fresh.submit(endless, endpoint, LIMITED).result()
            limited.add([seconds])
            seconds, most = fresh.submit(endless, endpoint, ENDLESS).result()
            capped.add([seconds])
            peaks.append(most - least)
    mib = max(peaks) / 1024
    return [limited, capped], [Fact("more memory without a LIMIT, MiB", f"{mib:.1f}", mib <= 20)]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    rounds = parser.parse_args().rounds
    with scratch_postgres(durable=False) as endpoint:
        print(f"PostgreSQL without fsync, for what the gateway adds; medians of {rounds} rounds")
        print_head()
        print_measures(run(by_key(endpoint, rounds)))
        row_measures, row_facts = run(rows(endpoint, rounds))
        print_measures(row_measures)
        cap_measures, cap_facts = caps(endpoint, min(rounds, 3))
        print_measures(cap_measures)
    facts = [*row_facts, *cap_facts]
    print_facts(facts)
    sys.exit(not all(fact.holds for fact in facts))


if __name__ == "__main__":
    main()
