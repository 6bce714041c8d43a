"""Paints docs/dashboards.png: what the dashboards show of a minute and a half in which agents were at work.

    ./dev run --group picture python -m ops.grafana.picture

It needs Prometheus (Debian: apt install prometheus). No Grafana is in it: the panels' own queries are put to a
Prometheus that has watched a real gateway, and their answers are painted.
"""

from __future__ import annotations

import json
import random
from pathlib import Path

from matplotlib.figure import Figure
from PIL import Image

from ops.grafana.look import FAINT, PAPER
from ops.grafana.painting import DPI, Box, Painter
from ops.grafana.stage import watched

DASHBOARDS = Path(__file__).parent / "dashboards"
PICTURE = Path(__file__).parents[2] / "docs" / "dashboards.png"
SECONDS = 90
# Each dashboard's upper part, as many of Grafana's grid units as a README has patience for.
PARTS = (("coldquery-sessions", 28), ("coldquery-gateway", 20))
# Grafana's grid, in pixels.
COLUMN, UNIT = 66, 33
WIDTH, HEADING, MARGIN = 24 * COLUMN, 60, 8


def main() -> None:
    """Let agents work, and paint what was seen."""
    random.seed(6)
    height = sum(HEADING + units * UNIT for _, units in PARTS) + MARGIN
    figure = Figure(figsize=((WIDTH + 2 * MARGIN) / DPI, height / DPI), dpi=DPI, facecolor=PAPER)
    with watched(SECONDS) as seen:
        painter = Painter(figure, seen)
        top = 0
        for uid, units in PARTS:
            board = json.loads((DASHBOARDS / f"{uid}.json").read_text())
            middle = top + HEADING / 2 + 4
            painter.write(board["title"], MARGIN + 4, middle, size=13, weight="bold")
            painter.write(board["description"], MARGIN + WIDTH - 4, middle, size=8, colour=FAINT, at="right")
            top += HEADING
            for panel in board["panels"]:
                at = panel["gridPos"]
                if at["y"] + at["h"] <= units:
                    place = Box(MARGIN + at["x"] * COLUMN, top + at["y"] * UNIT, at["w"] * COLUMN, at["h"] * UNIT)
                    painter.paint(panel, place)
            top += units * UNIT
    figure.savefig(PICTURE)
    # A palette is enough for it, and takes a third of the room.
    Image.open(PICTURE).convert("RGB").quantize(256, dither=Image.Dither.NONE).save(PICTURE, optimize=True)
    print(PICTURE)


if __name__ == "__main__":
    main()
