"""Requests that HTTP itself refused, before any tool saw them: counted and audited."""

from __future__ import annotations

import math
import time

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from coldquery.telemetry.audit import Audit
from coldquery.telemetry.metrics import REFUSED_REQUESTS

# Nobody in particular; not for them; not for this host.
_STATUSES = {401: "401", 403: "403", 421: "421"}
# One line in so long. Anybody can send such requests, and must not be able to push all else out of the audit's files.
NOTE_EVERY_S = 1.0


class NoteRefusals:
    """An application that passes everything on to another, and notes what that refuses for who asks or from where."""

    def __init__(self, app: ASGIApp, audit: Audit) -> None:
        self._app = app
        self._audit = audit
        self._noted_at = -math.inf
        self._unnoted = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """See ASGI."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def watched(message: Message) -> None:
            if message["type"] == "http.response.start" and (reason := _STATUSES.get(message["status"])):
                REFUSED_REQUESTS.labels(reason).inc()
                self._note(scope, message["status"])
            await send(message)

        await self._app(scope, receive, watched)

    def _note(self, scope: Scope, status: int) -> None:
        now = time.monotonic()
        if now - self._noted_at < NOTE_EVERY_S:
            self._unnoted += 1
            return
        self._noted_at = now
        unnoted, self._unnoted = self._unnoted or None, 0
        client = scope.get("client")
        peer = client[0] if client else None
        self._audit.note("request_refused", status=status, path=scope["path"][:200], peer=peer, unnoted=unnoted)
