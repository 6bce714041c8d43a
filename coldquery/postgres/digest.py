"""What a statement is, in words that may be kept: its kind, and its text without the values in it."""

from __future__ import annotations

import re
from typing import Any

from coldquery.postgres.parser import Unparsable
from coldquery.postgres.syntax import first_word, understand

# A text that is longer is not taken apart only to be written down.
LONGEST = 16_384
SHOWN = 2_000
# Of a text of megabytes no more is searched, since nothing else goes on meanwhile.
LOOKED_THROUGH = 1 << 18

_KINDS = {
    **dict.fromkeys(("select", "values", "table", "show", "fetch", "move", "close"), "read"),
    **dict.fromkeys(
        ("insert", "update", "delete", "merge", "copy", "truncate", "call", "do", "execute", "lock", "refresh"), "write"
    ),
    **dict.fromkeys(("create", "alter", "drop", "comment", "grant", "revoke", "reassign", "security", "import"), "ddl"),
    "explain": "explain",
    **dict.fromkeys(("vacuum", "analyze", "analyse", "reindex", "cluster", "checkpoint"), "maintenance"),
    **dict.fromkeys(
        ("begin", "start", "commit", "end", "rollback", "abort", "savepoint", "release", "set", "reset"), "tx_control"
    ),
}
_WRITES = re.compile(r"\b(?:insert\s+into|update|delete\s+from|merge\s+into)\b", re.IGNORECASE)


def kind_of(sql: str) -> str:
    """One of `telemetry.metrics.STATEMENT_KINDS`, by the first word: cheap, since every statement is asked."""
    word = first_word(sql)
    if word == "with":
        return "write" if _WRITES.search(sql, 0, LOOKED_THROUGH) else "read"
    return _KINDS.get(word, "other")


def digest(sql: str) -> dict[str, Any]:
    """What may be written down of a statement: `kind`, `tables`, `statement` and `fingerprint`.

    `statement` is the text with a question mark for each literal, and nobody's secret. Of a text that is too long for
    that, or that PostgreSQL's parser can't read, there is the kind alone: where a quote is missing, as in `'it's'`,
    nobody knows which words are names and which are somebody's value.
    """
    found: dict[str, Any] = {"kind": kind_of(sql)}
    if len(sql) > LONGEST:
        return {**found, "length": len(sql)}
    try:
        statement = understand(sql)
        tables = sorted(".".join(parts) for parts in statement.tables())
        told = {"statement": statement.normalized()[:SHOWN], "fingerprint": statement.fingerprint(), "tables": tables}
    except (Unparsable, UnicodeEncodeError):
        return found
    return found | told
