"""Values between PostgreSQL and JSON, without loss in either direction.

PostgreSQL's own text is the lossless form of most types, so nearly every type travels as text: what comes back is what
psql would print with ISO dates, and the same text is accepted as a parameter. What JSON itself can hold exactly stays
JSON: booleans, integers that a double can hold, finite floats, json and jsonb, and arrays.
"""

import math
from collections.abc import Callable
from typing import Any, Protocol

import msgspec

# Integers beyond this are no longer exact in a client that reads JSON numbers as doubles (RFC 8259, section 6).
LARGEST_EXACT_INTEGER = 2**53

# Sent and received as PostgreSQL's text. Types that are not listed keep asyncpg's codec: bool, int2, int4, oid, text
# and its relatives decode to themselves; an unknown extension type is text anyway.
_TEXT_TYPES = (
    "bit", "box", "bytea", "cid", "cidr", "circle", "date", "inet", "interval", "jsonpath", "line", "lseg", "macaddr",
    "macaddr8", "money", "numeric", "path", "pg_lsn", "pg_snapshot", "point", "polygon", "record", "tid", "time",
    "timestamp", "timestamptz", "timetz", "tsquery", "tsvector", "txid_snapshot", "uuid", "varbit", "xid", "xid8",
    "xml",
)  # fmt: skip

type Encoder = Callable[[Any], str]
type Decoder = Callable[[str], Any]


def to_text(value: object) -> str:
    """A parameter of a type that travels as text."""
    if isinstance(value, str):
        return value
    if isinstance(value, int | float) and not isinstance(value, bool):
        return repr(value)
    raise TypeError("a string in PostgreSQL's own format is expected")


def _to_integer_text(value: object) -> str:
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    if isinstance(value, str):
        return value
    raise TypeError("an integer is expected")


def _to_json_text(value: object) -> str:
    # A string is taken as JSON text already, as psql takes it; everything else is encoded.
    return value if isinstance(value, str) else msgspec.json.encode(value).decode()


def _from_integer_text(text: str) -> int | str:
    value = int(text)
    return value if -LARGEST_EXACT_INTEGER <= value <= LARGEST_EXACT_INTEGER else text


def _from_float_text(text: str) -> float | str:
    value = float(text)
    return value if math.isfinite(value) else text


def _from_json_text(text: str) -> msgspec.Raw:
    return msgspec.Raw(text.encode())


_CODECS: dict[str, tuple[Encoder, Decoder]] = {
    **dict.fromkeys(_TEXT_TYPES, (to_text, str)),
    "int8": (_to_integer_text, _from_integer_text),
    "float4": (to_text, _from_float_text),
    "float8": (to_text, _from_float_text),
    "json": (_to_json_text, _from_json_text),
    "jsonb": (_to_json_text, _from_json_text),
}


# By OID, since asyncpg knows no name for them, or only one of another type. asyncpg can't decode a range or a composite
# whose parts travel as text, so these travel as text as a whole.
# https://github.com/postgres/postgres/blob/REL_18_STABLE/src/include/catalog/pg_type.dat
_TEXT_TYPES_BY_OID = {
    18: "char", 32: "pg_ddl_command", 2277: "anyarray", 3904: "int4range", 3906: "numrange", 3908: "tsrange",
    3910: "tstzrange", 3912: "daterange", 3926: "int8range", 4451: "int4multirange", 4532: "nummultirange",
    4533: "tsmultirange", 4534: "tstzmultirange", 4535: "datemultirange", 4536: "int8multirange",
}  # fmt: skip


class TextTypes(Protocol):
    """The connection, as far as this module needs it."""

    def set_builtin_text_type(self, name: str, encoder: Encoder, decoder: Decoder) -> None:
        """Choose that a type travels as text, by a name that asyncpg knows."""
        ...

    def set_text_type(self, oid: int, name: str, schema: str, encoder: Encoder, decoder: Decoder) -> None:
        """Choose that a type travels as text, by its OID."""
        ...


def install_codecs(connection: TextTypes) -> None:
    """Teach a new connection how each built-in type travels. Makes no round trip."""
    for name, (encoder, decoder) in _CODECS.items():
        connection.set_builtin_text_type(name, encoder, decoder)
    for oid, name in _TEXT_TYPES_BY_OID.items():
        connection.set_text_type(oid, name, "pg_catalog", to_text, str)


_ENCODER = msgspec.json.Encoder(enc_hook=str)

encode: Callable[[object], bytes] = _ENCODER.encode
"""A value as compact JSON text: a row (a tuple of decoded values) becomes an array."""


def cut_cells(row: tuple[Any, ...], limit_bytes: int) -> tuple[Any, ...]:
    """Shorten each cell whose text is longer than `limit_bytes`, and say in it how much is missing."""

    def shorten(value: Any) -> Any:
        data = value.encode() if isinstance(value, str) else encode(value)
        if len(data) <= limit_bytes:
            return value
        kept = data[:limit_bytes].decode(errors="ignore")
        return f"{kept}… [cut: {limit_bytes} of {len(data)} bytes]"

    return tuple(map(shorten, row))
