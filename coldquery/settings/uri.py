"""A PostgreSQL URI as text: check it, compose it, show it without its secrets.

No message here repeats any part of a URI: in one that is mistyped, nobody can tell which part is the password.

Source: https://www.postgresql.org/docs/current/libpq-connect.html#LIBPQ-CONNSTRING-URIS, of which asyncpg reads a part.
"""

import re
from urllib.parse import parse_qs, quote, unquote, urlencode, urlsplit

FORM = "postgresql://user:password@host:port/database"

_HOST = re.compile(r"(?:\[[^\[\]]+\]|[^\[\]:]+)(?::(?P<port>[0-9]*))?")
_LARGEST_PORT = 65535

# Parameters whose values may be seen. All others may hold a secret or lead to one (password, passfile, sslkey ...).
_HARMLESS = frozenset(
    {"host", "port", "dbname", "database", "user", "service", "sslmode", "target_session_attrs", "application_name"}
)
# libpq's, but asyncpg would send them to the server, which refuses the connection as one with an unknown parameter.
_NOT_UNDERSTOOD = frozenset(
    {"channel_binding", "connect_timeout", "fallback_application_name", "gssencmode", "hostaddr", "keepalives"}
    | {"keepalives_count", "keepalives_idle", "keepalives_interval", "load_balance_hosts", "require_auth"}
    | {"requirepeer", "sslcertmode", "sslcompression", "sslcrldir", "sslsni", "tcp_user_timeout"}
)


def check(uri: str) -> None:
    """Refuse what asyncpg could not use, or would read otherwise than it was meant.

    Raises:
        ValueError: says what is wrong and what is accepted, and repeats nothing of the URI.
    """
    if not uri.lower().startswith(("postgresql://", "postgres://")):
        raise ValueError("must begin with postgresql:// (or postgres://, without the name of a driver)")
    # urlsplit would drop line breaks in silence.
    if any(ord(character) < ord(" ") for character in uri):
        raise ValueError("holds a line break or another control character")
    try:
        parts = urlsplit(uri)
        parameters = parse_qs(parts.query, strict_parsing=True) if parts.query else {}
    except ValueError:
        raise ValueError(f"can't be understood; the form is {FORM}") from None
    login, _, hosts = parts.netloc.rpartition("@")
    # A password with a bare @, / or ? would be cut there, and its rest taken (and shown) for a host or a database.
    if "@" in login + parts.path + parts.query or "#" in uri:
        raise ValueError("has a special character that must be written as %40 for @, %2F for /, %3F for ?, %23 for #")
    ports = [port for given in parameters.get("port", []) for port in given.split(",")]
    for host in hosts.split(",") if hosts else []:
        if not (match := _HOST.fullmatch(host)):
            raise ValueError(f"names no host and port that can be understood; the form is {FORM}")
        ports.append(match["port"] or "1")
    if not all(is_port(port) for port in ports):
        raise ValueError(f"has a port that is not a number from 1 to {_LARGEST_PORT}")
    if foreign := sorted(_NOT_UNDERSTOOD & parameters.keys()):
        raise ValueError(f"has parameters of libpq that are not understood here; leave out {', '.join(foreign)}")


def compose(*, host: str, port: str, user: str = "", password: str = "", database: str = "") -> str:
    """A URI of parts that may hold any character. A host may be an IPv6 address or the directory of a Unix socket."""
    login = quote(user, safe="") + (f":{quote(password, safe='')}" if password else "")
    place = f"[{host.strip('[]')}]" if ":" in host else quote(host, safe="")
    return "postgresql://" + (login and login + "@") + f"{place}:{port}" + (database and "/" + quote(database, safe=""))


def with_parameters(**parameters: str) -> str:
    """A URI of parameters alone; the environment's PG* variables say the rest."""
    return "postgresql://" + ("?" + urlencode(parameters, quote_via=quote) if parameters else "")


def hidden(uri: str) -> str:
    """A URI that `check` accepted, with stars for its password and whatever else may be a secret."""
    parts = urlsplit(uri)
    login, at, hosts = parts.netloc.rpartition("@")
    user, colon, _ = login.partition(":")
    shown = f"{parts.scheme}://{user}{colon and ':***'}{at}{hosts}{parts.path}"
    pairs = [pair.partition("=") for pair in parts.query.split("&") if pair]
    query = "&".join(f"{name}={value if unquote(name) in _HARMLESS else '***'}" for name, _, value in pairs)
    return shown + (query and "?" + query)


def holds_password(uri: str) -> bool:
    """Whether hiding changes anything."""
    return "***" in hidden(uri)


def is_port(text: str) -> bool:
    """Whether the text is a port number in decimal digits."""
    return (
        text.isascii() and text.isdigit() and len(text) <= len(str(_LARGEST_PORT)) and 1 <= int(text) <= _LARGEST_PORT
    )
