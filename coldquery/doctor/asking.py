"""One question to PostgreSQL, within a deadline."""

from __future__ import annotations

from typing import Any

from coldquery.postgres.connection import Connection

ASK_TIMEOUT_S = 5.0


async def ask(connection: Connection, sql: str, *params: object) -> Any:
    """The one row that answers.

    Raises:
        one of outcome.DRIVER_ERRORS: PostgreSQL refused, or did not answer in time.
    """
    return await connection.fetchrow(sql, *params, timeout=ASK_TIMEOUT_S)
