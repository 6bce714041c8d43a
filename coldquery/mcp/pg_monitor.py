"""The tool `pg_monitor`: how the server is, and what it does now."""

import warnings
from collections.abc import Mapping
from typing import Annotated, ClassVar, Literal, override

from mcp_types import ToolAnnotations
from pydantic import Field

from coldquery.gateway import Gateway
from coldquery.mcp.arguments import Arguments, Takes
from coldquery.mcp.monitoring import Monitor
from coldquery.mcp.rendering import ToolReply, small_result
from coldquery.mcp.tool import GatewayTool

DESCRIPTION = (
    "See how PostgreSQL is. health: verdicts with what to do; begin here. locks: who blocks whom. activity: what runs. "
    "connections: whose. size: of database, schemas, tables. slow_queries: by cost. progress: of vacuum, index builds, "
    "copy."
)

DEFAULT_LIMIT = 20
MOST = 500

with warnings.catch_warnings():
    # Pydantic's own `schema` is the deprecated name of model_json_schema, and nobody calls it.
    warnings.filterwarnings("ignore", 'Field name "schema"', UserWarning)

    class PgMonitorArguments(Arguments):
        """The arguments of `pg_monitor`."""

        action: Literal["health", "activity", "connections", "locks", "size", "slow_queries", "progress"]
        checks: Annotated[list[str] | None, Field(min_length=1, description="of health; default all")] = None
        include_idle: bool | None = None
        database: Annotated[str | None, Field(min_length=1)] = None
        schema: Annotated[str | None, Field(min_length=1)] = None  # type: ignore[assignment]  # see above
        order_by: Literal["total", "mean", "calls", "rows", "io"] | None = None
        limit: Annotated[int | None, Field(ge=1, le=MOST)] = None


class PgMonitor(GatewayTool[PgMonitorArguments]):
    """Looks at the server, and changes nothing."""

    takes: ClassVar[type[Arguments]] = PgMonitorArguments
    actions: ClassVar[Mapping[str, Takes]] = {
        "health": Takes((), ("checks",)),
        "activity": Takes((), ("include_idle", "database", "limit")),
        "connections": Takes((), ("limit",)),
        "locks": Takes(),
        "size": Takes((), ("database", "schema", "limit")),
        "slow_queries": Takes((), ("order_by", "limit")),
        "progress": Takes(),
    }

    def __init__(self, gateway: Gateway) -> None:
        super().__init__(
            gateway,
            name="pg_monitor",
            title="PostgreSQL monitor",
            description=DESCRIPTION,
            annotations=ToolAnnotations(
                read_only_hint=True, destructive_hint=False, idempotent_hint=True, open_world_hint=False
            ),
        )

    @override
    async def answer(self, arguments: PgMonitorArguments) -> ToolReply:
        """Look."""
        monitor = Monitor(self._gateway, self.caller().principal)
        limit = arguments.limit or DEFAULT_LIMIT
        match arguments.action:
            case "health":
                body = await monitor.health(arguments.checks)
            case "activity":
                body = await monitor.activity(arguments.database, limit, include_idle=bool(arguments.include_idle))
            case "connections":
                body = await monitor.connections(limit)
            case "locks":
                body = await monitor.locks()
            case "size":
                body = await monitor.size(arguments.database, arguments.schema, limit)
            case "slow_queries":
                body = await monitor.slow_queries(arguments.order_by or "total", limit)
            case "progress":
                body = await monitor.progress()
        return small_result(body)
