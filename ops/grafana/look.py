"""How a painted panel looks: colours, names, scales and the legend, as near to Grafana's as its JSON says."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullLocator

from ops.grafana.values import shown

PAPER, PANEL, EDGE, GRID, TEXT, FAINT = "#111217", "#181b1f", "#2a2d33", "#272a30", "#d0d1dc", "#8e919c"
HUES = {
    "green": "#73bf69",
    "blue": "#5794f2",
    "red": "#f2495c",
    "semi-dark-red": "#e0526a",
    "orange": "#ff9830",
    "yellow": "#fade2a",
    "purple": "#b877d9",
    "text": TEXT,
}
# For what has no colour of its own.
CYCLE = ("#5794f2", "#73bf69", "#ffb357", "#b877d9", "#6ed0e0", "#f2495c", "#fade2a", "#8f9bb3", "#e685b5", "#37872d")
HEAT = LinearSegmentedColormap.from_list("heat", ["#43210f", "#8c420f", "#d9730f", "#ffab4d", "#ffe9c7"])


class Colours:
    """Colours as the panel's overrides have them, and others in turn."""

    def __init__(self, overrides: Sequence[Mapping[str, Any]]) -> None:
        self._rules = [
            (
                re.compile(each["matcher"]["options"].strip("/")),
                {one["id"]: one["value"] for one in each["properties"]},
            )
            for each in overrides
        ]
        self._others = iter(CYCLE * 3)

    def of(self, name: str) -> tuple[str, bool]:
        """The colour, and whether it is a dashed line."""
        for pattern, properties in self._rules:
            if pattern.search(name):
                return HUES[properties["color"]["fixedColor"]], "custom.lineStyle" in properties
        return next(self._others), False


def reached(value: float, steps: Sequence[Mapping[str, Any]]) -> str:
    """The colour of the last step that is not above the value."""
    return HUES[[each["color"] for each in steps if each["value"] is None or value >= each["value"]][-1]]


def named(legend: str, labels: Mapping[str, str]) -> str:
    """What a series is called."""
    return re.sub(r"{{(\w+)}}", lambda found: labels.get(found[1], ""), legend)


def frame(axes: Axes, start: float, end: float) -> None:
    """The time below, a grid behind, and nothing around."""
    axes.set_facecolor(PANEL)
    axes.set_xlim(start, end)
    axes.xaxis.set_major_locator(MaxNLocator(4))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda at, _: f"{datetime.fromtimestamp(at):%H:%M:%S}"))  # noqa: DTZ006
    axes.set_axisbelow(True)
    axes.grid(color=GRID, linewidth=0.7)
    axes.tick_params(colors=FAINT, labelsize=6.5, length=0, pad=3)
    axes.spines[:].set_visible(False)


def scale(axes: Axes, unit: str, *, top: float, logarithmic: bool) -> None:
    """The values' axis."""
    if logarithmic:
        axes.set_yscale("log")
        axes.yaxis.set_major_locator(LogLocator(numticks=5))
        axes.yaxis.set_minor_locator(NullLocator())
    else:
        axes.set_ylim(0, top * 1.1 or 1)
        axes.yaxis.set_major_locator(MaxNLocator(4, integer=unit == "short"))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: shown(value, unit)))


def legend_rows(names: Sequence[str], width: float) -> list[list[str]]:
    """The names, in as many rows as they need where each may be so wide, in characters."""
    rows: list[list[str]] = [[]]
    for name in names:
        if rows[-1] and sum(len(each) + 4 for each in (*rows[-1], name)) > width:
            rows.append([])
        rows[-1].append(name)
    return rows
