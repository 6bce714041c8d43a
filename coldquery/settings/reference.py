"""docs/settings.md, generated from the model."""

from coldquery.settings.model import Settings, accepted
from coldquery.settings.shown import plain
from coldquery.settings.sources import flag_of, variable_of


def reference() -> str:
    """The settings as a page."""
    return "\n".join([_HEAD, *(_row(name) for name in Settings.model_fields), ""])


def _row(name: str) -> str:
    field = Settings.model_fields[name]
    flag = f"`{flag_of(name)}`" if name != "password" else ""
    default = f"`{text}`" if (text := plain(field.default)) else ""
    return f"| `{name}` | `{variable_of(name)}` | {flag} | {default} | {accepted(name)} | {field.description} |"


_HEAD = """\
# Settings

A setting can be given in four ways. From the weakest to the strongest:

1. **Other programs' variables**, for the database alone: `DATABASE_URL`; else the first version's `DB_HOST`, `DB_PORT`,
   `DB_USER`, `DB_PASSWORD`, `DB_DATABASE`, whose values may hold any character; else libpq's, when one of `PGHOST`,
   `PGHOSTADDR`, `PGPORT`, `PGDATABASE`, `PGSERVICE` is set. `PGUSER`, `PGPASSWORD`, `PGSSLMODE` and so on fill in what
   any URI leaves out.
2. **A TOML file**: `--config FILE`, else `COLDQUERY_CONFIG`, else `coldquery/coldquery.toml` in `$XDG_CONFIG_HOME` (or
   `~/.config`), else `/etc/coldquery/coldquery.toml`. The first that is there is read; one that is named must be there.
3. **A variable**: `COLDQUERY_` and the name in capitals. A list's items are separated by commas. An empty variable
   counts as not set.
4. **A flag**: `--` and the name with dashes. A list's flag is repeated; `--no-` before the name says false.

A variable's name with `_FILE` behind it (also `DATABASE_URL_FILE` and `DB_PASSWORD_FILE`) names a file that holds the
value, without the newline at its end. That is the right way for a secret: `COLDQUERY_DSN_FILE=/run/secrets/dsn`. Giving
both forms is an error.

A name that is not a setting stops the start, and the nearest one that is is told: a mistyped limit must not be ignored.
`coldquery settings` prints what is in force and where it came from, with secrets hidden. On SIGHUP a running gateway
reads all of it again: limits, time limits, the database and the pools change at once, the rest (transport, address,
logs, the embedded server, the limits of sessions) with the next start.

```toml
# coldquery.toml
dsn = "postgresql://agent@db.example/shop"
port = 19002
allowed_hosts = ["agents.example"]
read_pool_size = 5
statement_timeout_ms = 10_000
```

In a URI, a special character of a user name or password is written as `%40` for `@`, `%2F` for `/`, `%3F` for `?`,
`%23` for `#`. The host may be several, separated by commas, or the directory of a Unix socket, with `%2F` for `/`.

| setting | variable | flag | default | accepted | meaning |
| --- | --- | --- | --- | --- | --- |"""
