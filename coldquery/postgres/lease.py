"""Who uses and who keeps an embedded server: file locks, which the kernel gives back however a process ends.

In HOME/locks lie four files, all locked with flock(2):

`lease`  each user of the server holds a share; the keeper waits for the whole of it, and then stops the server.
`users`  each user holds a share as well; the keeper never touches it, so it tells whether anybody is left.
`keeper` held by whoever starts the server, and handed on to the keeper: taken means that one is starting or running.
`setup`  held while the roles are made.
"""

from __future__ import annotations

import contextlib
import os
import sys
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

from coldquery.errors import StartError

if sys.platform != "win32":  # pragma: no branch
    import fcntl

POLL_S = 0.005


class Locks:
    """The locks of one home, in a directory that is made when first used. Nothing is held at first.

    All methods raise OSError when the directory can't be used.
    """

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._shares: list[int] = []

    @property
    def lease(self) -> Path:
        """The file that the keeper waits for."""
        return self._directory / "lease"

    @property
    def joined(self) -> bool:
        """Whether this process is a user of the server."""
        return bool(self._shares)

    def join(self, deadline: float) -> None:
        """Become a user of the server, once a server that is just stopping has gone. No effect if one is already.

        Raises:
            StartError: it did not go before the deadline (of `time.monotonic`).
        """
        self._directory.mkdir(mode=0o700, exist_ok=True)
        if not self._shares:
            self._shares = [self._open("users"), self._open("lease")]
            for share in self._shares:
                wait_until(partial(_try, share, fcntl.LOCK_SH), deadline, "the former server to stop")

    def leave(self) -> None:
        """Be no user any more. No effect if one is not."""
        for share in self._shares:
            os.close(share)
        self._shares = []

    def claim_keeper(self) -> int | None:
        """The file descriptor of the keeper's lock, to be handed on or closed, if nobody holds it."""
        keeper = self._open("keeper")
        if _try(keeper, fcntl.LOCK_EX):
            return keeper
        os.close(keeper)
        return None

    @contextlib.contextmanager
    def setup(self, deadline: float) -> Iterator[None]:
        """Be the only one who sets up the server."""
        setup = self._open("setup")
        try:
            wait_until(lambda: _try(setup, fcntl.LOCK_EX), deadline, "another process to make the roles")
            yield
        finally:
            os.close(setup)

    def stopping(self) -> bool:
        """Whether nobody uses the server and it is still there."""
        keeper = self.claim_keeper()
        if keeper is not None:
            os.close(keeper)
            return False
        users = self._open("users")
        try:
            return _try(users, fcntl.LOCK_EX)
        finally:
            os.close(users)

    def _open(self, name: str) -> int:
        return os.open(self._directory / name, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)


def _try(lock: int, operation: int) -> bool:
    try:
        fcntl.flock(lock, operation | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def wait_until(condition: Callable[[], bool], deadline: float, what: str) -> None:
    """Look every few milliseconds until the condition holds.

    Raises:
        StartError: it did not hold before the deadline (of `time.monotonic`).
    """
    while not condition():
        if time.monotonic() > deadline:
            raise StartError(
                f"The embedded PostgreSQL: waited too long for {what}.",
                next="Look for its processes (`ps -ef | grep postgres`) and at server.log in the data directory.",
            )
        time.sleep(POLL_S)
