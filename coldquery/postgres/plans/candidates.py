"""The index that a condition asks for.

A condition is read from EXPLAIN's VERBOSE text, where each column has its table's alias before it. What is not
understood gives no index: better none than a wrong one.

Source: https://www.postgresql.org/docs/current/indexes-multicolumn.html
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from coldquery.postgres.identifiers import quote
from coldquery.postgres.plans.tree import Node

_NAME = r'(?:"(?:[^"]|"")+"|[^\W\d][\w$]*)'
# o.status, (o.status)::text, lower(o.email), lower((o.email)::text)
_LEFT = re.compile(
    rf"^(?P<function>{_NAME}\()?\(*(?P<alias>{_NAME})\.(?P<column>{_NAME})\)?(?:::[\w ]+(?:\(\d+\))?)?\)*"
    r" (?P<operator><=|>=|<|>|=|~~\*?|IS NULL|@>|&&)(?= |$)(?P<right>.*)$",
    re.DOTALL,
)
# (o.details ->> 'page'::text) = …
_JSON = re.compile(
    rf"^\((?P<alias>{_NAME})\.(?P<column>{_NAME})(?P<path>(?: ->>? (?:'(?:[^']|'')*'::text|\d+))+)\) = (?P<right>.*)$",
    re.DOTALL,
)
_LITERAL = re.compile(r"'(?:[^']|'')*'")
_EQUAL = {"=", "IS NULL"}
_RANGE = {"<", ">", "<=", ">="}
# A scan for patterns or parts of a value needs an index of another kind.
_OTHER = {"@>": "gin ({})", "&&": "gin ({})", "~~": "gin ({} gin_trgm_ops)", "~~*": "gin ({} gin_trgm_ops)"}
_MOST_COLUMNS = 3


def index_for(node: Node, condition: str) -> str | None:
    """The statement that makes an index for a condition on a node's table; None where none would help for sure.

    Args:
        node: a scan of the table.
        condition: as EXPLAIN has it.
    """
    alias = quote(node.text("Alias") or node.text("Relation Name"))
    equal: list[str] = []
    ranges: list[str] = []
    other: list[str] = []
    for each in conjuncts(condition):
        found = _JSON.match(each)
        if found and found["alias"] == alias and not _names(alias, found["right"]):
            equal.append(f"({found['column']}{found['path']})")
            continue
        found = _LEFT.match(each)
        if found is None or found["alias"] != alias or _names(alias, found["right"]):
            continue
        operator, column = found["operator"], found["column"]
        if found["function"]:
            # Of a function's further arguments nothing is known.
            if each.count(",", 0, found.start("operator")):
                continue
            column = f"{found['function']}{column})"
        if operator in _EQUAL:
            equal.append(column)
        elif operator in _RANGE:
            ranges.append(column)
        else:
            other.append(_OTHER[operator].format(column))
    # Equalities first, then one range: an index serves no more. https://use-the-index-luke.com
    columns = list(dict.fromkeys([*equal, *ranges[:1]]))[:_MOST_COLUMNS]
    if columns:
        return f"CREATE INDEX ON {node.relation} ({', '.join(columns)})"
    return f"CREATE INDEX ON {node.relation} USING {other[0]}" if other else None


def conjuncts(condition: str) -> Iterator[str]:
    """The parts that must all hold, without the parentheses around them."""
    parts = _split(condition)
    if len(parts) > 1:
        for each in parts:
            yield from conjuncts(each)
    elif (bare := _bare(condition)) != condition:
        yield from conjuncts(bare)
    else:
        yield condition


def columns_of(node: Node, condition: str) -> list[str]:
    """The columns of a node's table that a condition names, in its order."""
    alias = re.escape(quote(node.text("Alias")))
    return list(dict.fromkeys(re.findall(rf"(?<![\w.\"]){alias}\.({_NAME})", _LITERAL.sub("''", condition))))


def _names(alias: str, text: str) -> bool:
    return re.search(rf'(?<![\w."]){re.escape(alias)}\.', _LITERAL.sub("''", text)) is not None


def _split(condition: str) -> list[str]:
    """At each AND that stands in no parentheses and in no quotes."""
    parts, start, depth, quote = [], 0, 0, ""
    for at, letter in enumerate(condition):
        if quote:
            quote = "" if letter == quote else quote
        elif letter in "'\"":
            quote = letter
        elif letter in "([":
            depth += 1
        elif letter in ")]":
            depth -= 1
        elif depth == 0 and condition.startswith(" AND ", at):
            parts.append(condition[start:at])
            start = at + len(" AND ")
    return [*parts, condition[start:]]


def _bare(condition: str) -> str:
    """Without parentheses round the whole, if they belong together."""
    if not (condition.startswith("(") and condition.endswith(")")):
        return condition
    depth, quote = 0, ""
    for at, letter in enumerate(condition):
        if quote:
            quote = "" if letter == quote else quote
        elif letter in "'\"":
            quote = letter
        elif letter in "()":
            depth += 1 if letter == "(" else -1
            if depth == 0 and at < len(condition) - 1:
                return condition
    return condition[1:-1]
