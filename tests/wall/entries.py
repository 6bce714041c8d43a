"""What a corpus holds: statements, and what a read may answer to them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Literal

from coldquery.errors import Code

# How long PostgreSQL may work on a read of which nothing else is said.
TIMEOUT_MS: Final = 5_000

# Beside the codes: it was answered with rows. What it must not do is checked all the same.
RUNS: Final = "runs"
type Verdict = Code | Literal["runs"]

# Refused before anything is sent to PostgreSQL.
BY_NAME: Final = frozenset[Verdict]({Code.STATEMENT_NOT_ALLOWED})
# Refused by PostgreSQL: because the transaction is read-only, or because the role lacks the right.
BY_POSTGRESQL: Final = frozenset[Verdict]({Code.READ_ONLY, Code.PERMISSION_DENIED})
BY_EITHER: Final = BY_NAME | BY_POSTGRESQL
NO_SQL: Final = frozenset[Verdict]({Code.SQL_ERROR, Code.STATEMENT_NOT_ALLOWED})
HARMLESS: Final = frozenset[Verdict]({RUNS})


@dataclass(frozen=True, slots=True)
class Attack:
    """A read that means harm.

    Attributes:
        sql: the statement.
        expected: what it may be answered with; its family's expectation when None.
        params: its parameters.
        timeout_ms: how long PostgreSQL may work on it.
        slow: it takes seconds to be stopped, so that it is made once for each role only.
        since: the first major version of PostgreSQL in which it means anything.
        next: a word that must stand in the refusal's next step.
    """

    sql: str = field(repr=False)
    expected: frozenset[Verdict] | None = None
    params: tuple[Any, ...] = ()
    timeout_ms: int = TIMEOUT_MS
    slow: bool = False
    since: int = 0
    next: str = ""


@dataclass(frozen=True, slots=True)
class Hostile:
    """An entry of the hostile corpus."""

    id: str
    family: str
    attack: Attack
    expected: frozenset[Verdict]


@dataclass(frozen=True, slots=True)
class Harmless:
    """An entry of the harmless corpus: it must be answered with rows.

    Attributes:
        id: its name.
        sql: the statement.
        value: the first value of the answer; anything will do when it is `...`.
        params: its parameters.
        since: the first major version of PostgreSQL that knows its syntax.
    """

    id: str
    sql: str = field(repr=False)
    value: Any = ...
    params: tuple[Any, ...] = ()
    since: int = 0


def family(name: str, expected: frozenset[Verdict], entries: Mapping[str, str | Attack]) -> Iterator[Hostile]:
    """Entries of one kind, which are expected to be answered alike where they do not say otherwise."""
    for key, entry in entries.items():
        attack = Attack(entry) if isinstance(entry, str) else entry
        yield Hostile(f"{name}/{key.replace(' ', '-')}", name, attack, attack.expected or expected)
