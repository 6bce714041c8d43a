"""A PostgreSQL to measure on, servers as processes, MCP calls over raw keep-alive HTTP, and what they cost."""

import asyncio
import contextlib
import os
import platform
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from coldquery.postgres.embedded import EmbeddedPostgres, Endpoint, load_demo
from ops.bench.lanes import BenchError, Script, gather
from ops.bench.measures import p50_p99
from ops.bench.processes import cpu_s, pss_mib
from ops.bench.replies import check
from ops.bench.wire import Client, HandshakeClient, HttpClient, LineClient, answer

ROOT = Path(__file__).parents[2]
START_LIMIT_S, STOP_LIMIT_S = 60, 10
# Of this process's environment the servers get nothing that would set them up.
FOREIGN = ("COLDQUERY_", "FASTMCP_", "PG", "DB_", "DATABASE_URL", "POSTGRES_", "OTEL_")


@contextmanager
def scratch_postgres(**options: Any) -> Iterator[Endpoint]:
    """An embedded PostgreSQL with the demo shop, in a directory of its own that goes with it."""
    with tempfile.TemporaryDirectory(dir="/tmp", prefix="coldquery-bench-") as home:
        # When this runs as root the server runs as somebody else, who must be let in.
        Path(home).chmod(0o755)
        server = EmbeddedPostgres(Path(home) / "data", **options)
        with server as endpoint:
            load_demo(endpoint, server.bin_dir)
            print(f"{platform.platform()}, Python {platform.python_version()}")
            yield endpoint


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
        return port


@dataclass(frozen=True)
class Server:
    """A server process, and where it listens; the port of one that talks over pipes means nothing."""

    name: str
    port: int
    process: subprocess.Popen[bytes]
    log: Path

    def cpu_s(self) -> float:
        return cpu_s(self.process.pid)

    def memory_mib(self) -> float:
        return pss_mib(self.process.pid)

    def must_run(self) -> None:
        if (code := self.process.poll()) is not None:
            said = self.log.read_text(errors="replace")[-2000:]
            raise BenchError(f"{self.name} has ended with {code}. It said:\n{said}")


@contextmanager
def running(
    name: str, command: Sequence[str], port: int, *, pipes: bool = False, environment: Mapping[str, str] | None = None
) -> Iterator[Server]:
    """A server; at the end its input is closed, then it is told to stop, then it is killed."""
    inherited = {key: value for key, value in os.environ.items() if not key.startswith(FOREIGN)}
    pipe = subprocess.PIPE if pipes else subprocess.DEVNULL
    with tempfile.TemporaryDirectory(prefix="coldquery-bench-") as home:
        log = Path(home) / "log"
        with log.open("wb") as stderr:
            process = subprocess.Popen(
                command,
                stdin=pipe,
                stdout=pipe,
                stderr=stderr,
                env={**inherited, **(environment or {})},
                cwd=home,
                bufsize=0,
            )
        try:
            yield Server(name, port, process, log)
        finally:
            _stop(process)


def _stop(process: "subprocess.Popen[bytes]") -> None:
    for pipe in (process.stdin, process.stdout):
        if pipe is not None:
            with contextlib.suppress(OSError):
                pipe.close()
    if process.stdin is not None:
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(2)
    process.terminate()
    try:
        process.wait(STOP_LIMIT_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


@contextmanager
def serving(name: str, command: Sequence[str], port: int) -> Iterator[Server]:
    """A server that is a module of Python, run from here."""
    with running(name, [sys.executable, *command], port, environment={"PYTHONPATH": str(ROOT)}) as server:
        yield server


async def connect(server: Server, wire: str) -> Client:
    """A client of the server, which has answered its first tools/list. `wire` is lines, handshake or modern.

    Raises:
        BenchError: it did not start.
    """
    client: LineClient | HttpClient
    if wire == "lines":
        client = await LineClient.open(server.process)
    else:
        client = HandshakeClient(server.port) if wire == "handshake" else HttpClient(server.port)
        await listening(server, client)
    try:
        await client.start()
        (lane,) = await client.lanes(1)
        await answer(lane, client.encode(lane.number, "tools/list", {}))
    except BenchError as error:
        server.must_run()
        raise BenchError(f"{server.name}: {error}") from None
    return client


async def listening(server: Server, client: HttpClient) -> None:
    give_up = time.monotonic() + START_LIMIT_S
    while time.monotonic() < give_up:
        server.must_run()
        try:
            await client.lanes(1)
        except OSError:
            await asyncio.sleep(0.005)
        else:
            return
    raise BenchError(f"{server.name} did not listen within {START_LIMIT_S} s")


async def first_list(server: Server) -> None:
    """Wait until the server has answered a tools/list."""
    client = await connect(server, "modern")
    await client.close()


@dataclass(frozen=True)
class Round:
    """What one round of calls cost."""

    calls_per_s: float
    p50_ms: float
    p99_ms: float
    cpu_us: float


async def load(server: Server, call: bytes, *, concurrency: int, seconds: float) -> Round:
    """Repeat a call on `concurrency` connections for so long."""

    def script() -> Script:
        check((yield call))

    client = HttpClient(server.port)
    lanes = await client.lanes(concurrency)
    cpu, started = server.cpu_s(), time.perf_counter()
    times = await gather(lanes, lambda _: script, seconds)
    elapsed, cpu = time.perf_counter() - started, server.cpu_s() - cpu
    await client.close()
    p50_s, p99_s = p50_p99(times)
    return Round(len(times) / elapsed, p50_s * 1000, p99_s * 1000, cpu / len(times) * 1e6)
