"""Statements that all take effect, or none."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from coldquery.errors import Refusal
from coldquery.postgres.answer import Limits, Result
from coldquery.sessions.commands import Operation
from coldquery.sessions.held import HeldTransaction


def check_all(operations: Sequence[Operation], check: Callable[[str], None]) -> None:
    """Have each operation checked before any is run.

    Raises:
        Refusal: the check's own, with the operation's number.
    """
    for number, operation in enumerate(operations, 1):
        try:
            check(operation.sql)
        except Refusal as error:
            error.message = f"Operation {number} of {len(operations)}: {error.message} Nothing was run."
            raise


async def run_all(
    held: HeldTransaction, operations: Sequence[Operation], limits: Limits, require_wanted: Callable[[], None]
) -> tuple[Result, ...]:
    """Run them in their order, up to the first that fails. To keep or to undo what they did is the caller's.

    Args:
        held: where.
        operations: at least one.
        limits: rows and cells for each of them; the bytes for all together.
        require_wanted: asked before each; raises `Refusal` if nobody waits for the answers any more.

    Raises:
        Refusal: one failed; the message says which.
    """
    results: list[Result] = []
    left = limits.max_bytes
    for number, operation in enumerate(operations, 1):
        try:
            require_wanted()
            room = replace(limits, max_bytes=max(left, 2))
            result = await held.run(operation.sql, operation.params, room, writes=True)
        except Refusal as error:
            if (count := len(operations)) > 1:
                error.message = f"Operation {number} of {count} failed, and nothing of them was kept: {error.message}"
            raise
        left -= len(result.rows_json)
        results.append(result)
    return tuple(results)
