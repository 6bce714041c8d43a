"""The statements of maintenance, made from what was found in the catalog. No text of a caller's goes into them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

type Verb = Literal["vacuum", "analyze", "reindex"]
type What = Literal["table", "index", "schema", "database"]


@dataclass(frozen=True, slots=True)
class Subject:
    """What maintenance is for.

    Attributes:
        what: the kind of it; a materialized view counts as a table.
        name: as SQL takes it, quoted by PostgreSQL itself.
        oid: its own; None for the database.
        partitioned: it holds no rows itself.
    """

    what: What
    name: str
    oid: int | None = None
    partitioned: bool = False


@dataclass(frozen=True, slots=True)
class Maintenance:
    """One statement of maintenance.

    Attributes:
        verb: what is done.
        subject: to what.
        full, freeze, analyze, verbose, concurrently: PostgreSQL's options of these names.
    """

    verb: Verb
    subject: Subject
    full: bool = False
    freeze: bool = False
    analyze: bool = False
    verbose: bool = False
    concurrently: bool = False

    @property
    def sql(self) -> str:
        """The statement."""
        wanted = {
            "FULL": self.full,
            "FREEZE": self.freeze,
            "ANALYZE": self.analyze,
            "VERBOSE": self.verbose,
            "CONCURRENTLY": self.concurrently,
        }
        options = ", ".join(name for name, on in wanted.items() if on)
        what = f" {self.subject.what.upper()}" if self.verb == "reindex" else ""
        name = "" if self.subject.what == "database" and self.verb != "reindex" else f" {self.subject.name}"
        return f"{self.verb.upper()}{f' ({options})' if options else ''}{what}{name}"

    @property
    def is_of_one(self) -> bool:
        """Whether PostgreSQL's progress is that of one relation, so that it has an end."""
        ones = {"index"} if self.verb == "reindex" else {"table"}
        return self.subject.what in ones and not self.subject.partitioned

    def took_place(self, before: Mapping[str, Any], after: Mapping[str, Any]) -> bool:
        """Whether the figures show that something was done; true where they can't tell.

        PostgreSQL skips what the role may not look after, with no more than a warning.
        """
        if self.subject.what != "table" or self.subject.partitioned or self.verb == "reindex":
            return True
        if self.full:
            return bool(before["files"] != after["files"])
        counter = "vacuums" if self.verb == "vacuum" else "analyzes"
        return bool(after[counter] > before[counter])
