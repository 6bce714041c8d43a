"""The tool `pg_admin`: look after tables and indexes, and see how PostgreSQL is set up."""

import warnings
from collections.abc import Mapping
from typing import Any, ClassVar, Literal, override

from mcp_types import ToolAnnotations

from coldquery.errors import Code, Refusal
from coldquery.gateway import Gateway
from coldquery.mcp.admin_maintenance import maintain, maintain_in_session
from coldquery.mcp.admin_settings import get_setting, search_settings, set_setting
from coldquery.mcp.admin_stats import statistics
from coldquery.mcp.admin_subject import ANALYZED, INDEXES, TABLES, Asking, find_relation, find_schema
from coldquery.mcp.arguments import Arguments, Takes
from coldquery.mcp.rendering import ToolReply, small_result
from coldquery.mcp.tool import GatewayTool
from coldquery.postgres.maintenance.statements import Maintenance, Subject, Verb

DESCRIPTION = (
    "vacuum, analyze, reindex: need autocommit=true; tell what changed. No table: the whole database "
    "(reindex: table, index or schema). "
    "stats: of a table, an index or the database, with suggestions. "
    "settings: one by setting_name; search by pattern, category; setting_value with session_id sets it in that "
    "transaction."
)

_DATABASE = Subject("database", "")
_NO_TRANSACTION = {
    "vacuum": "PostgreSQL does not run VACUUM in a transaction.",
    "reindex": "In a transaction REINDEX would keep its locks, which hold up writes and most reads, until the commit.",
}


with warnings.catch_warnings():
    # A field may well be called as pydantic's deprecated `schema` method, which nobody calls.
    warnings.filterwarnings("ignore", 'Field name "schema"', UserWarning)

    class PgAdminArguments(Arguments):
        """The arguments of `pg_admin`."""

        action: Literal["vacuum", "analyze", "reindex", "stats", "settings"]
        table: str | None = None
        index: str | None = None
        schema: str | None = None  # type: ignore[assignment]  # see above
        full: bool | None = None
        freeze: bool | None = None
        analyze: bool | None = None
        concurrently: bool | None = None
        verbose: bool | None = None
        setting_name: str | None = None
        setting_value: str | None = None
        pattern: str | None = None
        category: str | None = None
        limit: int | None = None
        offset: int | None = None
        session_id: str | None = None
        autocommit: bool | None = None
        timeout_ms: int | None = None


class PgAdmin(GatewayTool[PgAdminArguments]):
    """Maintains tables through the gateway, and tells figures and settings."""

    takes: ClassVar[type[Arguments]] = PgAdminArguments
    tells_progress = True
    actions: ClassVar[Mapping[str, Takes]] = {
        "vacuum": Takes(
            (), ("table", "schema", "full", "freeze", "analyze", "verbose", "autocommit", "session_id", "timeout_ms")
        ),
        "analyze": Takes((), ("table", "schema", "verbose", "autocommit", "session_id", "timeout_ms")),
        "reindex": Takes(
            (),
            ("table", "index", "schema", "concurrently", "verbose", "autocommit", "session_id", "timeout_ms"),
        ),
        "stats": Takes((), ("table", "index", "schema", "session_id")),
        "settings": Takes(
            (), ("setting_name", "setting_value", "pattern", "category", "limit", "offset", "session_id")
        ),
    }

    def __init__(self, gateway: Gateway) -> None:
        super().__init__(
            gateway,
            name="pg_admin",
            title="Maintain PostgreSQL",
            description=DESCRIPTION,
            annotations=ToolAnnotations(
                read_only_hint=False, destructive_hint=False, idempotent_hint=True, open_world_hint=False
            ),
        )

    @override
    async def answer(self, arguments: PgAdminArguments) -> ToolReply:
        """Do what was asked."""
        return small_result(await self._body(arguments))

    async def _body(self, arguments: PgAdminArguments) -> dict[str, Any]:
        asking = Asking(self._gateway)
        if arguments.session_id is not None:
            asking = Asking(self._gateway, self.caller(), arguments.session_id)
        match arguments.action:
            case "settings":
                return await _settings(asking, arguments)
            case "stats":
                if arguments.schema is not None and arguments.table is None and arguments.index is None:
                    raise _invalid("`schema` alone has no statistics.", "Name a `table` or an `index` in it.")
                return await statistics(asking, await _subject(asking, arguments, TABLES))
            case "vacuum" | "analyze" | "reindex" as verb:
                _check(arguments)
                work = await _work(asking, verb, arguments)
                run = maintain if arguments.session_id is None else maintain_in_session
                return await run(asking, work, arguments.timeout_ms)


def _check(arguments: PgAdminArguments) -> None:
    """Hold a call for maintenance to what has to be said for it, and what contradicts itself."""
    action = arguments.action
    if arguments.session_id is not None and action in _NO_TRANSACTION:
        step = "Call again with `autocommit: true` and without `session_id`."
        raise Refusal(Code.STATEMENT_NOT_ALLOWED, _NO_TRANSACTION[action], next=step)
    if arguments.session_id is not None and arguments.autocommit:
        step = "Leave one of the two out."
        raise _invalid("`autocommit` and `session_id` contradict each other.", step)
    if arguments.session_id is None and not arguments.autocommit:
        step = "Pass `autocommit: true`: it runs by itself."
        if action == "analyze":
            step = "Pass `autocommit: true`, or a `session_id` to have it in that transaction."
        raise Refusal(Code.WRITE_DENIED, f"action={action} is a write, and nothing says that it may run.", next=step)
    if arguments.schema is not None and arguments.table is None and action != "reindex":
        raise _invalid(f"PostgreSQL has no {action.upper()} for a schema.", "Name a `table` in it.")
    if arguments.full and arguments.table is None:
        step = "Name one `table` at a time."
        raise _invalid("VACUUM FULL of all tables would lock each of them in turn.", step)
    if action == "reindex" and not (arguments.table or arguments.index or arguments.schema):
        raise _invalid("What to rebuild is missing.", "Pass a `table`, an `index`, or a `schema` for all in it.")


async def _work(asking: Asking, verb: Verb, arguments: PgAdminArguments) -> Maintenance:
    subject = await _subject(asking, arguments, ANALYZED if verb == "analyze" else TABLES)
    if verb == "reindex" and subject.partitioned and not arguments.concurrently:
        step = "Pass `concurrently: true`, or name one partition at a time."
        raise _invalid(f"{subject.name} is partitioned, and its parts are rebuilt one by one.", step)
    return Maintenance(
        verb,
        subject,
        full=arguments.full or False,
        freeze=arguments.freeze or False,
        analyze=arguments.analyze or False,
        verbose=arguments.verbose or False,
        concurrently=arguments.concurrently or False,
    )


async def _subject(asking: Asking, arguments: PgAdminArguments, kinds: str) -> Subject:
    if arguments.table is not None and arguments.index is not None:
        raise _invalid("`table` and `index` are both given.", "Leave one of the two out.")
    if arguments.index is not None:
        return await find_relation(asking, "index", arguments.index, arguments.schema, INDEXES)
    if arguments.table is not None:
        return await find_relation(asking, "table", arguments.table, arguments.schema, kinds)
    return _DATABASE if arguments.schema is None else await find_schema(asking, arguments.schema)


async def _settings(asking: Asking, arguments: PgAdminArguments) -> dict[str, Any]:
    name, value = arguments.setting_name, arguments.setting_value
    searches = (arguments.pattern, arguments.category, arguments.limit, arguments.offset)
    if name is None and value is not None:
        raise _invalid("Which setting is to have the value?", "Pass its `setting_name`.")
    if name is None:
        return await search_settings(asking, *searches)
    if searches != (None, None, None, None):
        raise _invalid("`setting_name` names one setting: there is nothing to search.", "Leave one of the two out.")
    if value is None:
        return await get_setting(asking, name)
    if asking.session_id is None:
        step = "Open a transaction with pg_tx begin, and pass its `session_id`; the setting ends with it."
        raise Refusal(Code.WRITE_DENIED, "A setting holds for a transaction, and there is none.", next=step)
    return await set_setting(asking, name, value)


def _invalid(message: str, step: str) -> Refusal:
    return Refusal(Code.INVALID_ARGUMENT, message, next=step)
