"""What one can ask of a session. Plain data, discriminated by `kind`."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from coldquery.errors import Refusal
from coldquery.postgres.answer import Limits
from coldquery.postgres.position import locate


class IsolationLevel(StrEnum):
    """PostgreSQL's, in its own words.

    Source: https://www.postgresql.org/docs/current/transaction-iso.html
    """

    READ_UNCOMMITTED = "read uncommitted"
    READ_COMMITTED = "read committed"
    REPEATABLE_READ = "repeatable read"
    SERIALIZABLE = "serializable"


class _Message(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Begin(_Message):
    """How a session is to be.

    Attributes:
        isolation_level: None is the database's default.
        read_only: PostgreSQL refuses writes in all of it.
        deferrable: with serializable and read_only: wait at first for a snapshot that can't fail.
        label: for people who list sessions.
        auto_savepoint: a statement that fails costs nothing but itself.
        idle_timeout_s: less than the gateway's own.
        keep: survive the client that opened it.
    """

    isolation_level: IsolationLevel | None = None
    read_only: bool = False
    deferrable: bool = False
    label: str | None = Field(default=None, max_length=200)
    auto_savepoint: bool = False
    idle_timeout_s: float | None = Field(default=None, gt=0)
    keep: bool = False

    @property
    def sql(self) -> str:
        """The statement that begins the transaction."""
        level = f" ISOLATION LEVEL {self.isolation_level.value.upper()}" if self.isolation_level else ""
        return f"BEGIN{level}{' READ ONLY' if self.read_only else ''}{' DEFERRABLE' if self.deferrable else ''}"


class Query(_Message):
    """One statement. A `read` runs where PostgreSQL refuses writes, and leaves the transaction as it was.

    Attributes:
        params: a JSON value for each of $1, $2, …
        limits: how much of the answer is wanted.
        timeout_ms: how long it may take in PostgreSQL; None is the session's default.
    """

    kind: Literal["query"] = "query"
    sql: str
    params: tuple[Any, ...] = ()
    access: Literal["read", "write"]
    limits: Limits
    timeout_ms: int | None = Field(default=None, ge=1)


class Explain(_Message):
    """The plan of a statement. With `analyze` it is run, and what it did is undone."""

    kind: Literal["explain"] = "explain"
    sql: str
    params: tuple[Any, ...] = ()
    analyze: bool = False
    verbose: bool = False
    buffers: bool = False
    settings: bool = False
    format: Literal["text", "json"] = "text"
    limits: Limits
    timeout_ms: int | None = Field(default=None, ge=1)

    @property
    def statement(self) -> str:
        """The EXPLAIN itself. Its options stand in parentheses, so that the caller's text can't begin with others."""
        return f"{self._prefix}{self.sql}"

    def locate(self, error: Refusal) -> None:
        """Let an error's position count from the beginning of the caller's text."""
        position = error.cause.position
        locate(error, self.sql, None if position is None else max(position - len(self._prefix), 1))

    @property
    def _prefix(self) -> str:
        flags = ("analyze", "verbose", "buffers", "settings")
        options = ", ".join([f"FORMAT {self.format.upper()}", *(name.upper() for name in flags if getattr(self, name))])
        return f"EXPLAIN ({options}) "


class Operation(_Message):
    """One statement of a batch."""

    sql: str
    params: tuple[Any, ...] = ()


class Batch(_Message):
    """Statements that all take effect, or none. The transaction goes on after them, or as it was before.

    Attributes:
        operations: in their order.
        limits: rows and cells for each of them; the bytes for all together.
        timeout_ms: for each of them.
    """

    kind: Literal["batch"] = "batch"
    operations: tuple[Operation, ...] = Field(min_length=1, max_length=1000)
    limits: Limits
    timeout_ms: int | None = Field(default=None, ge=1)


class Savepoint(_Message):
    """Sets a savepoint. One of the same name is hidden until this one is released."""

    kind: Literal["savepoint"] = "savepoint"
    name: str


class RollbackTo(_Message):
    """Undoes all that came after the savepoint, which stays."""

    kind: Literal["rollback_to"] = "rollback_to"
    name: str


class Release(_Message):
    """Forgets the savepoint and those set after it, and keeps what was done."""

    kind: Literal["release"] = "release"
    name: str


class Commit(_Message):
    """Ends the session with a COMMIT."""

    kind: Literal["commit"] = "commit"


class Rollback(_Message):
    """Ends the session with a ROLLBACK."""

    kind: Literal["rollback"] = "rollback"


class Inspect(_Message):
    """How the session is: its age, what it has done, what it holds, and whom it blocks."""

    kind: Literal["inspect"] = "inspect"


type Command = Annotated[
    Query | Explain | Batch | Savepoint | RollbackTo | Release | Commit | Rollback | Inspect,
    Field(discriminator="kind"),
]
