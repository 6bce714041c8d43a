"""PromQL as the dashboards write it: of the chosen gateways, and over the interval that Grafana finds fit."""

from __future__ import annotations

INTERVAL = "$__rate_interval"
WHOLE = "$__range"


def of(metric: str, *matchers: str) -> str:
    """A metric of the gateways that are chosen."""
    return f"{metric}{{{', '.join(('instance=~"$instance"', *matchers))}}}"


def total(metric: str, *, by: str = "") -> str:
    """A gauge, summed over gateways."""
    return f"sum{_by(by)} ({of(metric)})"


def highest(metric: str, *, by: str = "") -> str:
    """A gauge, as the gateway has it that has most."""
    return f"max{_by(by)} ({of(metric)})"


def rate(metric: str, *matchers: str, by: str = "") -> str:
    """How much a counter grows in a second."""
    return f"sum{_by(by)} (rate({of(metric, *matchers)}[{INTERVAL}]))"


def per_minute(metric: str, *matchers: str, by: str = "") -> str:
    """How much a counter grows in a minute: what happens seldom reads better so."""
    return f"60 * {rate(metric, *matchers, by=by)}"


def grown(metric: str, *matchers: str) -> str:
    """How much a counter has grown in the whole time that is shown."""
    return f"sum (increase({of(metric, *matchers)}[{WHOLE}]))"


def buckets(histogram: str) -> str:
    """What fell into each bucket."""
    return f"sum by (le) (increase({of(histogram + '_bucket')}[{INTERVAL}]))"


def quantile(share: float, histogram: str, *matchers: str, by: str = "") -> str:
    """The value below which so large a share of the observations lies. Without observations there is none."""
    labels = f"le, {by}" if by else "le"
    return f"histogram_quantile({share:g}, {rate(histogram + '_bucket', *matchers, by=labels)})"


def seen(expression: str) -> str:
    """Only the series that are not at zero, where there are too many of them to be told apart in a legend."""
    return f"{expression} > 0"


def _by(labels: str) -> str:
    return f" by ({labels})" if labels else ""
