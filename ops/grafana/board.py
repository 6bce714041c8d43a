"""A dashboard out of panels: whose data is shown, since when, and the way to the other one."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import count

from grafana_foundation_sdk.builders import dashboard as builders
from grafana_foundation_sdk.cog.builder import Builder
from grafana_foundation_sdk.models import dashboard as models

from ops.grafana.panels import DATASOURCE

TAG = "coldquery"

type Panels = Sequence[Builder[models.Panel]]


def board(uid: str, title: str, description: str, panels: Panels) -> models.Dashboard:
    """The dashboard, with its panels from left to right and from top to bottom."""
    builder = (
        builders.Dashboard(title)
        .uid(uid)
        .description(description)
        .tags([TAG])
        .time("now-3h", "now")
        .refresh("30s")
        .timezone("browser")
        .tooltip(models.DashboardCursorSync.CROSSHAIR)
        .readonly()
        .with_variable(builders.DatasourceVariable("datasource").label("Data source").type("prometheus"))
        .with_variable(
            builders.QueryVariable("instance")
            .label("Gateway")
            .query("label_values(coldquery_ready, instance)")
            .datasource(DATASOURCE)
            .refresh(models.VariableRefresh.ON_TIME_RANGE_CHANGED)
            .sort(models.VariableSort.ALPHABETICAL_ASC)
            .multi(True)
            .include_all(True)
            .current(models.VariableOption(selected=True, text="All", value="$__all"))
        )
        .link(
            builders.DashboardLink("ColdQuery")
            .type(models.DashboardLinkType.DASHBOARDS)
            .tags([TAG])
            .include_vars(True)
            .keep_time(True)
        )
    )
    numbers = count(1)
    for panel in panels:
        builder.with_panel(panel)
    made = builder.build()
    for each in made.panels or ():
        assert isinstance(each, models.Panel)
        each.id_val = next(numbers)
    return made
