"""What telemetry costs: a stateless read over HTTP with it and without, and the page of a busy gateway.

    uv run python -m ops.bench.telemetry [--rounds 7] [--seconds 3]

Rounds are interleaved, and in turn begin with the one or the other; the ratio is that of the medians. The gateway with
an audit is beside them: a read leaves no line in it, so it should cost nothing.
"""

import argparse
import asyncio
import statistics
import tempfile
import time
import urllib.request
from contextlib import ExitStack
from pathlib import Path

from coldquery.postgres.embedded import READER
from ops.bench.harness import Round, first_list, free_port, load, scratch_postgres, serving
from ops.bench.measures import print_row
from ops.bench.reads import GATEWAY, gateway_command

CONCURRENCY = 16
PAGES = 30


def silent_command(dsn: str, port: int) -> list[str]:
    return ["-m", "ops.bench.silent", "serve", "--dsn", dsn, "--port", str(port)]


async def compare(dsn: str, rounds: int, seconds: float) -> None:
    with ExitStack() as stack:
        audit = Path(stack.enter_context(tempfile.TemporaryDirectory())) / "audit.jsonl"
        ports = [free_port() for _ in range(3)]
        commands = {
            "telemetry off": silent_command(dsn, ports[0]),
            "telemetry on": gateway_command(dsn, ports[1]),
            "on, with an audit": [*gateway_command(dsn, ports[2]), "--audit", str(audit)],
        }
        servers = [
            stack.enter_context(serving(name, command, port))
            for (name, command), port in zip(commands.items(), ports, strict=True)
        ]
        for server in servers:
            await first_list(server)
            await load(server, GATEWAY, concurrency=CONCURRENCY, seconds=1)
        figures: dict[str, list[Round]] = {name: [] for name in commands}
        pages: list[tuple[float, int]] = []
        for number in range(rounds):
            for server in servers if number % 2 else reversed(servers):
                working = asyncio.create_task(load(server, GATEWAY, concurrency=CONCURRENCY, seconds=seconds))
                figures[server.name].append(await working)
        pages = [await asyncio.to_thread(_page, ports[1]) for _ in range(PAGES)]
    print(f"\nA row by key over HTTP, {CONCURRENCY} at a time; medians of {rounds} rounds of {seconds:g} s")
    print_row("", "calls/s", "p50 ms", "CPU µs", "ratio", "spread")
    base = statistics.median(each.calls_per_s for each in figures["telemetry off"])
    for name, each in figures.items():
        rates = [one.calls_per_s for one in each]
        rate = statistics.median(rates)
        print_row(
            name,
            f"{rate:.0f}",
            f"{statistics.median(one.p50_ms for one in each):.2f}",
            f"{statistics.median(one.cpu_us for one in each):.0f}",
            f"{rate / base:.3f}",
            f"{(max(rates) - min(rates)) / rate:.0%}",
        )
    times_ms = sorted(each[0] * 1000 for each in pages)
    print(f"\n/metrics: {times_ms[len(times_ms) // 2]:.1f} ms, {times_ms[0]:.1f} at best; {pages[-1][1] / 1000:.0f} kB")


def _page(port: int) -> tuple[float, int]:
    began = time.perf_counter()
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=10) as page:
        size = len(page.read())
    return time.perf_counter() - began, size


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--seconds", type=float, default=3)
    options = parser.parse_args()
    with scratch_postgres() as endpoint:
        asyncio.run(compare(endpoint.dsn(READER), options.rounds, options.seconds))


if __name__ == "__main__":
    main()
