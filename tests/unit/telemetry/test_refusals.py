"""Requests that HTTP refuses: each is counted, and the audit is not flooded with them."""

from __future__ import annotations

from typing import Any, override

import pytest
from starlette.types import Message, Receive, Scope, Send

from coldquery.telemetry.audit import Audit
from coldquery.telemetry.metrics import sample_values
from coldquery.web import refusals
from coldquery.web.refusals import NoteRefusals

SCOPE: Scope = {"type": "http", "path": "/mcp", "client": ("192.0.2.1", 4711)}


class Noted(Audit):
    """An audit that keeps what it is told."""

    def __init__(self) -> None:
        super().__init__()
        self.told: list[dict[str, Any]] = []

    @override
    def note(self, event: str, call: object = None, **fields: Any) -> None:
        self.told.append({"event": event, **fields})


async def foreign(_: Scope, __: Receive, send: Send) -> None:
    await send({"type": "http.response.start", "status": 421, "headers": []})


async def ask(app: NoteRefusals) -> None:
    async def receive() -> Message:
        return {"type": "http.disconnect"}

    async def send(_: Message) -> None:
        """Nobody reads it."""

    await app(SCOPE, receive, send)


def counted() -> float:
    return sample_values()["coldquery_auth_failures_total", (("reason", "421"),)]


async def test_many_refused_requests_leave_one_line_and_their_number(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 0.0
    monkeypatch.setattr("time.monotonic", lambda: now)
    audit, before = Noted(), counted()
    app = NoteRefusals(foreign, audit)
    for _ in range(100):
        await ask(app)
    now += refusals.NOTE_EVERY_S
    await ask(app)
    assert counted() - before == 101
    told = {"event": "request_refused", "status": 421, "path": "/mcp", "peer": "192.0.2.1"}
    assert audit.told == [{**told, "unnoted": None}, {**told, "unnoted": 99}]
