"""Spans that nobody wants, and spans that can't be exported."""

from __future__ import annotations

import os
import socket
import subprocess
import sys

import pytest

from coldquery.errors import StartError
from coldquery.telemetry import tracing


def test_without_a_provider_a_call_has_no_spans() -> None:
    tracing.look()
    assert tracing.begin_call("pg_query", "read") is None
    assert tracing.trace_id() is None


def test_without_the_packages_the_start_ends_with_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "opentelemetry.sdk.trace", None)
    with pytest.raises(StartError, match="not installed") as caught, tracing.exporting("1"):
        """Not reached."""
    assert "coldquery[otel]" in (caught.value.next or "")


SPANS_FOR_NOBODY = """
import time
from coldquery.telemetry import tracing
with tracing.exporting("1"):
    tracing.begin_call("pg_query", "read").end("ok", None)
    began = time.monotonic()
print(time.monotonic() - began)
"""


def test_a_collector_that_is_away_does_not_hold_up_the_exit() -> None:
    # In a process of its own, which takes one tracer provider for its life.
    with socket.create_server(("127.0.0.1", 0)) as silent:
        endpoint = f"http://127.0.0.1:{silent.getsockname()[1]}"
        environment = {**os.environ, "OTEL_EXPORTER_OTLP_ENDPOINT": endpoint}
        done = subprocess.run(
            [sys.executable, "-c", SPANS_FOR_NOBODY], env=environment, capture_output=True, timeout=60, check=True
        )
    assert float(done.stdout) < tracing.LAST_SPANS_S + 1
