"""The tool `pg_schema`: what there is in the database, and changes of it."""

import difflib
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, ClassVar, Literal, override
from warnings import catch_warnings, filterwarnings

from mcp_types import ToolAnnotations
from pydantic import BeforeValidator, Field, WithJsonSchema

from coldquery.errors import Code, Refusal
from coldquery.gateway import Answer, Gateway
from coldquery.mcp.arguments import Arguments, Takes
from coldquery.mcp.rendering import ToolReply, small_result
from coldquery.mcp.schema_changes import ColumnArguments, statement
from coldquery.mcp.tool import GatewayTool
from coldquery.policy import check_session_statement
from coldquery.postgres.catalog.describing import tidy, together, whole
from coldquery.postgres.catalog.listing import Listing, no_such_schema
from coldquery.postgres.catalog.resolution import NotFound, choose, parameters, with_schema
from coldquery.postgres.identifiers import parse, quote
from coldquery.sessions.commands import Batch, Operation
from coldquery.sessions.replies import BatchRan

DESCRIPTION = (
    "list: schemas; by target, schema or pattern (% as in LIKE) what they hold. describe up to 20 names: columns, "
    "keys both ways, indexes, triggers, policies, partitions, definition, size. create, alter, drop: sql, or in "
    "arguments a table (columns), an index (table, columns), a schema, a change, a drop. "
    "Changes need session_id or autocommit=true."
)

# https://www.postgresql.org/docs/current/errcodes-appendix.html: dependent_objects_still_exist
_DEPENDED_ON = "2BP01"
_MOST_NAMES = 20


def _as_list(value: object) -> object:
    return [value] if isinstance(value, str) else value


Names = Annotated[
    list[Annotated[str, Field(min_length=1)]],
    BeforeValidator(_as_list),
    Field(min_length=1, max_length=_MOST_NAMES),
    WithJsonSchema({"type": ["string", "array"], "items": {"type": "string"}}),
]


with catch_warnings():
    # It shadows a method that pydantic has deprecated and nobody here calls.
    filterwarnings("ignore", 'Field name "schema"', UserWarning)

    class PgSchemaArguments(Arguments):
        """The arguments of `pg_schema`."""

        action: Literal["list", "describe", "create", "alter", "drop"]
        target: (
            Literal[
                "schema",
                "table",
                "view",
                "materialized_view",
                "sequence",
                "function",
                "trigger",
                "index",
                "type",
                "extension",
                "role",
            ]
            | None
        ) = None
        name: Names | None = None
        schema: str | None = None  # type: ignore[assignment]
        pattern: str | None = None
        detail: Literal["names", "summary", "full"] | None = None
        limit: int | None = None
        offset: int | None = None
        include_sizes: bool | None = None
        sql: str | None = None
        table: str | None = None
        columns: list[ColumnArguments] | None = None
        change: Literal["add_column", "drop_column", "rename_column", "set_type", "rename", "comment"] | None = None
        new_name: str | None = None
        comment: str | None = None
        unique: bool | None = None
        concurrently: bool | None = None
        cascade: bool | None = None
        if_exists: bool | None = None
        if_not_exists: bool | None = None
        autocommit: bool | None = None
        session_id: str | None = None


_CHANGE = ("target", "name", "schema", "sql", "session_id", "autocommit")


class PgSchema(GatewayTool[PgSchemaArguments]):
    """Answers questions about the catalog and changes it, in a session or without."""

    takes: ClassVar[type[Arguments]] = PgSchemaArguments
    actions: ClassVar[Mapping[str, Takes]] = {
        "list": Takes((), ("target", "schema", "pattern", "detail", "limit", "offset", "include_sizes", "session_id")),
        "describe": Takes(("name",), ("target", "schema", "detail", "session_id")),
        "create": Takes((), (*_CHANGE, "table", "columns", "unique", "concurrently", "if_not_exists")),
        "alter": Takes(
            (), (*_CHANGE, "change", "columns", "new_name", "comment", "cascade", "if_exists", "if_not_exists")
        ),
        "drop": Takes((), (*_CHANGE, "cascade", "if_exists", "concurrently")),
    }

    def __init__(self, gateway: Gateway) -> None:
        super().__init__(
            gateway,
            name="pg_schema",
            title="PostgreSQL schema",
            description=DESCRIPTION,
            annotations=ToolAnnotations(
                read_only_hint=False, destructive_hint=True, idempotent_hint=False, open_world_hint=False
            ),
        )

    @override
    async def answer(self, arguments: PgSchemaArguments) -> ToolReply:
        """Look it up."""
        match arguments.action:
            case "list":
                return small_result(await self._list(arguments))
            case "describe":
                return small_result(await self._describe(arguments))
            case "create" | "alter" | "drop":
                return small_result(await self._change(arguments))

    async def _change(self, arguments: PgSchemaArguments) -> dict[str, Any]:
        if arguments.session_id is None and not arguments.autocommit:
            raise Refusal(Code.WRITE_DENIED, "A change of the schema needs a `session_id`, or `autocommit: true`.")
        schema = None if arguments.schema is None else parse(arguments.schema).name.name
        sql = statement(arguments, arguments.name or (), schema)
        try:
            return {"sql": sql, **await self._make(arguments, sql)}
        except Refusal as error:
            # An index that a constraint needs has no such list, and no cascade takes it away.
            if error.cause.sqlstate == _DEPENDED_ON and error.cause.detail is not None:
                error.next = "`detail` lists what depends on it: change that first, or drop all with `cascade: true`."
            raise

    async def _make(self, arguments: PgSchemaArguments, sql: str) -> dict[str, Any]:
        if arguments.session_id is None:
            written = await self._gateway.write(sql)
            result = written.result if isinstance(written, Answer) else written.results[0]
            rest: dict[str, Any] = {"outcome": "committed"}
        else:
            check_session_statement(sql)
            # As a batch, so that a drop that is refused for what depends on it costs the transaction nothing.
            batch = Batch(operations=(Operation(sql=sql),), limits=self._gateway.limits())
            reply = await self._gateway.ask(self.caller(), arguments.session_id, batch)
            assert isinstance(reply, BatchRan)  # noqa: S101 - the answer to a batch
            result, rest = reply.results[0], {"session": reply.echo.to_dict()}
        notices = {} if result.notices is None else result.notices.to_dict()
        return {"command": result.command, **notices, **rest}

    async def _list(self, arguments: PgSchemaArguments) -> dict[str, Any]:
        narrowed = arguments.schema is not None or arguments.pattern is not None
        listing = Listing(
            target=arguments.target or ("relation" if narrowed else "schema"),
            schema=None if arguments.schema is None else parse(arguments.schema).name.name,
            pattern=arguments.pattern,
            detail=arguments.detail or "summary",
            limit=arguments.limit,
            offset=arguments.offset or 0,
            sizes=arguments.include_sizes or False,
        )
        listing.check()
        rows = await self._look(arguments, *listing.question)
        if rows[0]["items"]["total"] == 0 and listing.schema is not None:
            await self._require_schema(arguments, listing.schema)
        if listing.detail != "full":
            return listing.answer(rows)
        wanted = [(listing.described_as, oid) for row in rows[1:] for oid in row["oids"]]
        return listing.answer(rows, await self._about(arguments, wanted))

    async def _require_schema(self, arguments: PgSchemaArguments, schema: str) -> None:
        names = [row["plain"] for row in await self._look(arguments, "admin_schema", [schema])]
        if schema not in names:
            near = difflib.get_close_matches(schema.lower(), [name.lower() for name in names], n=3)
            raise no_such_schema(schema, [quote(name) for name in names if name.lower() in near])

    async def _describe(self, arguments: PgSchemaArguments) -> dict[str, Any]:
        texts = list(dict.fromkeys(arguments.name or ()))
        schema = parse(arguments.schema).name if arguments.schema is not None else None
        names = [with_schema(parse(text), schema, text) for text in texts]
        rows = await self._look(arguments, "resolve", parameters(names, arguments.target))
        found: list[tuple[str, int]] = []
        not_found: list[NotFound] = []
        for number, (name, text) in enumerate(zip(names, texts, strict=True), 1):
            chosen = choose(name, text, [row for row in rows if row["number"] == number], arguments.target)
            if isinstance(chosen, NotFound):
                not_found.append(chosen)
            else:
                found += [(row["class"], row["oid"]) for row in chosen]
        if not found:
            raise not_found[0].refusal()
        items = await self._about(arguments, list(dict.fromkeys(found)))
        return together(items, [each.to_dict() for each in not_found])

    async def _about(self, arguments: PgSchemaArguments, wanted: Sequence[tuple[str, int]]) -> list[dict[str, Any]]:
        """All that is asked for about each, in two questions at most. What was dropped meanwhile is left out."""
        relations = [oid for kind, oid in wanted if kind == "relation"]
        others = [(kind, oid) for kind, oid in wanted if kind != "relation"]
        rows: list[dict[str, Any]] = []
        if relations:
            rows += await self._look(arguments, "describe_relations", [relations])
        if others:
            kinds, oids = zip(*others, strict=True)
            rows += await self._look(arguments, "describe_objects", [list(kinds), list(oids)])
        return [tidy(whole(row["item"]), arguments.detail or "full") for row in rows]

    async def _look(self, arguments: PgSchemaArguments, name: str, params: Sequence[Any]) -> list[dict[str, Any]]:
        return await self._gateway.look(name, params, caller=self.caller(), session_id=arguments.session_id)
