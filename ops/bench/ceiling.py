"""How fast the client is by itself: the most that it could measure.

Over HTTP it calls a server that answers each request with the same bytes and parses none (constant.py); over pipes it
calls `cat`, whose answer is the request, of the same size.
"""

import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from ops.bench.harness import ROOT, free_port, listening, running
from ops.bench.lanes import Lane, Script, gather
from ops.bench.measures import p50_p99
from ops.bench.wire import Client, HttpClient, LineClient
from ops.bench.work import CONCURRENCIES

SMALL, LARGE = 200, 150_000


@dataclass(frozen=True)
class Ceiling:
    """Of one wire, size of answer and number of callers."""

    wire: str
    size: int
    callers: int
    calls_per_s: float
    p50_ms: float
    client_cpu_us: float


async def measure(seconds: float, numbers: Sequence[int] = CONCURRENCIES) -> list[Ceiling]:
    """`numbers`: of callers."""
    found = []
    for size in (SMALL, LARGE):
        port = free_port()
        command = [sys.executable, "-m", "ops.bench.constant", "--port", str(port), "--size", str(size)]
        with running("constant", command, port, environment={"PYTHONPATH": str(ROOT)}) as server:
            client = HttpClient(port)
            await listening(server, client)
            found += [await _one("http", client, size, callers, seconds) for callers in numbers]
            await client.close()
        with running("cat", ["cat"], 0, pipes=True) as server:
            lines = await LineClient.open(server.process)
            found += [await _one("lines", lines, size, callers, seconds) for callers in numbers]
            await lines.close()
    return found


async def _one(wire: str, client: Client, size: int, callers: int, seconds: float) -> Ceiling:
    # Over HTTP a request is always small.
    filling = "x" * (size if wire == "lines" else SMALL)

    def of(lane: Lane) -> Callable[[], Script]:
        request = client.encode(lane.number, "tools/call", {"name": "x", "arguments": {"sql": filling}})

        def script() -> Script:
            yield request

        return script

    lanes = await client.lanes(callers)
    await gather(lanes, of, seconds / 4)
    cpu, started = time.process_time(), time.perf_counter()
    times = await gather(lanes, of, seconds)
    elapsed, cpu = time.perf_counter() - started, time.process_time() - cpu
    return Ceiling(wire, size, callers, len(times) / elapsed, p50_p99(times)[0] * 1000, cpu / len(times) * 1e6)


def of_ceiling(ceilings: list[Ceiling], wire: str, size: int, callers: int, calls_per_s: float) -> float | None:
    """Which share of what the client could do it was asked to do."""
    kind, nearest = ("lines" if wire == "lines" else "http"), (LARGE if size > LARGE / 10 else SMALL)
    for each in ceilings:
        if (each.wire, each.size, each.callers) == (kind, nearest, callers):
            return calls_per_s / each.calls_per_s
    return None
