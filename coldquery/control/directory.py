"""Where control sockets lie: in a directory that only its owner can enter, each named by its gateway's process id.

The permissions are the authentication, so they are looked at before a socket there is made or trusted.
"""

import os
import stat
from pathlib import Path

from coldquery.errors import StartError


def control_directory() -> Path:
    """This user's, which need not exist: in `$XDG_RUNTIME_DIR`, else in /run for root and in /tmp for others."""
    runtime = Path(os.environ.get("XDG_RUNTIME_DIR", ""))
    # A relative path is invalid and to be ignored: https://specifications.freedesktop.org/basedir-spec/latest/
    if runtime.is_absolute():
        return runtime / "coldquery"
    uid = os.geteuid()
    return Path("/run/coldquery") if uid == 0 else Path(f"/tmp/coldquery-{uid}")  # noqa: S108 - require_private looks


def require_private(directory: Path) -> None:
    """Refuse a directory in which someone else could have put a socket.

    Raises:
        StartError: it is not this user's alone.
        OSError: it can't be looked at.
    """
    status = directory.lstat()
    if not stat.S_ISDIR(status.st_mode):
        problem = "is no directory of its own"
    elif status.st_uid != os.geteuid():
        problem = "belongs to another user"
    elif stat.S_IMODE(status.st_mode) & 0o077:
        problem = "is open to other users"
    else:
        return
    raise StartError(
        f"{directory} {problem}, so no control socket in it can be trusted.",
        next=f"Remove it, or make it yours alone (`chmod 700 {directory}`), and start the gateway again; "
        "or set XDG_RUNTIME_DIR, for the gateway and for this command, to a directory of your own.",
    )
