"""The tool `pg_query`: run SQL."""

import time
from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Literal, override

from mcp_types import ToolAnnotations
from pydantic import Field

from coldquery.errors import Code, Refusal
from coldquery.gateway import Gateway, Wanted
from coldquery.mcp.arguments import Arguments, Isolation, Takes
from coldquery.mcp.explaining import check_form, explain_command, plan_result, tried_result
from coldquery.mcp.rendering import (
    ToolReply,
    answer_result,
    batch_result,
    ran_result,
    transacted_result,
    written_result,
)
from coldquery.mcp.tool import GatewayTool
from coldquery.sessions import Begin
from coldquery.sessions.commands import Batch, Command, Explain, Operation, Query
from coldquery.sessions.replies import BatchRan, Ran

DESCRIPTION = (
    "Run SQL on PostgreSQL, one statement each. "
    "read: any query, where PostgreSQL refuses writes; queries belong here. "
    "write: with session_id inside that open transaction (see pg_tx), or alone with autocommit=true. "
    "transaction: operations, committed together or not at all; with session_id, a part of that transaction. "
    "explain: the plan and a reading of it; analyze=true runs it and undoes what it did (writes only with session_id). "
    "Put values in params ($1, $2, …), never in the SQL. "
    "Answers {columns, rows, row_count, truncated?, session?}: rows are arrays in column order; numeric, bigint beyond "
    "2^53, dates and bytea are strings in PostgreSQL's own format."
)

_ANSWER = ("max_rows", "timeout_ms", "format")


class OperationArguments(Arguments):
    """One statement of a batch."""

    sql: str
    params: list[Any] | None = None


class PgQueryArguments(Arguments):
    """The arguments of `pg_query`."""

    action: Literal["read", "write", "explain", "transaction"]
    sql: Annotated[str | None, Field(description="exactly one statement")] = None
    params: Annotated[list[Any] | None, Field(description="values of $1, $2, …")] = None
    operations: Annotated[
        list[OperationArguments] | None, Field(description="[{sql, params?}]", min_length=1, max_length=1000)
    ] = None
    analyze: bool | None = None
    hypothetical_indexes: Annotated[
        list[str] | None, Field(description="CREATE INDEX …: plan as if they existed", min_length=1, max_length=20)
    ] = None
    session_id: Annotated[str | None, Field(min_length=1)] = None
    autocommit: bool | None = None
    isolation_level: Annotated[Isolation | None, Field(description="for transaction")] = None
    max_rows: Annotated[int | None, Field(description="default 1000")] = None
    timeout_ms: Annotated[int | None, Field(description="default 30000")] = None
    format: Annotated[
        Literal["table", "objects", "csv", "markdown"] | None, Field(description="of rows; default table")
    ] = None


class PgQuery(GatewayTool[PgQueryArguments]):
    """Runs SQL through the gateway."""

    takes: ClassVar[type[Arguments]] = PgQueryArguments
    actions: ClassVar[Mapping[str, Takes]] = {
        "read": Takes(("sql",), ("params", "session_id", *_ANSWER)),
        "write": Takes(("sql",), ("params", "session_id", "autocommit", *_ANSWER)),
        "explain": Takes(("sql",), ("params", "analyze", "hypothetical_indexes", "session_id", "timeout_ms", "format")),
        "transaction": Takes(("operations",), ("session_id", "autocommit", "isolation_level", *_ANSWER)),
    }

    def __init__(self, gateway: Gateway) -> None:
        super().__init__(
            gateway,
            name="pg_query",
            title="Query PostgreSQL",
            description=DESCRIPTION,
            annotations=ToolAnnotations(
                read_only_hint=False, destructive_hint=True, idempotent_hint=False, open_world_hint=False
            ),
        )

    @override
    async def answer(self, arguments: PgQueryArguments) -> ToolReply:
        """Run the SQL and render its rows."""
        if arguments.session_id is not None:
            return await self._in_session(arguments, arguments.session_id)
        gateway, form = self._gateway, arguments.format or "table"
        wanted: Wanted = {
            "max_rows": arguments.max_rows,
            "timeout_ms": arguments.timeout_ms,
            "keyed": form == "objects",
        }
        match arguments.action:
            case "read":
                return answer_result(await gateway.read(_sql(arguments), arguments.params or (), **wanted), form)
            case "explain":
                return await self._explained(arguments)
            case "write":
                if not arguments.autocommit:
                    raise Refusal(Code.WRITE_DENIED, "A write needs a `session_id`, or `autocommit: true`.")
                return written_result(await gateway.write(_sql(arguments), arguments.params or (), **wanted), form)
            case "transaction":
                if arguments.autocommit is False:
                    raise Refusal(Code.WRITE_DENIED, "Without a `session_id`, action=transaction commits.")
                options = Begin.model_validate({"isolation_level": arguments.isolation_level})
                return transacted_result(await gateway.transact(_operations(arguments), options, **wanted), form)

    async def _in_session(self, arguments: PgQueryArguments, session_id: str) -> ToolReply:
        started = time.perf_counter()
        if arguments.autocommit:
            raise Refusal(
                Code.INVALID_ARGUMENT,
                "`autocommit` and `session_id` contradict each other: a session commits with pg_tx commit.",
                next="Leave one of the two out.",
            )
        if arguments.isolation_level is not None:
            raise Refusal(
                Code.INVALID_ARGUMENT,
                "The session's transaction has its `isolation_level` already.",
                next="Leave `isolation_level` out, or pass it to pg_tx begin.",
            )
        reply = await self._gateway.ask(self.caller(), session_id, self._command(arguments))
        duration_ms, form = (time.perf_counter() - started) * 1000, arguments.format or "table"
        if arguments.action == "explain" and isinstance(reply, Ran):
            return plan_result(reply.result, arguments.format, duration_ms, reply.echo)
        if isinstance(reply, BatchRan):
            return batch_result(reply.results, form, duration_ms, reply.echo)
        assert isinstance(reply, Ran)  # noqa: S101 - the answer to what `_command` makes
        return ran_result(reply.result, form, duration_ms, reply.echo, wrote=arguments.action == "write")

    def _command(self, arguments: PgQueryArguments) -> Command:
        limits = self._gateway.limits(arguments.max_rows, keyed=arguments.format == "objects")
        timeout_ms = self._gateway.time_limit_ms(arguments.timeout_ms)
        match arguments.action:
            case "read" | "write" as access:
                params = tuple(arguments.params or ())
                return Query(sql=_sql(arguments), params=params, access=access, limits=limits, timeout_ms=timeout_ms)
            case "explain":
                return self._explain(arguments)
            case "transaction":
                return Batch(operations=_operations(arguments), limits=limits, timeout_ms=timeout_ms)

    def _explain(self, arguments: PgQueryArguments) -> Explain:
        check_form(arguments.format)
        analyze, timeout_ms = arguments.analyze or False, arguments.timeout_ms
        if arguments.hypothetical_indexes and (analyze or arguments.session_id is not None):
            raise Refusal(
                Code.INVALID_ARGUMENT,
                "`hypothetical_indexes` are planned with, and not run with, and not in a session.",
                next="Leave `analyze` and `session_id` out.",
            )
        return explain_command(self._gateway, _sql(arguments), arguments.params, analyze=analyze, timeout_ms=timeout_ms)

    async def _explained(self, arguments: PgQueryArguments) -> ToolReply:
        explain, indexes = self._explain(arguments), arguments.hypothetical_indexes
        if not indexes:
            answer = await self._gateway.explain(explain)
            return plan_result(answer.result, arguments.format, answer.duration_ms)
        started = time.perf_counter()
        tried = await self._gateway.try_indexes(explain, indexes)
        return tried_result(tried, indexes, arguments.format, (time.perf_counter() - started) * 1000)


def _sql(arguments: PgQueryArguments) -> str:
    assert arguments.sql is not None  # noqa: S101 - required by `actions`
    return arguments.sql


def _operations(arguments: PgQueryArguments) -> tuple[Operation, ...]:
    return tuple(Operation(sql=each.sql, params=tuple(each.params or ())) for each in arguments.operations or ())
