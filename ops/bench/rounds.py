"""Rounds of work: each subject in turn, in another order each time, so that what slows the machine hits all alike."""

import asyncio
import gc
import time
from collections.abc import AsyncIterator, Awaitable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, nullcontext
from dataclasses import dataclass

from ops.bench.data import Data
from ops.bench.harness import ROOT, connect, free_port, running
from ops.bench.lanes import BenchError, gather
from ops.bench.measures import p50_p99, progress, rotated
from ops.bench.subjects import Subject
from ops.bench.transactions import holding
from ops.bench.work import Load, Player, Work

# After sessions were opened, PostgreSQL's processes are busy for a while longer.
SETTLE_S = 1.0


@dataclass(frozen=True)
class Sample:
    """One round. CPU seconds are those of 1,000 units of work; `client_busy` is the client's share of a CPU."""

    units: int
    seconds: float
    per_s: float
    p50_ms: float
    p99_ms: float
    server_cpu_s: float
    postgres_cpu_s: float | None
    memory_mib: float
    client_busy: float


@dataclass(frozen=True)
class Case:
    """What the rounds of one subject, work and load have measured."""

    work: Work
    load: Load
    subject: Subject
    size: int
    samples: list[Sample]


@asynccontextmanager
async def playing(subjects: Sequence[Subject], dsn: str) -> AsyncIterator[list[Player]]:
    """All of them run, and each has answered a tools/list."""
    async with AsyncExitStack() as stack:
        players = []
        for subject in subjects:
            port = free_port()
            environment = {"PYTHONPATH": str(ROOT), **subject.environment(dsn)}
            server = stack.enter_context(
                running(
                    subject.name,
                    subject.command(dsn, port),
                    port,
                    pipes=subject.wire == "lines",
                    environment=environment,
                )
            )
            client = await connect(server, subject.wire)
            stack.push_async_callback(client.close)
            players.append(Player(subject, server, client))
        yield players


async def check(players: Sequence[Player], works: Sequence[Work], data: Data) -> dict[str, dict[str, str]]:
    """Each does each work once, before anything is timed. By work and subject: why it can't be done.

    Raises:
        BenchError: an answer of one that is no peer is wrong.
    """
    unable: dict[str, dict[str, str]] = {work.name: {} for work in works}
    for player in players:
        for work in works:
            why = work.refuses(player.subject)
            if why is None:
                try:
                    await _named(player, work, work.check(player, data))
                except BenchError as error:
                    if not player.subject.peer:
                        raise
                    why = str(error)
            if why is not None:
                unable[work.name][player.subject.name] = why
    return unable


async def measure(
    players: Sequence[Player], work: Work, load: Load, data: Data, *, rounds: int, seconds: float
) -> list[Case]:
    able = [player for player in players if work.name in player.sizes]
    cases = {player.subject.name: Case(work, load, player.subject, player.sizes[work.name], []) for player in able}
    for number in range(rounds):
        for player in rotated(able, number):
            told = f"{work.name}, {load.callers} at a time, {load.held} held, round {number + 1}: {player.subject.name}"
            progress(told)
            sample = await _named(player, work, _sample(player, work, load, data, seconds, warm=number > 0))
            cases[player.subject.name].samples.append(sample)
    return list(cases.values())


async def _sample(player: Player, work: Work, load: Load, data: Data, seconds: float, *, warm: bool) -> Sample:
    async with holding(player, load.held) if load.held else nullcontext():
        if load.held:
            await asyncio.sleep(min(SETTLE_S, seconds))
        lanes = await player.client.lanes(load.callers)
        scripts = work.scripts(player, data)
        if not warm or load.held:
            await gather(lanes, scripts, min(1.0, seconds / 2))
        gc.collect()
        gc.disable()
        try:
            server, postgres = player.server.cpu_s(), data.cpu_s()
            own, started = time.process_time(), time.perf_counter()
            times = await gather(lanes, scripts, seconds)
            elapsed, own = time.perf_counter() - started, time.process_time() - own
            server = player.server.cpu_s() - server
            after = data.cpu_s()
        finally:
            gc.enable()
    p50_s, p99_s = p50_p99(times)
    return Sample(
        units=len(times),
        seconds=elapsed,
        per_s=len(times) / elapsed,
        p50_ms=p50_s * 1000,
        p99_ms=p99_s * 1000,
        server_cpu_s=server / len(times) * 1000,
        postgres_cpu_s=None if after is None or postgres is None else (after - postgres) / len(times) * 1000,
        memory_mib=player.server.memory_mib(),
        client_busy=own / elapsed,
    )


async def _named[T](player: Player, work: Work, doing: Awaitable[T]) -> T:
    try:
        return await doing
    except BenchError as error:
        # If it has ended, its last words tell more.
        await asyncio.sleep(0.2)
        player.server.must_run()
        raise BenchError(f"{player.subject.name}, {work.name}: {error}") from None
