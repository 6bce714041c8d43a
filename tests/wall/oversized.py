"""Reads that mean harm by their size: of the text, of its nesting, of the answer, of the time they take."""

from __future__ import annotations

from typing import Final

from coldquery.errors import Code
from tests.wall.entries import BY_NAME, HARMLESS, NO_SQL, Attack, Verdict, family

_MILLION: Final = 1_000_000

# Too much for PostgreSQL, or for whoever looks at the text before it.
_TOO_MUCH: Final = NO_SQL | {Code.INVALID_ARGUMENT}
_STOPPED: Final = frozenset[Verdict]({Code.STATEMENT_TIMEOUT, Code.DEADLINE_EXCEEDED})


def _nested(inner: str, before: str, after: str, depth: int) -> str:
    return before * depth + inner + after * depth


def _selects(depth: int) -> str:
    return _nested("SELECT 1 AS a", "SELECT a FROM (", ") AS t", depth)


OVERSIZED = family(
    "oversized",
    HARMLESS | _TOO_MUCH,
    {
        "a megabyte in a literal": f"SELECT length('{'x' * _MILLION}')",
        "a megabyte in a comment": f"SELECT 1 /* {'x' * _MILLION} */",
        "a thousand comments that open": Attack(f"SELECT 1 {'/*' * 1_000}", _TOO_MUCH),
        "a megabyte of comments that open": Attack("SELECT 1 " + "/*" * (_MILLION // 2), BY_NAME),
        "a megabyte of nested comments": Attack("/*" * (_MILLION // 4) + "*/" * (_MILLION // 4) + "SELECT 1", BY_NAME),
        "a megabyte of comments without space": Attack("/**/" * (_MILLION // 4) + "SELECT 1", BY_NAME),
        "a thousand nested comments": f"{'/*' * 1_000}{'*/' * 1_000} SELECT 1",
        "a megabyte of comments": f"{'/* */ ' * (_MILLION // 6)} SELECT 1",
        "a megabyte of space": f"{' ' * _MILLION}SELECT 1",
        "a megabyte of semicolons": Attack(f"SELECT 1{';' * _MILLION}DELETE FROM account", NO_SQL),
        "a megabyte of statements": Attack("SELECT 1;" * (_MILLION // 9), NO_SQL),
        "a megabyte in an IN list": f"SELECT count(*) FROM account WHERE id IN ({','.join(map(str, range(145_000)))})",
        "a megabyte of values": f"VALUES {','.join(['(1)'] * (_MILLION // 4))}",
        "a megabyte in one name": Attack(f'SELECT "{"x" * _MILLION}"', _TOO_MUCH),
        "a megabyte of digits": f"SELECT {'9' * 100_000}",
        "a megabyte of dollars": Attack("SELECT " + "$" * _MILLION, _TOO_MUCH),
        "a megabyte of quotes": Attack("SELECT " + "'" * (_MILLION + 1), _TOO_MUCH),
        "a megabyte of columns": Attack("SELECT " + ",".join(["1"] * (_MILLION // 2)), _TOO_MUCH),
        "a megabyte as a parameter": Attack("SELECT length($1::text)", HARMLESS, params=("x" * _MILLION,)),
        "a hundred thousand sums": "SELECT 1" + "+1" * 100_000,
        "half a million sums": "SELECT 1" + "+1" * 500_000,
        "ten thousand parentheses": f"SELECT {_nested('1', '(', ')', 10_000)}",
        "a hundred thousand parentheses": f"SELECT {_nested('1', '(', ')', 100_000)}",
        "half a million open parentheses": Attack("SELECT " + "(" * 500_000, _TOO_MUCH),
        "ten thousand brackets": f"SELECT {_nested('1', 'ARRAY[', ']', 10_000)}",
        "ten thousand subscripts": "SELECT a" + "[1]" * 10_000 + " FROM (SELECT ARRAY[1] AS a) AS t",
        "a hundred selects": _selects(100),
        "ten thousand selects": _selects(10_000),
        "ten thousand parenthesised selects": _nested("SELECT 1", "(", ")", 10_000),
        "ten thousand scalar selects": _nested("1", "(SELECT ", ")", 10_000)[1:-1],
        "ten thousand unions": " UNION ALL ".join(["SELECT 1"] * 10_000),
        "a hundred common tables": (
            "WITH t0 AS (SELECT 1 AS a)"
            + "".join(f", t{n} AS (SELECT a FROM t{n - 1})" for n in range(1, 100))
            + " SELECT * FROM t99"
        ),
        "a hundred nested common tables": _nested("SELECT 1 AS a", "WITH t AS (", ") SELECT * FROM t", 100),
        "ten thousand functions": f"SELECT {_nested('1', 'abs(', ')', 10_000)}",
        "a hundred thousand functions": f"SELECT {_nested('1', 'abs(', ')', 100_000)}",
        "ten thousand cases": f"SELECT {_nested('1', 'CASE WHEN true THEN ', ' END', 10_000)}",
        "a hundred thousand nots": f"SELECT {'NOT ' * 100_000}true",
        "a hundred thousand minuses": f"SELECT {'- ' * 100_000}1",
        "a hundred thousand casts": "SELECT 1" + "::int" * 100_000,
        "a hundred thousand ands": "SELECT true" + " AND true" * 100_000,
        "a hundred thousand comparisons": "SELECT true" + " OR 1 = 1" * 100_000,
        "ten thousand collations": "SELECT 'a'" + ' COLLATE "C"' * 10_000,
        "ten thousand joins": Attack("SELECT 1 FROM account" + " CROSS JOIN account" * 10_000, _TOO_MUCH),
        "a thousand joins": Attack(
            "SELECT 1 FROM account AS a0" + "".join(f" CROSS JOIN account AS a{n}" for n in range(1, 1_000)),
            _TOO_MUCH | _STOPPED | HARMLESS,
            timeout_ms=500,
        ),
        "ten thousand names in a name": Attack(f"SELECT a{'.a' * 10_000}", _TOO_MUCH),
        "ten thousand explains": Attack("EXPLAIN " * 10_000 + "SELECT 1", _TOO_MUCH),
        "deep refused": Attack(f"SELECT {_nested("pg_read_file('PG_VERSION')", 'length(', ')', 10_000)}", _TOO_MUCH),
        "refused after a hundred thousand terms": Attack(
            f"SELECT {'1+' * 100_000}length(pg_read_file('PG_VERSION'))", _TOO_MUCH
        ),
        "json as deep": f"SELECT '{_nested('1', '[', ']', 100_000)}'::json",
        "a pattern that explodes": Attack(
            f"SELECT repeat('a', 40) ~ '{'(' * 2_000}a*{')*' * 2_000}b'",
            _TOO_MUCH | _STOPPED | HARMLESS,
            timeout_ms=500,
        ),
        "a large answer": Attack(
            "SELECT * FROM generate_series(1, 1000) AS a, generate_series(1, 1000000) AS b",
            HARMLESS | _STOPPED,
            timeout_ms=2_000,
        ),
        "an answer without an end": Attack("SELECT generate_series(1, 9000000000000000)", HARMLESS),
        "an answer of a large cell": Attack("SELECT repeat('x', 20000000)", HARMLESS),
        "an answer of large rows": Attack("SELECT repeat('x', 1000000) FROM generate_series(1, 1000)", HARMLESS),
        "an answer of many columns": Attack("SELECT " + ",".join(["1"] * 1_664), HARMLESS),
        "an answer of too many columns": Attack("SELECT " + ",".join(["1"] * 1_665), _TOO_MUCH),
        "a cell too large": Attack("SELECT repeat('x', 1100000000)", NO_SQL),
        "a recursion without an end": Attack(
            "WITH RECURSIVE r AS (SELECT 1 UNION ALL SELECT 1 FROM r) SELECT count(*) FROM r", _STOPPED, timeout_ms=100
        ),
        "a function without an end": Attack("SELECT run('SELECT pg_sleep(60)')", _STOPPED, timeout_ms=100),
        "a sleep": Attack("SELECT pg_sleep(60)", _STOPPED, timeout_ms=100),
        "a sleep until": Attack("SELECT pg_sleep_until(now() + interval '1 hour')", _STOPPED, timeout_ms=100),
        "a sleep in every row": Attack(
            "SELECT pg_sleep(0.01) FROM generate_series(1, 100000)", _STOPPED, timeout_ms=100
        ),
        "a function that is never cancelled": Attack(
            "SELECT never_cancelled()", _STOPPED | {Code.CONNECTION_LOST}, timeout_ms=100, slow=True
        ),
        "a hash of everything": Attack(
            "SELECT count(*) FROM generate_series(1, 3000) AS a JOIN generate_series(1, 3000000) AS b ON a % 2 = b % 2",
            _STOPPED,
            timeout_ms=300,
        ),
    },
)
