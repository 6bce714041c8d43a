"""What a held transaction costs: a statement in it, its begin, its memory, 200 at once, 10,000 in a row.

    uv run python -m ops.bench.sessions [--rounds 5] [--cycles 10000]

It calls the gateway from Python, in this process and as `coldquery serve` runs it, over an embedded PostgreSQL in a
scratch directory. Rounds are interleaved, so that a machine that gets slower meanwhile hits all alike. Timings stand
beside their targets and prove nothing. The facts are proven: the exit code is 1 if one does not hold.
"""

import argparse
import asyncio
import multiprocessing
import os
import sys
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from typing import override

import asyncpg

from actors import Actor, LoopClock, Supervisor
from actors import Limits as ActorLimits
from coldquery.gateway import Gateway
from coldquery.postgres.answer import Limits, Result
from coldquery.postgres.connection import Connection
from coldquery.postgres.embedded import OWNER, Endpoint
from coldquery.sessions import Begin, SessionLimits
from ops.bench.cycles import cycles
from ops.bench.harness import scratch_postgres
from ops.bench.inside import (
    CALLER,
    SQL,
    end_sessions,
    open_sessions,
    query,
    run,
    serving,
    settled_pss_kib,
    target,
    until,
)
from ops.bench.measures import Call, Fact, Measure, print_facts, print_head, print_measures, rotated, timed

BY_KEY = "SELECT id, sku, name, stock FROM shop.products WHERE id = $1"
# So many sessions are held, and so many are open already when their memory is measured.
MANY, WARM = 200, 20


class Bare(Actor[str, Result]):
    """Runs a statement, and nothing else: what it costs more than the statement is the runtime's share."""

    def __init__(self, connection: Connection, limits: Limits) -> None:
        self._connection, self._limits = connection, limits

    @override
    async def receive(self, command: str) -> Result:
        return await self._connection.run(command, (), self._limits, cached=False)


async def statement(endpoint: Endpoint, rounds: int) -> list[Measure]:
    """One cheap statement in a transaction that is open, from the barest way to the whole."""
    # As a session's connection is: PostgreSQL arms a timer for each of these limits, so the others have them too.
    alike = replace(target(endpoint, OWNER, "bare"), settings=SessionLimits().backstops(1800))
    prepared, direct = await alike.connect(), await alike.connect()
    unnamed = await asyncpg.connect(alike.dsn, statement_cache_size=0, connection_class=Connection)
    await alike.configure(unnamed)
    for connection in (prepared, unnamed, direct):
        await connection.execute("BEGIN")
    # Two baselines are fair. asyncpg without its cache sends the same messages in the same two trips: the difference to
    # it is what a caller pays for all of ours. `Connection.run` does the same to the rows too: the difference to it is
    # what the gateway's verb and the actor add. asyncpg with its cache saves a trip that a session must not save: a
    # statement kept since before a schema change elsewhere would fail, and the transaction with it.
    two_trips = Measure("asyncpg, unnamed statement: 2 trips", "µs")
    unacted = Measure("Connection.run, no actor: 2 trips", "µs", two_trips)
    asked = Measure("session, write: 2 trips; over asyncpg", "µs", two_trips, "at most +40")
    async with serving(endpoint, "statement") as gateway:
        session = (await gateway.begin(CALLER, Begin())).id
        limits, write, read = gateway.limits(None), query(gateway, SQL), query(gateway, SQL, access="read")
        actors = Supervisor[str, Result](LoopClock(), ActorLimits(max_actors=1))
        bare = await actors.start(Bare(direct, limits), "bare", timeout_s=5)
        subjects: list[tuple[Measure, Call]] = [
            (Measure("asyncpg, kept prepared: 1 trip", "µs"), lambda: prepared.fetch(SQL)),
            (two_trips, lambda: unnamed.fetch(SQL)),
            (unacted, lambda: direct.run(SQL, (), limits, cached=False)),
            (Measure("an actor that only runs it", "µs", unacted, "at most +40"), lambda: bare.ask(SQL, 5)),
            (asked, lambda: gateway.ask(CALLER, session, write)),
            (
                Measure("session, read: 4 trips, with its savepoint", "µs", two_trips),
                lambda: gateway.ask(CALLER, session, read),
            ),
        ]
        backends = [gateway.sessions()[0].backend_pid, *(each.get_server_pid() for each in (prepared, unnamed, direct))]
        with one_cpu(os.getpid(), *filter(None, backends)):
            for number in range(-1, rounds):
                times: list[list[float]] = [[] for _ in subjects]
                for turn in range(20):
                    for each, (_, call) in rotated(list(zip(times, subjects, strict=True)), turn):
                        each.extend(await timed(call, 50))
                if number >= 0:  # the first only warms up
                    for (measure, _), each in zip(subjects, times, strict=True):
                        measure.add(each)
        await actors.drain(1, 1)
    for connection in (prepared, unnamed, direct):
        await connection.close()
    actor = Measure("session, write; over Connection.run", "µs", unacted, "", asked.rounds, asked.p99s)
    measures = [measure for measure, _ in subjects]
    return [*measures[:5], actor, *measures[5:]]


@contextmanager
def one_cpu(*processes: int) -> Iterator[None]:
    """Processes that only take turns share a CPU, or the time that a sleeping one takes to wake up drowns the rest."""
    cpus = os.sched_getaffinity(0)
    for process in processes:
        os.sched_setaffinity(process, {min(cpus)})
    try:
        yield
    finally:
        os.sched_setaffinity(0, cpus)


async def begins(endpoint: Endpoint, rounds: int) -> list[Measure]:
    """BEGIN on a connection that is open, a session's begin when one is ready for it, and both when none is."""
    dsn = endpoint.dsn(OWNER)
    plain = await asyncpg.connect(dsn)
    opened: list[asyncpg.Connection[asyncpg.Record]] = []

    async def connect_and_begin() -> None:
        opened.append(await asyncpg.connect(dsn))
        await opened[-1].execute("BEGIN")

    ready, connecting = Measure("asyncpg, BEGIN on an open connection", "ms"), Measure("asyncpg, connect, BEGIN", "ms")
    spared = Measure("begin, a spare connection is ready", "ms", ready, "at most +1.5")
    async with serving(endpoint, "warm") as warm, serving(endpoint, "cold", spare_connections=0) as cold:
        spares = warm._sessions.spares  # noqa: SLF001 - nothing else tells when one is ready
        subjects: list[tuple[Measure, Call]] = [
            (ready, lambda: plain.execute("BEGIN")),
            (spared, lambda: warm.begin(CALLER, Begin())),
            (connecting, connect_and_begin),
            (Measure("begin, none is", "ms", connecting), lambda: cold.begin(CALLER, Begin())),
        ]
        for number in range(rounds):
            times: list[list[float]] = [[] for _ in subjects]
            for _ in range(40):
                for each, (_, call) in rotated(list(zip(times, subjects, strict=True)), number):
                    await until(lambda: len(spares) > 0)
                    # PostgreSQL's processes come and go for a while longer.
                    await asyncio.sleep(0.01)
                    each.extend(await timed(call))
                    await plain.execute("ROLLBACK")
                    for connection in opened:
                        await connection.close()
                    opened.clear()
                    await end_sessions(warm)
                    await end_sessions(cold)
            for (measure, _), each in zip(subjects, times, strict=True):
                measure.add(each)
    await plain.close()
    return [measure for measure, _ in subjects]


def memory_kib(endpoint: Endpoint) -> float:
    """What one more idle session costs the gateway's process. For a process of its own, where nothing else was done."""

    async def measure() -> float:
        async with serving(endpoint, "memory", max_sessions=MANY) as gateway:
            await open_sessions(gateway, WARM)
            before = settled_pss_kib()
            await open_sessions(gateway, MANY - WARM)
            return (settled_pss_kib() - before) / (MANY - WARM)

    return run(measure())


async def held(endpoint: Endpoint, rounds: int) -> tuple[list[Measure], list[Fact]]:
    """Reads by key without a session, while 200 sessions hold a transaction open each, and while none does."""
    measures: list[Measure] = []
    for unit in ("/s", "ms"):
        measures.append(none := Measure("reads by key, 8 at a time; no session open", unit))
        measures.append(Measure(f"the same, {MANY} sessions open", unit, none, "the same"))
    found: list[int] = []
    async with serving(endpoint, "held", max_sessions=MANY) as gateway:
        for number in range(-1, rounds):
            for many in rotated((False, True), number):
                await open_sessions(gateway, MANY if many else 0)
                # PostgreSQL's processes, so many of which have come or gone, are busy for a while longer.
                await asyncio.sleep(1)
                times, elapsed = await reads(gateway)
                if number >= 0:
                    measures[many].rounds.append(len(times) / elapsed)
                    measures[2 + many].add(times)
                if many:
                    states = Counter(session.state for session in gateway.sessions())
                    found.append(states["idle in transaction"])
                await end_sessions(gateway)
    fact = Fact(f"sessions idle in transaction after the reads, of {MANY}", min(found), min(found) == MANY)
    return measures, [fact]


async def reads(gateway: Gateway, seconds: float = 1.5) -> tuple[list[float], float]:
    times: list[float] = []
    started = time.perf_counter()

    async def repeat() -> None:
        while time.perf_counter() < started + seconds:
            times.extend(await timed(lambda: gateway.read(BY_KEY, [47])))

    await asyncio.gather(*(repeat() for _ in range(8)))
    return times, time.perf_counter() - started


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--cycles", type=int, default=10_000)
    options = parser.parse_args()
    rounds = options.rounds
    with scratch_postgres(durable=False, settings={"max_connections": "250"}) as endpoint:
        print(f"PostgreSQL without fsync, for what the gateway adds; statements on one CPU; medians of {rounds} rounds")
        print_head()
        memory = Measure(f"memory of an idle session, of {MANY}", "KiB", target="at most 40")
        with ProcessPoolExecutor(1, multiprocessing.get_context("spawn"), max_tasks_per_child=1) as fresh:
            memory.rounds = [fresh.submit(memory_kib, endpoint).result() for _ in range(rounds)]
        print_measures(run(statement(endpoint, rounds)))
        print_measures(run(begins(endpoint, rounds)))
        print_measures([memory])
        held_measures, held_facts = run(held(endpoint, rounds))
        print_measures(held_measures)
        cycle_measures, cycle_facts = run(cycles(endpoint, options.cycles))
        print_measures(cycle_measures)
    facts = [*held_facts, *cycle_facts]
    print_facts(facts)
    sys.exit(not all(fact.holds for fact in facts))


if __name__ == "__main__":
    main()
