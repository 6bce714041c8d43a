"""`python -m coldquery.healthcheck`: whether the gateway of this container can do its work, as an exit code.

Runs every few seconds beside the gateway, so it imports next to nothing: `http.client` would double its cost.
"""

import os
import socket
import sys
from collections.abc import Mapping, Sequence

TIMEOUT_S = 3.0
LONGEST_ANSWER_BYTES = 4_096
# Where to find a server that listens everywhere.
_ANYWHERE = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 - looked for, not listened on


def main(arguments: Sequence[str], environment: Mapping[str, str]) -> int:
    """Ask once.

    Args:
        arguments: `--live` to ask only whether the process is alive, and not whether it reaches the database; and the
            gateway's `host:port`, where the environment does not say it.
        environment: COLDQUERY_METRICS_ADDRESS, or COLDQUERY_HOST and COLDQUERY_PORT, as the gateway has them.

    Returns:
        0 if all is well, 1 if not.
    """
    page = "/livez" if "--live" in arguments else "/readyz"
    given = [each for each in arguments if each != "--live"]
    host, port = _parts(given[0]) if given else _address(environment)
    try:
        status, told = _ask(host, port, page)
    except (OSError, ValueError, IndexError) as error:
        print(f"no answer from {host} port {port}: {error}")  # noqa: T201 - what the container's log shows
        return 1
    print(told)  # noqa: T201 - likewise
    return 0 if status == "200" else 1


def _ask(host: str, port: str, page: str) -> tuple[str, str]:
    with socket.create_connection((host, int(port)), TIMEOUT_S) as connection:
        name = f"[{host}]" if ":" in host else host
        connection.sendall(f"GET {page} HTTP/1.1\r\nHost: {name}:{port}\r\nConnection: close\r\n\r\n".encode())
        with connection.makefile("rb") as answer:
            head, _, body = answer.read(LONGEST_ANSWER_BYTES).decode(errors="replace").partition("\r\n\r\n")
    return head.split(" ", 2)[1], body


def _address(environment: Mapping[str, str]) -> tuple[str, str]:
    if own := environment.get("COLDQUERY_METRICS_ADDRESS"):
        return _parts(own)
    host = environment.get("COLDQUERY_HOST", "127.0.0.1").strip("[]")
    return _ANYWHERE.get(host, host), environment.get("COLDQUERY_PORT", "19002")


def _parts(address: str) -> tuple[str, str]:
    host, _, port = address.rpartition(":")
    host = host.strip("[]")
    return _ANYWHERE.get(host, host), port


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:], os.environ))
