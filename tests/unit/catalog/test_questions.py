"""The .sql files of the catalog's questions."""

from __future__ import annotations

from importlib.resources import files

import pytest

from coldquery.postgres.catalog import question

QUESTIONS = sorted(
    each.name.removesuffix(".sql")
    for each in files("coldquery.postgres.catalog").iterdir()
    if each.name.endswith(".sql")
)

# asyncpg prepares longer statements anew each time, which costs the largest question 10 ms.
# https://magicstack.github.io/asyncpg/current/api/index.html: max_cacheable_statement_size
MAX_CACHEABLE = 15 * 1024


@pytest.mark.parametrize("name", QUESTIONS)
def test_a_question_says_what_it_answers_and_stays_prepared(name: str) -> None:
    sql = question(name)
    assert sql.startswith("-- ")
    assert len(sql) <= MAX_CACHEABLE
