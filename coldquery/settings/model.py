"""What may be set: one model, from which the flags, the environment's names and the documentation follow."""

import ipaddress
from pathlib import Path
from typing import Annotated, Literal, Self
from urllib.parse import urlsplit

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, SecretStr, model_validator


def _postgresql_uri(value: SecretStr) -> SecretStr:
    # Never the value in the message: it holds the password.
    try:
        parts = urlsplit(value.get_secret_value())
    except ValueError:
        raise ValueError("can't be understood; the form is postgresql://user:password@host:port/database") from None
    if parts.scheme not in {"postgresql", "postgres"}:
        raise ValueError("must begin with postgresql://")
    return value


type Dsn = Annotated[SecretStr, AfterValidator(_postgresql_uri)]
type Milliseconds = Annotated[int, Field(ge=1, le=86_400_000)]
type Seconds = Annotated[float, Field(gt=0, le=86_400)]


class Settings(BaseModel):
    """All settings. Times end in `_s` or `_ms`, sizes in `_bytes`.

    Raises:
        pydantic.ValidationError: a value is out of its bounds, or two do not go together.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    dsn: Dsn | None = Field(
        None, description="The database, as a libpq URI. Without one, an embedded PostgreSQL is started."
    )
    reader_dsn: Dsn | None = Field(
        None, description="The same database as a role that can only read; reads use it instead of `dsn`."
    )
    password: SecretStr | None = Field(None, description="The password, instead of the DSN's.")
    data_dir: Path | None = Field(
        None, description="Where the embedded PostgreSQL keeps its data. By default in the user's data directory."
    )
    pg_bin: Path | None = Field(
        None, description="The bin directory of the PostgreSQL to run as the embedded one, instead of the bundled."
    )
    demo: bool = Field(False, description="Fill the embedded PostgreSQL with a small shop to ask about.")
    transport: Literal["http", "stdio"] = Field(
        "http", description="`http` serves any number of clients; `stdio` serves the one that started the gateway."
    )
    host: str = Field("127.0.0.1", description="The address to listen on.", min_length=1)
    port: int = Field(19002, ge=0, le=65535, description="The port to listen on; 0 takes any free one.")
    allow_unauthenticated: bool = Field(
        False, description="Listen on an address that other machines reach, though nobody is asked who they are."
    )
    allowed_hosts: tuple[str, ...] = Field(
        (), description="Further names under which requests may address the gateway, such as a proxy's."
    )
    allowed_origins: tuple[str, ...] = Field((), description="Web origins whose pages may call the gateway.")
    read_pool_size: int = Field(10, ge=1, le=200, description="Connections for reads, at most.")
    connect_timeout_s: Seconds = Field(5.0, description="How long opening a connection may take.")
    pool_acquire_timeout_s: Seconds = Field(5.0, description="How long a read may wait for a connection.")
    statement_timeout_ms: Milliseconds = Field(30_000, description="How long PostgreSQL may work on a statement.")
    max_statement_timeout_ms: Milliseconds = Field(600_000, description="The largest `timeout_ms` a call may ask for.")
    lock_timeout_ms: Milliseconds = Field(5_000, description="How long a statement may wait for a lock.")
    max_rows: int = Field(1_000, ge=1, le=1_000_000, description="Rows of an answer, unless the call says otherwise.")
    max_rows_limit: int = Field(10_000, ge=1, le=1_000_000, description="The largest `max_rows` a call may ask for.")
    max_bytes: int = Field(1 << 20, ge=1_024, le=1 << 28, description="Bytes of an answer's rows as JSON.")
    max_cell_bytes: int = Field(1 << 16, ge=64, le=1 << 28, description="Bytes of one value; the rest is cut.")
    drain_timeout_s: Seconds = Field(10.0, description="How long running calls may go on after a signal to stop.")
    log_level: Literal["debug", "info", "warning", "error"] = Field("info", description="What is logged.")
    log_format: Literal["auto", "json", "console"] = Field(
        "auto", description="`auto` is readable on a terminal and JSON elsewhere."
    )

    @model_validator(mode="after")
    def _go_together(self) -> Self:
        if not self.allow_unauthenticated and not _is_loopback(self.host):
            raise ValueError(
                "host: other machines reach this address, and there is no authentication yet, so anyone who reaches "
                "the port could read the database. Keep 127.0.0.1, or say allow_unauthenticated if the network is yours"
            )
        if self.statement_timeout_ms > self.max_statement_timeout_ms:
            raise ValueError("statement_timeout_ms: must not be larger than max_statement_timeout_ms")
        if self.max_rows > self.max_rows_limit:
            raise ValueError("max_rows: must not be larger than max_rows_limit")
        if self.demo and (self.dsn or self.reader_dsn):
            raise ValueError("demo: fills the embedded PostgreSQL only, and a dsn is given")
        return self


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host == "localhost"
