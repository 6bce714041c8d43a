"""From the start of a process to its first answered tools/list, and what it holds when it has nothing to do."""

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass

from ops.bench.harness import ROOT, connect, free_port, running
from ops.bench.measures import progress, rotated
from ops.bench.subjects import Subject

IDLE_S = 1.0


@dataclass(frozen=True)
class Start:
    """Of one process and all that it starts."""

    cold_ms: float
    idle_mib: float


async def measure(subjects: Sequence[Subject], dsn: str, rounds: int, idle_s: float = IDLE_S) -> dict[str, list[Start]]:
    """One at a time, so that no two share pages. Each should have been started before, which fills caches."""
    found: dict[str, list[Start]] = {subject.name: [] for subject in subjects}
    for number in range(rounds):
        for subject in rotated(subjects, number):
            progress(f"cold start, round {number + 1}: {subject.name}")
            found[subject.name].append(await one(subject, dsn, idle_s))
    return found


async def one(subject: Subject, dsn: str, idle_s: float) -> Start:
    port = free_port()
    command, environment = subject.command(dsn, port), {"PYTHONPATH": str(ROOT), **subject.environment(dsn)}
    started = time.perf_counter()
    with running(subject.name, command, port, pipes=subject.wire == "lines", environment=environment) as server:
        client = await connect(server, subject.wire)
        cold_s = time.perf_counter() - started
        await asyncio.sleep(idle_s)
        memory = server.memory_mib()
        await client.close()
    return Start(cold_s * 1000, memory)
