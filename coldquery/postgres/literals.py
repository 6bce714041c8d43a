r"""PostgreSQL's text for values that hold others: arrays, rows and hstore.

Where PostgreSQL leaves a choice in writing (quotes round what needs none), ours always quotes. The readers are for what
PostgreSQL writes, `parse_array` also for what a person may.

Sources: https://www.postgresql.org/docs/current/arrays.html#ARRAYS-IO,
https://www.postgresql.org/docs/current/rowtypes.html#ROWTYPES-IO-SYNTAX, https://www.postgresql.org/docs/current/hstore.html
"""

import re
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from typing import Any

# What PostgreSQL takes for white space in an array; Unicode knows more.
_SPACE = " \t\n\r\v\f"

# A quoted text less its quotes, unrolled for speed.
_INSIDE = r'[^"\\]*(?:\\.[^"\\]*)*'
_PAIR = re.compile(rf'"({_INSIDE})"=>(?:"({_INSIDE})"|NULL)', re.DOTALL)
# In a row a quote is doubled instead.
_FIELD = re.compile(r'(?:^|,)("[^"\\]*(?:(?:\\.|"")[^"\\]*)*"|[^,]*)', re.DOTALL)


def as_text(value: Any) -> str:
    """A fitted parameter as PostgreSQL's text: a string is that already, and a list an array."""
    if isinstance(value, str):
        return value
    return format_array(value) if isinstance(value, list) else str(value).lower()


def format_array(items: Sequence[Any], delimiter: str = ",") -> str:
    """Fitted elements, None or further lists of them, as an array's text."""
    return "{" + delimiter.join([_element(each, delimiter) for each in items]) + "}"


def _element(item: Any, delimiter: str) -> str:
    if item is None:
        return "NULL"
    return format_array(item, delimiter) if isinstance(item, list) else _quoted(as_text(item))


def format_record(fields: Sequence[str | None]) -> str:
    """The texts of a row's attributes as the row's text."""
    return "(" + ",".join(["" if each is None else _doubled(each) for each in fields]) + ")"


def format_hstore(pairs: Mapping[str, str | None]) -> str:
    """Keys and values as an hstore's text."""
    return ",".join([f"{_quoted(key)}=>{'NULL' if value is None else _quoted(value)}" for key, value in pairs.items()])


def _quoted(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def _doubled(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '""') + '"'


def _unescaped(text: str) -> str:
    if "\\" not in text:
        return text
    # PostgreSQL's text holds no NUL, so one can stand for the backslashes that stay.
    return text.replace("\\\\", "\0").replace("\\", "").replace("\0", "\\")


def _undoubled(text: str) -> str:
    return text.replace("\\\\", "\0").replace('""', '"').replace("\0", "\\")


def read_array(text: str, read: Callable[[str], Any] | None, delimiter: str = ",") -> list[Any]:
    """An array as PostgreSQL writes it, each element but NULL as `read` has it. Bounds are dropped."""
    if text.startswith("["):
        text = text[text.index("=") + 1 :]
    if text == "{}":
        return []
    if text[1] == "{":
        return _each(parse_array(text, delimiter), read)
    items: list[Any]
    if '"' not in text:
        # What holds a backslash is always quoted.
        items = [None if each == "NULL" else each for each in text[1:-1].split(delimiter)]
    else:
        items = [
            _unescaped(each[1:-1]) if each[0] == '"' else None if each == "NULL" else each
            for each in _flat_elements(delimiter).findall(text, 1, len(text) - 1)
        ]
    return items if read is None else [None if each is None else read(each) for each in items]


def _each(items: list[Any], read: Callable[[str], Any] | None) -> list[Any]:
    if read is None:
        return items
    return [_each(each, read) if isinstance(each, list) else None if each is None else read(each) for each in items]


@cache
def _flat_elements(delimiter: str) -> re.Pattern[str]:
    return re.compile(rf'"{_INSIDE}"|[^{re.escape(delimiter)}]+', re.DOTALL)


@cache
def _tokens(delimiter: str) -> re.Pattern[str]:
    # One of: a brace or a delimiter, a quoted element, a bare one.
    mark = rf"{{}}{re.escape(delimiter)}"
    return re.compile(rf'\s*(?:([{mark}])|"({_INSIDE})"|([^\s"\\{mark}][^"\\{mark}]*))', re.DOTALL | re.ASCII)


def parse_array(text: str, delimiter: str = ",") -> list[Any]:
    """An array's text as texts, None and further lists of them.

    Raises:
        ValueError: it is not an array's text, or one with explicit bounds or with a bare backslash.
    """
    text = text.strip(_SPACE)
    token = _tokens(delimiter)
    outer: list[list[Any]] = [[]]
    # What may come next: an element or "{"; after "{" also "}"; after an element or "}" only a delimiter or "}".
    wanted, position = "element", 0
    while position < len(text):
        if (found := token.match(text, position)) is None or (len(outer) == 1 and outer[0]):
            raise ValueError("not an array")
        position = found.end()
        mark, quoted, bare = found.groups()
        if mark == "{" and wanted != "delimiter":
            outer.append([])
            wanted = "first"
        elif mark == "}" and wanted != "element" and len(outer) > 1:
            inner = outer.pop()
            outer[-1].append(inner)
            wanted = "delimiter"
        elif mark == delimiter and wanted == "delimiter" and len(outer) > 1:
            wanted = "element"
        elif mark is None and wanted != "delimiter" and len(outer) > 1:
            outer[-1].append(_unescaped(quoted) if quoted is not None else _bare(bare))
            wanted = "delimiter"
        else:
            raise ValueError("not an array")
    if len(outer) != 1 or not outer[0]:
        raise ValueError("not an array")
    (array,) = outer[0]
    return list(array)


def _bare(text: str) -> str | None:
    text = text.rstrip(_SPACE)
    return None if text.upper() == "NULL" else text


def parse_record(text: str) -> list[str | None]:
    """A row as PostgreSQL writes it: the texts of its attributes. A row of none looks like one of a single null."""
    return [
        None if each == "" else _undoubled(each[1:-1]) if each.startswith('"') else each
        for each in _FIELD.findall(text[1:-1])
    ]


def parse_hstore(text: str) -> dict[str, str | None]:
    """An hstore as PostgreSQL writes it."""
    return {_unescaped(found[1]): None if found[2] is None else _unescaped(found[2]) for found in _PAIR.finditer(text)}
