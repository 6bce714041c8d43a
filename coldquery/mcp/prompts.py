"""Prompts: how to go about three tasks, step by step, with calls of our own tools.

A call stands as the tool's name and its arguments in JSON, which a test holds to the tools' schemas.
"""

# No postponed annotations here: FastMCP adds a JSON schema to the description of an argument that is not plainly `str`.
from typing import Any

import msgspec
from fastmcp import FastMCP

# In the place of what only the answers before can tell.
_TABLE = "<schema.table>"
_SESSION = "<session_id>"


def add_prompts(server: FastMCP) -> None:
    """Register the prompts."""
    for prompt in (analyze_query_performance, debug_lock_contention, review_transaction):
        server.prompt(prompt)


def analyze_query_performance(sql: str) -> str:
    """Find out why a query is slow, and try what would make it faster.

    Args:
        sql: the query, one statement
    """
    explain = {"action": "explain", "sql": sql}
    return f"""\
Find out why this query is slow, and what would make it faster. Change nothing in the database.

1. Look at the plan: {_call("pg_query", **explain)}
2. If the query only reads, and its cost lets you expect it to end soon, measure it:
   {_call("pg_query", **explain, analyze=True)}
   It runs where PostgreSQL refuses writes, and stops at `timeout_ms`. If it needs $1, $2, …, pass `params`.
3. Go through `reading` from the top: the slowest node comes first, and each finding has its figure and its advice.
   Check it against the lines of `plan` that it names.
4. For each table of a finding, see which columns and indexes it has, how large it is and when it was last analyzed:
   {_call("pg_schema", action="describe", name=_TABLE)}
   {_call("pg_admin", action="stats", table=_TABLE)}
5. Try an index before you propose it. Where the extension hypopg is installed:
   {_call("pg_query", **explain, hypothetical_indexes=["CREATE INDEX ON <schema.table> (<column>)"])}
   It answers `cost_without`, `cost_with` and which indexes the plan `used`.
6. See whether the query matters beside the others: {_call("pg_monitor", action="slow_queries")}

Then say: what takes the time, by which figure; what to change (query, index, statistics, settings), the most useful
first; what each change costs (writes, space); and what you could not find out."""


def debug_lock_contention(pid: str = "") -> str:
    """Find out who waits for whose lock, and how to end it with the least harm.

    Args:
        pid: the backend that waits, if it is known
    """
    about = f"Backend {pid} waits for a lock." if pid else "Statements wait for locks."
    return f"""\
{about} Find out who holds them, why, and how to end it with the least harm.

1. See who waits for whom, since when, and on what: {_call("pg_monitor", action="locks")}
   Begin at the roots of the tree: those who block others and wait for nobody.
2. See what they do: {_call("pg_monitor", action="activity")}
   One that is `idle in transaction` holds its locks until its client ends the transaction; one that is `active` works.
3. See whether a root is a session of this gateway, of your own: {_call("pg_tx", action="list")}
   If so, see what it has done and whom it blocks: {_call("pg_tx", action="status", session_id=_SESSION)}
4. If it waits for maintenance, see how far that is: {_call("pg_monitor", action="progress")}

End a transaction of your own only when you know whether its work is to be kept:
{_call("pg_tx", action="commit", session_id=_SESSION)}
{_call("pg_tx", action="rollback", session_id=_SESSION)}
What is not yours you leave alone: say whose it is (pid, user, application), what it holds and since when, so that a
person can decide. Then say how it came to this and what would prevent it: shorter transactions, one order of locking,
lock_timeout, CREATE INDEX CONCURRENTLY."""


def review_transaction(session_id: str) -> str:
    """Look at what an open transaction has done, and say whether it should be committed.

    Args:
        session_id: of the open transaction
    """
    session = {"session_id": session_id}
    look = "SELECT * FROM <schema.table> WHERE <what it changed> LIMIT 20"
    return f"""\
Review the open transaction, and say whether it should be committed. Do not end it before you have said so.

1. See its state, the rows that it inserted, updated and deleted in each table, its locks, and whom it blocks:
   {_call("pg_tx", action="status", **session)}
   If its state is `idle in transaction (aborted)`, a statement failed: it can only be rolled back, or to a savepoint.
2. Hold the number of rows against what was meant. Many more than expected hint at a WHERE that is missing or too wide.
3. Look at the rows as the transaction sees them, and then as all others still see them:
   {_call("pg_query", action="read", sql=look, **session)}
   {_call("pg_query", action="read", sql=look)}
4. Check what must hold after it: sums that must agree, rows that must belong together, with `session_id`.

Then say what it has done in one or two sentences, what is right and what is doubtful, and one of:
- commit: {_call("pg_tx", action="commit", **session)}
- undo the part after a savepoint: {_call("pg_tx", action="rollback", savepoint_name="<savepoint>", **session)}
- undo all of it: {_call("pg_tx", action="rollback", **session)}
If others wait for it, be quick: what it holds, they do without."""


def _call(tool: str, **arguments: Any) -> str:
    return f"{tool} {msgspec.json.encode(arguments).decode()}"
