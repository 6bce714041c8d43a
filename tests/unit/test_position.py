"""Where in a text an error is, for eyes and for programs."""

import pytest

from coldquery.errors import Code, Refusal
from coldquery.postgres.position import WIDTH, excerpt, locate, name_at


@pytest.mark.parametrize(
    ("sql", "position", "shown"),
    [
        ("SELECT nam FROM t", 8, "LINE 1: SELECT nam FROM t\n               ^"),
        ("SELECT 1,\n  nam\nFROM t", 13, "LINE 2:   nam\n          ^"),
        ("SELECT '\té' nam", 12, "LINE 1: SELECT ' é' nam\n                   ^"),
        ("SELECT", 7, "LINE 1: SELECT\n              ^"),
        ("SELECT", 99, "LINE 1: SELECT\n              ^"),
        ("", 1, "LINE 1: \n        ^"),
    ],
)
def test_an_excerpt_has_the_line_and_a_caret_under_the_place(sql: str, position: int, shown: str) -> None:
    assert excerpt(sql, position) == shown


@pytest.mark.parametrize("position", [1, 60, 500, 990, 1000])
def test_of_a_long_line_only_the_neighbourhood_is_shown(position: int) -> None:
    sql = "".join(chr(ord("a") + at % 26) for at in range(1000))
    line, caret = excerpt(sql, position).splitlines()
    assert len(line) <= WIDTH + len("LINE 1: ……")
    assert line[len(caret) - 1] == sql[position - 1]


@pytest.mark.parametrize(
    ("sql", "position", "parts"),
    [
        ("SELECT * FROM Custmers", 15, ("custmers",)),
        ('SELECT * FROM shop . "Odd ""Name"""', 15, ("shop", 'Odd "Name"')),
        ("SELECT c.nam FROM t c", 8, ("c", "nam")),
        ("SELECT ünder FROM t", 8, ("ünder",)),
        ("SELECT 1", 8, ()),
        ("SELECT", 99, ()),
    ],
)
def test_the_name_at_a_place_is_read_as_postgresql_reads_it(sql: str, position: int, parts: tuple[str, ...]) -> None:
    assert name_at(sql, position) == parts


def test_an_error_without_a_place_has_no_excerpt() -> None:
    refusal = Refusal(Code.SQL_ERROR, "no")
    locate(refusal, "SELECT 1", None)
    assert (refusal.sql, refusal.cause.excerpt) == ("SELECT 1", None)
    assert "SELECT 1" not in str(refusal.to_dict())
