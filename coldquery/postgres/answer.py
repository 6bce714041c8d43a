"""The answer to a statement, within limits."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from msgspec import Struct

from coldquery.errors import cut
from coldquery.postgres.json_text import cut_cells, encode, escaped_json

# A chunk is at most so many times the one before it, so that a few wide rows after many narrow ones stay few.
CHUNK_GROWTH = 16
# Rows that are only counted come so many at once, or as many as the limit of bytes holds of the widest.
DISCARDED_CHUNK_ROWS = 128
# So many notices of one statement are kept, and so many characters of each of their texts.
MAX_NOTICES = 20
MAX_NOTICE_LENGTH = 1_000


@dataclass(frozen=True, slots=True)
class Limits:
    """How much of an answer is wanted: whole rows up to so many, and so many bytes of JSON; cells of so many bytes.

    Attributes:
        keyed: each row is sent with the columns' names, which count then.
    """

    max_rows: int
    max_bytes: int
    max_cell_bytes: int
    keyed: bool = False


@dataclass(frozen=True, slots=True)
class Truncation:
    """Which limit cut the answer, in rows or bytes. `cell` means that all rows are here but some cells are cut."""

    by: Literal["rows", "bytes", "cell"]
    limit: int


@dataclass(frozen=True, slots=True)
class Column:
    """A column of an answer: its name as PostgreSQL gave it, be it empty or another's too, and its type."""

    name: str
    type: str


@dataclass(frozen=True, slots=True)
class Notice:
    """What PostgreSQL said by the way, such as RAISE NOTICE in a function. `severity` is NOTICE, WARNING or INFO."""

    severity: str
    message: str
    detail: str | None = None
    hint: str | None = None


@dataclass(slots=True)
class Notices:
    """The first notices of a statement, and how many more there were."""

    kept: list[Notice] = field(default_factory=list)
    left_out: int = 0

    def hear(self, fields: Mapping[str, str]) -> None:
        """Keep a notice, if there is room.

        Args:
            fields: by their letters, https://www.postgresql.org/docs/current/protocol-error-fields.html
        """
        if len(self.kept) == MAX_NOTICES:
            self.left_out += 1
            return
        message, detail, hint = (fields.get(each) for each in "MDH")
        self.kept.append(
            Notice(
                fields.get("V") or fields.get("S", ""),
                cut(message or "", MAX_NOTICE_LENGTH),
                detail and cut(detail, MAX_NOTICE_LENGTH),
                hint and cut(hint, MAX_NOTICE_LENGTH),
            )
        )

    def to_dict(self) -> dict[str, Any]:
        """The wire form, without what says nothing."""
        notices = [
            {name: text for name in Notice.__slots__ if (text := getattr(each, name)) is not None} for each in self.kept
        ]
        return {"notices": notices, **({"notices_left_out": self.left_out} if self.left_out else {})}


class Result(Struct, frozen=True):
    """The answer to one statement.

    Attributes:
        columns: in order; empty for a statement that returns no rows.
        rows: one tuple of JSON-ready values for each row.
        rows_json: the same rows as compact JSON text, an array of arrays. It was made to measure them, so it is kept.
        command: the command tag's word or words, such as `SELECT`; "" when the rows were cut before it came.
        row_count: what the command tag reported; when the rows were cut, how many are here.
        truncated: which limit cut the answer, or None if it is whole.
        notices: what PostgreSQL said beside it; None if nothing.
    """

    columns: tuple[Column, ...]
    rows: list[tuple[Any, ...]]
    rows_json: bytes
    command: str
    row_count: int
    truncated: Truncation | None
    notices: Notices | None = None


def unique_names(columns: Sequence[Column]) -> list[str]:
    """The columns' names, with a number behind those that were there before: a, b, a_2."""
    names: dict[str, None] = {}
    numbers: dict[str, int] = {}
    for column in columns:
        name, number = column.name, numbers.get(column.name, 1)
        while name in names:
            number += 1
            name = f"{column.name}_{number}"
        numbers[column.name] = number
        names[name] = None
    return list(names)


class Page:
    """Rows as they come in chunks, kept while they fit the limits.

    Args:
        limits: what fits.
        columns: of the rows.

    Attributes:
        rows: those that are kept.
        encoded: each of them as JSON.
        truncation: which limit was reached; None as long as none was.
        widest: the bytes of the largest row that came, before any cell of it was cut.
    """

    def __init__(self, limits: Limits, columns: Sequence[Column]) -> None:
        self._limits = limits
        self._keys_size = sum(len(encode(key)) + 1 for key in unique_names(columns)) if limits.keyed else 0
        self._received = 1
        self.widest = 1
        self._size = 1  # the brackets round the rows, less the comma that the first row needs not
        self.rows: list[tuple[Any, ...]] = []
        self.encoded: list[bytes] = []
        self.truncation: Truncation | None = None

    @property
    def full(self) -> bool:
        """Whether no further row can be kept."""
        return self.truncation is not None and self.truncation.by != "cell"

    def add(self, records: Sequence[Any]) -> None:
        """Keep of these rows what fits."""
        limits, keys_size, widest = self._limits, self._keys_size, self.widest
        room = limits.max_rows - len(self.rows)
        for record in records[:room]:
            row = tuple(record)
            text = escaped_json(encode(row))
            length = len(text)
            self._received += length + 1
            if length > widest:  # noqa: PLR1730 - max() takes longer, and there may be ten thousand
                widest = length
            if length > limits.max_cell_bytes and (cut := cut_cells(row, limits.max_cell_bytes)) != row:
                row, text = cut, escaped_json(encode(cut))
                length = len(text)
                self.truncation = Truncation("cell", limits.max_cell_bytes)
            size = self._size + length + 1 + keys_size
            if size > limits.max_bytes:
                self.truncation = Truncation("bytes", limits.max_bytes)
                break
            self._size = size
            self.rows.append(row)
            self.encoded.append(text)
        else:
            if len(records) > room:
                self.truncation = Truncation("rows", limits.max_rows)
        self.widest = widest

    def next_chunk(self, last: int) -> int:
        """How many rows to ask for next, from the size of those that came, before any cell of them was cut.

        Args:
            last: how many were asked for last.
        """
        if self.full:
            # They are only counted.
            return max(1, min(DISCARDED_CHUNK_ROWS, self._limits.max_bytes // self.widest))
        fitting = (self._limits.max_bytes - self._size) * len(self.rows) // self._received + 1
        return max(1, min(self._limits.max_rows + 1 - len(self.rows), fitting, last * CHUNK_GROWTH))
