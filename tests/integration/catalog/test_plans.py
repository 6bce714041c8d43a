"""What each question of `pg_schema` reads: the catalog, and nothing of the users'."""

from __future__ import annotations

import json
from collections.abc import Iterator
from importlib.resources import files
from typing import Any

import asyncpg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from coldquery.gateway import Gateway
from coldquery.postgres.catalog import question
from coldquery.postgres.catalog.listing import WITH_SIZE, Listing
from coldquery.postgres.catalog.resolution import parameters
from coldquery.postgres.identifiers import KEYWORDS, parse, quote, quote_name
from tests.conftest import TestDatabase
from tests.integration.catalog.conftest import Ask

LISTINGS = [
    Listing(target, schema, pattern, sizes=target in WITH_SIZE)
    for target in (*WITH_SIZE, "function", "type", "trigger", "extension", "role")
    for schema, pattern in ((None, None), (None if target == "role" else "shop", "%o%"))
]
# The questions of the other tools: with an object's name instead of its oid. The monitor's are in a test of its own.
OTHERS: dict[str, list[Any]] = {
    "admin_database": [],
    "admin_figures": ["table", "shop.events"],
    "admin_index": ["shop.events_pkey"],
    "admin_index_names": [],
    "admin_invalid_indexes": ["table", "shop.events"],
    "admin_progress": ["VACUUM"],
    "admin_relation": ["orders", "shop"],
    "admin_schema": ["shop"],
    "admin_setting": ["work_mem"],
    "admin_setting_categories": [],
    "admin_setting_names": [],
    "admin_settings": ["work", None, 0, 10],
    "admin_table": ["shop.events"],
    "columns_of": [["shop.orders", "shop.events"]],
    "complete_schemas": ["sh"],
    "complete_tables": ["shop", "or"],
    "similar_tables": ["odrers"],
}
# Any name, and all that needs quotes or looks as if it did.
NAMES = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), min_size=1, max_size=15) | (
    st.text('aZ_$0".é ', min_size=1, max_size=8)
)


def relations(plan: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """The relations that the plan scans."""
    if "Relation Name" in plan:
        yield plan["Schema"], plan["Relation Name"]
    for each in plan.get("Plans", ()):
        yield from relations(each)


async def scanned(database: TestDatabase, name: str, params: list[Any]) -> set[str]:
    """The schemas of all that one question reads."""
    connection = await asyncpg.connect(database.owner_dsn)
    try:
        # Twice: PostgreSQL may plan for these values, or for any.
        found: set[str] = set()
        for mode in ("force_custom_plan", "force_generic_plan"):
            await connection.execute(f"SET plan_cache_mode = {mode}")
            text = await connection.fetchval(f"EXPLAIN (FORMAT JSON, VERBOSE, ANALYZE) {question(name)}", *params)
            (plan,) = json.loads(text)
            found |= {schema for schema, _ in relations(plan["Plan"])}
    finally:
        await connection.close()
    return found


@pytest.mark.parametrize("listing", LISTINGS, ids=lambda each: f"{each.target}, {each.schema}")
async def test_a_list_scans_the_catalog_only(populated: TestDatabase, listing: Listing) -> None:
    assert await scanned(populated, *listing.question) == {"pg_catalog"}


async def test_a_description_scans_the_catalog_only(populated: TestDatabase, gateway: Gateway) -> None:
    texts = [
        "shop.orders",
        "shop.events",
        "shop.adults",
        "shop.ticket",
        "shop.orders_pkey",
        "shop.total",
        "shop.status",
        "plpgsql",
        "nix",
    ]
    for target in (None, "role", "function"):
        wanted = parameters([parse(text) for text in texts], target)
        assert await scanned(populated, "resolve", wanted) == {"pg_catalog"}
    rows = [row for row in await gateway.look("resolve", wanted) if row["class"]]
    oids = [row["oid"] for row in rows if row["class"] == "relation"]
    assert await scanned(populated, "describe_relations", [oids]) == {"pg_catalog"}
    others = [(row["class"], row["oid"]) for row in rows if row["class"] != "relation"]
    classes, numbers = zip(*others, strict=True)
    assert await scanned(populated, "describe_objects", [list(classes), list(numbers)]) == {"pg_catalog"}


@pytest.mark.parametrize("name", OTHERS)
async def test_any_other_question_scans_the_catalog_only(populated: TestDatabase, connection: Any, name: str) -> None:
    params = [
        await connection.fetchval("SELECT $1::text::regclass::oid", each)
        if isinstance(each, str) and each.startswith("shop.")
        else each
        for each in OTHERS[name]
    ]
    assert await scanned(populated, name, params) <= {"pg_catalog"}


def test_no_question_is_left_out() -> None:
    every = {path.name.removesuffix(".sql") for path in files("coldquery.postgres.catalog").iterdir()}
    ours = {each for each in every if not each.endswith(".py") and not each.startswith(("_", "monitor_", "health_"))}
    listed = {listing.question[0] for listing in LISTINGS}
    assert ours == {*OTHERS, *listed, "resolve", "describe_relations", "describe_objects"}


@pytest.mark.parametrize(
    ("arguments", "trips"),
    [
        ({"action": "list"}, 1),
        ({"action": "list", "target": "table", "schema": "crowd", "include_sizes": True}, 1),
        ({"action": "list", "target": "table", "detail": "full"}, 2),
        ({"action": "list", "target": "table", "schema": "nix"}, 2),
        ({"action": "describe", "name": "shop.orders"}, 2),
        ({"action": "describe", "name": ["shop.orders", "shop.total", "shop.status", "crowd", "nix", "custmers"]}, 3),
    ],
)
async def test_an_answer_takes_three_questions_at_most(
    ask: Ask, gateway: Gateway, monkeypatch: pytest.MonkeyPatch, arguments: dict[str, Any], trips: int
) -> None:
    asked: list[str] = []
    look = gateway.look

    async def counted(name: str, *args: Any, **kwargs: Any) -> Any:
        asked.append(name)
        return await look(name, *args, **kwargs)

    monkeypatch.setattr(gateway, "look", counted)
    await ask(**arguments)
    assert len(asked) == trips <= 3


async def test_nothing_of_a_callers_making_answers_for_the_catalog(populated: TestDatabase, ask: Ask) -> None:
    connection = await asyncpg.connect(populated.superuser_dsn)
    await connection.execute(
        "CREATE SCHEMA fake; GRANT USAGE ON SCHEMA fake TO PUBLIC;"
        "CREATE TABLE fake.pg_class (oid oid); CREATE FUNCTION fake.quote_ident(text) RETURNS text LANGUAGE sql AS"
        " $$ SELECT 'fake' $$; ALTER ROLE coldquery_owner IN DATABASE catalog SET search_path = fake, pg_catalog"
    )
    session_id = (await ask("pg_tx", action="begin"))["session_id"]
    try:
        answer = await ask(action="describe", name="shop.orders", session_id=session_id)
        assert answer["objects"][0]["primary_key"] == ["id"]
        assert (await ask(action="list", schema="shop", session_id=session_id))["total"] == 11
    finally:
        await connection.execute(
            "DROP SCHEMA fake CASCADE; ALTER ROLE coldquery_owner IN DATABASE catalog RESET search_path"
        )
        await connection.close()
        await ask("pg_tx", action="rollback", session_id=session_id)


@pytest.fixture(scope="module")
async def connection(populated: TestDatabase) -> Any:
    connection = await asyncpg.connect(populated.reader_dsn)
    yield connection
    await connection.close()


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(name=NAMES)
async def test_a_quoted_name_is_what_quote_ident_makes_of_it(connection: Any, name: str) -> None:
    assert quote(name) == await connection.fetchval("SELECT quote_ident($1)", name)
    if '"' in quote(name):
        assert parse(quote_name(["s", name])).name.name == await connection.fetchval("SELECT $1::name::text", name)


async def test_every_keyword_of_this_version_is_quoted_that_must_be(connection: Any) -> None:
    words = await connection.fetch("SELECT word, catcode <> 'U' AS reserved, quote_ident(word) FROM pg_get_keywords()")
    for word, reserved, quoted in words:
        if reserved or word not in KEYWORDS:
            assert quote(word) == quoted
        else:
            assert quote(word) == f'"{word}"'  # another version's
