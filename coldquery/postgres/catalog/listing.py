"""Which question lists a kind of object, and what of the answer is told."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from coldquery.errors import Code, Refusal, cut
from coldquery.postgres.identifiers import quote

type Detail = Literal["names", "summary", "full"]

# pg_class.relkind, https://www.postgresql.org/docs/current/catalog-pg-class.html
_TABLES = ("r", "p", "f")
_RELATIONS: Mapping[str, Sequence[str]] = {
    "table": _TABLES,
    "view": ("v",),
    "materialized_view": ("m",),
    # What has rows, where nobody said which.
    "relation": (*_TABLES, "v", "m"),
}
# These have no schema, or are one.
_WITHOUT_SCHEMA = {"role"}
WITH_SIZE = (*_RELATIONS, "sequence", "index", "schema")
_PLURALS = {"index": "indexes"}
_DEFAULT_LIMIT: Mapping[Detail, int] = {"names": 500, "summary": 50, "full": 5}
_LARGEST_LIMIT: Mapping[Detail, int] = {"names": 2000, "summary": 2000, "full": 20}
_LARGEST_OFFSET = 2**31 - 1
_OF_NAMES = ("name", "table", "size_bytes")
# The questions fetch one character more.
_TEXTS: Mapping[str, int] = {"comment": 300, "definition": 200}
_MOST_LABELS = 20
_MOST_SCHEMAS = 30


@dataclass(frozen=True, slots=True)
class Listing:
    """What to list.

    Attributes:
        target: a kind of object, or "relation" for all that have rows.
        schema: only what is in this one.
        pattern: only what has a name or comment with this in it, or LIKE this.
        detail: how much of each.
        limit: how many at most; by `detail` when None.
        offset: after how many.
        sizes: with what each takes on disk.
    """

    target: str
    schema: str | None = None
    pattern: str | None = None
    detail: Detail = "summary"
    limit: int | None = None
    offset: int = 0
    sizes: bool = False

    @property
    def most(self) -> int:
        """How many items there can be in the answer."""
        return _DEFAULT_LIMIT[self.detail] if self.limit is None else self.limit

    @property
    def question(self) -> tuple[str, list[Any]]:
        """The name of the question to ask of the catalog, and its parameters."""
        page = [self.most, self.offset]
        like = None if self.pattern is None else as_like(self.pattern)
        names_only = self.detail == "names"
        if (kinds := _RELATIONS.get(self.target)) is not None:
            return "list_relations", [list(kinds), self.schema, like, *page, self.sizes, names_only]
        match self.target:
            case "index":
                return "list_indexes", [self.schema, like, *page, self.sizes, names_only]
            case "sequence":
                return "list_sequences", [self.schema, like, *page, self.sizes, names_only]
            case "schema":
                return "list_schemas", [self.schema, like, *page, self.sizes]
            case "role":
                return "list_roles", [like, *page]
            case other:
                return f"list_{other}s", [self.schema, like, *page]

    @property
    def described_as(self) -> str:
        """The class of what is listed, in the words of `resolve`."""
        return "relation" if self.target in _RELATIONS else self.target

    def check(self) -> None:
        """Hold the arguments to one another.

        Raises:
            Refusal: `invalid_argument`.
        """
        if self.schema is not None and self.target in _WITHOUT_SCHEMA:
            raise Refusal(
                Code.INVALID_ARGUMENT,
                f"`schema` has no place with target={self.target}: it belongs to no schema.",
                next="Leave `schema` out.",
            )
        if self.sizes and self.target not in WITH_SIZE:
            raise Refusal(
                Code.INVALID_ARGUMENT,
                f"`include_sizes` has no place with target={self.target}: it takes no room of its own.",
                next="Leave `include_sizes` out.",
            )
        largest = _LARGEST_LIMIT[self.detail]
        if not 1 <= self.most <= largest:
            raise Refusal(
                Code.INVALID_ARGUMENT,
                f"`limit` is {self.limit}; with detail={self.detail} it must lie between 1 and {largest}.",
                next="Page by `offset`, or ask for less `detail`." if self.most > 0 else "Pass more, or leave it out.",
            )
        if not 0 <= self.offset <= _LARGEST_OFFSET:
            raise Refusal(
                Code.INVALID_ARGUMENT,
                f"`offset` is {self.offset}; it must lie between 0 and {_LARGEST_OFFSET}.",
                next="Leave `offset` out to begin with the first.",
            )

    def answer(self, rows: Sequence[Mapping[str, Any]], described: Sequence[Any] | None = None) -> dict[str, Any]:
        """What to tell.

        Args:
            rows: of the answer to the question.
            described: the items, where they were asked for in full.

        Raises:
            Refusal: `invalid_argument` if some were too long for an answer of the catalog.
        """
        head, *chunks = (row["items"] for row in rows)
        if any(isinstance(chunk, str) for chunk in chunks):  # cut, so it is no JSON any longer
            raise Refusal(
                Code.INVALID_ARGUMENT,
                "There is more to say of these than fits an answer of the catalog.",
                next="Ask for detail=names, or for fewer by a smaller `limit`.",
            )
        items = [item for chunk in chunks for item in self._items(chunk)]
        if described and self.sizes and self.described_as != "relation":
            # A description of these measures less, or nothing.
            sizes = {item["name"]: {"size_bytes": item["size_bytes"]} for item in items if "size_bytes" in item}
            described = [{**each, **sizes.get(each["name"], {})} for each in described]
        body: dict[str, Any] = {
            _PLURALS.get(self.target, f"{self.target}s"): described or items,
            "total": head["total"],
        }
        told = self.offset + len(items)
        if not items and head["total"]:
            body["next"] = f"offset={self.offset} is past the end of {head['total']}."
        elif told < head["total"]:
            if head.get("schemas", 1) > 1:
                body["by_schema"] = head["by_schema"]
                if head["schemas"] > _MOST_SCHEMAS:
                    body["schemas"] = head["schemas"]
            body["truncated"] = {"by": "rows", "limit": self.most, "next": self._how_to_go_on(told)}
        return body

    def _how_to_go_on(self, told: int) -> str:
        narrower = [
            *(["schema"] if self.schema is None and self.target not in {*_WITHOUT_SCHEMA, "schema"} else []),
            *(["pattern"] if self.pattern is None else []),
            *(["detail=names"] if self.detail != "names" else []),
        ]
        other = f", or narrow by {' or '.join(narrower)}" if narrower else ""
        return f"Pass offset={told} for more{other}."

    def _items(self, chunk: Any) -> list[Any]:
        items = _from_columns(chunk) if isinstance(chunk, dict) else chunk
        if self.detail == "names":
            return [_name(item) for item in items]
        plain = self.target.replace("_", " ")
        for item in items:
            if item.get("kind") == plain:
                del item["kind"]
            for name, most in _TEXTS.items():
                if name in item:
                    item[name] = cut(item[name], most)
            if "labels" in item and len(labels := item["labels"]) > _MOST_LABELS:
                item["labels"] = [*labels[:_MOST_LABELS], "…"]
        return items


def _from_columns(columns: Mapping[str, Sequence[Any] | None]) -> list[dict[str, Any]]:
    """The items of which each list has one property; null is none."""
    items: list[dict[str, Any]] = [{} for _ in columns["name"] or ()]
    for name, values in columns.items():
        for item, value in zip(items, values or (), strict=False):  # those of what was not asked for are none
            if value is not None:
                item[name] = value
    return items


def _name(item: Mapping[str, Any]) -> Any:
    kept = item if len(item) == 1 else {name: item[name] for name in _OF_NAMES if name in item}
    return kept["name"] if len(kept) == 1 else kept


def as_like(pattern: str) -> str:
    r"""A pattern for LIKE: as it is if it holds %, else what has it anywhere. There _ stands for itself, and any other.

    A backslash at the end would escape nothing, which PostgreSQL refuses.
    """
    if "%" in pattern:
        trailing = len(pattern) - len(pattern.rstrip("\\"))
        return pattern + "\\" if trailing % 2 else pattern
    return "%" + pattern.replace("\\", "\\\\") + "%"


def no_such_schema(schema: str, near: Sequence[str]) -> Refusal:
    """The error for a schema that is not there, with names that are."""
    there = f" There is {', '.join(near)}." if near else ""
    return Refusal(
        Code.INVALID_ARGUMENT,
        f"There is no schema {quote(schema)}.{there}",
        next="Correct `schema`; action=list without arguments has all schemas.",
    )
