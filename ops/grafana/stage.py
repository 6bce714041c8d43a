"""All that a picture needs to be true: a PostgreSQL, a gateway, agents at work, and a Prometheus that watches."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from coldquery.postgres.embedded import OWNER, READER, Endpoint
from ops.bench.harness import free_port, scratch_postgres
from ops.grafana import load
from ops.grafana.prometheus import Prometheus, scraping


@dataclass(frozen=True, slots=True)
class Watched:
    """What was seen, and from when to when."""

    prometheus: Prometheus
    start: float
    end: float


@contextmanager
def watched(seconds: float) -> Iterator[Watched]:
    """Let agents work for so long."""
    with tempfile.TemporaryDirectory() as scratch, scratch_postgres(durable=False) as endpoint:
        home, port = Path(scratch), free_port()
        with _gateway(endpoint, home, port), scraping(f"127.0.0.1:{port}", home) as prometheus:
            start = time.time()
            asyncio.run(load.a_while(f"http://127.0.0.1:{port}/mcp", seconds))
            yield Watched(prometheus, start, start + seconds)


@contextmanager
def _gateway(endpoint: Endpoint, home: Path, port: int) -> Iterator[None]:
    settings = {
        "COLDQUERY_DSN": endpoint.dsn(OWNER),
        "COLDQUERY_READER_DSN": endpoint.dsn(READER),
        "COLDQUERY_AUDIT": str(home / "audit.jsonl"),
        "COLDQUERY_LOG_LEVEL": "error",
        **load.SETTINGS,
    }
    command = [str(Path(sys.executable).with_name("coldquery")), "serve", "--port", str(port)]
    with subprocess.Popen(command, env={**os.environ, **settings}) as process:
        try:
            yield
        finally:
            process.terminate()
