"""Requests that HTTP itself refused, before any tool saw them: counted and audited."""

from __future__ import annotations

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from coldquery.telemetry.audit import Audit
from coldquery.telemetry.metrics import REFUSED_REQUESTS

# Nobody in particular; not for them; not for this host.
_STATUSES = {401: "401", 403: "403", 421: "421"}


class NoteRefusals:
    """An application that passes everything on to another, and notes what that refuses for who asks or from where."""

    def __init__(self, app: ASGIApp, audit: Audit) -> None:
        self._app = app
        self._audit = audit

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """See ASGI."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def watched(message: Message) -> None:
            if message["type"] == "http.response.start" and (reason := _STATUSES.get(message["status"])):
                REFUSED_REQUESTS.labels(reason).inc()
                client = scope.get("client")
                peer = client[0] if client else None
                self._audit.note("request_refused", status=message["status"], path=scope["path"][:200], peer=peer)
            await send(message)

        await self._app(scope, receive, watched)
