"""The kinds of panel that the dashboards are made of, each with the look that all of its kind share."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from string import ascii_uppercase

from grafana_foundation_sdk.builders import common as common_builders
from grafana_foundation_sdk.builders import dashboard as builders
from grafana_foundation_sdk.builders import heatmap, prometheus, stat, timeseries
from grafana_foundation_sdk.models import common, units
from grafana_foundation_sdk.models import dashboard as models
from grafana_foundation_sdk.models import heatmap as heatmap_models
from grafana_foundation_sdk.models.prometheus import PromQueryFormat

from ops.grafana import promql

DATASOURCE = models.DataSourceRef(type_val="prometheus", uid="${datasource}")

# More points than this nobody tells apart, and a Pi has to compute and to draw each.
POINTS = 200
# Each cell of a heat map is a step of its own: wide enough that it does not overlap with the next.
COLUMNS = 60

# What a word means has the same colour everywhere.
COLOURS: Mapping[str, Sequence[str]] = {
    "green": ("ok", "committed", "executing"),
    "blue": ("idle", "rolled_back"),
    "red": ("error", "failed", "unknown"),
    "orange": ("denied", "refused", "rejected"),
    "yellow": ("timeout", "idle_timeout"),
    "purple": ("cancelled", "closing"),
}
GOOD, WARNING, BAD, PLAIN = "green", "orange", "red", "text"
LIMIT = "limit"
NO_DATA = "no data"

type Steps = Sequence[tuple[float, str]]


@dataclass(frozen=True, slots=True)
class Query:
    """A question to Prometheus, and what its answer is called."""

    expression: str
    legend: str


def figure(
    title: str,
    description: str,
    unit: str,
    *queries: Query,
    steps: Steps = (),
    good: str = PLAIN,
    none: str = NO_DATA,
) -> stat.Panel:
    """A number of now, large; `steps` say from where on it has which colour."""
    thresholds = [
        models.Threshold(value=None, color=good),
        *(models.Threshold(value, colour) for value, colour in steps),
    ]
    # A share of nothing and a quantile of nothing are no numbers.
    no_number = models.SpecialValueMap(
        options=models.DashboardSpecialValueMapOptions(
            match=models.SpecialValueMatch.NULL_AND_NAN, result=models.ValueMappingResult(text=none)
        )
    )
    return (
        _framed(stat.Panel(), title, description, unit, queries=queries, none=none, instant=True)
        .mappings([no_number])
        .thresholds(builders.ThresholdsConfig().mode(models.ThresholdsMode.ABSOLUTE).steps(thresholds))
        .color_scheme(builders.FieldColor().mode(models.FieldColorModeId.THRESHOLDS))
        .color_mode(common.BigValueColorMode.VALUE)
        .graph_mode(common.BigValueGraphMode.NONE)
        .text_mode(common.BigValueTextMode.VALUE_AND_NAME if len(queries) > 1 else common.BigValueTextMode.VALUE)
        .reduce_options(common_builders.ReduceDataOptions().calcs(["lastNotNull"]))
        .span(4)
        .height(4)
    )


def lines(
    title: str, description: str, unit: str, *queries: Query, width: int = 8, none: str = NO_DATA
) -> timeseries.Panel:
    """Values over time."""
    graph = _graph(title, description, unit, queries=queries, width=width, none=none)
    return graph.fill_opacity(8).line_width(1.5).min(0)


def quantiles(title: str, description: str, *queries: Query, width: int = 8, none: str = NO_DATA) -> timeseries.Panel:
    """Seconds over time, where those of most calls and those of the slowest are orders of magnitude apart."""
    graph = _graph(title, description, units.Seconds, queries=queries, width=width, none=none)
    scale = common_builders.ScaleDistributionConfig().type(common.ScaleDistribution.LOG).log(10)
    return graph.line_width(1.5).scale_distribution(scale)


def stack(
    title: str, description: str, unit: str, *queries: Query, width: int = 8, none: str = NO_DATA
) -> timeseries.Panel:
    """Parts of a whole over time; what is called `limit` is a line above them.

    Bars, since of a line what happened only once would not be seen, and what is 0 would lie upon the others.
    """
    return (
        _graph(title, description, unit, queries=queries, width=width, none=none)
        .draw_style(common.GraphDrawStyle.BARS)
        .fill_opacity(80)
        .line_width(0)
        .bar_width_factor(0.9)
        .min(0)
        .stacking(common_builders.StackingConfig().mode(common.StackingMode.NORMAL))
    )


def heat(title: str, description: str, unit: str, histogram: str, *, width: int = 12) -> heatmap.Panel:
    """How a histogram's observations spread, over time; `unit` is that of what was observed."""
    query = Query(promql.buckets(histogram), "{{le}}")
    return (
        _framed(
            heatmap.Panel(),
            title,
            description,
            units.Short,
            queries=(query,),
            none=NO_DATA,
            form=PromQueryFormat.HEATMAP,
        )
        .max_data_points(COLUMNS)
        .calculate(False)
        .y_axis(heatmap.YAxisConfig().unit(unit))
        .cell_values(heatmap.CellValues().unit(units.Short).decimals(0))
        .color(
            heatmap.HeatmapColorOptions()
            .mode(heatmap_models.HeatmapColorMode.SCHEME)
            .scheme("Oranges")
            .exponent(0.5)
            .steps(64)
        )
        .filter_values(heatmap.FilterValueRange().le(1e-9))
        .cell_gap(1)
        .show_legend()
        .span(width)
        .height(8)
    )


def _graph(
    title: str, description: str, unit: str, *, queries: Sequence[Query], width: int, none: str
) -> timeseries.Panel:
    panel = (
        _framed(timeseries.Panel(), title, description, unit, queries=queries, none=none)
        .max_data_points(POINTS)
        .color_scheme(builders.FieldColor().mode(models.FieldColorModeId.PALETTE_CLASSIC_BY_NAME))
        .show_points(common.VisibilityMode.NEVER)
        .legend(
            common_builders.VizLegendOptions()
            .display_mode(common.LegendDisplayMode.LIST)
            .placement(common.LegendPlacement.BOTTOM)
            .show_legend(True)
        )
        .tooltip(
            common_builders.VizTooltipOptions().mode(common.TooltipDisplayMode.MULTI).sort(common.SortOrder.DESCENDING)
        )
        .span(width)
        .height(8)
    )
    for colour, words in COLOURS.items():
        panel.override_by_regexp(f"/^({'|'.join(words)})$/", [_colour(colour)])
    return panel.override_by_regexp(
        rf"/(^| ){LIMIT}$/",
        [
            _colour("semi-dark-red"),
            models.DynamicConfigValue("custom.lineStyle", {"fill": "dash", "dash": [8, 6]}),
            models.DynamicConfigValue("custom.drawStyle", "line"),
            models.DynamicConfigValue("custom.lineWidth", 1.5),
            models.DynamicConfigValue("custom.fillOpacity", 0),
            models.DynamicConfigValue("custom.stacking", {"mode": "none"}),
        ],
    )


def _colour(colour: str) -> models.DynamicConfigValue:
    return models.DynamicConfigValue("color", {"mode": "fixed", "fixedColor": colour})


def _framed[P: (stat.Panel, timeseries.Panel, heatmap.Panel)](
    panel: P,
    title: str,
    description: str,
    unit: str,
    *,
    queries: Sequence[Query],
    none: str,
    form: PromQueryFormat = PromQueryFormat.TIME_SERIES,
    instant: bool = False,
) -> P:
    """What every panel has. `none` is what it says when there is no data."""
    panel.title(title).description(description).unit(unit).no_value(none).datasource(DATASOURCE)
    for ref_id, query in zip(ascii_uppercase, queries, strict=False):
        target = prometheus.Dataquery().datasource(DATASOURCE).format(form)
        target.ref_id(ref_id).expr(query.expression).legend_format(query.legend)
        panel.with_target(target.instant() if instant else target.range())
    return panel
