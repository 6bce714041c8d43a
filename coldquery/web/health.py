"""Health pages: is the process alive, can it do its work, and both with the reason.

They look at what the gateway knows already and wait for nobody, so a full pool or a dead database never hides them.
"""

from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from coldquery.gateway import Gateway

UNAVAILABLE = 503


def health_routes(gateway: Gateway) -> list[Route]:
    """The three pages.

    `/livez`: the loop turns. `/readyz`: 200 if the database answers and the gateway is not draining, else 503 and the
    reason. `/health`: both, with detail; 200 while the loop turns.
    """

    async def livez(_: Request) -> JSONResponse:
        return JSONResponse({"status": "ok"})

    async def readyz(_: Request) -> JSONResponse:
        health = gateway.health()
        if health.ready:
            return JSONResponse({"status": "ok"})
        reason = "draining" if health.phase == "draining" else f"database: {health.detail}"
        return JSONResponse({"status": "unavailable", "reason": reason}, UNAVAILABLE)

    async def whole(_: Request) -> JSONResponse:
        health = gateway.health()
        return JSONResponse(
            {
                "status": "ok" if health.ready else "unavailable",
                "phase": health.phase,
                "database": {"status": health.database, "detail": health.detail},
            }
        )

    return [
        Route("/livez", livez, methods=["GET"]),
        Route("/readyz", readyz, methods=["GET"]),
        Route("/health", whole, methods=["GET"]),
    ]
