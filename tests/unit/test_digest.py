"""What is written down of a statement holds none of its values."""

from __future__ import annotations

from coldquery.postgres.digest import LONGEST, SHOWN, digest


def test_a_statement_is_told_without_its_values() -> None:
    assert digest("UPDATE shop.items SET price = 9.5 /* s3cret */ WHERE name = 's3cret' AND id IN (1, 2, 3)") == {
        "kind": "write",
        "statement": "UPDATE shop.items SET price = ? WHERE name = ? AND id IN (?, …)",
        "fingerprint": digest("update shop.items set price=1 where name=$$x$$ and id in (4)")["fingerprint"],
        "tables": ["shop.items"],
    }


def test_of_a_text_that_is_no_sql_what_can_be_told_is() -> None:
    assert digest("SELEC 's3cret'") == {"kind": "other", "statement": "SELEC ?"}
    assert digest("SELECT 's3cret") == {"kind": "read"}
    assert digest("SELECT '\ud800'") == {"kind": "read"}


def test_a_huge_text_is_told_by_its_length() -> None:
    sql = "SELECT " + "1," * LONGEST + "1"
    assert digest(sql) == {"kind": "read", "length": len(sql)}
    shown = digest("SELECT " + ", ".join(f"column_{number}" for number in range(300)))
    assert len(shown["statement"]) == SHOWN
