"""Plans with indexes that do not exist: HypoPG's, in a transaction that is read-only and rolled back.

https://hypopg.readthedocs.io
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from coldquery.errors import Code, Refusal
from coldquery.policy import check_session_statement
from coldquery.postgres.answer import Limits, Result
from coldquery.postgres.connection import Connection
from coldquery.postgres.outcome import DRIVER_ERRORS, refusal
from coldquery.postgres.syntax import understand
from coldquery.reads import ReadOnlyJob

_SCHEMA = """
SELECT pg_catalog.quote_ident(n.nspname)
FROM pg_catalog.pg_extension AS e JOIN pg_catalog.pg_namespace AS n ON n.oid = e.extnamespace
WHERE e.extname = 'hypopg'
"""
# Where there is no parser, or it knows less than the server.
_BEGINS = re.compile(r"\s*create\s+(unique\s+)?index\b", re.IGNORECASE)
_MAKE = "SELECT indexname FROM {}.hypopg_create_index($1)"
_ONE_ROW = Limits(max_rows=1, max_bytes=1 << 16, max_cell_bytes=1 << 16)


def check_indexes(indexes: Sequence[str]) -> None:
    """Refuse what makes no index.

    Raises:
        Refusal: `invalid_argument`; or what is wrong with one as a statement.
    """
    for sql in indexes:
        check_session_statement(sql)
        if understand(sql).node != "IndexStmt" and not _BEGINS.match(sql):
            raise Refusal(
                Code.INVALID_ARGUMENT,
                "`hypothetical_indexes` takes CREATE INDEX statements.",
                next="Pass statements such as CREATE INDEX ON shop.orders (customer_id).",
            )


@dataclass(frozen=True, slots=True)
class Tried:
    """What EXPLAIN said before and after, and what HypoPG calls each index."""

    before: Result
    after: Result
    names: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class TryIndexes(ReadOnlyJob):
    """A job: the plan of an EXPLAIN without ANALYZE, and the same with indexes that are only imagined.

    Attributes:
        indexes: a CREATE INDEX each.
    """

    indexes: tuple[str, ...]

    def opening(self, _: Connection) -> str:
        """See `ReadOnlyJob.sealed_begin`."""
        return self.sealed_begin

    async def run(self, connection: Connection, wanted: Callable[[], bool]) -> Tried:
        """Explain, imagine the indexes, explain again."""
        before = await self._say(connection, wanted, self.sql, self.params, self.limits)
        schema = await connection.fetchval(_SCHEMA)
        if schema is None:
            raise Refusal(
                Code.INVALID_ARGUMENT,
                "`hypothetical_indexes` needs the extension hypopg, which this database does not have.",
                next="Leave it out; or ask the operator for CREATE EXTENSION hypopg; or make the index in a session, "
                "explain there, and roll back.",
            )
        made = [await self._say(connection, wanted, _MAKE.format(schema), [each], _ONE_ROW) for each in self.indexes]
        after = await self._say(connection, wanted, self.sql, self.params, self.limits)
        return Tried(before, after, tuple(each.rows[0][0] for each in made if each.rows))

    async def clean(self, connection: Connection) -> bool:  # noqa: ARG002 - see `Job`
        """Never: what HypoPG imagines stays with its connection, and outlives a rollback."""
        return False

    async def _say(
        self, connection: Connection, wanted: Callable[[], bool], sql: str, params: Sequence[Any], limits: Limits
    ) -> Result:
        self.require(wanted)
        try:
            return await connection.run(sql, params, limits, cached=False)
        except DRIVER_ERRORS as error:
            raise refusal(error, sql=sql, notices=connection.notices) from None
