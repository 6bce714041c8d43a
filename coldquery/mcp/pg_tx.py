"""The tool `pg_tx`: a transaction held open across calls."""

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Literal, override

import msgspec
from mcp_types import ToolAnnotations
from pydantic import Field

from coldquery.errors import Code, Refusal
from coldquery.gateway import Gateway
from coldquery.mcp.arguments import Arguments, Isolation, Takes
from coldquery.mcp.internals import STDIO_CLIENT
from coldquery.mcp.rendering import ToolReply, small_result
from coldquery.mcp.tool import GatewayTool
from coldquery.sessions import Begin
from coldquery.sessions.commands import Command, Commit, Inspect, Release, Rollback, RollbackTo, Savepoint

DESCRIPTION = (
    "Hold a PostgreSQL transaction open across calls. begin answers {{session_id, session}}: pass session_id to "
    "pg_query to work in it, and end it with commit or rollback. savepoint, release, and rollback with savepoint_name "
    "work within it. status: what it has changed, its locks, whom it blocks. list: your sessions. "
    "A session ends with its transaction. After {idle} without a call (less by idle_timeout_s), or {lifetime} in all, "
    "it is rolled back. It holds locks: keep it short. "
    "Look at `outcome` of a commit: rolled_back means that nothing was kept."
)


class PgTxArguments(Arguments):
    """The arguments of `pg_tx`."""

    action: Literal["begin", "commit", "rollback", "savepoint", "release", "status", "list"]
    session_id: Annotated[str | None, Field(min_length=1)] = None
    savepoint_name: str | None = None
    isolation_level: Isolation | None = None
    read_only: bool | None = None
    deferrable: Annotated[bool | None, Field(description="with serializable, read_only")] = None
    auto_savepoint: Annotated[bool | None, Field(description="a failed statement costs only itself")] = None
    idle_timeout_s: Annotated[float | None, Field(gt=0, strict=False)] = None
    label: Annotated[str | None, Field(description="for people", max_length=200)] = None
    keep: Annotated[bool | None, Field(description="outlive this client")] = None


class PgTx(GatewayTool[PgTxArguments]):
    """Begins, ends and looks after sessions."""

    takes: ClassVar[type[Arguments]] = PgTxArguments
    actions: ClassVar[Mapping[str, Takes]] = {
        "begin": Takes(
            (),
            ("isolation_level", "read_only", "deferrable", "auto_savepoint", "idle_timeout_s", "label", "keep"),
        ),
        "commit": Takes(("session_id",)),
        "rollback": Takes(("session_id",), ("savepoint_name",)),
        "savepoint": Takes(("session_id", "savepoint_name")),
        "release": Takes(("session_id", "savepoint_name")),
        "status": Takes(("session_id",)),
        "list": Takes(),
    }

    def __init__(self, gateway: Gateway) -> None:
        settings = gateway.settings
        super().__init__(
            gateway,
            name="pg_tx",
            title="PostgreSQL transactions",
            description=DESCRIPTION.format(
                idle=_minutes(settings.idle_timeout_s), lifetime=_minutes(settings.max_lifetime_s)
            ),
            annotations=ToolAnnotations(
                read_only_hint=False, destructive_hint=True, idempotent_hint=False, open_world_hint=False
            ),
        )

    @override
    async def answer(self, arguments: PgTxArguments) -> ToolReply:
        """Do what was asked of a session."""
        match arguments.action:
            case "begin":
                return await self._begin(arguments)
            case "list":
                sessions = [
                    _plain(msgspec.to_builtins(each)) for each in self._gateway.sessions(self.caller().principal)
                ]
                return small_result({"sessions": sessions})
        reply = await self._gateway.ask(self.caller(), arguments.session_id or "", _command(arguments))
        body = _plain({**msgspec.to_builtins(reply), "echo": None})
        return small_result({**body, "session": reply.echo.to_dict()})

    async def _begin(self, arguments: PgTxArguments) -> ToolReply:
        caller = self.caller()
        if arguments.keep and caller.client == STDIO_CLIENT:
            raise Refusal(
                Code.INVALID_ARGUMENT,
                "`keep` has no effect here: over standard input and output the gateway ends with its client.",
                next="Leave `keep` out, or connect to a gateway over HTTP.",
            )
        options = arguments.model_dump(exclude_none=True, exclude={"action"})
        echo = await self._gateway.begin(caller, Begin.model_validate(options))
        return small_result({"session_id": echo.id, "session": echo.to_dict()})


def _command(arguments: PgTxArguments) -> Command:
    name = arguments.savepoint_name
    match arguments.action:
        case "commit":
            return Commit()
        case "rollback" if name is None:
            return Rollback()
        case "rollback":
            return RollbackTo(name=name)
        case "savepoint":
            return Savepoint(name=name or "")
        case "release":
            return Release(name=name or "")
        case _:
            return Inspect()


def _plain(body: dict[str, Any]) -> dict[str, Any]:
    return {
        name: round(value, 1) if isinstance(value, float) else value
        for name, value in body.items()
        if value is not None
    }


def _minutes(seconds: float) -> str:
    return f"{seconds / 60:g} min" if seconds >= 60 else f"{seconds:g} s"  # noqa: PLR2004 - seconds of a minute
