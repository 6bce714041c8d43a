"""What one connection knows of the types of its database: those that are not built in, as it meets them.

asyncpg asks PostgreSQL for a type when it meets it for the first time (`Connection._introspect_types`). From its answer
follows each type's form, and from that the codec. Only row types can change while a connection lives: their attributes
are compared with PostgreSQL's before each statement that has to do with them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import asyncpg

from coldquery.errors import Refusal
from coldquery.postgres.forms import Form, Row, array, domain, enum, hstore, pgvector, plain, row
from coldquery.postgres.parameters import Fit, Unfit, refused_by_server
from coldquery.postgres.values import ARRAYS, BUILT_IN, Codecs, install, install_array

ATTRIBUTES = """
SELECT t.oid, array_agg(a.attname::text ORDER BY a.attnum) AS names, array_agg(a.atttypid ORDER BY a.attnum) AS types
FROM pg_catalog.pg_type t JOIN pg_catalog.pg_attribute a ON a.attrelid = t.typrelid
WHERE t.oid = ANY ($1::oid[]) AND a.attnum > 0 AND NOT a.attisdropped
GROUP BY t.oid
"""


@dataclass(frozen=True, slots=True)
class Described:
    """What a prepared statement takes and gives: the forms of its parameters, and the row types in both."""

    parameters: tuple[Form, ...]
    fits: tuple[Fit, ...]
    rows: frozenset[int]

    def fit(self, params: Sequence[Any]) -> Sequence[Any]:
        """The parameters as their codecs take them. A wrong number of them is left to asyncpg to tell.

        Raises:
            Refusal: `invalid_argument`, naming the parameter.
        """
        if len(params) != len(self.fits):
            return params
        try:
            return [None if value is None else fit(value) for fit, value in zip(self.fits, params, strict=True)]
        except Unfit:
            raise self._first_unfit(params) from None

    def _first_unfit(self, params: Sequence[Any]) -> Refusal:
        # Looked for again, since counting along would slow every call down.
        for number, (form, value) in enumerate(zip(self.parameters, params, strict=True), 1):
            try:
                if value is not None:
                    form.fit(value)
            except Unfit as unfit:
                unfit.number = number
                return unfit.at("", form.name, form.advice).refusal()
        raise AssertionError("a parameter that did not fit does now")

    def refused(self, error: Exception) -> Unfit | None:
        """Which parameter PostgreSQL refused, if that is what its error says."""
        found = refused_by_server(getattr(error, "context", None), getattr(error, "message", None))
        if found is None or found[0] > len(self.parameters):
            return None
        number, unfit = found
        form = self.parameters[number - 1]
        unfit.number = number
        return unfit.at("", form.name, form.advice)


class KnownTypes:
    """The forms of the types that one connection has met."""

    def __init__(self) -> None:
        self._forms = dict(BUILT_IN)
        self._rows: dict[int, Row] = {}
        # Row types that are known to be as PostgreSQL has them, until `settle`.
        self._fresh: set[int] = set()

    def describe(self, parameters: Iterable[asyncpg.Type], columns: Iterable[asyncpg.Type]) -> Described:
        """The forms of a statement's parameters, and the row types in them and in its columns."""
        forms = tuple(map(self._form, parameters))
        every = (*forms, *map(self._form, columns))
        return Described(forms, tuple(each.fit for each in forms), frozenset().union(*(each.rows for each in every)))

    def _form(self, kind: asyncpg.Type) -> Form:
        form = self._forms.get(kind.oid)
        return plain(kind.schema, kind.name) if form is None else form

    def learn_built_in(self, oids: Iterable[int], codecs: Codecs) -> list[int]:
        """Put in the arrays of built-in types, which need no asking; return the types that do."""
        others = []
        for oid in oids:
            if oid in ARRAYS:
                install_array(codecs, oid, BUILT_IN[oid], ARRAYS[oid], BUILT_IN[ARRAYS[oid]])
            else:
                others.append(oid)
        return others

    def learn(self, oids: Iterable[int], types: Iterable[Mapping[str, Any]], codecs: Codecs) -> None:
        """Put in the types `oids` and their parts, as asyncpg's introspection tells of them, the parts first."""
        for each in types:
            oid = each["oid"]
            if oid in ARRAYS:
                self.learn_built_in([oid], codecs)
            elif oid not in self._forms or oid in self._rows:
                self._forms[oid] = self._learn(oid, each, codecs)
        for oid in oids:
            if oid not in self._forms:
                # Asked about in vain: it was dropped a moment ago.
                self._forms[oid] = plain("pg_catalog", str(oid))
                install(codecs, oid, self._forms[oid])

    def _learn(self, oid: int, told: Mapping[str, Any], codecs: Codecs) -> Form:
        schema, name = told["ns"], told["name"]
        if told["elemtype"] and told["elemdelim"]:
            element = self._forms[told["elemtype"]]
            element.delimiter = told["elemdelim"].decode()
            form = array(element)
            install_array(codecs, oid, form, told["elemtype"], element)
            return form
        if told["kind"] == b"d":
            base = self._forms[told["basetype"]]
            codecs.set_like(oid, base.type_name, base.schema, told["basetype"])
            return domain(schema, name, base)
        form = self._row(oid, told) if told["kind"] == b"c" else _scalar(told["kind"], schema, name)
        install(codecs, oid, form)
        return form

    def _row(self, oid: int, told: Mapping[str, Any]) -> Form:
        # What holds the type already, such as an array's form, holds this object.
        content = self._rows.setdefault(oid, Row())
        content.types = list(told["attrtypoids"] or ())
        forms = [self._forms[each] for each in content.types]
        content.attributes = list(zip(told["attrnames"] or (), forms, strict=True))
        self._fresh.add(oid)
        return row(told["ns"], told["name"], content, oid)

    def stale(self, rows: Iterable[int]) -> list[int]:
        """Those of the row types, and of the ones within them, that may have changed since PostgreSQL told of them."""
        seen: set[int] = set()
        ahead = list(rows)
        while ahead:
            oid = ahead.pop()
            if oid not in seen:
                seen.add(oid)
                for _, form in self._rows[oid].attributes:
                    ahead.extend(form.rows)
        return sorted(seen - self._fresh)

    def changed(self, stale: Sequence[int], told: Iterable[Mapping[str, Any]]) -> list[int]:
        """Those of the stale row types that are not as `ATTRIBUTES` has just told; the others are fresh."""
        now = {each["oid"]: (each["names"], each["types"]) for each in told}
        changed = [oid for oid in stale if now.get(oid, ([], [])) != self._rows[oid].told]
        self._fresh.update(stale)
        return changed

    def settle(self) -> None:
        """The statement for whose sake the row types were looked at goes its way: from now on they may change."""
        self._fresh.clear()


def _scalar(kind: bytes, schema: str, name: str) -> Form:
    match kind, name:
        case b"e", _:
            return enum(schema, name)
        case b"b", "hstore":
            return hstore(schema)
        case b"b", "vector" | "halfvec":
            return pgvector(schema, name)
        case _:
            # Other extensions' types, ranges, and the pseudo-types that can be seen, such as in pg_stats.
            return plain(schema, name)
