"""Minutes of mixed agents at a fixed rate, and the proof that nothing was lost, kept or left behind.

    uv run python -m ops.bench.soak [--minutes 10] [--rate 25] [--plot soak.png]

Agents come at random moments, whether or not those before are done. In the end: every commit that was reported is in
the table, and nothing else is; no session, backend, task or file descriptor is left; and the slope of the memory is
told. The plot needs matplotlib (`--group picture`).
"""

from __future__ import annotations

import argparse
import asyncio
import random
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import asyncpg
import httpx2

from coldquery.postgres.embedded import OWNER, READER, SUPERUSER, Endpoint
from ops.bench.agents import AGENTS, Agent, Gateway, Ledger
from ops.bench.harness import Server, first_list, free_port, scratch_postgres, serving
from ops.bench.measures import Fact, print_facts, print_row

IDLE_TIMEOUT_S, MAX_SESSIONS = 5, 60
SAMPLE_EVERY_S = 1.0
# Of the run that much is left out of the memory's slope: caches fill, pools open.
WARM_UP = 0.4
# What pools and spares may hold open in the end.
SETTLED_CONNECTIONS = 10 + 5 + 2
SETTLE_S = 4 * IDLE_TIMEOUT_S
WATCHED = ("process_resident_memory_bytes", "process_open_fds", "coldquery_asyncio_tasks")

type Sample = dict[str, float]


def gateway_command(endpoint: Endpoint, port: int) -> list[str]:
    flags = {
        "dsn": endpoint.dsn(OWNER),
        "reader-dsn": endpoint.dsn(READER),
        "port": port,
        "max-sessions": MAX_SESSIONS,
        "idle-timeout-s": IDLE_TIMEOUT_S,
        "reap-interval-s": 2,
        "log-level": "warning",
    }
    return [
        "-m",
        "coldquery.cli",
        "serve",
        *(word for name, value in flags.items() for word in (f"--{name}", str(value))),
    ]


async def soak(endpoint: Endpoint, minutes: float, rate: float, plot: Path | None) -> bool:
    database = await asyncpg.connect(endpoint.dsn(SUPERUSER, "coldquery"))
    await database.execute("CREATE TABLE soak (row bigint); ALTER TABLE soak OWNER TO coldquery_owner")
    port, ledger = free_port(), Ledger()
    with serving("ColdQuery", gateway_command(endpoint, port), port) as server:
        await first_list(server)
        before = await asyncio.to_thread(look, port)
        samples: list[tuple[float, Sample]] = []
        watching = asyncio.create_task(watch(port, samples))
        limits = httpx2.Limits(max_connections=400, max_keepalive_connections=100, keepalive_expiry=2)
        async with httpx2.AsyncClient(limits=limits) as http:
            crashed = await visits(Gateway(http, f"http://127.0.0.1:{port}/mcp", ledger), ledger, minutes * 60, rate)
        after = await settled(port, before)
        watching.cancel()
        facts = [
            *proof(ledger, crashed, before, after, server),
            *await truth(database, ledger),
        ]
    await database.close()
    report(ledger, samples, facts)
    if plot is not None:
        from ops.bench.soak_plot import draw  # noqa: PLC0415 - matplotlib is not always there

        draw(ledger, samples, plot)
        print(f"\n{plot}")
    return all(fact.holds for fact in facts)


async def visits(gateway: Gateway, ledger: Ledger, seconds: float, rate: float) -> list[BaseException]:
    """Let agents come; what any of them has crashed of."""
    kinds, shares = list(AGENTS), list(AGENTS.values())
    running: set[asyncio.Task[None]] = set()
    crashed: list[BaseException] = []

    def ended(task: asyncio.Task[None]) -> None:
        running.discard(task)
        if (error := task.exception()) is not None:
            crashed.append(error)

    async def visit(agent: Agent) -> None:
        await agent(gateway, ledger)

    until = time.monotonic() + seconds
    while (now := time.monotonic()) < until:
        task = asyncio.create_task(visit(random.choices(kinds, shares)[0]))
        running.add(task)
        task.add_done_callback(ended)
        await asyncio.sleep(max(now + random.expovariate(rate) - time.monotonic(), 0))
    if running:
        await asyncio.wait(running)
    return crashed


def look(port: int) -> Sample:
    """The gateway's own figures."""
    page = httpx2.get(f"http://127.0.0.1:{port}/metrics", timeout=30).text
    found: Sample = {"sessions": 0.0}
    for line in page.splitlines():
        name, _, value = line.rpartition(" ")
        if name in WATCHED:
            found[name] = float(value)
        elif name.startswith("coldquery_sessions{"):
            found["sessions"] += float(value)
        elif name.startswith("coldquery_session_leaks_total{") and "client_gone" not in name and "blocking" not in name:
            found["leaks"] = found.get("leaks", 0.0) + float(value)
    return found


async def watch(port: int, samples: list[tuple[float, Sample]]) -> None:
    while True:
        samples.append((time.monotonic(), await asyncio.to_thread(look, port)))
        await asyncio.sleep(SAMPLE_EVERY_S)


async def settled(port: int, before: Sample) -> Sample:
    """The figures once abandoned sessions have ended and idle connections of clients are closed."""
    give_up = time.monotonic() + SETTLE_S
    while True:
        now = await asyncio.to_thread(look, port)
        if (not now["sessions"] and now["coldquery_asyncio_tasks"] <= before["coldquery_asyncio_tasks"]) or (
            time.monotonic() > give_up
        ):
            return now
        await asyncio.sleep(1)


def proof(ledger: Ledger, crashed: list[BaseException], before: Sample, after: Sample, server: Server) -> list[Fact]:
    more_tasks = after["coldquery_asyncio_tasks"] - before["coldquery_asyncio_tasks"]
    more_files = after["process_open_fds"] - before["process_open_fds"]
    warnings = [line for line in server.log.read_text(errors="replace").splitlines() if "crashed" in line]
    return [
        Fact("sessions left", int(after["sessions"]), after["sessions"] == 0),
        Fact("leaks that the reaper found", int(after.get("leaks", 0)), not after.get("leaks")),
        Fact("more tasks than before", int(more_tasks), more_tasks <= 0),
        Fact("more file descriptors, pools included", int(more_files), more_files <= SETTLED_CONNECTIONS),
        Fact("calls that failed by a defect", ledger.told["internal"], not ledger.told["internal"]),
        Fact("agents that met what they should not", len(crashed), not crashed),
        Fact("crashes in the log", len(warnings), not warnings),
    ]


async def truth(database: asyncpg.Connection[Any], ledger: Ledger) -> list[Fact]:
    found = {row[0] for row in await database.fetch("SELECT row FROM soak")}
    missing, foreign = ledger.wrong(found)
    backends = await database.fetchval(
        "SELECT count(*) FROM pg_stat_activity WHERE application_name ~ '^coldquery/[^/]+/[^/]+/.{8}$'"
    )
    return [
        Fact("backends of sessions left", backends, backends == 0),
        Fact(f"of {len(ledger.committed)} rows reported as committed, missing", len(missing), not missing),
        Fact(f"of {len(found)} rows found, committed by nobody", len(foreign), not foreign),
        Fact("rows of which nobody could be told", len(ledger.doubtful), True),
    ]


def slope(samples: list[tuple[float, Sample]]) -> float:
    """MiB a minute, by least squares over what comes after the warm-up."""
    settled = samples[int(len(samples) * WARM_UP) :]
    if len(settled) < 3:
        return 0.0
    minutes = [at / 60 for at, _ in settled]
    memory = [each["process_resident_memory_bytes"] / 2**20 for _, each in settled]
    return statistics.linear_regression(minutes, memory).slope


def report(ledger: Ledger, samples: list[tuple[float, Sample]], facts: list[Fact]) -> None:
    by_kind: dict[str, list[float]] = {}
    for _, kind, took_s in ledger.times:
        by_kind.setdefault(kind, []).append(took_s * 1000)
    print_row("\n", "calls", "p50 ms", "p99 ms", "max ms")
    for kind, times in sorted(by_kind.items(), key=lambda each: -len(each[1])):
        times.sort()
        p50, p99 = statistics.median(times), times[int(len(times) * 0.99)]
        print_row(kind, f"{len(times)}", f"{p50:.1f}", f"{p99:.1f}", f"{times[-1]:.0f}")
    print("\nEnds of calls: " + ", ".join(f"{code} {count}" for code, count in ledger.told.most_common()))
    memory = [each["process_resident_memory_bytes"] / 2**20 for _, each in samples]
    print(f"Memory: {memory[0]:.0f} MiB at first, {memory[-1]:.0f} at last, {slope(samples):+.2f} MiB a minute")
    print_facts(facts)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument("--rate", type=float, default=25, help="agents a second")
    parser.add_argument("--plot", type=Path, help="where to draw latencies and figures over time")
    options = parser.parse_args()
    run: Callable[[Endpoint], Any] = lambda endpoint: soak(endpoint, options.minutes, options.rate, options.plot)  # noqa: E731
    with scratch_postgres() as endpoint:
        return 0 if asyncio.run(run(endpoint)) else 1


if __name__ == "__main__":
    sys.exit(main())
