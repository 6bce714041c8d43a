"""Names that exist, for one that does not."""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from coldquery.errors import Refusal
from coldquery.postgres.catalog import question
from coldquery.postgres.parser import Unparsable
from coldquery.postgres.position import name_at
from coldquery.postgres.syntax import understand

# https://www.postgresql.org/docs/current/errcodes-appendix.html
_UNDEFINED_TABLE = "42P01"
_UNDEFINED_COLUMN = "42703"

_MOST = 3
_ALIKE = 0.65
_MOST_COLUMNS = 40
_MOST_TABLES = 20


@dataclass(frozen=True, slots=True)
class MissingTable:
    """A name that PostgreSQL knows no table or view by."""

    name: str

    @property
    def question(self) -> tuple[str, list[Any]]:
        """What to ask of the catalog: SQL and its parameters."""
        return question("similar_tables"), [self.name]

    def hint(self, rows: Sequence[Sequence[str]]) -> str | None:
        """What to tell the caller, by the rows of the answer; None if nothing is like it."""
        return alike(self.name, {f"{schema}.{name}": name for schema, name in rows})


@dataclass(frozen=True, slots=True)
class MissingColumn:
    """A name that no column has of the tables that the statement names."""

    name: str
    tables: tuple[str, ...]

    @property
    def question(self) -> tuple[str, list[Any]]:
        """As `MissingTable.question`."""
        return question("columns_of"), [list(self.tables)]

    def hint(self, rows: Sequence[Sequence[str]]) -> str | None:
        """As `MissingTable.hint`. Where no name is like it, all that there are."""
        names = [f"{table}.{name}" if len(self.tables) > 1 else name for table, name in rows]
        near = _nearest(self.name, [name for _, name in rows])
        found = [each for each, (_, name) in zip(names, rows, strict=True) if name in near]
        if found:
            return f"There is {_listed(found[:_MOST])}."
        if not names:
            return None
        more = "" if len(names) <= _MOST_COLUMNS else f" and {len(names) - _MOST_COLUMNS} more"
        return f"The columns are {', '.join(names[:_MOST_COLUMNS])}{more}."


type Missing = MissingTable | MissingColumn


def alike(name: str, known: Mapping[str, str]) -> str | None:
    """Which of the known are like a name; None if none is.

    Args:
        name: that stands for nothing.
        known: what to call each in the answer, and its name.
    """
    near = _nearest(name, list(known.values()))
    found = sorted((each for each in known if known[each] in near), key=lambda each: near.index(known[each]))
    return f"There is {_listed(found[:_MOST])}." if found else None


def missing(error: Refusal) -> Missing | None:
    """What PostgreSQL did not find, if it said so and gave no hint of its own."""
    cause = error.cause
    if error.sql is None or cause.position is None or cause.hint is not None:
        return None
    name = name_at(error.sql, cause.position)
    if not name:
        return None
    if cause.sqlstate == _UNDEFINED_TABLE:
        return MissingTable(name[-1])
    if cause.sqlstate == _UNDEFINED_COLUMN:
        try:
            tables = understand(error.sql).tables()
        except Unparsable:
            return None
        quoted = (".".join('"' + part.replace('"', '""') + '"' for part in each) for each in tables[:_MOST_TABLES])
        return MissingColumn(name[-1], tuple(quoted))
    return None


def _nearest(name: str, names: Sequence[str]) -> list[str]:
    return difflib.get_close_matches(name, list(dict.fromkeys(names)), n=_MOST, cutoff=_ALIKE)


def _listed(names: Sequence[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"
