"""A PostgreSQL to measure on, servers as processes, MCP calls over raw keep-alive HTTP, and what they cost."""

import asyncio
import json
import os
import platform
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from coldquery.postgres.embedded import EmbeddedPostgres, Endpoint, load_demo
from ops.bench.measures import p50_p99

ERA = "2026-07-28"
META = {
    "io.modelcontextprotocol/protocolVersion": ERA,
    "io.modelcontextprotocol/clientCapabilities": {},
}


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


def pss_kib(process: int | str = "self") -> int:
    """Proportional set size of a process: pages shared with others count by their share."""
    for line in Path(f"/proc/{process}/smaps_rollup").read_text().splitlines():
        if line.startswith("Pss:"):
            return int(line.split()[1])
    raise RuntimeError("no Pss")


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
        return port


def request(method: str, params: dict[str, Any], name: str | None = None) -> bytes:
    """A whole HTTP request that carries one MCP 2026-07-28 request."""
    body = json.dumps({"jsonrpc": "2.0", "id": 1, "method": method, "params": {**params, "_meta": META}}).encode()
    headers = [
        "POST /mcp HTTP/1.1",
        "Host: 127.0.0.1",
        "Content-Type: application/json",
        "Accept: application/json, text/event-stream",
        f"MCP-Protocol-Version: {ERA}",
        f"Mcp-Method: {method}",
        *([f"Mcp-Name: {name}"] if name else []),
        f"Content-Length: {len(body)}",
    ]
    return "\r\n".join(headers).encode() + b"\r\n\r\n" + body


class Connection:
    """One keep-alive HTTP connection: send bytes, get the body back."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    @classmethod
    async def open(cls, port: int) -> "Connection":
        return cls(*await asyncio.open_connection("127.0.0.1", port))

    async def call(self, request: bytes) -> bytes:
        self._writer.write(request)
        head = (await self._reader.readuntil(b"\r\n\r\n")).lower()
        length = int(head.split(b"content-length:", 1)[1].split(b"\r\n", 1)[0])
        body = await self._reader.readexactly(length)
        if not head.startswith(b"http/1.1 200") or b'"isError":true' in body:
            raise RuntimeError(f"the server refused: {body[:500]!r}")
        return body

    def close(self) -> None:
        self._writer.close()


@dataclass(frozen=True)
class Server:
    """A server process."""

    name: str
    port: int
    process: subprocess.Popen[bytes]

    def cpu_s(self) -> float:
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def memory_mib(self) -> float:
        return pss_kib(self.process.pid) / 1024


@contextmanager
def serving(name: str, command: Sequence[str], port: int) -> Iterator[Server]:
    environment = {key: value for key, value in os.environ.items() if not key.startswith("COLDQUERY_")}
    process = subprocess.Popen(
        [sys.executable, *command], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=environment
    )
    try:
        yield Server(name, port, process)
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(30)


async def first_list(server: Server, limit_s: float = 60) -> None:
    """Wait until the server has answered a tools/list."""
    give_up = time.monotonic() + limit_s
    while time.monotonic() < give_up:
        try:
            connection = await Connection.open(server.port)
            await connection.call(request("tools/list", {}))
            connection.close()
        except (OSError, asyncio.IncompleteReadError):
            await asyncio.sleep(0.005)
        else:
            return
    raise RuntimeError(f"{server.name} did not answer a tools/list within {limit_s} s")


@dataclass(frozen=True)
class Round:
    """What one round of calls cost."""

    calls_per_s: float
    p50_ms: float
    p99_ms: float
    cpu_us: float


async def load(server: Server, call: bytes, *, concurrency: int, seconds: float) -> Round:
    """Repeat a call on `concurrency` connections for so long."""
    connections = [await Connection.open(server.port) for _ in range(concurrency)]
    times: list[float] = []
    until = time.perf_counter() + seconds

    async def repeat(connection: Connection) -> None:
        while (started := time.perf_counter()) < until:
            await connection.call(call)
            times.append(time.perf_counter() - started)

    cpu, started = server.cpu_s(), time.perf_counter()
    await asyncio.gather(*map(repeat, connections))
    elapsed, cpu = time.perf_counter() - started, server.cpu_s() - cpu
    for connection in connections:
        connection.close()
    p50_s, p99_s = p50_p99(times)
    return Round(len(times) / elapsed, p50_s * 1000, p99_s * 1000, cpu / len(times) * 1e6)
