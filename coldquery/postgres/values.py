"""Values between PostgreSQL and JSON, without loss in either direction: the built-in types.

PostgreSQL's own text is the lossless form of most types, so nearly every type travels as text: what comes back is what
psql would print with ISO dates, and the same text is accepted as a parameter. What JSON itself can hold exactly stays
JSON: booleans, integers that a double can hold, finite floats, json and jsonb, arrays and rows. docs/values.md has the
table of it; coldquery/postgres/known_types.py has the types that a database adds.
"""

import math
from collections.abc import Callable
from typing import Any, Protocol

from coldquery.postgres.forms import Form, Read, array, plain, read_json
from coldquery.postgres.literals import parse_record
from coldquery.postgres.parameters import (
    Fit,
    boolean,
    identifier,
    integer,
    integer_text,
    integer_vector,
    json_text,
    number,
    text,
)

# Integers beyond this are no longer exact in a client that reads JSON numbers as doubles (RFC 8259, section 6).
LARGEST_EXACT_INTEGER = 2**53

TEXT_OID = 25

# Each built-in type's OID and that of its arrays (0: there are none, or they are asked for like any other type).
# https://github.com/postgres/postgres/blob/REL_18_STABLE/src/include/catalog/pg_type.dat
_OIDS = {
    "aclitem": (1033, 1034), "anyarray": (2277, 0), "bit": (1560, 1561), "bool": (16, 1000), "box": (603, 1020),
    "bpchar": (1042, 1014), "bytea": (17, 1001), "char": (18, 1002), "cid": (29, 1012), "cidr": (650, 651),
    "circle": (718, 719), "date": (1082, 1182), "datemultirange": (4535, 6155), "daterange": (3912, 3913),
    "float4": (700, 1021), "float8": (701, 1022), "gtsvector": (3642, 3644), "inet": (869, 1041), "int2": (21, 1005),
    "int2vector": (22, 1006), "int4": (23, 1007), "int4multirange": (4451, 6150), "int4range": (3904, 3905),
    "int8": (20, 1016), "int8multirange": (4536, 6157), "int8range": (3926, 3927), "interval": (1186, 1187),
    "json": (114, 199), "jsonb": (3802, 3807), "jsonpath": (4072, 4073), "line": (628, 629), "lseg": (601, 1018),
    "macaddr": (829, 1040), "macaddr8": (774, 775), "money": (790, 791), "name": (19, 1003), "numeric": (1700, 1231),
    "nummultirange": (4532, 6151), "numrange": (3906, 3907), "oid": (26, 1028), "oid8": (6437, 0),
    "oidvector": (30, 1013), "path": (602, 1019), "pg_brin_bloom_summary": (4600, 0),
    "pg_brin_minmax_multi_summary": (4601, 0), "pg_ddl_command": (32, 0), "pg_dependencies": (3402, 0),
    "pg_lsn": (3220, 3221), "pg_mcv_list": (5017, 0), "pg_ndistinct": (3361, 0), "pg_node_tree": (194, 0),
    "pg_snapshot": (5038, 5039), "point": (600, 1017), "polygon": (604, 1027), "record": (2249, 2287),
    "refcursor": (1790, 2201), "regclass": (2205, 2210), "regcollation": (4191, 4192), "regconfig": (3734, 3735),
    "regdictionary": (3769, 3770), "regnamespace": (4089, 4090), "regoper": (2203, 2208),
    "regoperator": (2204, 2209), "regproc": (24, 1008), "regprocedure": (2202, 2207), "regrole": (4096, 4097),
    "regtype": (2206, 2211), "text": (25, 1009), "tid": (27, 1010), "time": (1083, 1183), "timestamp": (1114, 1115),
    "timestamptz": (1184, 1185), "timetz": (1266, 1270), "tsmultirange": (4533, 6152), "tsquery": (3615, 3645),
    "tsrange": (3908, 3909), "tstzmultirange": (4534, 6153), "tstzrange": (3910, 3911), "tsvector": (3614, 3643),
    "txid_snapshot": (2970, 2949), "uuid": (2950, 2951), "varbit": (1562, 1563), "varchar": (1043, 1015),
    "xid": (28, 1011), "xid8": (5069, 271), "xml": (142, 143),
}  # fmt: skip


def _read_integer(value: str) -> int | str:
    found = int(value)
    return found if -LARGEST_EXACT_INTEGER <= found <= LARGEST_EXACT_INTEGER else value


def _read_float(value: str) -> float | str:
    found = float(value)
    return found if math.isfinite(found) else value


def _read_integers(value: str) -> list[int]:
    return [int(each) for each in value.split()]


_RANGES = {
    "datemultirange": '"{[2026-01-01,2026-02-01)}"', "daterange": '"[2026-01-01,2026-02-01)"',
    "int4multirange": '"{[1,5),[7,9)}"', "int4range": '"[1,5)"', "int8multirange": '"{[1,5),[7,9)}"',
    "int8range": '"[1,5)"', "nummultirange": '"{[1.5,2)}"', "numrange": '"[1.5,2)"',
    "tsmultirange": '"{[2026-01-31 12:00,2026-02-01 12:00)}"', "tsrange": '"[2026-01-31 12:00,2026-02-01 12:00)"',
    "tstzmultirange": '"{[2026-01-31 12:00+00,2026-02-01 12:00+00)}"',
    "tstzrange": '"[2026-01-31 12:00+00,2026-02-01 12:00+00)"',
}  # fmt: skip

# What is text both ways: what to pass, and an example of it in JSON. Other such types are passed in PostgreSQL's text.
_TEXTS: dict[str, tuple[str, str]] = {
    **dict.fromkeys(("bpchar", "name", "text", "varchar"), ("a string", '"abc"')),
    "bit": ("bits as a string", '"101"'),
    "box": ("a box as a string", '"(3,4),(1,2)"'),
    "bytea": ("bytes as a string in hex", '"\\xdeadbeef"'),
    "char": ("one character as a string", '"a"'),
    "cidr": ("a network as a string", '"10.0.0.0/8"'),
    "circle": ("a circle as a string", '"<(1,2),3>"'),
    "date": ("a date as a string", '"2026-01-31"'),
    "inet": ("an address as a string", '"192.168.0.1/24"'),
    "interval": ("an interval as a string", '"1 day 02:00:00"'),
    "jsonpath": ("a JSON path as a string", '"$.a"'),
    "line": ("a line as a string", '"{1,-1,0}"'),
    "lseg": ("a line segment as a string", '"[(1,2),(3,4)]"'),
    "macaddr": ("an address as a string", '"08:00:2b:01:02:03"'),
    "macaddr8": ("an address as a string", '"08:00:2b:01:02:03:04:05"'),
    "path": ("a path as a string", '"[(1,2),(3,4)]"'),
    "pg_lsn": ("a log position as a string", '"0/16B3748"'),
    "point": ("a point as a string", '"(1,2)"'),
    "polygon": ("a polygon as a string", '"((0,0),(1,0),(1,1))"'),
    "tid": ("a row's place as a string", '"(0,1)"'),
    "time": ("a time as a string", '"12:00:00"'),
    "timestamp": ("a timestamp as a string", '"2026-01-31 12:00:00"'),
    "timestamptz": ("a timestamp with its zone as a string", '"2026-01-31 12:00:00+00"'),
    "timetz": ("a time with its zone as a string", '"12:00:00+00"'),
    "tsquery": ("a text search as a string", '"cat & dog"'),
    "tsvector": ("a text search document as a string", '"cat dog"'),
    "uuid": ("a UUID as a string", '"00000000-0000-0000-0000-000000000001"'),
    "varbit": ("bits as a string", '"101"'),
    "xml": ("XML as a string", '"<a/>"'),
    **{name: ("a range as a string", example) for name, example in _RANGES.items()},
}


def _form(name: str, fit: Fit, read: Read | None, expects: str, example: str) -> Form:
    return Form("pg_catalog", name, fit, read, expects, example)


def _integers(name: str, low: int, high: int) -> Form:
    return _form(name, integer(low, high), int, "a whole number", "5")


def _scalars() -> dict[str, Form]:
    forms = {name: plain("pg_catalog", name) for name in _OIDS}
    forms |= {name: _form(name, text, None, expects, example) for name, (expects, example) in _TEXTS.items()}
    for name in _OIDS:
        if name.startswith("reg"):
            forms[name] = _form(name, identifier, None, "an object's name as a string, or its OID", "1259")
    numbers = "a number, or its text as a string"
    document = "an object, an array, a number, or JSON text as a string"
    forms |= {name: _form(name, identifier, None, "a whole number", "5") for name in ("cid", "xid", "xid8")}
    forms |= {name: _form(name, number, None, numbers, '"123.45"') for name in ("money", "numeric")}
    forms |= {name: _form(name, number, _read_float, numbers, "0.5") for name in ("float4", "float8")}
    forms |= {name: _form(name, json_text, read_json, document, '{"a": 1}') for name in ("json", "jsonb")}
    forms |= {
        "bool": _form("bool", boolean, "t".__eq__, "true or false", "true"),
        "int2": _integers("int2", -(2**15), 2**15 - 1),
        "int4": _integers("int4", -(2**31), 2**31 - 1),
        "int2vector": _form("int2vector", integer_vector, _read_integers, "an array of int2", "[1, 2]"),
        "int8": _form("int8", integer_text(-(2**63), 2**63 - 1), _read_integer, "a whole number", "5"),
        "oid": _integers("oid", 0, 2**32 - 1),
        "oid8": _form("oid8", integer_text(0, 2**64 - 1), _read_integer, "a whole number", "5"),
        "oidvector": _form("oidvector", integer_vector, _read_integers, "an array of oid", "[1, 2]"),
        # What the types of an anonymous row are, its text does not tell.
        "record": _form("record", text, parse_record, "PostgreSQL's text of a row as a string", '"(1,abc)"'),
    }
    forms["box"].delimiter = ";"
    for name in ("bool", "bpchar", "int2", "int4", "name", "oid", "text", "varchar"):
        forms[name].native = True
    for name in ("int2vector", "json", "jsonb", "oidvector"):
        forms[name].whole = True
    return forms


_SCALARS = _scalars()

BUILT_IN: dict[int, Form] = {oid: _SCALARS[name] for name, (oid, _) in _OIDS.items()}
"""The forms of the built-in types and, where they are listed, of arrays of them, by OID."""

ARRAYS: dict[int, int] = {array_oid: oid for oid, array_oid in _OIDS.values() if array_oid}
"""The OIDs of those arrays, and of their elements."""

BUILT_IN.update({array_oid: array(BUILT_IN[oid]) for array_oid, oid in ARRAYS.items()})


class Codecs(Protocol):
    """The connection, as far as codecs are put into it. A type's name and schema are what its columns then show."""

    def set_text_type(
        self, oid: int, name: str, schema: str, encoder: Callable[[Any], str], decoder: Callable[[str], Any]
    ) -> None:
        """Choose that a type travels as text, and what reads and writes it."""
        ...

    def set_like(self, oid: int, name: str, schema: str, like: int, *, as_text: bool = False) -> None:
        """Choose that a type travels as another one does."""
        ...

    def set_array(self, oid: int, name: str, schema: str, element: int) -> None:
        """Choose that an array travels as asyncpg has it, in binary."""
        ...


def install_codecs(connection: Codecs) -> None:
    """Teach a new connection how each built-in type travels. Makes no round trip."""
    for oid, form in BUILT_IN.items():
        if not form.native and oid not in ARRAYS:
            install(connection, oid, form)


def install(codecs: Codecs, oid: int, form: Form) -> None:
    """Put one type's codec into a connection."""
    if form.read is None:
        codecs.set_like(oid, form.type_name, form.schema, TEXT_OID, as_text=not form.native)
    else:
        codecs.set_text_type(oid, form.type_name, form.schema, str, form.read)


def install_array(codecs: Codecs, oid: int, form: Form, element_oid: int, element: Form) -> None:
    """Put an array's codec into a connection that has its element's.

    Arrays that travel as text are read by us: asyncpg's reader crashes the process at an empty element, and its writer
    may take a quoted NULL for a null.
    """
    if element.native:
        codecs.set_array(oid, form.type_name, form.schema, element_oid)
    else:
        install(codecs, oid, form)
