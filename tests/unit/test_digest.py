"""What is written down of a statement holds none of its values."""

from __future__ import annotations

import pytest

from coldquery.postgres.digest import LONGEST, SHOWN, digest


def test_a_statement_is_told_without_its_values() -> None:
    assert digest("UPDATE shop.items SET price = 9.5 /* s3cret */ WHERE name = 's3cret' AND id IN (1, 2, 3)") == {
        "kind": "write",
        "statement": "UPDATE shop.items SET price = ? WHERE name = ? AND id IN (?, …)",
        "fingerprint": digest("update shop.items set price=1 where name=$$x$$ and id in (4)")["fingerprint"],
        "tables": ["shop.items"],
    }


def test_of_a_text_that_is_no_sql_what_can_be_told_is() -> None:
    assert digest("SELEC 's3cret'") == {"kind": "other"}
    assert digest("SELECT 's3cret") == {"kind": "read"}
    assert digest("SELECT '\ud800'") == {"kind": "read"}


def test_a_huge_text_is_told_by_its_length() -> None:
    sql = "SELECT " + "1," * LONGEST + "1"
    assert digest(sql) == {"kind": "read", "length": len(sql)}
    shown = digest("SELECT " + ", ".join(f"column_{number}" for number in range(300)))
    assert len(shown["statement"]) == SHOWN


@pytest.mark.parametrize(
    "sql",
    [
        "INSERT INTO t VALUES ('it's s3cret', 'that's mine')",
        "CREATE ROLE r PASSWORD s3cret",
    ],
)
def test_a_value_that_stands_where_a_name_would_is_not_told(sql: str) -> None:
    assert "s3cret" not in str(digest(sql))


@pytest.mark.parametrize(
    "sql",
    [
        "CREATE ROLE r PASSWORD {}",
        "ALTER ROLE r PASSWORD {}",
        "CREATE USER MAPPING FOR r SERVER s OPTIONS (password {})",
        "CREATE SUBSCRIPTION s CONNECTION {} PUBLICATION p",
        "COMMENT ON TABLE t IS {}",
        "COPY t FROM PROGRAM {}",
        "SELECT U&'d!0061' UESCAPE '!', {}",
        "SELECT 'ü', {}",
    ],
)
def test_nobody_can_try_by_the_fingerprint_which_string_it_was(sql: str) -> None:
    strings = "'s3cret'", "'gu€ss'", "$$guess$$", "E'gu\\'ess'"
    (told,) = {digest(sql.format(string))["fingerprint"] for string in strings}
    assert len(told) == 16
