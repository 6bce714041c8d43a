"""The files of an embedded server: HOME with its database cluster and its socket directory, and who owns them."""

from __future__ import annotations

import contextlib
import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TypedDict

from coldquery.errors import StartError
from coldquery.postgres.binaries import Binaries, first_closed, reachable
from coldquery.postgres.provision import PORT, SUPERUSER, clean_environment

if sys.platform != "win32":  # pragma: no branch
    import pwd

# sun_path of unix(7), less the byte that ends it; macOS has four bytes less.
_SOCKET_PATH_LIMIT = 103 if sys.platform == "darwin" else 107
_STATUS_LINE = 8
_TAIL_LINES = 10


class Identity(TypedDict):
    """The arguments of subprocess.Popen that say as whom to run; None to stay who one is."""

    user: int | None
    group: int | None
    extra_groups: list[int] | None


@dataclass(frozen=True, slots=True)
class ServerUser:
    """The operating system's user that the server runs as, because root must not."""

    name: str
    uid: int
    gid: int

    @classmethod
    def named(cls, name: str) -> ServerUser:
        """Look the user up.

        Raises:
            StartError: there is no such user, or it is root.
        """
        try:
            entry = pwd.getpwnam(name)
        except KeyError:
            raise StartError(
                f"There is no user {name} to run the embedded PostgreSQL as.",
                next="Name one in COLDQUERY_PG_USER, or run as another user than root.",
            ) from None
        if entry.pw_uid == 0:
            raise StartError(
                f"PostgreSQL refuses to run as root, and {name} is root.",
                next="Name another user in COLDQUERY_PG_USER.",
            )
        return cls(name, entry.pw_uid, entry.pw_gid)


@dataclass(frozen=True, slots=True)
class Postmaster:
    """What postmaster.pid says: of the server that runs, or of one that was killed."""

    pid: int
    status: str


class Cluster:
    """The database cluster below one home directory.

    Args:
        home: an absolute path.
        binaries: the programs to make and run it with.
        user: whom the server runs as, if not as this process's user.
    """

    def __init__(self, home: Path, binaries: Binaries, user: ServerUser | None) -> None:
        self.home = home
        self.data = home / "data"
        self.pid_file = self.data / "postmaster.pid"
        self.log = home / "server.log"
        self._binaries = binaries
        self._user = user

    @property
    def identity(self) -> Identity:
        """As whom to run the server's programs."""
        if self._user is None:
            return {"user": None, "group": None, "extra_groups": None}
        return {"user": self._user.uid, "group": self._user.gid, "extra_groups": []}

    def make_home(self) -> None:
        """Make the home directory if need be, and see that it can be used. Nothing outside of it is changed.

        Raises:
            StartError: it is somebody else's, of another PostgreSQL, or out of the server's reach.
            OSError: it can't be made or written.
        """
        self.home.mkdir(mode=0o700, parents=True, exist_ok=True)
        if (self.home / "PG_VERSION").exists():
            raise StartError(
                f"{self.home} is itself the data of a PostgreSQL server.",
                next="Choose another directory with --data-dir, or give that server's address with --dsn.",
            )
        if self._user is not None:
            self.home.chmod(self.home.stat().st_mode | 0o011)
            closed = first_closed(self.home, self._user.uid, self._user.gid)
            if closed is not None:
                raise StartError(
                    f"As root the embedded PostgreSQL runs as the user {self._user.name}, who can't enter {closed}.",
                    next="Choose a directory outside of it with --data-dir, such as /var/lib/coldquery, "
                    "or run as another user than root.",
                )
        self._check_major()

    def _check_major(self) -> None:
        version = self.data / "PG_VERSION"
        ours = str(self._binaries.major)
        if version.exists() and (theirs := version.read_text().strip()) != ours:
            raise StartError(
                f"The data in {self.home} is of PostgreSQL {theirs}, and the programs in {self._binaries.bin_dir} "
                f"are of PostgreSQL {ours}.",
                next=f"Set COLDQUERY_PG_BIN to the bin directory of a PostgreSQL {theirs}, or choose another directory "
                f"with --data-dir. To move the data, dump it with {theirs} (pg_dumpall) and restore it with {ours}.",
            )

    def make_socket_dir(self) -> Path:
        """HOME/run; where that is too long for a socket's path, a directory in /tmp named after HOME.

        Raises:
            StartError: somebody else made the directory in /tmp.
            OSError: it can't be made.
        """
        directory = self.home / "run"
        if len(os.fsencode(directory / f".s.PGSQL.{PORT}")) > _SOCKET_PATH_LIMIT:
            name = hashlib.sha256(os.fsencode(self.home)).hexdigest()[:16]
            directory = Path("/tmp", f"coldquery-{name}")  # noqa: S108 - checked below
        with contextlib.suppress(FileExistsError):
            directory.mkdir(mode=0o700)
            self._hand_over(directory)
        status = directory.lstat()
        owner = self._user.uid if self._user else os.geteuid()
        if directory.is_symlink() or status.st_uid != owner or status.st_mode & 0o077:
            raise StartError(
                f"{directory} is for the embedded PostgreSQL's socket, and it is not a private directory of its user.",
                next=f"Remove {directory}, or choose another directory with --data-dir.",
            )
        return directory

    def make(self, timeout_s: float, *, sync: bool) -> None:
        """Make the cluster if there is none. Only for who holds the keeper's lock.

        Raises:
            StartError: initdb says why not.
            OSError: initdb can't be run, or the files not be written.
        """
        for unfinished in self.home.glob("init-*"):
            # The initdb of a gateway that was killed may still be writing; what it adds now goes the next time.
            shutil.rmtree(unfinished, ignore_errors=True)
        if self.data.exists():
            return
        # A temporary name first: what an interrupted initdb leaves is never taken for a cluster.
        directory = Path(tempfile.mkdtemp(prefix="init-", dir=self.home))
        self._hand_over(directory)
        # https://www.postgresql.org/docs/current/app-initdb.html
        command = [
            self.program("initdb"),
            f"--pgdata={directory}",
            f"--username={SUPERUSER}",
            "--auth=trust",
            "--encoding=UTF8",
            *self._locale(),
            "--data-checksums",
            *([] if sync else ["--no-sync"]),
        ]
        problem: str | None
        try:
            made = subprocess.run(  # noqa: S603 - PostgreSQL's own program
                command,
                cwd="/",
                env=clean_environment(),
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                timeout=timeout_s,
                check=False,
                **self.identity,
            )
        except subprocess.TimeoutExpired:
            problem = f"it took longer than {timeout_s:.0f} s"
        else:
            problem = tail(made.stderr) if made.returncode else None
        if problem is not None:
            raise StartError(
                f"initdb could not make a database cluster in {self.home}: {problem}",
                next="Mend what it says, or choose another directory with --data-dir.",
            )
        directory.rename(self.data)

    def _locale(self) -> list[str]:
        if self._binaries.major >= 17:  # noqa: PLR2004 - the builtin provider, which orders alike on every system
            return ["--locale-provider=builtin", "--builtin-locale=C.UTF-8", "--locale=C"]
        return ["--locale=C.UTF-8"]

    def program(self, name: str) -> str:
        """The path of a program that the server's user can run."""
        if self._user is None:
            return self._binaries.program(name)
        return reachable(self._binaries, self.home, self._user.uid, self._user.gid).program(name)

    def postmaster(self) -> Postmaster | None:
        """Read postmaster.pid: PostgreSQL's src/include/utils/pidfile.h lists its lines."""
        try:
            lines = self.pid_file.read_text("utf-8", "replace").splitlines()
        except FileNotFoundError:
            return None
        if len(lines) < _STATUS_LINE or not lines[0].isdecimal():
            return None
        return Postmaster(int(lines[0]), lines[_STATUS_LINE - 1].strip())

    def _hand_over(self, path: Path) -> None:
        if self._user is not None:
            os.chown(path, self._user.uid, self._user.gid)


def tail(text: str) -> str:
    """The last lines of what a program wrote, or a word for nothing."""
    return "\n".join(text.strip().splitlines()[-_TAIL_LINES:]) or "(nothing)"
