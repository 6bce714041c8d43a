"""What processes cost, by /proc: the CPU time and the memory of one and all that it started."""

import os
from collections.abc import Iterable
from pathlib import Path

TICKS_PER_S = os.sysconf("SC_CLK_TCK")


def family(pid: int) -> list[int]:
    """A process and its descendants."""
    found = [pid]
    for each in found:
        try:
            for thread in Path(f"/proc/{each}/task").iterdir():
                found.extend(int(child) for child in (thread / "children").read_text().split())
        except OSError:  # it has ended
            continue
    return found


def cpu_s(pid: int) -> float:
    """The CPU time of a process and its descendants, those that have ended and were waited for among them."""
    ticks = 0
    for each in family(pid):
        ticks += sum(_times(each))
    return ticks / TICKS_PER_S


def pss_mib(pid: int) -> float:
    """The proportional set size of a process and its descendants."""
    return sum(_pss_kib(each) for each in family(pid)) / 1024


def pss_kib(process: int | str = "self") -> int:
    """Proportional set size of a process: pages shared with others count by their share."""
    for line in Path(f"/proc/{process}/smaps_rollup").read_text().splitlines():
        if line.startswith("Pss:"):
            return int(line.split()[1])
    raise RuntimeError("no Pss")


def postmaster_of(backend: int) -> int | None:
    """The process that all of a PostgreSQL's processes descend from; None if it is not on this machine."""
    try:
        name = Path(f"/proc/{backend}/comm").read_text().strip()
        return int(_fields(backend)[1]) if name.startswith("postgres") else None
    except OSError:
        return None


def _pss_kib(pid: int) -> int:
    try:
        return pss_kib(pid)
    except (OSError, RuntimeError):  # it has ended
        return 0


def _times(pid: int) -> Iterable[int]:
    """utime, stime, cutime and cstime, in ticks."""
    try:
        return map(int, _fields(pid)[11:15])
    except OSError:
        return ()


def _fields(pid: int) -> list[str]:
    """Those of /proc/PID/stat behind the name, which may hold blanks. https://man7.org/linux/man-pages/man5/proc_pid_stat.5.html"""
    return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
