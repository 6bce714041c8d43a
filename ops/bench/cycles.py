"""Begin, insert, commit, over and over, many at a time: how fast, and what is left of it."""

import asyncio
import os
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import partial
from itertools import pairwise

import asyncpg

from coldquery.gateway import Gateway
from coldquery.postgres.embedded import OWNER, SUPERUSER, Endpoint
from coldquery.sessions import Begin
from coldquery.sessions.commands import Commit
from ops.bench.inside import CALLER, SQL, TAG, query, serving, settled_pss_kib
from ops.bench.measures import Fact, Measure, timed

# So many at a time, so many before it counts, and so many from one look at the memory to the next.
CONCURRENCY, WARM_UP, CHUNK = 32, 1000, 1000
# Ours, by the names that the gateway gives them; a session's is its short id.
BACKENDS = "SELECT application_name FROM pg_stat_activity WHERE starts_with(application_name, $1)"


@dataclass(frozen=True)
class Footprint:
    """What the gateway holds in this process and in PostgreSQL: its backends by name, a session's named `session`."""

    sessions: int
    tasks: int
    descriptors: int
    backends: Counter[str]

    @classmethod
    async def settled(cls, gateway: Gateway, observer: "asyncpg.Connection[asyncpg.Record]") -> "Footprint":
        """Once the sessions have ended and a spare connection is there again; after 10 s as it is then."""
        fixed = {"read", "write", "spare", "reaper"}
        give_up = time.monotonic() + 10
        while True:
            names = [row[0].rpartition("/")[2] for row in await observer.fetch(BACKENDS, f"{TAG}/")]
            backends = Counter(name if name in fixed else "session" for name in names)
            found = cls(len(gateway.sessions()), len(asyncio.all_tasks()), descriptors(), backends)
            ended = not found.sessions and not backends["session"] and backends["spare"] == 1
            if ended or time.monotonic() > give_up:
                return found
            await asyncio.sleep(0.05)


def descriptors() -> int:
    return len(os.listdir("/proc/self/fd"))  # noqa: PTH208 - it has no len


async def cycles(endpoint: Endpoint, count: int) -> tuple[list[Measure], list[Fact]]:
    """Begin, insert, commit, over and over, 32 at a time: how fast, and what is left of it."""
    dsn = endpoint.dsn(OWNER)
    observer, owner = await asyncpg.connect(endpoint.dsn(SUPERUSER)), await asyncpg.connect(dsn)
    for table in ("cycles", "plain_cycles"):
        await owner.execute(f"CREATE TABLE {table} (id integer PRIMARY KEY)")
    await owner.close()

    async def plain_cycle(number: int) -> None:
        connection = await asyncpg.connect(dsn)
        await connection.execute("BEGIN")
        await connection.execute("INSERT INTO plain_cycles VALUES ($1)", number)
        await connection.execute("COMMIT")
        await connection.close()

    async def repeat(call: Callable[[int], Awaitable[None]], numbers: range) -> tuple[list[float], float]:
        left, times, started = iter(numbers), list[float](), time.perf_counter()

        async def work() -> None:
            for number in left:
                times.extend(await timed(partial(call, number)))

        await asyncio.gather(*(work() for _ in range(CONCURRENCY)))
        return times, time.perf_counter() - started

    plain = Measure(f"asyncpg: connect, BEGIN, INSERT, COMMIT, close; {CONCURRENCY}", "/s")
    rate = Measure(f"session: begin, insert, commit; {CONCURRENCY} at a time", "/s", plain)
    each, growth = Measure("  one of them", "ms"), Measure(f"  memory grown by the next {CHUNK:,}", "KiB")
    told: list[object] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: told.append(context))
    # A session keeps its slot until its connection is closed, a moment after its COMMIT was answered.
    async with serving(endpoint, "cycles", max_sessions=2 * CONCURRENCY) as gateway:

        async def cycle(number: int) -> None:
            session = (await gateway.begin(CALLER, Begin())).id
            await gateway.ask(CALLER, session, query(gateway, "INSERT INTO cycles VALUES ($1)", number))
            await gateway.ask(CALLER, session, Commit())

        # Warm: the pool of reads has a connection, the reaper its own, and all tombstones are taken.
        await gateway.read(SQL)
        await gateway.reaper.sweep()
        _ = await repeat(cycle, range(-WARM_UP, 0))
        before, total_s = await Footprint.settled(gateway, observer), 0.0
        memory = [settled_pss_kib()]
        for first in range(0, count, CHUNK):
            numbers = range(first, min(first + CHUNK, count))
            times, elapsed_s = await repeat(cycle, numbers)
            total_s += elapsed_s
            each.add(times)
            rate.rounds.append(len(times) / elapsed_s)
            memory.append(settled_pss_kib())
            times, elapsed_s = await repeat(plain_cycle, numbers[: CHUNK // 5])
            plain.rounds.append(len(times) / elapsed_s)
        growth.rounds = [float(new - old) for old, new in pairwise(memory)]
        after = await Footprint.settled(gateway, observer)
        leaks = sum(gateway.reaper.counts.values())
        rows = await observer.fetchval("SELECT count(*) FROM cycles WHERE id >= 0")
    await observer.close()
    each.target = f"{count:,} took {total_s:.1f} s"
    return [plain, rate, each, growth], [
        Fact(f"rows after {count:,} cycles", rows, rows == count),
        Fact("sessions open after them", after.sessions, not after.sessions),
        Fact("backends of sessions", left := after.backends.pop("session", 0), not left),
        *(
            Fact(what, f"{was} → {now}", now <= was)
            for what, was, now in (
                ("other backends", before.backends.total(), after.backends.total()),
                ("tasks of the event loop", before.tasks, after.tasks),
                ("open file descriptors", before.descriptors, after.descriptors),
            )
        ),
        Fact("leaks that the reaper found", leaks, not leaks),
        Fact("errors that nobody caught", len(told), not told),
    ]
