"""Other callers' statements, as they may be shown: without literals, which may be secrets, and not at length."""

from __future__ import annotations

import re

from coldquery.errors import cut
from coldquery.postgres.parser import Unparsable
from coldquery.postgres.syntax import understand

MOST_SHOWN = 300
# PostgreSQL cuts what pg_stat_activity shows at 1024 bytes by default, and no more is needed of a longer text.
_MOST_READ = 1_024
_MOST_TRIES = 40
# What may open a text that has no end: a string, a quoted name, a dollar quote, a comment.
_OPENING = re.compile(r"['\"]|\$\w*\$?|/\*")


def shown(sql: str | None) -> str | None:
    """The statement with a question mark for each literal, cut; None where there is nothing that may be shown."""
    if not sql or sql == "<insufficient privilege>":
        return None
    # Where the caller has switched standard_conforming_strings off, \' does not end a string, and here it would.
    text = sql[:_MOST_READ].partition("\\'")[0]
    for end in _ends(text):
        try:
            whole = understand(text[:end]).normalized()
        except Unparsable:
            continue
        return cut(whole if end == len(sql) else f"{whole} …", MOST_SHOWN) if whole else None
    return None


def _ends(text: str) -> list[int]:
    """Where the text may end in a whole token: at its own end, else before an opening, the last first.

    No literal is uncovered so: up to there, the same tokens are read as in the whole.
    """
    return [len(text), *(each.start() for each in reversed(list(_OPENING.finditer(text))))][:_MOST_TRIES]
