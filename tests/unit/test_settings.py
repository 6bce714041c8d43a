"""Settings: every source, its place in the order, and every way to get it wrong."""

import argparse
import json
import subprocess
import sys
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from asyncpg import connect_utils
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from coldquery import settings
from coldquery.errors import StartError
from coldquery.settings import Loaded, Settings, sources

SECRET = "s3cr3t"


@pytest.fixture(autouse=True)
def no_system_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sources, "SYSTEM_FILE", tmp_path / "etc" / "coldquery.toml")


def load(tmp_path: Path, env: dict[str, str] | None = None, toml: str | None = None, **flags: Any) -> Loaded:
    if toml is not None:
        file = tmp_path / "coldquery.toml"
        file.write_text(toml)
        file.chmod(0o600)
        flags["config"] = str(file)
    return settings.load(flags, env or {}, home=tmp_path)


def refused(tmp_path: Path, env: dict[str, str] | None = None, toml: str | None = None, **flags: Any) -> str:
    with pytest.raises(StartError) as caught:
        load(tmp_path, env, toml, **flags)
    assert caught.value.next
    assert SECRET not in str(caught.value) + caught.value.next
    return str(caught.value)


def dsn(loaded: Loaded) -> str | None:
    return loaded.settings.dsn.get_secret_value() if loaded.settings.dsn else None


def as_asyncpg_reads(text: str) -> tuple[list[tuple[str, int] | str], Any]:
    """The addresses and parameters that asyncpg will use: the judge of what a composed DSN means."""
    names = "host port user password passfile database ssl service servicefile server_settings target_session_attrs"
    others = dict.fromkeys([*names.split(), "krbsrvname", "gsslib"])
    parse: Any = connect_utils._parse_connect_dsn_and_args  # type: ignore[attr-defined]
    addresses, parameters = parse(dsn=text, direct_tls=None, **others)
    return addresses, parameters


# ---- sources and their order


def test_without_any_source_everything_is_default_and_the_database_is_embedded(tmp_path: Path) -> None:
    loaded = load(tmp_path)
    assert loaded.settings == Settings()
    assert loaded.settings.dsn is None
    assert set(loaded.sources) == set(Settings.model_fields)
    assert set(loaded.sources.values()) == {"default"}
    assert loaded.warnings == ()


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
        ({"DATABASE_URL": "", "DB_HOST": "h"}, "postgresql://h:5432", "DB_HOST"),
        ({"PGHOST": "h"}, "postgresql://", "PGHOST"),
        ({"PGPORT": "1,2", "PGDATABASE": "d"}, "postgresql://", "PGPORT, PGDATABASE"),
        ({"PGHOSTADDR": "10.0.0.1,::1"}, "postgresql://?host=10.0.0.1%2C%5B%3A%3A1%5D", "PGHOSTADDR"),
        ({"PGUSER": "nobody", "PGSSLMODE": "require", "PGPASSWORD": SECRET}, None, "default"),
        (
            {"DB_HOST": "h", "DB_PORT": "1", "DB_USER": "u", "DB_PASSWORD": "p", "DB_DATABASE": "d"},
            "postgresql://u:p@h:1/d",
            "DB_HOST, DB_PORT, DB_USER, DB_PASSWORD, DB_DATABASE",
        ),
        ({"DB_DATABASE": "d"}, "postgresql://localhost:5432/d", "DB_DATABASE"),
        ({"DB_USER": "u"}, None, "default"),
        ({"COLDQUERY_DSN": "postgresql://x/y", "DATABASE_URL": "postgres://a/b"}, "postgresql://x/y", "COLDQUERY_DSN"),
        ({"COLDQUERY_DSN": "postgresql://x/y", "DATABASE_URL": "sqlite:///a"}, "postgresql://x/y", "COLDQUERY_DSN"),
        (
            {"DATABASE_URL": "postgres://a/b", "DB_HOST": "h", "DB_USER": "u", "PGHOST": "p"},
            "postgres://a/b",
            "DATABASE_URL (and not DB_HOST, DB_USER, PGHOST)",
        ),
        ({"DB_HOST": "h", "PGPORT": "1"}, "postgresql://h:5432", "DB_HOST (and not PGPORT)"),
    ],
)
def test_other_programs_variables_name_the_database(
    tmp_path: Path, env: dict[str, str], wanted: str | None, source: str
) -> None:
    loaded = load(tmp_path, env)
    assert dsn(loaded) == wanted
    assert loaded.sources["dsn"] == source


@pytest.mark.parametrize(
    ("env", "address"),
    [
        ({"DB_HOST": "::1"}, ("::1", 5432)),
        ({"DB_HOST": "[fe80::1%eth0]", "DB_PORT": "7"}, ("fe80::1%eth0", 7)),
        ({"DB_HOST": "/run/postgresql"}, "/run/postgresql/.s.PGSQL.5432"),
        ({"PGHOSTADDR": "::1"}, ("::1", 5432)),
        ({"PGHOSTADDR": "10.0.0.1"}, ("10.0.0.1", 5432)),
    ],
)
def test_any_kind_of_host_reaches_asyncpg(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, env: dict[str, str], address: object
) -> None:
    monkeypatch.delenv("PGPORT", raising=False)
    addresses, _ = as_asyncpg_reads(dsn(load(tmp_path, env)) or "")
    assert addresses == [address]


TEXT = st.text(st.characters(codec="utf-8", exclude_characters="\0"), min_size=1)


@given(user=TEXT, password=TEXT, database=TEXT)
def test_any_password_survives_the_way_through_a_dsn_to_asyncpg(user: str, password: str, database: str) -> None:
    env = {"DB_HOST": "h", "DB_USER": user, "DB_PASSWORD": password, "DB_DATABASE": database}
    loaded = settings.load({}, env, home=Path("/nonexistent"))
    addresses, parameters = as_asyncpg_reads(dsn(loaded) or "")
    assert addresses == [("h", 5432)]
    assert (parameters.user, parameters.password, parameters.database) == (user, password, database)
    (row, *_) = settings.describe(loaded)
    assert row.value == (dsn(loaded) or "").replace(f":{quote(password, safe='')}@", ":***@", 1)


def test_a_service_of_libpq_is_named_in_the_dsn_since_asyncpg_looks_nowhere_else(tmp_path: Path) -> None:
    file = tmp_path / ".pg_service.conf"
    file.write_text("[shop]\nhost=h.example\ndbname=d\n")
    assert dsn(load(tmp_path, {"PGSERVICE": "shop", "PGPORT": "1"})) == "postgresql://?service=shop"
    named = {"PGSERVICE": "shop", "PGSERVICEFILE": str(file)}
    assert dsn(settings.load({}, named, home=Path("/nonexistent"))) == "postgresql://?service=shop"
    assert f"{file} has no such service" in refused(tmp_path, {"PGSERVICE": "ship"})
    file.write_text(f"password {SECRET}")
    assert "(from PGSERVICE)" in refused(tmp_path, {"PGSERVICE": "shop"})


def test_asyncpg_reads_the_service_from_the_dsn(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "services").write_text("[shop]\nhost=h.example\nport=7\ndbname=d\nuser=u\n")
    monkeypatch.setenv("PGSERVICEFILE", str(tmp_path / "services"))
    addresses, parameters = as_asyncpg_reads("postgresql://?service=shop")
    assert (addresses, parameters.user, parameters.database) == ([("h.example", 7)], "u", "d")


def test_a_file_is_found_in_the_order_of_the_places_for_it(tmp_path: Path) -> None:
    def write(path: str, port: int) -> Path:
        file = tmp_path / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(f"port = {port}")
        return file

    env: dict[str, str] = {}
    write("etc/coldquery.toml", 6)
    assert load(tmp_path).settings.port == 6
    write(".config/coldquery/coldquery.toml", 7)
    assert load(tmp_path).settings.port == 7
    assert load(tmp_path, {"XDG_CONFIG_HOME": "relative"}).settings.port == 7
    write("elsewhere/coldquery/coldquery.toml", 8)
    env["XDG_CONFIG_HOME"] = str(tmp_path / "elsewhere")
    assert load(tmp_path, env).settings.port == 8
    env["COLDQUERY_CONFIG"] = str(write("named.toml", 9))
    assert load(tmp_path, env).settings.port == 9
    flagged = write("flag.toml", 10)
    loaded = load(tmp_path, env, config=str(flagged))
    assert (loaded.settings.port, loaded.sources["port"]) == (10, str(flagged))


def test_the_users_home_is_looked_in_when_none_is_given(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / ".config/coldquery").mkdir(parents=True)
    (tmp_path / ".config/coldquery/coldquery.toml").write_text("data_dir = '~/data'")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert settings.load({}, {}).settings.data_dir == tmp_path / "data"


@pytest.mark.parametrize(
    ("content", "value"), [("p w\n", "p w"), ("p w\r\n", "p w"), ("p\n\n", "p\n"), (" p", " p"), ("p", "p")]
)
def test_a_value_can_come_from_a_file_of_its_own_without_the_newline_at_its_end(
    tmp_path: Path, content: str, value: str
) -> None:
    file = tmp_path / "secret"
    file.write_bytes(content.encode())
    loaded = load(tmp_path, {"COLDQUERY_PASSWORD_FILE": str(file), "DATABASE_URL": "postgresql://h"})
    assert loaded.settings.password
    assert loaded.settings.password.get_secret_value() == value
    assert loaded.sources["password"] == "COLDQUERY_PASSWORD_FILE"
    loaded = load(tmp_path, {"DB_HOST": "h", "DB_USER": "u", "DB_PASSWORD_FILE": str(file)})
    assert as_asyncpg_reads(dsn(loaded) or "")[1].password == value
    assert loaded.sources["dsn"] == "DB_HOST, DB_USER, DB_PASSWORD_FILE"


def test_database_url_can_come_from_a_file(tmp_path: Path) -> None:
    (tmp_path / "url").write_text("postgresql://u:p@h/d\n")
    loaded = load(tmp_path, {"DATABASE_URL_FILE": str(tmp_path / "url")})
    assert (dsn(loaded), loaded.sources["dsn"]) == ("postgresql://u:p@h/d", "DATABASE_URL_FILE")


def test_an_empty_variable_counts_as_not_set(tmp_path: Path) -> None:
    names = ("COLDQUERY_PORT", "COLDQUERY_DSN", "COLDQUERY_CONFIG", "DATABASE_URL", "PGHOST", "DB_HOST", "DB_PASSWORD")
    loaded = load(tmp_path, dict.fromkeys(names, ""))
    assert loaded.settings == Settings()
    (tmp_path / "dsn").write_text("postgresql://h")
    both = {"COLDQUERY_DSN": "", "COLDQUERY_DSN_FILE": str(tmp_path / "dsn")}
    assert dsn(load(tmp_path, both)) == "postgresql://h"


def test_lists_are_separated_by_commas_or_repeated(tmp_path: Path) -> None:
    env = {"COLDQUERY_ALLOWED_HOSTS": "a.example, b.example,"}
    assert load(tmp_path, env).settings.allowed_hosts == ("a.example", "b.example")
    assert load(tmp_path, env, allowed_hosts=["c.example"]).settings.allowed_hosts == ("c.example",)
    assert load(tmp_path, toml="allowed_origins = ['https://x']").settings.allowed_origins == ("https://x",)


def test_names_that_are_ours_but_no_settings_are_known(tmp_path: Path) -> None:
    load(tmp_path, {"COLDQUERY_PG_USER": "postgres", "COLDQUERY_TEST_PG_BIN": "/x"})


def test_what_is_loaded_can_not_be_changed(tmp_path: Path) -> None:
    loaded = load(tmp_path)
    for name in Settings.model_fields:
        with pytest.raises(ValidationError):
            setattr(loaded.settings, name, None)
    with pytest.raises(TypeError):
        loaded.sources["port"] = "x"  # type: ignore[index]


# ---- what is wrong

NUMBER = "must be a whole number from"
SPECIAL = "special character that must be written as %40"


@pytest.mark.parametrize(
    ("env", "toml", "flags", "words"),
    [
        # names
        ({"COLDQUERY_PROT": "1"}, None, {}, "COLDQUERY_PROT is not a setting; did you mean COLDQUERY_PORT?"),
        ({"COLDQUERY_DSN_FLE": "1"}, None, {}, "did you mean COLDQUERY_DSN_FILE?"),
        ({"COLDQUERY_CONFIG_FILE": "1"}, None, {}, "did you mean COLDQUERY_CONFIG?"),
        ({"COLDQUERY_TESTING": ""}, None, {}, "COLDQUERY_TESTING is not a setting"),
        ({"COLDQUERY_ZZZZZZ": "1"}, None, {}, "is not a setting; `coldquery serve --help` lists them"),
        ({}, "read_poolsize = 3", {}, "coldquery.toml) is not a setting; did you mean read_pool_size?"),
        ({}, "Max-Rows = 3", {}, "did you mean max_rows?"),
        ({}, "[database]\ndsn = 'x'", {}, "database (from "),
        # files
        ({}, "port = [", {}, "coldquery.toml is not TOML (at end of document)"),
        ({}, f"dsn = postgresql://u:{SECRET}@h/d", {}, "is not TOML (at line 1, column 7)"),
        ({}, None, {"config": "/no/such/file"}, "/no/such/file can't be read (No such file or directory)"),
        ({"COLDQUERY_CONFIG": "/"}, None, {}, "/ can't be read (Is a directory)"),
        ({"COLDQUERY_DSN_FILE": "/no/file"}, None, {}, "COLDQUERY_DSN_FILE: the file that it names can't be read (No"),
        ({"COLDQUERY_DSN_FILE": f"postgresql://u:{SECRET}@h"}, None, {}, "COLDQUERY_DSN_FILE: the file that it names"),
        ({"COLDQUERY_DSN_FILE": "/dev/null"}, None, {}, "COLDQUERY_DSN_FILE: the file that it names is empty"),
        ({"DATABASE_URL_FILE": f"{SECRET}\0"}, None, {}, "DATABASE_URL_FILE: the file that it names can't be read"),
        ({"COLDQUERY_DSN": "postgresql://h/d", "COLDQUERY_DSN_FILE": "/x"}, None, {}, "both set; unset one of them"),
        ({"DATABASE_URL": "postgresql://h/d", "DATABASE_URL_FILE": "/x"}, None, {}, "both set; unset one of them"),
        ({"DB_HOST": "h", "DB_PASSWORD": SECRET, "DB_PASSWORD_FILE": "/x"}, None, {}, "DB_PASSWORD_FILE are both set"),
        # values
        ({"COLDQUERY_PORT": "99999"}, None, {}, f"port (from COLDQUERY_PORT): {NUMBER} 0 to 65535"),
        ({"COLDQUERY_PORT": SECRET}, None, {}, f"port (from COLDQUERY_PORT): {NUMBER} 0 to 65535"),
        ({}, None, {"port": SECRET}, f"port (from --port): {NUMBER} 0 to 65535"),
        ({}, "port = true", {}, f"coldquery.toml): {NUMBER} 0 to 65535"),
        ({}, "connect_timeout_s = nan", {}, "coldquery.toml): must be a number above 0, up to 86400"),
        ({}, "allowed_hosts = [1, 2]", {}, "coldquery.toml): must be a list of texts"),
        ({}, "data_dir = ''", {}, "coldquery.toml): must be a path"),
        ({}, "pg_bin = 7", {}, "coldquery.toml): must be a path"),
        ({}, "host = ''", {}, "coldquery.toml): must be a text"),
        ({}, "password = 7", {}, "coldquery.toml): must be a text"),
        ({"COLDQUERY_DATA_DIR": "~no-such-user/x"}, None, {}, "must be a path without ~"),
        ({"COLDQUERY_DEMO": "perhaps"}, None, {}, "demo (from COLDQUERY_DEMO): must be true or false"),
        ({"COLDQUERY_TRANSPORT": "tcp"}, None, {}, "transport (from COLDQUERY_TRANSPORT): must be one of http, stdio"),
        ({"COLDQUERY_PASSWORD": "\udcff"}, None, {}, "COLDQUERY_PASSWORD: is not UTF-8 text"),
        ({"DB_HOST": "h", "DB_PASSWORD": f"{SECRET}\udcff"}, None, {}, "DB_PASSWORD: is not UTF-8 text"),
        ({"DB_HOST": "h", "DB_PORT": "x"}, None, {}, "dsn (from DB_PORT): must be a port"),
        ({"PGPORT": "5432,x"}, None, {}, "dsn (from PGPORT): must be a port"),
        # addresses of databases
        ({}, "dsn = 7", {}, "coldquery.toml): must be postgresql://user:password@host:port/database"),
        ({"COLDQUERY_DSN": f"mysql://u:{SECRET}@h/d"}, None, {}, "must begin with postgresql://"),
        ({"DATABASE_URL": f"postgresql+asyncpg://u:{SECRET}@h/d"}, None, {}, "without the name of a driver"),
        ({"DATABASE_URL": SECRET}, None, {}, "dsn (from DATABASE_URL): must begin with postgresql://"),
        ({"COLDQUERY_READER_DSN": f"host=h password={SECRET}"}, None, {}, "reader_dsn (from COLDQUERY_READER_DSN)"),
        ({"COLDQUERY_DSN": f"postgresql://u:{SECRET}@[h/d"}, None, {}, "can't be understood"),
        ({"COLDQUERY_DSN": f"postgresql://u:{SECRET}\n@h/d"}, None, {}, "holds a line break"),
        ({"COLDQUERY_DSN": f"postgresql://u:{SECRET}@h:x/d"}, None, {}, "names no host and port"),
        ({"COLDQUERY_DSN": f"postgresql://u:{SECRET}@h,,g/d"}, None, {}, "names no host and port"),
        ({"COLDQUERY_DSN": f"postgresql://u:{SECRET}@h:0/d"}, None, {}, "a port that is not a number from 1 to 65535"),
        ({"COLDQUERY_DSN": f"postgresql://u:{SECRET}@/d?port=x"}, None, {}, "a port that is not a number"),
        ({"COLDQUERY_DSN": f"postgresql://u:{SECRET}@h/d?{SECRET}"}, None, {}, "can't be understood"),
        ({"COLDQUERY_DSN": f"postgresql://u:a@{SECRET}@h/d"}, None, {}, SPECIAL),
        ({"COLDQUERY_DSN": f"postgresql://u:1/{SECRET}@h/d"}, None, {}, SPECIAL),
        ({"COLDQUERY_DSN": f"postgresql://u:1?x={SECRET}@h/d"}, None, {}, SPECIAL),
        ({"COLDQUERY_DSN": f"postgresql://u:1#{SECRET}@h/d"}, None, {}, SPECIAL),
        ({"COLDQUERY_DSN": f"postgresql://u:{SECRET}@h?channel_binding=require"}, None, {}, "leave out channel_bind"),
        # settings that do not go together
        ({}, None, {"host": "0.0.0.0"}, "host (from --host): other machines reach this address, and there is no auth"),
        ({}, None, {"host": "db.example"}, "host (from --host): other machines reach this address"),
        ({"COLDQUERY_MAX_ROWS": "20000"}, None, {}, "must not be larger than max_rows_limit, which is 10000"),
        ({}, None, {"max_rows_limit": "9"}, "max_rows (default): must not be larger than max_rows_limit, which is 9"),
        ({"COLDQUERY_STATEMENT_TIMEOUT_MS": "700000"}, None, {}, "must not be larger than max_statement_timeout_ms"),
        ({"PGHOST": "h"}, None, {"demo": True}, "demo (from --demo): fills the embedded PostgreSQL only"),
        ({"PGHOST": "h"}, None, {"demo": True}, "see dsn (from PGHOST)"),
        ({"COLDQUERY_READER_DSN": "postgresql://h"}, None, {"demo": True}, "see reader_dsn (from COLDQUERY_READER_DSN"),
    ],
)
def test_what_is_wrong_is_told_with_its_source_and_what_is_accepted_and_no_secret(
    tmp_path: Path, env: dict[str, str], toml: str | None, flags: dict[str, Any], words: str
) -> None:
    told = refused(tmp_path, env, toml, **flags)
    assert words in told
    assert told.startswith("A setting can't be used. ")


def test_a_file_that_is_not_text_is_told(tmp_path: Path) -> None:
    (tmp_path / "x.toml").write_bytes(b"host = '\xff'")
    assert "x.toml is not TOML (not UTF-8 text)" in refused(tmp_path, config=str(tmp_path / "x.toml"))
    (tmp_path / "secret").write_bytes(b"\xff")
    assert "is not UTF-8 text" in refused(tmp_path, {"COLDQUERY_PASSWORD_FILE": str(tmp_path / "secret")})


def test_a_file_in_a_usual_place_that_can_not_be_read_is_not_passed_over(tmp_path: Path) -> None:
    (tmp_path / ".config/coldquery/coldquery.toml").mkdir(parents=True)
    assert "can't be read (Is a directory)" in refused(tmp_path)


def test_all_problems_are_told_at_once(tmp_path: Path) -> None:
    env = {"COLDQUERY_PROT": "1", "COLDQUERY_PORT": "x", "DATABASE_URL": f"http://{SECRET}", "COLDQUERY_MAX_ROWS": "x"}
    told = refused(tmp_path, env, "max_row = 3\nmax_rows_limit = 9\ndemo = true", host="0.0.0.0")
    assert [line.split()[1] for line in told.splitlines()[1:]] == [
        "max_row",
        "COLDQUERY_PROT",
        "dsn",
        "port",
        "max_rows",
        "host",
    ]
    assert told.startswith("6 settings can't be used:")


def test_a_setting_that_is_wrong_is_not_also_said_to_be_at_odds_with_another(tmp_path: Path) -> None:
    told = refused(tmp_path, {"COLDQUERY_MAX_ROWS": "20000", "COLDQUERY_MAX_ROWS_LIMIT": "x"})
    assert "must not be larger" not in told
    assert "max_rows_limit (from COLDQUERY_MAX_ROWS_LIMIT)" in told


def test_settings_made_in_code_are_checked_too() -> None:
    with pytest.raises(ValidationError, match=r"max_rows: must not be larger than max_rows_limit, which is 9"):
        Settings(max_rows=10, max_rows_limit=9)
    with pytest.raises(ValidationError) as caught:
        Settings.model_validate({"dsn": f"http://{SECRET}"})
    assert SECRET not in str(caught.value)


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "::1", "[::1]", "127.1.2.3"])
def test_loopback_needs_no_leave(tmp_path: Path, host: str) -> None:
    assert load(tmp_path, host=host).settings.host == host.strip("[]")


def test_another_address_is_taken_with_leave_or_when_nothing_listens(tmp_path: Path) -> None:
    assert load(tmp_path, host="0.0.0.0", allow_unauthenticated=True).settings.host == "0.0.0.0"
    assert load(tmp_path, host="0.0.0.0", transport="stdio").settings.host == "0.0.0.0"


# ---- what is odd


@pytest.mark.parametrize(
    ("env", "flags", "warning"),
    [
        ({"DB_USER": "u", "DB_PASSWORD": SECRET}, {}, "DB_USER, DB_PASSWORD not used: neither DB_HOST nor DB_DATABASE"),
        ({"PGHOST": "h", "PGHOSTADDR": "10.0.0.1"}, {}, "PGHOSTADDR is not used"),
        ({}, {"dsn": f"postgresql://u:{SECRET}@h"}, "--dsn shows its password to other users"),
        ({"PGHOST": "h", "COLDQUERY_DATA_DIR": "/x"}, {}, "data_dir (COLDQUERY_DATA_DIR) has no effect"),
        ({"COLDQUERY_PASSWORD": SECRET}, {}, "password (COLDQUERY_PASSWORD) has no effect"),
    ],
)
def test_what_is_rarely_meant_is_a_warning(
    tmp_path: Path, env: dict[str, str], flags: dict[str, str], warning: str
) -> None:
    (told,) = load(tmp_path, env, **flags).warnings
    assert warning in told
    assert SECRET not in told


def test_a_dsn_without_a_password_may_stand_on_the_command_line(tmp_path: Path) -> None:
    assert load(tmp_path, dsn="postgresql://u@h/d").warnings == ()


def test_a_file_that_holds_a_secret_and_that_everybody_can_read_is_a_warning(tmp_path: Path) -> None:
    file = tmp_path / "x.toml"
    file.write_text(f"dsn = 'postgresql://u:{SECRET}@h/d'")
    file.chmod(0o644)
    assert load(tmp_path, config=str(file)).warnings == (f"{file} holds a secret, and everybody can read it.",)
    file.chmod(0o640)
    assert load(tmp_path, config=str(file)).warnings == ()


def test_a_file_that_goes_away_once_it_is_read_is_no_failure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def and_gone(*given: Any) -> Settings:
        (tmp_path / "coldquery.toml").unlink()
        return validated(*given)

    validated = sources._validated
    monkeypatch.setattr(sources, "_validated", and_gone)
    assert load(tmp_path, toml="password = 'p'\ndsn = 'postgresql://h'").warnings == ()


# ---- how it is shown


@pytest.mark.parametrize(
    ("given", "shown"),
    [
        (f"postgresql://u:{SECRET}@h:1/d", "postgresql://u:***@h:1/d"),
        (f"postgres://u:a:{SECRET}@h/d", "postgres://u:***@h/d"),
        (f"postgresql://:{SECRET}@h/d", "postgresql://:***@h/d"),
        (
            f"postgresql://u@h/d?sslmode=require&password={SECRET}&passfile={SECRET}&pass%77ord={SECRET}&user=u",
            "postgresql://u@h/d?sslmode=require&password=***&passfile=***&pass%77ord=***&user=u",
        ),
        ("postgresql://h/d", "postgresql://h/d"),
        ("postgresql://", "postgresql://"),
        ("postgresql:///d?host=/tmp&port=1,2", "postgresql:///d?host=/tmp&port=1,2"),
        ("postgresql://h1:1,[::1]:2,h2/d", "postgresql://h1:1,[::1]:2,h2/d"),
        ("postgresql://%2Frun%2Fpostgresql:5433/d", "postgresql://%2Frun%2Fpostgresql:5433/d"),
    ],
)
def test_a_dsn_is_shown_without_its_password(tmp_path: Path, given: str, shown: str) -> None:
    rows = settings.describe(load(tmp_path, {"COLDQUERY_DSN": given, "COLDQUERY_PASSWORD": SECRET}))
    values = {row.name: row.value for row in rows}
    assert values["dsn"] == shown
    assert values["password"] == "***"
    assert SECRET not in settings.table(rows) + json.dumps([row._asdict() for row in rows]) + repr(rows)


def test_the_table_has_a_line_for_each_setting_with_its_source(tmp_path: Path) -> None:
    env = {"COLDQUERY_DEMO": "1", "COLDQUERY_ALLOWED_HOSTS": "a,b", "COLDQUERY_CONNECT_TIMEOUT_S": "2"}
    heading, *lines = settings.table(settings.describe(load(tmp_path, env))).splitlines()
    assert heading.split() == ["setting", "value", "source"]
    assert [line.split()[0] for line in lines] == list(Settings.model_fields)
    shown = [line.split() for line in lines]
    assert ["demo", "true", "COLDQUERY_DEMO"] in shown
    assert ["allowed_hosts", "a,", "b", "COLDQUERY_ALLOWED_HOSTS"] in shown
    assert ["connect_timeout_s", "2.0", "COLDQUERY_CONNECT_TIMEOUT_S"] in shown
    assert ["dsn", "default"] in shown
    assert len({line.index(source) for line, (*_, source) in zip(lines, shown, strict=True)}) == 1


def secret_places() -> dict[str, tuple[dict[str, str], str | None, dict[str, str]]]:
    """Every place where a password may be, in a right value and in a wrong one: environment, file, flags."""
    whole = {"right": f"postgresql://u:{SECRET}@h/d", "wrong": f"oracle://u:{SECRET}@h/d"}
    places: dict[str, tuple[dict[str, str], str | None, dict[str, str]]] = {
        "DB_PASSWORD": ({"DB_HOST": "h", "DB_PASSWORD": SECRET}, None, {}),
        "PGPASSWORD": ({"PGHOST": "h", "PGPASSWORD": SECRET}, None, {}),
        "password in the file": ({}, f"password = '{SECRET}'", {}),
    }
    for how, value in whole.items():
        places |= {f"{how} {name}": ({name: value}, None, {}) for name in ("DATABASE_URL", "DATABASE_URL_FILE")}
        places |= {f"{how} --{name}": ({}, None, {name: value}) for name in ("dsn", "reader_dsn")}
        places[f"{how} in the file"] = ({}, f"dsn = '{value}'\nreader_dsn = '{value}'", {})
    for name in Settings.model_fields:
        places[f"variable of {name}"] = ({f"COLDQUERY_{name.upper()}": SECRET}, None, {})
        places[f"file of {name}"] = ({f"COLDQUERY_{name.upper()}_FILE": SECRET}, None, {})
        places[f"line of {name}"] = ({}, f"{name} = '{SECRET}'", {})
    return places


@pytest.mark.parametrize(("env", "toml", "flags"), secret_places().values(), ids=secret_places())
def test_a_secret_is_told_nowhere_wherever_it_was_put(
    tmp_path: Path, env: dict[str, str], toml: str | None, flags: dict[str, str]
) -> None:
    # Only a setting that is text and no secret may show what it was given.
    open_names = {"host", "data_dir", "audit", "pg_bin", "allowed_hosts", "allowed_origins"}
    for wrong in ({}, {"COLDQUERY_PROT": "x", "COLDQUERY_READ_POOL_SIZE": "0"}):
        try:
            loaded = load(tmp_path, {"COLDQUERY_ALLOW_UNAUTHENTICATED": "1", **env, **wrong}, toml, **flags)
        except StartError as error:
            told = f"{error} {error!r} {error.next}"
        else:
            rows = [row for row in settings.describe(loaded) if row.name not in open_names]
            hidden = loaded.settings.model_copy(update=dict.fromkeys(open_names))
            told = f"{settings.table(rows)} {rows} {loaded.warnings} {loaded.sources} {hidden} {hidden!r}"
            told += hidden.model_dump_json()
        assert SECRET not in told


# ---- flags


def flags_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser()
    settings.add_flags(parser)
    return parser


def test_what_the_command_line_names_is_chosen_and_nothing_else() -> None:
    parser = flags_parser()
    parser.add_argument("--json", action="store_true")
    line = "--port 1 --no-demo --allowed-hosts a --allowed-hosts b --log-level debug --config x --data-dir /d"
    assert settings.chosen_flags(parser.parse_args(line.split())) == {
        "port": "1",
        "demo": False,
        "allowed_hosts": ["a", "b"],
        "log_level": "debug",
        "config": "x",
        "data_dir": "/d",
    }
    assert settings.chosen_flags(parser.parse_args([])) == {}


def test_a_flag_that_says_no_is_named_so(tmp_path: Path) -> None:
    chosen = settings.chosen_flags(flags_parser().parse_args(["--no-demo"]))
    loaded = load(tmp_path, {"COLDQUERY_DEMO": "1"}, **chosen)
    assert (loaded.settings.demo, loaded.sources["demo"]) == (False, "--no-demo")


def test_the_help_has_every_setting_but_a_password_with_its_meaning_and_default() -> None:
    told = " ".join(flags_parser().format_help().split())
    for name, field in Settings.model_fields.items():
        assert (sources.flag_of(name) + " " in told) is (name != "password")
        assert name == "password" or (field.description or "").replace("`", "") in told
    assert "--no-demo" in told
    assert "(default: 19002; a whole number from 0 to 65535)" in told
    assert "Other users of this machine can see the command line: COLDQUERY_DSN_FILE is better." in told


@pytest.mark.parametrize("line", [["--password", "x"], ["--max-row", "1"], ["--transport", "tcp"]])
def test_a_flag_that_is_none_is_refused_and_never_completed(line: list[str]) -> None:
    with pytest.raises(SystemExit):
        flags_parser().parse_args(line)


# ---- start-up time


def test_importing_the_settings_imports_none_of_the_heavy_libraries() -> None:
    heavy = {"asyncpg", "fastmcp", "structlog", "uvicorn", "mcp"}
    code = f"import sys, coldquery.settings; print(*{heavy} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.split() == []
