"""The operator's end of the control socket: ask this user's running gateways. It imports little, to answer at once."""

from __future__ import annotations

import json
import socket
import time
from pathlib import Path
from typing import Any, TypedDict

from coldquery.control.directory import control_directory, require_private
from coldquery.errors import StartError

TIMEOUT_S = 5.0
ANSWER_LIMIT_BYTES = 1 << 25  # ten thousand sessions with the longest labels


class Session(TypedDict):
    """A session as a gateway lists it: `SessionInfo`, on the wire."""

    short_id: str
    principal: str
    label: str | None
    state: str
    age_s: float
    idle_s: float | None
    last_command: str | None
    backend_pid: int | None
    blocks: list[int]
    queued: int


def list_sessions(gateway: int | None = None) -> dict[int, list[Session]]:
    """The open sessions of every running gateway, or of one, by the gateway's process id.

    Raises:
        StartError: no such gateway runs, or one that does gives no answer.
    """
    paths = _sockets()
    asked = {pid: path for pid, path in paths.items() if gateway in {None, pid}}
    answers = {pid: _ask(pid, path, {"command": "list"}) for pid, path in asked.items()}
    listing = {pid: sessions for pid, sessions in answers.items() if sessions is not None}
    if listing:
        return listing
    if gateway is None:
        raise StartError(
            "No gateway of this user is running.",
            next=f"Start one with `coldquery serve`, or run this as the user whose gateway it is; "
            f"{control_directory()} is where this user's would be.",
        )
    raise StartError(
        f"No gateway of this user runs as process {gateway}.",
        next="`coldquery sessions` without --gateway shows all that run.",
    )


def evict(short_id: str, gateway: int | None = None) -> int:
    """End a session; what it has not committed is rolled back. Returns the process id of its gateway.

    Raises:
        StartError: as `list_sessions`; or there is no such session, or more than one gateway has one.
    """
    listing = list_sessions(gateway)
    holders = [pid for pid, sessions in listing.items() if any(each["short_id"] == short_id for each in sessions)]
    if len(holders) > 1:
        raise StartError(
            f"The gateways {', '.join(map(str, holders))} each have a session {short_id}.",
            next="Say which is meant with --gateway PID.",
        )
    for pid in holders:
        if _ask(pid, control_directory() / f"{pid}.sock", {"command": "evict", "session": short_id}):
            return pid
    raise StartError(
        f"No session {short_id} is open. It may have ended by itself.",
        next="`coldquery sessions` lists those that are open.",
    )


def _sockets() -> dict[int, Path]:
    directory = control_directory()
    try:
        require_private(directory)
        return {int(path.stem): path for path in sorted(directory.glob("*.sock")) if path.stem.isdecimal()}
    except FileNotFoundError:
        return {}
    except OSError as error:
        raise StartError(
            f"Can't look into {directory}: {error.strerror or error}.", next="Run this as the user whose gateway it is."
        ) from None


def _ask(pid: int, path: Path, request: dict[str, str]) -> Any:
    """The gateway's answer; None if there is no gateway any more."""
    try:
        return json.loads(_exchange(path, json.dumps(request).encode() + b"\n"))["answer"]
    except (FileNotFoundError, ConnectionRefusedError):
        path.unlink(missing_ok=True)
        return None
    except OSError as error:
        problem = f"does not answer: {error.strerror or error}"
    except (ValueError, LookupError, TypeError):
        problem = "gave an answer that can't be understood"
    raise StartError(
        f"The gateway that runs as process {pid} {problem}.",
        next="Look at its log; another one can be asked with --gateway PID. Both sides must be of the same version.",
    )


def _exchange(path: Path, line: bytes) -> bytearray:
    deadline = time.monotonic() + TIMEOUT_S
    answer = bytearray()
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(TIMEOUT_S)
        connection.connect(str(path))
        connection.sendall(line)
        while not answer.endswith(b"\n") and len(answer) <= ANSWER_LIMIT_BYTES:
            connection.settimeout(max(deadline - time.monotonic(), 0.001))
            part = connection.recv(65536)
            if not part:
                break
            answer += part
    return answer
