"""What a failed statement says: PostgreSQL's own words, where it failed, what may have been meant, what to do."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import asyncpg
import pytest

from coldquery.errors import Code, Refusal
from coldquery.gateway import Caller, Gateway
from coldquery.postgres.target import Target
from coldquery.sessions import Begin
from coldquery.sessions.commands import Explain, Operation, Query
from coldquery.settings import Settings
from tests.conftest import TestDatabase

CALLER = Caller("tests")

SCHEMA = """
CREATE SCHEMA shop;
CREATE TABLE shop.customers (id int PRIMARY KEY, email text NOT NULL UNIQUE, "Full Name" text, age int CHECK (age > 0));
CREATE TABLE shop.orders (id int, customer_id int REFERENCES shop.customers);
CREATE VIEW shop.custom_views AS SELECT 1 AS one;
CREATE FUNCTION public.chatty(times int) RETURNS int LANGUAGE plpgsql AS $$
BEGIN
    FOR i IN 1 .. times LOOP RAISE NOTICE 'step %', i USING HINT = 'go on'; END LOOP;
    RAISE WARNING 'almost';
    IF times < 0 THEN RAISE EXCEPTION 'too few' USING DETAIL = 'why', HINT = 'more', ERRCODE = 'P0042'; END IF;
    RETURN times;
END $$;
INSERT INTO shop.customers VALUES (1, 'a@example.org', 'A', 30);
GRANT USAGE ON SCHEMA shop TO PUBLIC;
GRANT ALL ON ALL TABLES IN SCHEMA shop TO PUBLIC;
"""


@pytest.fixture
async def gateway(database: TestDatabase) -> AsyncIterator[Gateway]:
    connection = await asyncpg.connect(database.superuser_dsn)
    await connection.execute(SCHEMA)
    await connection.close()
    reader, writer = (Target(dsn, "coldquery/test/1/x", 2) for dsn in (database.reader_dsn, database.owner_dsn))
    settings = Settings(pool_acquire_timeout_s=1, drain_timeout_s=1, spare_connections=0)
    async with Gateway(settings, reader, writer) as gateway:
        yield gateway


async def refused(gateway: Gateway, sql: str, *params: Any) -> Refusal:
    with pytest.raises(Refusal) as caught:
        await gateway.read(sql, params)
    return caught.value


@pytest.mark.parametrize(
    ("sql", "hint"),
    [
        ("SELECT * FROM custmers", "There is shop.customers"),
        ("SELECT * FROM customers", "There is shop.customers"),
        ('SELECT * FROM shop."Customers"', "There is shop.customers"),
        ("SELECT * FROM shop.odrers", "There is shop.orders."),
        ("SELECT * FROM pg_clas", "pg_catalog.pg_class"),
        ("SELECT emial FROM shop.customers", "There is email."),
        ('SELECT "fullname" FROM shop.customers', "There is Full Name."),
        ("SELECT zzz FROM shop.customers", "The columns are id, email, Full Name, age."),
        ("SELECT o.custmer FROM shop.orders o JOIN shop.customers c ON true", "There is orders.customer_id."),
    ],
)
async def test_a_name_that_is_not_there_gets_the_nearest_that_are(gateway: Gateway, sql: str, hint: str) -> None:
    error = await refused(gateway, sql)
    assert error.code is Code.SQL_ERROR
    assert error.cause.hint is not None
    # PostgreSQL has a hint of its own for some, which stands.
    assert hint in error.cause.hint or "Perhaps you meant" in error.cause.hint
    assert "call again" in error.next


async def test_nothing_alike_gives_no_hint(gateway: Gateway) -> None:
    assert (await refused(gateway, "SELECT * FROM qqqqqq")).cause.hint is None


async def test_the_nearest_names_are_told_in_sessions_batches_and_plans_too(gateway: Gateway) -> None:
    echo = await gateway.begin(CALLER, Begin())
    query = Query(sql="SELECT *\nFROM custmers", access="write", limits=gateway.limits())
    with pytest.raises(Refusal) as in_session:
        await gateway.ask(CALLER, echo.id, query)
    with pytest.raises(Refusal) as in_batch:
        await gateway.transact([Operation(sql="SELECT 1"), Operation(sql="SELECT *\nFROM custmers")])
    with pytest.raises(Refusal) as in_plan:
        await gateway.explain(Explain(sql="SELECT *\nFROM custmers", limits=gateway.limits()))
    for caught in (in_session, in_batch, in_plan):
        cause = caught.value.cause
        assert (cause.sqlstate, cause.position) == ("42P01", 15)
        assert cause.hint is not None
        assert cause.hint.startswith("There is shop.customers")
        assert cause.excerpt == "LINE 2: FROM custmers\n             ^"
    assert "pg_tx rollback" in in_session.value.next


@pytest.mark.parametrize(
    ("sql", "code", "told"),
    [
        ("INSERT INTO shop.customers VALUES (1, 'b', '', 1)", Code.SQL_ERROR,
         {"sqlstate": "23505", "constraint": "customers_pkey", "table": "customers"}),
        ("INSERT INTO shop.customers VALUES (2, NULL, '', 1)", Code.SQL_ERROR,
         {"sqlstate": "23502", "column": "email", "table": "customers"}),
        ("INSERT INTO shop.customers VALUES (2, 'b', '', -1)", Code.SQL_ERROR,
         {"sqlstate": "23514", "constraint": "customers_age_check"}),
        ("INSERT INTO shop.orders VALUES (1, 99)", Code.SQL_ERROR,
         {"sqlstate": "23503", "constraint": "orders_customer_id_fkey"}),
        ("SELECT public.chatty(-1)", Code.SQL_ERROR, {"sqlstate": "P0042", "detail": "why", "hint": "more"}),
        ("SELECT rolpassword FROM pg_authid", Code.PERMISSION_DENIED, {"sqlstate": "42501"}),
        ("SELEC 1", Code.SQL_ERROR, {"sqlstate": "42601", "position": 1, "excerpt": "LINE 1: SELEC 1\n        ^"}),
    ],
)  # fmt: skip
async def test_postgresqls_own_words_come_through(gateway: Gateway, sql: str, code: Code, told: dict[str, Any]) -> None:
    with pytest.raises(Refusal) as caught:
        await gateway.write(sql)
    error = caught.value.to_dict()
    assert error["code"] == code
    assert {name: error[name] for name in told} == told
    assert error["next"]


async def test_an_error_in_a_function_shows_where_in_it(gateway: Gateway, database: TestDatabase) -> None:
    owner = await asyncpg.connect(database.owner_dsn)
    await owner.execute(
        "CREATE FUNCTION bad() RETURNS int LANGUAGE plpgsql AS $$ BEGIN RETURN (SELECT nocol FROM shop.orders); END $$"
    )
    await owner.close()
    cause = (await refused(gateway, "SELECT bad()")).cause
    assert cause.position is None
    assert cause.excerpt is not None
    assert "nocol" in cause.excerpt
    assert cause.context is not None
    assert "function bad() line 1" in cause.context


async def test_a_name_of_mixed_case_finds_its_columns(gateway: Gateway, database: TestDatabase) -> None:
    owner = await asyncpg.connect(database.owner_dsn)
    await owner.execute('CREATE TABLE "Odd ""Name." (one int)')
    await owner.close()
    assert (await refused(gateway, 'SELECT zzz FROM "Odd ""Name."')).cause.hint == "The columns are one."


async def test_a_server_without_room_for_another_connection_says_who_can_make_some(
    gateway: Gateway, database: TestDatabase
) -> None:
    superuser = await asyncpg.connect(database.superuser_dsn)
    await superuser.execute("ALTER ROLE coldquery_owner CONNECTION LIMIT 0")
    try:
        with pytest.raises(Refusal) as of_a_session:
            await gateway.begin(CALLER, Begin())
        with pytest.raises(Refusal) as of_a_write:
            await gateway.write("SELECT 1")
    finally:
        await superuser.execute("ALTER ROLE coldquery_owner CONNECTION LIMIT -1")
        await superuser.close()
    for caught in (of_a_session, of_a_write):
        told = caught.value
        assert (told.code, told.cause.sqlstate, told.retryable) == (Code.DATABASE_UNAVAILABLE, "53300", True)
        assert "coldquery doctor" in told.next


async def test_notices_come_with_the_answer_and_with_the_error(gateway: Gateway) -> None:
    notices = (await gateway.read("SELECT public.chatty(2)")).result.notices
    assert notices is not None
    assert notices.to_dict() == {
        "notices": [
            {"severity": "NOTICE", "message": "step 1", "hint": "go on"},
            {"severity": "NOTICE", "message": "step 2", "hint": "go on"},
            {"severity": "WARNING", "message": "almost"},
        ]
    }
    assert (await refused(gateway, "SELECT public.chatty(-1)")).notices == {
        "notices": [{"severity": "WARNING", "message": "almost"}]
    }
    assert (await gateway.read("SELECT 1")).result.notices is None


async def test_a_flood_of_notices_is_cut(gateway: Gateway) -> None:
    notices = (await gateway.read("SELECT public.chatty(1000)")).result.notices
    assert notices is not None
    assert (len(notices.kept), notices.left_out) == (20, 981)


async def test_notices_of_a_session_belong_to_their_statement(gateway: Gateway) -> None:
    echo = await gateway.begin(CALLER, Begin(auto_savepoint=True))
    told = []
    for sql in ("SELECT public.chatty(1)", "SELECT 1"):
        query = Query(sql=sql, access="write", limits=gateway.limits())
        reply = await gateway.ask(CALLER, echo.id, query)
        told.append(getattr(reply, "result").notices)  # noqa: B009 - of the union only `Ran` has it
    assert told[0] is not None
    assert [each.message for each in told[0].kept] == ["step 1", "almost"]
    assert told[1] is None
