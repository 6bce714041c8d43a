"""Other callers' statements are shown without what may be secret, wherever PostgreSQL has cut them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coldquery.postgres.monitor.shown import MOST_SHOWN, shown


@pytest.mark.parametrize(
    ("sql", "expected"),
    [
        (None, None),
        ("", None),
        ("<insufficient privilege>", None),
        ("SELECT 'secret', 42", "SELECT ?, …"),
        ("SELECT a  FROM t -- secret\n WHERE b = 'secret'", "SELECT a FROM t WHERE b = ?"),
        ("UPDATE t SET a = 'sec", "UPDATE t SET a = …"),
        ("UPDATE t SET a = 'one', b = 'sec", "UPDATE t SET a = ?, b = …"),
        ("UPDATE t SET a = 'it''s sec", "UPDATE t SET a = ? …"),
        ("SELECT E'a\\'secret' FROM t", "SELECT E …"),
        ("DO $body$ BEGIN PERFORM 'secret'; ", "DO …"),
        ("DO $$ secret $$; SELECT $tag$ sec", "DO ?; SELECT …"),
        ("SELECT a FROM t /* secret", "SELECT a FROM t …"),
        ('SELECT 1 AS "sec', "SELECT ? AS …"),
        ("'secret", None),
    ],
)
def test_only_whole_tokens_are_shown_and_no_literals(sql: str | None, expected: str | None) -> None:
    assert shown(sql) == expected


def test_a_long_text_is_cut() -> None:
    told = shown("SELECT " + ", ".join(f"column_{i}" for i in range(1000)))
    assert told is not None
    assert len(told) == MOST_SHOWN
    assert told.endswith("…")


FULL = (
    "UPDATE accounts SET note = 'hush ''hush'' hush', pin = E'hush\\thush', doc = $x$ hush 'hush' $x$ "
    "/* hush 'hush' */ WHERE name = U&'hush' AND token IN ('hush', 'hush') -- hush"
)


@given(st.integers(0, len(FULL)))
def test_no_secret_is_shown_wherever_the_text_is_cut(length: int) -> None:
    assert "hush" not in (shown(FULL[:length]) or "")
