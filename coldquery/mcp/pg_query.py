"""The tool `pg_query`: run SQL."""

from typing import Annotated, Any, ClassVar, Literal, override

from fastmcp.tools import ToolResult
from mcp_types import ToolAnnotations
from pydantic import Field

from coldquery.gateway import Gateway
from coldquery.mcp.arguments import Arguments
from coldquery.mcp.rendering import answer_result
from coldquery.mcp.tool import GatewayTool

DESCRIPTION = (
    "Run one SQL statement on PostgreSQL. action=read: any query, where PostgreSQL refuses writes. "
    "Put values in params ($1, $2, …), never in the SQL. "
    "Answers {columns, rows, row_count, truncated?}: rows are arrays in column order; numeric, bigint beyond 2^53, "
    "dates and bytea are strings in PostgreSQL's own format."
)


class PgQueryArguments(Arguments):
    """The arguments of `pg_query`."""

    action: Literal["read"]
    sql: Annotated[str, Field(description="exactly one statement")]
    params: Annotated[list[Any] | None, Field(description="values of $1, $2, …")] = None
    max_rows: Annotated[int | None, Field(description="default 1000")] = None
    timeout_ms: Annotated[int | None, Field(description="default 30000")] = None


class PgQuery(GatewayTool[PgQueryArguments]):
    """Runs SQL through the gateway."""

    takes: ClassVar[type[Arguments]] = PgQueryArguments

    def __init__(self, gateway: Gateway) -> None:
        super().__init__(
            gateway,
            name="pg_query",
            title="Query PostgreSQL",
            description=DESCRIPTION,
            annotations=ToolAnnotations(
                read_only_hint=True, destructive_hint=False, idempotent_hint=True, open_world_hint=False
            ),
        )

    @override
    async def answer(self, arguments: PgQueryArguments) -> ToolResult:
        """Run the statement and render its rows."""
        answer = await self._gateway.read(
            arguments.sql,
            arguments.params or (),
            max_rows=arguments.max_rows,
            timeout_ms=arguments.timeout_ms,
        )
        return answer_result(answer)
