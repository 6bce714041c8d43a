"""A soak as a picture: latencies, sessions and memory over time."""

from __future__ import annotations

import statistics
from pathlib import Path

import matplotlib as mpl
from matplotlib import pyplot as plt

from ops.bench.agents import Ledger

KINDS = {"pg_query read": "read", "pg_query write": "write", "pg_tx begin": "begin", "pg_tx commit": "commit"}
COLORS = ("tab:blue", "tab:red", "tab:green", "tab:orange")
WINDOWS = 60


def draw(ledger: Ledger, samples: list[tuple[float, dict[str, float]]], path: Path) -> None:
    """Write it as PNG."""
    mpl.use("Agg")
    plt.style.use("dark_background")
    began, ended = samples[0][0], samples[-1][0]
    width = max((ended - began) / WINDOWS, 1.0)
    figure, (upper, middle, lower) = plt.subplots(3, 1, figsize=(11, 8), sharex=True, height_ratios=(3, 1, 1))
    for (kind, words), color in zip(KINDS.items(), COLORS, strict=True):
        times = _windows(ledger, kind, began, width)
        minutes = [number * width / 60 for number in times]
        upper.plot(minutes, [statistics.median(each) for each in times.values()], color=color, label=f"{words}, median")
        upper.plot(minutes, [_p99(each) for each in times.values()], "--", color=color, label=f"{words}, p99")
    upper.set(yscale="log", ylabel="ms", title="Calls")
    upper.legend(ncols=4, fontsize=8)
    minutes = [(at - began) / 60 for at, _ in samples]
    middle.plot(minutes, [each["sessions"] for _, each in samples], color="tab:blue")
    middle.set(title="Open sessions", ylim=(0, None))
    memory = [each["process_resident_memory_bytes"] / 2**20 for _, each in samples]
    lower.plot(minutes, memory, color="tab:orange")
    lower.set(title="Resident memory", ylabel="MiB", xlabel="minutes", ylim=(0, 1.2 * max(memory)))
    figure.tight_layout()
    figure.savefig(path, dpi=110)


def _windows(ledger: Ledger, kind: str, began: float, width: float) -> dict[int, list[float]]:
    """Milliseconds by the number of the window that a call began in."""
    found: dict[int, list[float]] = {}
    for at, each, took_s in sorted(ledger.times):
        if each == kind:
            found.setdefault(int((at - began) / width), []).append(took_s * 1000)
    return found


def _p99(times: list[float]) -> float:
    return sorted(times)[int(len(times) * 0.99)]
