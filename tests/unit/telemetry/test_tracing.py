"""Spans that nobody wants, and spans that can't be exported."""

from __future__ import annotations

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
    with pytest.raises(StartError, match="not installed") as caught:
        tracing.start("1")
    assert "coldquery[otel]" in (caught.value.next or "")
