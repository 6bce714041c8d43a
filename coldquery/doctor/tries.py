"""Whether a read is really kept from writing: it is tried, in the way that the gateway reads.

Nothing is left behind even where a try goes through: what it makes is temporary, a read is rolled back, and a
connection whose transaction was ended by its statement is thrown away.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from coldquery.doctor.finding import Finding, fail, ok, warn
from coldquery.doctor.roles import REMEDY
from coldquery.errors import Refusal
from coldquery.postgres.answer import Limits
from coldquery.postgres.pool import Pool
from coldquery.postgres.target import Target
from coldquery.reads import Read
from coldquery.settings import Settings

_LIMITS = Limits(max_rows=1, max_bytes=1024, max_cell_bytes=1024)
_MAKE = "CREATE TEMPORARY TABLE coldquery_doctor (i int)"


def _after(way_out: str) -> str:
    return f"DO $$BEGIN {way_out}; {_MAKE}; END$$"


@dataclass(frozen=True, slots=True)
class Try:
    """A write, after a way out of the read-only transaction.

    Attributes:
        words: the way out.
        sql: both in one statement, since a read is one.
        refusals: the SQLSTATEs by which PostgreSQL refuses it.
        only_opens: going through, it would write only what is rolled back.
    """

    words: str
    sql: str
    refusals: frozenset[str]
    only_opens: bool = False


# https://www.postgresql.org/docs/current/errcodes-appendix.html: 25006 read_only_sql_transaction, 25001
# active_sql_transaction, 2D000 invalid_transaction_termination, 0A000 feature_not_supported, 42501
# insufficient_privilege (the role holds where the transaction does not).
TRIES = (
    Try("none", _MAKE, frozenset({"25006"})),
    Try("SET TRANSACTION READ WRITE", _after("SET TRANSACTION READ WRITE"), frozenset({"25001"})),
    Try("set_config()", _after("PERFORM set_config('transaction_read_only', 'off', true)"), frozenset({"25001"})),
    Try("COMMIT", _after("COMMIT"), frozenset({"2D000"})),
    # Before PostgreSQL 16 this opens the transaction.
    Try("RESET", _after("RESET transaction_read_only"), frozenset({"0A000", "25006", "42501"}), only_opens=True),
)


@dataclass(frozen=True, slots=True)
class Tried:
    """What became of a try: "" if it went through, else the SQLSTATE that refused it, or what else went wrong."""

    what: Try
    refusal: str


async def ask_tries(target: Target, settings: Settings) -> list[Tried]:
    """Try each, on a pool as the gateway's is."""
    pool = Pool(target, 1, settings.pool_acquire_timeout_s)
    await pool.open()
    try:
        return [Tried(each, await _outcome(pool, each, settings.statement_timeout_ms)) for each in TRIES]
    finally:
        await pool.close(timeout_s=1)


def judge_tries(tried: Sequence[Tried]) -> Finding:
    """Whether PostgreSQL refused them all."""
    through = [each.what for each in tried if not each.refusal]
    if writes := [each.words for each in through if not each.only_opens]:
        return fail(
            f"A READ COULD WRITE; ways out: {', '.join(writes)}",
            "Stop the gateway. Something between it and PostgreSQL changes its transactions: look at the pooler above.",
        )
    if unclear := [each for each in tried if each.refusal and each.refusal not in each.what.refusals]:
        # Where there is no connection, they all fail alike.
        told = " ".join(dict.fromkeys(each.refusal for each in unclear))
        return warn(
            f"{len(unclear)} of {len(tried)} tries could not be made: {told}", "Mend what it says, and run this again."
        )
    if through:
        return warn(
            f"{through[0].words} in a DO block opens a read; what it writes is rolled back, but a sequence stays moved",
            f"Upgrade to PostgreSQL 16 or newer, or read as a role that can write nothing; {REMEDY}",
        )
    return ok(f"PostgreSQL refused all {len(tried)} tries")


async def _outcome(pool: Pool, what: Try, timeout_ms: int) -> str:
    try:
        await pool.run(Read(what.sql, (), _LIMITS, timeout_ms))
    except Refusal as refusal:
        return refusal.cause.sqlstate or str(refusal)
    return ""
