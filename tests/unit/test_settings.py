"""Settings: every source, its place in the order, and every way to get it wrong."""

import argparse
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coldquery import settings
from coldquery.errors import StartError
from coldquery.settings import Loaded

SECRET = "s3cr3t"


def load(tmp_path: Path, env: dict[str, str] | None = None, toml: str | None = None, **flags: Any) -> Loaded:
    if toml is not None:
        file = tmp_path / "coldquery.toml"
        file.write_text(toml)
        flags["config"] = str(file)
    return settings.load(flags, env or {}, home=tmp_path)


def refused(tmp_path: Path, env: dict[str, str] | None = None, toml: str | None = None, **flags: Any) -> str:
    with pytest.raises(StartError) as caught:
        load(tmp_path, env, toml, **flags)
    assert SECRET not in str(caught.value) + caught.value.next
    return str(caught.value)


def dsn(loaded: Loaded) -> str | None:
    return loaded.settings.dsn.get_secret_value() if loaded.settings.dsn else None


def test_without_any_source_everything_is_default_and_the_database_is_embedded(tmp_path: Path) -> None:
    loaded = load(tmp_path)
    assert loaded.settings.dsn is None
    assert loaded.settings.port == 19002
    assert set(loaded.sources.values()) == {"default"}


def test_a_stronger_source_wins_and_is_named(tmp_path: Path) -> None:
    toml = "port = 1\nmax_rows = 2\nlog_level = 'error'\n"
    loaded = load(tmp_path, {"COLDQUERY_PORT": "3", "COLDQUERY_MAX_ROWS": "4"}, toml, port="5")
    assert (loaded.settings.port, loaded.settings.max_rows, loaded.settings.log_level) == (5, 4, "error")
    assert loaded.sources["port"] == "--port"
    assert loaded.sources["max_rows"] == "COLDQUERY_MAX_ROWS"
    assert loaded.sources["log_level"] == str(tmp_path / "coldquery.toml")


@pytest.mark.parametrize(
    ("env", "wanted", "source"),
    [
        ({"DATABASE_URL": "postgres://a@b/c"}, "postgres://a@b/c", "DATABASE_URL"),
        ({"PGHOST": "h"}, "postgresql://", "PGHOST"),
        ({"PGSERVICE": "s", "PGPORT": "1"}, "postgresql://", "PGPORT, PGSERVICE"),
        ({"PGUSER": "nobody"}, None, "default"),
        (
            {"DB_HOST": "h", "DB_PORT": "1", "DB_USER": "u", "DB_PASSWORD": "p", "DB_DATABASE": "d"},
            "postgresql://u:p@h:1/d",
            "DB_HOST, DB_PORT, DB_USER, DB_PASSWORD, DB_DATABASE",
        ),
        ({"DB_DATABASE": "d"}, "postgresql://localhost:5432/d", "DB_DATABASE"),
        ({"DB_USER": "u"}, None, "default"),
        ({"COLDQUERY_DSN": "postgresql://x/y", "DATABASE_URL": "postgres://a/b"}, "postgresql://x/y", "COLDQUERY_DSN"),
    ],
)
def test_other_programs_variables_name_the_database(
    tmp_path: Path, env: dict[str, str], wanted: str | None, source: str
) -> None:
    loaded = load(tmp_path, env)
    assert dsn(loaded) == wanted
    assert loaded.sources["dsn"] == source


def test_a_database_url_beside_others_wins_with_a_warning(tmp_path: Path) -> None:
    loaded = load(tmp_path, {"DATABASE_URL": "postgres://a/b", "DB_HOST": "h", "PGHOST": "p"})
    assert dsn(loaded) == "postgres://a/b"
    assert loaded.warnings == ("DATABASE_URL is used; DB_HOST, PGHOST are not.",)


@given(password=st.text(st.characters(codec="utf-8", exclude_characters="\0"), min_size=1))
def test_any_password_survives_the_way_into_a_dsn(password: str) -> None:
    from urllib.parse import unquote, urlsplit

    loaded = settings.load({}, {"DB_HOST": "h", "DB_USER": "u", "DB_PASSWORD": password}, home=Path("/nonexistent"))
    parts = urlsplit(dsn(loaded) or "")
    assert unquote(parts.password or "") == password
    assert parts.hostname == "h"


def test_a_file_is_found_in_the_users_directory(tmp_path: Path) -> None:
    (tmp_path / ".config/coldquery").mkdir(parents=True)
    (tmp_path / ".config/coldquery/coldquery.toml").write_text("port = 7")
    assert load(tmp_path).settings.port == 7
    other = tmp_path / "elsewhere/coldquery"
    other.mkdir(parents=True)
    (other / "coldquery.toml").write_text("port = 8")
    assert load(tmp_path, {"XDG_CONFIG_HOME": str(tmp_path / "elsewhere")}).settings.port == 8
    (tmp_path / "named.toml").write_text("port = 9")
    assert load(tmp_path, {"COLDQUERY_CONFIG": str(tmp_path / "named.toml")}).settings.port == 9


def test_a_value_can_come_from_a_file_of_its_own(tmp_path: Path) -> None:
    file = tmp_path / "dsn"
    file.write_text("postgresql://u:p@h/d\n")
    loaded = load(tmp_path, {"COLDQUERY_DSN_FILE": str(file)})
    assert dsn(loaded) == "postgresql://u:p@h/d"
    assert loaded.sources["dsn"] == "COLDQUERY_DSN_FILE"
    password = tmp_path / "password"
    password.write_text("p w\n")
    loaded = load(tmp_path, {"DB_HOST": "h", "DB_USER": "u", "DB_PASSWORD_FILE": str(password)})
    assert dsn(loaded) == "postgresql://u:p%20w@h:5432/"


def test_lists_are_separated_by_commas_or_repeated(tmp_path: Path) -> None:
    env = {"COLDQUERY_ALLOWED_HOSTS": "a.example, b.example,"}
    assert load(tmp_path, env).settings.allowed_hosts == ("a.example", "b.example")
    assert load(tmp_path, env, allowed_hosts=["c.example"]).settings.allowed_hosts == ("c.example",)
    assert load(tmp_path, toml="allowed_origins = ['https://x']").settings.allowed_origins == ("https://x",)


def test_names_that_are_ours_but_no_settings_are_known(tmp_path: Path) -> None:
    load(tmp_path, {"COLDQUERY_PG_USER": "postgres", "COLDQUERY_TEST_PG_BIN": "/x"})


@pytest.mark.parametrize(
    ("env", "toml", "flags", "words"),
    [
        ({"COLDQUERY_PROT": "1"}, None, {}, "COLDQUERY_PROT is not a setting (did you mean COLDQUERY_PORT?)"),
        ({"COLDQUERY_DSN_FLE": "1"}, None, {}, "did you mean COLDQUERY_DSN_FILE?"),
        ({"COLDQUERY_ZZZZZZ": "1"}, None, {}, "COLDQUERY_ZZZZZZ is not a setting"),
        ({}, "read_poolsize = 3", {}, "read_poolsize is not a setting (did you mean read_pool_size?)"),
        ({}, "port = [", {}, "is not TOML (at end of document)"),
        ({}, None, {"config": "/no/such/file"}, "/no/such/file can't be read (No such file or directory)"),
        ({"COLDQUERY_PORT": "99999"}, None, {}, "port (from COLDQUERY_PORT): must be less than or equal to 65535"),
        ({"COLDQUERY_PORT": "x"}, None, {}, "port (from COLDQUERY_PORT): must be a valid integer"),
        ({"COLDQUERY_DEMO": "perhaps"}, None, {}, "demo (from COLDQUERY_DEMO): must be a valid boolean"),
        ({"COLDQUERY_TRANSPORT": "tcp"}, None, {}, "transport (from COLDQUERY_TRANSPORT): must be 'http' or 'stdio'"),
        ({}, None, {"host": "0.0.0.0"}, "host (from --host): other machines reach this address"),
        ({}, None, {"host": "db.example"}, "host (from --host): other machines reach this address"),
        ({"COLDQUERY_DSN": f"mysql://u:{SECRET}@h/d"}, None, {}, "must begin with postgresql://"),
        ({"COLDQUERY_DSN": f"postgresql://u:{SECRET}@[h/d"}, None, {}, "can't be understood"),
        ({"DATABASE_URL": f"{SECRET}"}, None, {}, "dsn (from DATABASE_URL): must begin with postgresql://"),
        ({"COLDQUERY_DSN": "postgresql://h/d", "COLDQUERY_DSN_FILE": "/x"}, None, {}, "unset one"),
        ({"COLDQUERY_DSN_FILE": "/no/such/file"}, None, {}, "COLDQUERY_DSN_FILE: /no/such/file can't be read"),
        ({"COLDQUERY_MAX_ROWS": "20000"}, None, {}, "must not be larger than max_rows_limit"),
        ({"COLDQUERY_STATEMENT_TIMEOUT_MS": "700000"}, None, {}, "must not be larger than max_statement_timeout_ms"),
        ({"COLDQUERY_DSN": "postgresql://h/d"}, None, {"demo": True}, "demo (from --demo): fills the embedded"),
        ({}, f"dsn = '{SECRET}'\nport = -1", {}, "port"),
    ],
)
def test_what_is_wrong_is_named_with_its_source_and_no_secret(
    tmp_path: Path, env: dict[str, str], toml: str | None, flags: dict[str, Any], words: str
) -> None:
    assert words in refused(tmp_path, env, toml, **flags)


def test_all_problems_are_told_at_once(tmp_path: Path) -> None:
    told = refused(tmp_path, {"COLDQUERY_PROT": "1", "COLDQUERY_PORT": "x"}, "max_row = 3")
    assert all(name in told for name in ("COLDQUERY_PROT", "COLDQUERY_PORT", "max_row "))


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "::1", "[::1]", "127.1.2.3"])
def test_loopback_needs_no_leave(tmp_path: Path, host: str) -> None:
    assert load(tmp_path, host=host).settings.host == host


def test_another_address_is_taken_with_leave(tmp_path: Path) -> None:
    assert load(tmp_path, host="0.0.0.0", allow_unauthenticated=True).settings.host == "0.0.0.0"


@pytest.mark.parametrize(
    ("given", "shown"),
    [
        (f"postgresql://u:{SECRET}@h:1/d", "postgresql://u:***@h:1/d"),
        (f"postgresql://u:{SECRET}@h/d?password={SECRET}", "postgresql://u:***@h/d"),
        ("postgresql://h/d", "postgresql://h/d"),
        ("postgresql://", "postgresql://"),
        (f"postgresql://u:{SECRET}@x@h/d", "postgresql://u:***@h/d"),
        ("postgresql://h1:1,h2:2/d", "postgresql://h1:1,h2:2/d"),
    ],
)
def test_a_dsn_is_shown_without_its_password(tmp_path: Path, given: str, shown: str) -> None:
    rows = settings.describe(load(tmp_path, {"COLDQUERY_DSN": given, "COLDQUERY_PASSWORD": SECRET}))
    values = {row.name: row.value for row in rows}
    assert values["dsn"] == shown
    assert values["password"] == "***"
    assert SECRET not in settings.table(rows) + json.dumps(rows) + repr(rows)


def test_the_table_has_a_line_for_each_setting_with_its_source(tmp_path: Path) -> None:
    lines = settings.table(settings.describe(load(tmp_path, {"COLDQUERY_DEMO": "1"}))).splitlines()
    assert len(lines) == len(settings.Settings.model_fields)
    assert any(line.split() == ["demo", "true", "COLDQUERY_DEMO"] for line in lines)


def test_every_setting_but_a_password_has_a_flag(tmp_path: Path) -> None:
    parser = argparse.ArgumentParser()
    settings.add_flags(parser)
    given = "--port 1 --demo --allowed-hosts a --allowed-hosts b --log-level debug --config x --data-dir /d".split()
    chosen = settings.chosen_flags(parser.parse_args(given))
    assert chosen == {
        "port": "1",
        "demo": True,
        "allowed_hosts": ["a", "b"],
        "log_level": "debug",
        "config": "x",
        "data_dir": "/d",
    }
    assert settings.chosen_flags(parser.parse_args([])) == {}
    assert "--no-demo" in parser.format_help()
    assert "COLDQUERY_DSN_FILE is better" in " ".join(parser.format_help().split())
    with pytest.raises(SystemExit):
        parser.parse_args(["--password", SECRET])
