"""How the values of one type travel: the form of every type, and how those of arrays and rows follow."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import msgspec

from coldquery.errors import cut
from coldquery.postgres.literals import (
    as_text,
    format_array,
    format_hstore,
    format_record,
    parse_array,
    parse_hstore,
    parse_record,
    read_array,
)
from coldquery.postgres.parameters import Fit, Unfit, given, text, vector

# https://github.com/postgres/postgres/blob/REL_18_STABLE/src/include/utils/array.h: MAXDIM
MAX_DIMENSIONS = 6

# How much of a list of attributes an error shows, in characters.
MAX_NAMES = 200

_SIMPLE_NAME = re.compile(r"[a-z_][a-z0-9_]*")

type Read = Callable[[str], Any]


@dataclass(slots=True)
class Form:
    """How the values of one type travel.

    Attributes:
        schema: the type's, and its name as asyncpg writes it: `int4[]` for an array.
        type_name: see `schema`.
        fit: a parameter as what the codec takes: see coldquery/postgres/parameters.py.
        read: PostgreSQL's text as a JSON value; None when it is the text itself.
        expects: what to pass as a parameter.
        example: of that, in JSON; "" where there is none to give.
        native: asyncpg's own binary codec has the type and arrays of it.
        whole: an array in JSON may be one value of the type, so a parameter can't have dimensions of them.
        rows: the OIDs of the row types that it is or holds, but for those in their attributes.
    """

    schema: str
    type_name: str
    fit: Fit
    read: Read | None
    expects: str
    example: str = ""
    delimiter: str = ","
    native: bool = False
    whole: bool = False
    rows: frozenset[int] = frozenset()

    @property
    def name(self) -> str:
        """The type as errors and answers call it."""
        return self.type_name if self.schema == "pg_catalog" else f"{self.schema}.{self.type_name}"

    @property
    def advice(self) -> str:
        """What to pass, with an example."""
        return f"{self.expects}, such as {self.example}," if self.example else self.expects


def plain(schema: str, type_name: str, example: str = "") -> Form:
    """A type that is its text both ways."""
    return Form(schema, type_name, text, None, f"PostgreSQL's text of {type_name} as a string", example)


def domain(schema: str, type_name: str, base: Form) -> Form:
    """A domain: its base type under another name. asyncpg's arrays would send the base type's OID."""
    return replace(base, schema=schema, type_name=type_name, native=False)


def enum(schema: str, type_name: str) -> Form:
    """An enum: its labels."""
    name = ".".join(each if _SIMPLE_NAME.fullmatch(each) else f'"{each}"' for each in (schema, type_name))
    expects = f"one of its labels as a string (SELECT enum_range(NULL::{name}) lists them)"
    return Form(schema, type_name, text, None, expects, native=True)


def hstore(schema: str) -> Form:
    """hstore: an object of strings and nulls."""
    return Form(schema, "hstore", _fit_hstore, parse_hstore, "an object of strings and nulls", '{"key": "value"}')


def pgvector(schema: str, type_name: str) -> Form:
    """Pgvector's vector and halfvec, whose text is JSON."""
    return Form(schema, type_name, vector, read_json, "an array of numbers", "[1, 0.5, -2]", whole=True)


def read_json(value: str) -> msgspec.Raw:
    """JSON text that reaches the client as it is: every digit, every duplicate key."""
    return msgspec.Raw(value.encode())


def _fit_hstore(value: Any) -> str:
    if not isinstance(value, Mapping):
        return text(value)
    for each in value.values():
        if each is not None and not isinstance(each, str):
            raise Unfit("a value in it is neither a string nor null")
    return text(format_hstore(value))


def array(element: Form) -> Form:
    """An array of a type."""

    def fit(value: Any) -> Any:
        if isinstance(value, str):
            items = _fit_items(_parse(text(value), element.delimiter), element, 1, flat=False)
        elif isinstance(value, list | tuple):
            items = _fit_items(value, element, 1, flat=element.whole)
        else:
            raise given(value)
        if 0 in (shape := _shape(items)):
            items = []
        elif len(shape) > MAX_DIMENSIONS:
            raise Unfit(f"it has more than {MAX_DIMENSIONS} dimensions")
        return items if element.native else format_array(items, element.delimiter)

    return Form(
        element.schema,
        f"{element.type_name}[]",
        fit,
        lambda value: read_array(value, element.read, element.delimiter),
        f"an array of {element.type_name}",
        f"[{element.example}]" if element.example else "",
        rows=element.rows,
        whole=True,
    )


def _parse(value: str, delimiter: str) -> list[Any]:
    try:
        return parse_array(value, delimiter)
    except ValueError:
        raise Unfit("its text is not an array's, or one with bounds, which can't be given") from None


def _fit_items(values: Sequence[Any], element: Form, depth: int, *, flat: bool) -> list[Any]:
    items: list[Any] = []
    for position, value in enumerate(values, 1):
        if value is None:
            items.append(None)
            continue
        try:
            if not flat and isinstance(value, list | tuple) and depth <= MAX_DIMENSIONS:
                items.append(_fit_items(value, element, depth + 1, flat=False))
            else:
                fitted = element.fit(value)
                items.append(fitted if element.native else as_text(fitted))
        except Unfit as unfit:
            raise unfit.at(f"[{position}]", element.name, element.advice) from None
    return items


def _shape(items: list[Any]) -> tuple[int, ...]:
    """The lengths of an array's dimensions."""
    inner = {_shape(each) if isinstance(each, list) else () for each in items}
    if len(inner) > 1:
        raise Unfit("its inner arrays differ in length")
    return (len(items), *(inner.pop() if inner else ()))


class Row:
    """A row type: its attributes, which may change while a connection lives.

    Attributes:
        attributes: names and forms, in order.
        types: the OIDs of their types.
    """

    def __init__(self) -> None:
        self.attributes: list[tuple[str, Form]] = []
        self.types: list[int] = []

    @property
    def told(self) -> tuple[list[str], list[int]]:
        """The attributes' names and types."""
        return [name for name, _ in self.attributes], self.types

    def read(self, value: str) -> Any:
        """A row as an object; as an array of texts when it has not the attributes that we know."""
        fields = parse_record(value) if self.attributes or value != "()" else []
        if len(fields) != len(self.attributes):
            return fields
        return {
            name: field if field is None or form.read is None else form.read(field)
            for (name, form), field in zip(self.attributes, fields, strict=True)
        }

    def fit(self, value: Any) -> str:
        """An object by attribute, an array in the order of the attributes, or PostgreSQL's text."""
        if isinstance(value, Mapping):
            names = [name for name, _ in self.attributes]
            if not value.keys() <= set(names):
                raise Unfit(f"its attributes are {cut(', '.join(names), MAX_NAMES)}, and a key in it is none of them")
            values = [value.get(name) for name in names]
        elif isinstance(value, list | tuple):
            if len(value) != len(self.attributes):
                raise Unfit(f"it holds {len(value)} values for {len(self.attributes)} attributes")
            values = list(value)
        else:
            return text(value)
        fields: list[str | None] = []
        for (name, form), each in zip(self.attributes, values, strict=True):
            try:
                fields.append(None if each is None else as_text(form.fit(each)))
            except Unfit as unfit:
                raise unfit.at(f".{name}", form.name, form.advice) from None
        return format_record(fields)

    @property
    def example(self) -> str:
        """A parameter of this type; what is left out is null."""
        return "{" + ", ".join(f'"{name}": {form.example or "null"}' for name, form in self.attributes[:3]) + "}"


def row(schema: str, type_name: str, content: Row, oid: int) -> Form:
    """A row type."""
    return Form(
        schema,
        type_name,
        content.fit,
        content.read,
        "an object of its attributes",
        content.example,
        whole=True,
        rows=frozenset([oid]),
    )
