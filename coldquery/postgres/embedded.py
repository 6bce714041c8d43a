"""The embedded PostgreSQL: starts a real server of the gateway's own, shares it, and ends it with its last user.

The server is a child of the keeper (keeper.py), not of the gateway. Locks (lease.py) say who uses it and who keeps it;
its files are cluster.py's, its programs binaries.py's, and what is put into it provision.py's.
"""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path

from coldquery.errors import StartError
from coldquery.postgres.binaries import find_binaries
from coldquery.postgres.cluster import Cluster, ServerUser, tail
from coldquery.postgres.lease import Locks, wait_until
from coldquery.postgres.provision import (
    DATABASE,
    OWNER,
    PORT,
    READER,
    SUPERUSER,
    Endpoint,
    clean_environment,
    load_demo,
    make_roles,
)

__all__ = ["DATABASE", "OWNER", "READER", "SUPERUSER", "EmbeddedPostgres", "Endpoint", "default_home", "load_demo"]

_STOP_TIMEOUT_S = 90.0
_LOG_LIMIT_BYTES = 10_000_000

# The server's log names failures without the statements and rows that met them: those may hold what no log should.
_SETTINGS = {
    "listen_addresses": "",
    "unix_socket_permissions": "0700",
    "shared_preload_libraries": "pg_stat_statements",
    "log_min_error_statement": "panic",
    "log_error_verbosity": "terse",
}
_NOT_DURABLE = {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off"}


def default_home(bin_dir: Path | None = None) -> Path:
    """Where the data lives when the operator names no directory; its name ends with the programs' major version.

    Raises:
        StartError: there are no programs.
    """
    name = f"pg{find_binaries(bin_dir).major}"
    if os.geteuid() == 0:
        # Not below /root, which the server's user can't enter.
        return Path("/var/lib/coldquery", name)
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Application Support" / "coldquery" / name
    return Path(os.environ.get("XDG_DATA_HOME") or Path.home() / ".local" / "share", "coldquery", name)


class EmbeddedPostgres:
    """A share in the server of one home directory. All who use the same home share one server.

    Args:
        home: the directory that holds everything; made when missing.
        bin_dir: PostgreSQL's programs; without it, those that `find_binaries` finds.
        settings: the server's settings, over our own. They count when this share is the one that starts it.
        durable: False trades safety for speed (fsync off): for tests.
        start_timeout_s: how long a start may take in all, recovery after a crash included.
        user: whom the server runs as when this process is root's, since PostgreSQL refuses to run as root.

    Raises:
        StartError: there are no programs to run, or no such user.
    """

    def __init__(
        self,
        home: Path,
        *,
        bin_dir: Path | None = None,
        settings: Mapping[str, str] | None = None,
        durable: bool = True,
        start_timeout_s: float = 120,
        user: str = "nobody",
    ) -> None:
        if sys.platform == "win32":  # pragma: no cover
            raise StartError(
                "There is no embedded PostgreSQL on Windows.", next="Give a database's address with --dsn."
            )
        self._binaries = find_binaries(bin_dir)
        self._server_user = ServerUser.named(user) if os.geteuid() == 0 else None
        self._cluster = Cluster(home.absolute(), self._binaries, self._server_user)
        self._locks = Locks(home.absolute() / "locks")
        self._settings = {**_SETTINGS, **({} if durable else _NOT_DURABLE), **(settings or {})}
        self._durable = durable
        self._start_timeout_s = start_timeout_s

    @property
    def bin_dir(self) -> Path:
        """The directory of the programs in use."""
        return self._binaries.bin_dir

    def describe(self) -> str:
        """One line for people: what runs, and where its data is."""
        return f"PostgreSQL {self._binaries.version} (embedded), data in {self._cluster.home}"

    def __enter__(self) -> Endpoint:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()

    def start(self) -> Endpoint:
        """Start the server, or join the one that runs; when it was lost since, start it again. Blocks.

        Raises:
            StartError: the directory can't be used, or the server does not come up in time.
        """
        deadline = time.monotonic() + self._start_timeout_s
        with contextlib.ExitStack() as on_failure:
            on_failure.callback(self._locks.leave)
            try:
                self._cluster.make_home()
                endpoint = Endpoint(self._cluster.make_socket_dir(), PORT)
                self._locks.join(deadline)
                wait_until(lambda: self._serving(endpoint, deadline), deadline, "the server to start")
                with self._locks.setup(deadline):
                    make_roles(endpoint, self.bin_dir, self._cluster.data / "coldquery.roles")
            except OSError as error:
                where = f"{error.filename}: " if error.filename else ""
                raise StartError(
                    f"The embedded PostgreSQL can't use {self._cluster.home}: {where}{error.strerror or error}.",
                    next="Choose a directory that this user may write with --data-dir, or mend its permissions.",
                ) from None
            on_failure.pop_all()
        return endpoint

    def stop(self) -> None:
        """Give the share back, and if it was the last one wait until the server has ended. No effect when not started.

        Raises:
            StartError: the server has not ended after a minute and a half.
        """
        if self._locks.joined:
            self._locks.leave()
            deadline = time.monotonic() + _STOP_TIMEOUT_S
            wait_until(lambda: not self._locks.stopping(), deadline, "the server to stop")

    def _serving(self, endpoint: Endpoint, deadline: float) -> bool:
        """Whether the server takes connections. Where nobody keeps it, start it."""
        keeper = self._locks.claim_keeper()
        if keeper is None:
            # A postmaster writes its file before it listens: looking in this order, the file is that of the listener.
            return _listens(endpoint) and self._status() == "ready"
        try:
            self._clear_former(endpoint, deadline)
            self._cluster.make(max(deadline - time.monotonic(), 0), sync=self._durable)
            self._launch(endpoint, keeper, deadline)
        finally:
            os.close(keeper)
        return True

    def _status(self) -> str:
        postmaster = self._cluster.postmaster()
        return postmaster.status if postmaster else ""

    def _clear_former(self, endpoint: Endpoint, deadline: float) -> None:
        """See that no server is left of a keeper that was killed, nor a file that would pass for one.

        On Linux the kernel has told it to stop, elsewhere that is done here.
        """
        former = self._cluster.postmaster()
        if former is None:
            return
        if self._runs(former.pid, endpoint):
            with contextlib.suppress(ProcessLookupError):
                os.kill(former.pid, signal.SIGINT)
            wait_until(lambda: not self._runs(former.pid, endpoint), deadline, "a stray server to stop")
        else:
            # Killed, or its machine or container was: its number may be another process's now, and then PostgreSQL
            # would take the file for a running server's. Backends that live on are still found by their shared memory.
            self._cluster.pid_file.unlink(missing_ok=True)

    def _runs(self, pid: int, endpoint: Endpoint) -> bool:
        """Whether the process is this cluster's postmaster, whose working directory is the data directory."""
        if sys.platform != "linux":  # pragma: no cover
            return _listens(endpoint)
        try:
            return Path(f"/proc/{pid}/cwd").samefile(self._cluster.data)
        except OSError:
            return False

    def _launch(self, endpoint: Endpoint, keeper: int, deadline: float) -> None:
        """Start the keeper, which starts the server, and wait for its word."""
        cluster = self._cluster
        if cluster.log.exists() and cluster.log.stat().st_size > _LOG_LIMIT_BYTES:
            cluster.log.replace(cluster.log.with_suffix(".log.1"))
        cluster.log.touch(mode=0o600)
        quoted = str(endpoint.socket_dir).replace('"', '""')
        settings = {**self._settings, "unix_socket_directories": f'"{quoted}"'}
        command = [
            *(sys.executable, "-I", str(Path(__file__).with_name("keeper.py"))),
            *(str(self._locks.lease), str(cluster.pid_file)),
            f"{self._server_user.uid}:{self._server_user.gid}" if self._server_user else "-",
            *(cluster.program("postgres"), "-D", str(cluster.data), "-p", str(PORT)),
            *(part for name, value in settings.items() for part in ("-c", f"{name}={value}")),
        ]
        with cluster.log.open("ab") as log:
            before = log.tell()
            try:
                said = subprocess.run(  # noqa: S603 - our own program
                    command,
                    cwd="/",
                    env=clean_environment(),
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.PIPE,
                    stderr=log,
                    pass_fds=[keeper],
                    start_new_session=True,
                    timeout=max(deadline - time.monotonic(), 0),
                    check=False,
                ).stdout
                problem = None if said == b"ready" else "did not start"
            except subprocess.TimeoutExpired:
                problem = f"was not ready after {self._start_timeout_s:g} s"
        if problem is not None:
            with cluster.log.open("rb") as written:
                written.seek(before)
                last = tail(written.read().decode("utf-8", "replace"))
            raise StartError(
                f"The embedded PostgreSQL {problem}. Its log ends with:\n{last}",
                next=f"Mend what it says; the whole log is {cluster.log}.",
            )


def _listens(endpoint: Endpoint) -> bool:
    with socket.socket(socket.AF_UNIX) as probe:
        probe.settimeout(1)
        try:
            probe.connect(str(endpoint.socket_dir / f".s.PGSQL.{endpoint.port}"))
        except (FileNotFoundError, ConnectionRefusedError, TimeoutError, BlockingIOError):
            return False
    return True
