"""Where the audit goes: a file that is rotated by size, or standard output."""

from __future__ import annotations

import fcntl
import os
import select
import stat
import sys
from contextlib import suppress
from pathlib import Path

from coldquery.errors import StartError


class AuditFile:
    """A file that only grows, until it is moved aside as `….1`, and `….1` as `….2`, up to `keep` of them.

    Args:
        path: the file; its directory must be there.
        max_bytes: how large it may become.
        keep: how many old ones to keep.

    Raises:
        StartError: it can't be written, or another gateway writes it.
    """

    def __init__(self, path: Path, max_bytes: int, keep: int) -> None:
        self._path = path
        self._max_bytes = max_bytes
        self._keep = keep
        try:
            self._file = self._open()
        except BlockingIOError:
            raise StartError(
                f"Another process writes the audit to {path}.", next="Give each gateway a file of its own."
            ) from None
        except OSError as error:
            raise StartError(
                f"The audit can't be written to {path}: {error.strerror or error}.",
                next="Name a file in a directory that the gateway may write to, or `stdout`.",
            ) from None

    def append(self, data: bytes, *, sync: bool) -> None:
        """See `Sink`."""
        if not self._is_there():
            # Moved or deleted by somebody else.
            self._reopen()
        size = os.fstat(self._file).st_size
        if data and size and size + len(data) > self._max_bytes and self._is_regular():
            self._rotate()
            size = 0
        try:
            _write(self._file, data)
            if sync and self._is_regular():
                os.fsync(self._file)
        except OSError:
            # Nothing of it stays, and no half of a line, for all of it comes again.
            if self._is_regular():
                os.ftruncate(self._file, size)
            raise

    def close(self) -> None:
        """See `Sink`."""
        os.close(self._file)

    def _open(self) -> int:
        # Not to be kept waiting here by a pipe that nobody reads.
        flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | os.O_NONBLOCK
        file = os.open(self._path, flags, 0o600)
        try:
            os.set_blocking(file, True)
            # A device, such as a terminal, is everybody's.
            if not stat.S_ISCHR(os.fstat(file).st_mode):
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(file)
            raise
        self._sync_name()
        return file

    def _sync_name(self) -> None:
        """See to it that a new file is found under its name after a power cut."""
        with suppress(OSError):  # a directory that may not be read, or a file system that has no such thing
            directory = os.open(self._path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            try:
                os.fsync(directory)
            finally:
                os.close(directory)

    def _reopen(self) -> None:
        fresh = self._open()
        os.close(self._file)
        self._file = fresh

    def _is_there(self) -> bool:
        try:
            return os.path.samestat(os.stat(self._path), os.fstat(self._file))  # noqa: PTH116 - as the other one
        except FileNotFoundError:
            return False

    def _is_regular(self) -> bool:
        return stat.S_ISREG(os.fstat(self._file).st_mode)

    def _rotate(self) -> None:
        os.fsync(self._file)
        for number in range(self._keep, 1, -1):
            older, newer = self._numbered(number), self._numbered(number - 1)
            if newer.exists():
                newer.replace(older)
        if self._keep:
            self._path.replace(self._numbered(1))
        else:
            self._path.unlink()
        self._reopen()

    def _numbered(self, number: int) -> Path:
        return self._path.with_name(f"{self._path.name}.{number}")


class StandardOutput:
    """Standard output, for whoever collects it.

    Raises:
        StartError: it is closed.
    """

    def __init__(self) -> None:
        try:
            self._file = sys.__stdout__.fileno()  # type: ignore[union-attr]  # None where it is closed
        except (AttributeError, ValueError, OSError):
            raise StartError(
                "The audit can't be written to standard output, which is closed.", next="Open it, or name a file."
            ) from None

    def append(self, data: bytes, *, sync: bool) -> None:  # noqa: ARG002 - nothing there to sync
        """See `Sink`."""
        _write(self._file, data)

    def close(self) -> None:
        """See `Sink`. It is not ours to close."""


def _write(file: int, data: bytes) -> None:
    left = memoryview(data)
    while left:
        try:
            left = left[os.write(file, left) :]
        except BlockingIOError:
            # Somebody at the other end of standard output has made it so. A half line would not be taken back.
            room = select.poll()
            room.register(file, select.POLLOUT)
            room.poll()
