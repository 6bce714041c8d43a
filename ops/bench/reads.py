"""A read by key, cold start and idle memory: the gateway beside the smallest FastMCP server, in one run.

    uv run python -m ops.bench.reads [--rounds 5] [--seconds 3]

Rounds are interleaved, so that a machine that gets slower meanwhile hits all alike; the medians over the rounds and
their ratios are printed. It starts an embedded PostgreSQL with the demo shop in a scratch directory.
"""

import argparse
import asyncio
import statistics
import time
from contextlib import ExitStack

from coldquery.postgres.embedded import READER
from ops.bench.harness import (
    Round,
    Server,
    first_list,
    free_port,
    load,
    request,
    scratch_postgres,
    serving,
)
from ops.bench.measures import print_row

SQL = "SELECT id, sku, name, stock FROM shop.products WHERE id = $1"
GATEWAY = request(
    "tools/call",
    {"name": "pg_query", "arguments": {"action": "read", "sql": SQL, "params": [47]}},
    "pg_query",
)
NAIVE = request("tools/call", {"name": "query", "arguments": {"sql": SQL, "params": [47]}}, "query")


def gateway_command(dsn: str, port: int) -> list[str]:
    return ["-m", "coldquery.cli", "serve", "--dsn", dsn, "--port", str(port)]


def naive_command(dsn: str | None, port: int, *, fast: bool = True) -> list[str]:
    return [
        "-m",
        "ops.bench.naive",
        *(["--dsn", dsn] if dsn else []),
        "--port",
        str(port),
        *["--fast"][: int(fast)],
    ]


async def throughput(dsn: str, rounds: int, seconds: float) -> None:
    with ExitStack() as stack:

        def start(name: str, command: list[str], port: int) -> Server:
            return stack.enter_context(serving(name, command, port))

        port_a, port_b, port_c = free_port(), free_port(), free_port()
        subjects = [
            (start("ColdQuery", gateway_command(dsn, port_a), port_a), GATEWAY),
            (start("FastMCP + asyncpg, same fast settings", naive_command(dsn, port_b), port_b), NAIVE),
            (start("FastMCP + asyncpg, as it comes", naive_command(dsn, port_c, fast=False), port_c), NAIVE),
        ]
        for server, call in subjects:
            await first_list(server)
            await load(server, call, concurrency=16, seconds=1)
        for concurrency in (1, 16):
            figures: dict[str, list[Round]] = {server.name: [] for server, _ in subjects}
            for _ in range(rounds):
                for server, call in subjects:
                    figures[server.name].append(await load(server, call, concurrency=concurrency, seconds=seconds))
            print(f"\nA row by key over HTTP, MCP 2026-07-28, {concurrency} at a time;", end=" ")
            print(f"medians of {rounds} rounds of {seconds:g} s")
            print_row("", "calls/s", "p50 ms", "p99 ms", "CPU µs", "ratio", "spread")
            base = statistics.median(each.calls_per_s for each in figures[subjects[1][0].name])
            for name, each in figures.items():
                rates = [one.calls_per_s for one in each]
                rate = statistics.median(rates)
                print_row(
                    name,
                    f"{rate:.0f}",
                    f"{statistics.median(one.p50_ms for one in each):.2f}",
                    f"{statistics.median(one.p99_ms for one in each):.2f}",
                    f"{statistics.median(one.cpu_us for one in each):.0f}",
                    f"{rate / base:.2f}",
                    f"{(max(rates) - min(rates)) / rate:.0%}",
                )


async def cold_start(dsn: str, rounds: int) -> None:
    times: dict[str, list[float]] = {"ColdQuery": [], "FastMCP, bare": []}
    memory: dict[str, list[float]] = {name: [] for name in times}
    for _ in range(rounds):
        for name, each in times.items():
            port = free_port()
            command = gateway_command(dsn, port) if name == "ColdQuery" else naive_command(None, port)
            started = time.perf_counter()
            with serving(name, command, port) as server:
                await first_list(server)
                each.append(time.perf_counter() - started)
                await asyncio.sleep(1)
                memory[name].append(server.memory_mib())
    print(
        f"\nFrom the start of the process to the first answered tools/list, and idle memory (PSS); medians of {rounds}"
    )
    print_row("", "cold s", "ratio", "MiB", "ratio")
    base_s, base_mib = (statistics.median(each["FastMCP, bare"]) for each in (times, memory))
    for name, each in times.items():
        seconds, mib = statistics.median(each), statistics.median(memory[name])
        print_row(name, f"{seconds:.2f}", f"{seconds / base_s:.2f}", f"{mib:.1f}", f"{mib / base_mib:.2f}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=3)
    options = parser.parse_args()
    with scratch_postgres() as endpoint:
        asyncio.run(throughput(endpoint.dsn(READER), options.rounds, options.seconds))
        asyncio.run(cold_start(endpoint.dsn(READER), options.rounds))


if __name__ == "__main__":
    main()
