"""A panel as its JSON has it, painted with what Prometheus answers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import isnan, nan
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from ops.grafana import look
from ops.grafana.stage import Watched
from ops.grafana.values import shown

# Grafana would take it from the step and the time between two scrapes.
RATE_INTERVAL, STEP = "10s", 1.0
COLUMNS = 45
# In pixels of a picture at DPI.
DPI = 133
GAP, PADDING, TITLE, TIME, ROW, SCALE, CHARACTER = 3, 14, 36, 26, 20, 74, 7.4


@dataclass(frozen=True, slots=True)
class Box:
    """A place in the picture, in pixels from its upper left corner."""

    left: float
    top: float
    width: float
    height: float

    def within(self, *, left: float = 0, top: float = 0, right: float = 0, bottom: float = 0) -> Box:
        """What is left of it with so much taken away from its sides."""
        return Box(self.left + left, self.top + top, self.width - left - right, self.height - top - bottom)


class Painter:
    """Paints panels of a time that was watched."""

    def __init__(self, figure: Figure, watched: Watched) -> None:
        self._figure = figure
        self._watched = watched
        self._width, self._height = figure.get_size_inches() * figure.dpi

    def paint(self, panel: Mapping[str, Any], place: Box) -> None:
        """Paint a panel so that it fills the place."""
        box = place.within(left=GAP, top=GAP, right=GAP, bottom=GAP)
        x, y, width, height = self._fraction(box)
        edge = Rectangle(
            (x, y),
            width,
            height,
            facecolor=look.PANEL,
            edgecolor=look.EDGE,
            linewidth=0.8,
            zorder=-1,
            transform=self._figure.transFigure,
        )
        self._figure.add_artist(edge)
        self.write(panel["title"], box.left + PADDING, box.top + TITLE / 2 + 2, size=8.5, weight="bold")
        inner = box.within(left=PADDING, top=TITLE, right=PADDING, bottom=PADDING)
        match panel["type"]:
            case "stat":
                self._paint_figure(panel, inner)
            case "heatmap":
                self._paint_heat(panel, inner)
            case _:
                self._paint_graph(panel, inner)

    def write(
        self,
        text: str,
        x: float,
        y: float,
        *,
        size: float,
        weight: str = "normal",
        colour: str = look.TEXT,
        at: str = "left",
    ) -> None:
        """Text whose middle is as high as `y`."""
        self._figure.text(
            x / self._width,
            1 - y / self._height,
            text,
            color=colour,
            fontsize=size,
            fontweight=weight,
            va="center",
            ha=at,
        )

    def _fraction(self, box: Box) -> tuple[float, float, float, float]:
        """The place as matplotlib has it: from the lower left corner, as parts of the whole."""
        bottom = self._height - box.top - box.height
        return (
            box.left / self._width,
            bottom / self._height,
            box.width / self._width,
            box.height / self._height,
        )

    def _axes(self, box: Box) -> Axes:
        axes = self._figure.add_axes(self._fraction(box))
        look.frame(axes, self._watched.start, self._watched.end)
        return axes

    def _answers(self, panel: Mapping[str, Any], step: float, interval: str) -> tuple[Any, dict[str, Any]]:
        """The times, and each series' values by its name: not a number where it has none."""
        start, end = self._watched.start, self._watched.end
        times = np.arange(start, end, step)
        found: dict[str, Any] = {}
        variables = {"$__rate_interval": interval, "$__range": f"{round(end - start)}s", "$instance": ".+"}
        for target in panel["targets"]:
            expression = target["expr"]
            for name, value in variables.items():
                expression = expression.replace(name, value)
            for series in self._watched.prometheus.over_time(expression, start, end, step):
                values = np.full(len(times), nan)
                for at, value in series["values"]:
                    n = round((float(at) - start) / step)
                    if n < len(times):
                        values[n] = float(value)
                found[look.named(target["legendFormat"], series["metric"])] = values
        return times, found

    def _paint_figure(self, panel: Mapping[str, Any], box: Box) -> None:
        defaults = panel["fieldConfig"]["defaults"]
        _, series = self._answers(panel, STEP, RATE_INTERVAL)
        share = box.width / len(series)
        for n, (name, values) in enumerate(series.items()):
            last = next((value for value in reversed(values) if not isnan(value)), nan)
            x, colour = box.left + share * (n + 0.5), look.reached(last, defaults["thresholds"]["steps"])
            lone = len(series) == 1
            self.write(
                shown(last, defaults["unit"]),
                x,
                box.top + box.height * (0.48 if lone else 0.36),
                size=20 if lone else 17,
                colour=colour,
                at="center",
            )
            if not lone:
                self.write(name, x, box.top + box.height - 4, size=7, colour=look.FAINT, at="center")

    def _paint_graph(self, panel: Mapping[str, Any], box: Box) -> None:
        config = panel["fieldConfig"]
        custom = config["defaults"]["custom"]
        times, series = self._answers(panel, STEP, RATE_INTERVAL)
        colours = look.Colours(config["overrides"])
        coloured = {name: colours.of(name) for name in series}
        rows = look.legend_rows(list(series), box.width / CHARACTER)[:2]
        axes = self._axes(box.within(left=SCALE - PADDING, bottom=TIME + ROW * len(rows)))
        floor, top = np.zeros(len(times)), 0.0
        for name, values in series.items():
            colour, dashed = coloured[name]
            if dashed:
                axes.plot(times, values, color=colour, linewidth=1.2, linestyle=(0, (5, 3)))
            elif custom.get("drawStyle") == "bars":
                # A little wider than their place, or hairlines stay between some of them.
                axes.bar(times, np.nan_to_num(values), STEP * 1.05, bottom=floor, color=colour, linewidth=0)
                floor = floor + np.nan_to_num(values)
            else:
                axes.plot(times, values, color=colour, linewidth=1.3)
                axes.fill_between(times, values, color=colour, alpha=0.07, linewidth=0)
            top = max(top, float(np.nanmax(values)), float(floor.max()))
        logarithmic = custom.get("scaleDistribution", {}).get("type") == "log"
        look.scale(axes, config["defaults"]["unit"], top=top, logarithmic=logarithmic)
        self._legend(rows, coloured, box)

    def _legend(self, rows: list[list[str]], coloured: Mapping[str, tuple[str, bool]], box: Box) -> None:
        for n, row in enumerate(rows):
            x, y = box.left, box.top + box.height - ROW * (len(rows) - n - 1) - 2
            for name in row:
                mark = self._fraction(Box(x, y - 1.5, 14, 3))
                self._figure.add_artist(
                    Rectangle(
                        mark[:2], *mark[2:], color=coloured[name][0], linewidth=0, transform=self._figure.transFigure
                    )
                )
                self.write(name, x + 20, y, size=6.5)
                x += (len(name) + 4) * CHARACTER

    def _paint_heat(self, panel: Mapping[str, Any], box: Box) -> None:
        step = (self._watched.end - self._watched.start) / COLUMNS
        times, series = self._answers(panel, step, f"{max(round(step), 2)}s")
        bounds = sorted(series, key=float)
        # Prometheus counts all that is no larger; a row of the map is what is not in the one below it.
        counted = np.nan_to_num([series[bound] for bound in bounds])
        cells = np.diff(counted, axis=0, prepend=0).clip(0)
        lit = np.flatnonzero(cells.max(axis=1) > 0)
        low, high = int(lit[0]), int(lit[-1]) + 1
        shade = np.ma.masked_less_equal(cells[low:high], 0) ** 0.5
        axes = self._axes(box.within(left=SCALE - PADDING, top=6, bottom=TIME - 6))
        axes.pcolormesh(
            [times[0] - step, *times],
            range(high - low + 1),
            shade,
            cmap=look.HEAT,
            edgecolors=look.PANEL,
            linewidth=0.8,
        )
        unit = panel["options"]["yAxis"]["unit"]
        axes.set_yticks(range(1, high - low + 1))
        axes.set_yticklabels([shown(float(bound), unit) for bound in bounds[low:high]])
        axes.grid(visible=False)
