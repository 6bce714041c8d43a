"""What may be set: one model, from which the flags, the environment's names, errors and documentation follow."""

import ipaddress
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Literal, NamedTuple, Self, get_args

from annotated_types import Ge, Gt, Le
from pydantic import BaseModel, ConfigDict, Field, SecretStr, ValidationInfo, field_validator, model_validator
from pydantic_core import PydanticCustomError

from coldquery.settings import uri

# Not `type` aliases: pydantic would keep their bounds out of the field's metadata, where `accepted` looks.
Milliseconds = Annotated[int, Field(ge=1, le=86_400_000)]
Seconds = Annotated[float, Field(gt=0, le=86_400)]
LAST_PORT = 65_535


class Conflict(NamedTuple):
    """Settings that are each right, but do not go together; the first one is to blame."""

    names: tuple[str, ...]
    words: str


class Settings(BaseModel):
    """All settings. Times end in `_s` or `_ms`, sizes in `_bytes`.

    Raises:
        pydantic.ValidationError: a value is out of its bounds, or some do not go together: then the error has the type
            `conflict`, and the conflicts in its context.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    dsn: SecretStr | None = Field(
        default=None, description="The database, as a URI. Without one, an embedded PostgreSQL is started."
    )
    reader_dsn: SecretStr | None = Field(
        default=None, description="The same database as a role that can only read; reads use it instead of `dsn`."
    )
    password: SecretStr | None = Field(default=None, description="The password, instead of the DSN's.")
    data_dir: Path | None = Field(
        default=None,
        description="Where the embedded PostgreSQL keeps its data. By default in the user's data directory.",
    )
    pg_bin: Path | None = Field(
        default=None,
        description="The bin directory of the PostgreSQL to run as the embedded one, instead of the bundled.",
    )
    demo: bool = Field(default=False, description="Fill the embedded PostgreSQL with a small shop to ask about.")
    transport: Literal["http", "stdio"] = Field(
        default="http",
        description="`http` serves any number of clients; `stdio` serves the one that started the gateway.",
    )
    host: str = Field(default="127.0.0.1", description="The address to listen on.", min_length=1)
    port: int = Field(default=19002, ge=0, le=LAST_PORT, description="The port to listen on; 0 takes any free one.")
    allow_unauthenticated: bool = Field(
        default=False,
        description="Listen on an address that other machines reach, though nobody is asked who they are.",
    )
    allowed_hosts: tuple[str, ...] = Field(
        default=(), description="Further names under which requests may address the gateway, such as a proxy's."
    )
    allowed_origins: tuple[str, ...] = Field(default=(), description="Web origins whose pages may call the gateway.")
    express: bool = Field(
        default=True,
        description="Answer the calls of tools past FastMCP where they need nothing of it, several times as fast.",
    )
    read_pool_size: int = Field(default=10, ge=1, le=200, description="Connections for reads, at most.")
    write_pool_size: int = Field(
        default=5, ge=1, le=200, description="Connections for writes without a session, at most."
    )
    connect_timeout_s: Seconds = Field(default=5.0, description="How long opening a connection may take.")
    pool_acquire_timeout_s: Seconds = Field(default=5.0, description="How long a call may wait for a connection.")
    statement_timeout_ms: Milliseconds = Field(
        default=30_000, description="How long PostgreSQL may work on a statement."
    )
    max_statement_timeout_ms: Milliseconds = Field(
        default=600_000, description="The largest `timeout_ms` a call may ask for."
    )
    lock_timeout_ms: Milliseconds = Field(default=5_000, description="How long a statement may wait for a lock.")
    max_rows: int = Field(
        default=1_000, ge=1, le=1_000_000, description="Rows of an answer, unless the call says otherwise."
    )
    max_rows_limit: int = Field(
        default=10_000, ge=1, le=1_000_000, description="The largest `max_rows` a call may ask for."
    )
    max_bytes: int = Field(default=1 << 20, ge=1_024, le=1 << 28, description="Bytes of an answer's rows as JSON.")
    max_cell_bytes: int = Field(default=1 << 16, ge=64, le=1 << 28, description="Bytes of one value; the rest is cut.")
    max_sessions: int = Field(
        default=10, ge=1, le=10_000, description="Sessions, each with a connection of its own, at most."
    )
    max_sessions_per_principal: int | None = Field(
        default=None,
        ge=1,
        le=10_000,
        description="Sessions of one caller, at most. By default only `max_sessions` counts.",
    )
    spare_connections: int = Field(
        default=1, ge=0, le=100, description="Connections opened ahead, so that beginning a session need not wait."
    )
    idle_timeout_s: Seconds = Field(
        default=1_800.0, description="A session that nobody calls for so long ends, and rolls back."
    )
    max_lifetime_s: Seconds = Field(default=14_400.0, description="A session ends after so long in any case.")
    commit_timeout_s: Annotated[float, Field(gt=1, le=86_400)] = Field(
        default=30.0, description="For a COMMIT, and for finding out about one whose answer was lost."
    )
    reap_interval_s: Seconds = Field(default=10.0, description="From one search for leaks to the next.")
    max_blocking_s: Seconds = Field(
        default=60.0, description="A session that stands idle in others' way for so long is taken for a leak."
    )
    end_blockers: bool = Field(default=False, description="End such a session, instead of only warning its owner.")
    drain_timeout_s: Seconds = Field(
        default=10.0, description="How long running calls may go on after a signal to stop."
    )
    slow_statement_ms: Milliseconds = Field(
        default=1_000, description="A statement that takes longer is logged as slow."
    )
    log_statements: bool = Field(
        default=False,
        description="Show the text of slow statements in logs, and of all in spans, with `?` for each value in it.",
    )
    metrics_address: str | None = Field(
        default=None,
        description="Serve /metrics and the health pages on this `host:port` too; /metrics is then on no other.",
    )
    audit: str | None = Field(
        default=None,
        min_length=1,
        description="The file that gets a line for each write, commit, denial and the like, or `stdout`.",
    )
    audit_failure: Literal["refuse", "warn"] = Field(
        default="refuse", description="While the audit can't be written, `refuse` commits, or only `warn`."
    )
    audit_max_bytes: int = Field(
        default=64 << 20, ge=4_096, le=1 << 40, description="The size at which the audit's file is rotated."
    )
    audit_keep: int = Field(default=10, ge=0, le=1_000, description="How many rotated files of the audit are kept.")
    tracing: bool = Field(
        default=False,
        description="Export OpenTelemetry spans, as OTEL_EXPORTER_OTLP_... say; needs coldquery[otel].",
    )
    log_level: Literal["debug", "info", "warning", "error"] = Field(default="info", description="What is logged.")
    log_format: Literal["auto", "json", "console"] = Field(
        default="auto", description="`auto` is readable on a terminal and JSON elsewhere."
    )

    @field_validator("dsn", "reader_dsn")
    @classmethod
    def _postgresql_uri(cls, value: SecretStr | None) -> SecretStr | None:
        if value is not None:
            uri.check(value.get_secret_value())
        return value

    @field_validator("data_dir", "pg_bin", mode="before")
    @classmethod
    def _directory(cls, value: object) -> object:
        if value == "":  # pathlib takes it for the working directory
            raise ValueError("must be a path")
        if isinstance(value, str | Path):
            try:
                return Path(value).expanduser().absolute()
            except RuntimeError:
                raise ValueError("must be a path without ~, since the home directory is not known") from None
        return value

    @field_validator("metrics_address")
    @classmethod
    def _host_and_port(cls, value: str | None) -> str | None:
        if value is not None:
            host, _, port = value.rpartition(":")
            if not host or not port.isdecimal() or int(port) > LAST_PORT:
                raise ValueError("must be an address and a port, such as 127.0.0.1:19003")
        return value

    @field_validator("host")
    @classmethod
    def _bare_address(cls, value: str) -> str:
        return value.removeprefix("[").removesuffix("]")

    @field_validator("*", mode="before")
    @classmethod
    def _no_bool_for_a_number(cls, value: object, info: ValidationInfo) -> object:
        # pydantic takes true for 1, and a file can say `port = true`.
        name = info.field_name or ""
        if isinstance(value, bool) and cls.model_fields[name].annotation is not bool:
            raise ValueError(f"must be {accepted(name)}")
        return value

    @model_validator(mode="after")
    def _go_together(self) -> Self:
        if conflicts := list(self._conflicts()):
            raise PydanticCustomError(
                "conflict",
                "{words}",
                {"words": "; ".join(f"{each.names[0]}: {each.words}" for each in conflicts), "conflicts": conflicts},
            )
        return self

    def _conflicts(self) -> Iterator[Conflict]:
        if self.transport == "http" and not self.allow_unauthenticated and not _is_loopback(self.host):
            yield Conflict(
                ("host", "allow_unauthenticated", "transport"),
                "other machines reach this address, and there is no authentication yet, so anyone who reaches the port "
                "could read the database; keep 127.0.0.1, or say allow_unauthenticated if the network is yours",
            )
        for name, limit in (
            ("statement_timeout_ms", "max_statement_timeout_ms"),
            ("max_rows", "max_rows_limit"),
            ("idle_timeout_s", "max_lifetime_s"),
        ):
            if getattr(self, name) > getattr(self, limit):
                yield Conflict((name, limit), f"must not be larger than {limit}, which is {getattr(self, limit)}")
        if self.transport == "stdio" and self.audit == "stdout":
            yield Conflict(("audit", "transport"), "standard output belongs to MCP; name a file instead")
        if self.demo and (self.dsn or self.reader_dsn):
            yield Conflict(
                ("demo", "dsn" if self.dsn else "reader_dsn"),
                "fills the embedded PostgreSQL only, and a database is configured; leave one of the two out",
            )


def accepted(name: str) -> str:
    """What a setting takes, in words that follow "must be"."""
    field = Settings.model_fields[name]
    if choices := choices_of(name):
        return "one of " + ", ".join(choices)
    bounds = {type(bound): bound for bound in field.metadata}
    match bounds.get(Ge), bounds.get(Gt), bounds.get(Le):
        case Ge(low), None, Le(high):
            return f"a whole number from {low} to {high}"
        case None, Gt(low), Le(high):
            return f"a number above {low}, up to {high}"
    if name.endswith("dsn"):
        return uri.FORM
    words: dict[object, str] = {bool: "true or false", tuple[str, ...]: "a list of texts", Path | None: "a path"}
    return words.get(field.annotation, "a text")


def choices_of(name: str) -> tuple[str, ...]:
    """The values of a setting that has a fixed few, else none."""
    annotation = Settings.model_fields[name].annotation
    return tuple(each for each in get_args(annotation) if isinstance(each, str))


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
