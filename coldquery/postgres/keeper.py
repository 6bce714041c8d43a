"""The keeper: a small process that runs one embedded PostgreSQL and ends it when nobody uses it any more.

It has a session of its own, so that Ctrl-C in the gateway's terminal does not reach the server before the gateway has
drained. It waits for an exclusive lock on the lease, of which each user of the server holds a share: the kernel grants
it when the last user is gone, however it went. It runs by its path and imports the standard library alone: it is small.

    python -I keeper.py LEASE POSTMASTER_PID_FILE USER COMMAND …

USER is `uid:gid`, or `-` to stay who one is. Standard error is the server's log. On standard output it says `ready`
once the server takes connections, or nothing when it did not come up, and closes it.
"""

import contextlib
import ctypes
import fcntl
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

# A fast shutdown ends open transactions and writes a checkpoint. One that takes longer than this is cut short; the next
# start then recovers from the write-ahead log.
SHUTDOWN_LIMIT_S = 60.0
READY_POLL_S = 0.005

# https://man7.org/linux/man-pages/man2/prctl.2.html
_PR_SET_PDEATHSIG = 1
_PR_SET_CHILD_SUBREAPER = 36
_LINUX = sys.platform == "linux"


def main() -> None:
    """Become a background process, run the server, and return when it has ended."""
    lease, pid_file, user, *command = sys.argv[1:]
    if os.fork():
        # The parent has nobody to wait for but this process, which is gone already: no zombie, whoever lives longer.
        os._exit(0)  # pragma: no cover - nothing is left to write the coverage down
    with Path(lease).open("r+b") as lease_file:
        if _LINUX:  # pragma: no branch
            # Backends that survive a killed postmaster become children of this process instead of init's.
            _prctl(_PR_SET_CHILD_SUBREAPER, 1)
        server = _start(command, user)
        ended = threading.Event()
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, lambda *_: server.send_signal(signal.SIGINT))
        threading.Thread(target=_stop_when_unused, args=(lease_file.fileno(), server, ended), daemon=True).start()
        _report(_becomes_ready(server, Path(pid_file)))
        server.wait()
        ended.set()
        _end_orphans()


def _start(command: list[str], user: str) -> subprocess.Popen[bytes]:
    keeper = os.getpid()
    uid, gid = (None, None) if user == "-" else map(int, user.split(":"))

    def end_with_the_keeper() -> None:  # pragma: no cover - runs between fork and exec
        # Fast shutdown when the keeper dies. Here, since a change of user would clear it.
        _prctl(_PR_SET_PDEATHSIG, signal.SIGINT)
        if os.getppid() != keeper:
            os._exit(1)

    return subprocess.Popen(  # noqa: S603 - the launcher's own command line
        command,
        stdin=subprocess.DEVNULL,
        stdout=sys.stderr.fileno(),
        cwd="/",
        preexec_fn=end_with_the_keeper if _LINUX else None,  # noqa: PLW1509 - no thread runs yet
        user=uid,
        group=gid,
        extra_groups=None if uid is None else [],
    )


def _prctl(option: int, argument: int) -> None:
    ctypes.CDLL(None).prctl(option, argument, 0, 0, 0)


def _stop_when_unused(lease: int, server: subprocess.Popen[bytes], ended: threading.Event) -> None:
    # Kept until the process ends: a newcomer waits for its share until the server is quite gone.
    fcntl.flock(lease, fcntl.LOCK_EX)
    server.send_signal(signal.SIGINT)
    if not ended.wait(SHUTDOWN_LIMIT_S):
        server.send_signal(signal.SIGQUIT)


def _becomes_ready(server: subprocess.Popen[bytes], pid_file: Path) -> bool:
    """Wait until the postmaster writes that it takes connections, or ends.

    The file's lines are listed in PostgreSQL's src/include/utils/pidfile.h: the first is the postmaster's process id,
    the eighth its status. The launcher, not the keeper, knows when it has waited long enough, and lets go of its share.
    """
    while server.poll() is None:
        with contextlib.suppress(FileNotFoundError):
            lines = pid_file.read_text("utf-8", "replace").splitlines()
            # A file of a postmaster that was killed may say `ready` too, under another process id.
            if len(lines) >= 8 and lines[0] == str(server.pid) and lines[7].strip() == "ready":  # noqa: PLR2004
                return True
        time.sleep(READY_POLL_S)
    return False


def _report(ready: bool) -> None:
    with contextlib.suppress(BrokenPipeError):
        os.write(sys.stdout.fileno(), b"ready" if ready else b"")
    null = os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, sys.stdout.fileno())
    os.close(null)


def _end_orphans() -> None:
    """End the backends of a postmaster that was killed.

    One in the middle of a statement notices only at its end, and until then no new server can start on the data. Their
    shared memory is lost in any case, so nothing is gained by a milder signal. Away from Linux none of them is here.
    """
    while True:
        for listing in Path("/proc/self/task").glob("*/children"):
            for pid in listing.read_text().split():
                os.kill(int(pid), signal.SIGKILL)
        try:
            os.wait()
        except ChildProcessError:
            return


if __name__ == "__main__":  # pragma: no branch
    main()
