"""`coldquery` with its metrics and events taken out: what `ops.bench.telemetry` measures the real one against."""

import sys
from typing import Any, override

import structlog
from prometheus_client import Counter, Histogram

from coldquery import cli
from coldquery.telemetry import call
from coldquery.telemetry.metrics import QuickCounter, QuickHistogram


class Silent(call.Call):
    """A call that nobody tells anything of."""

    @override
    def __post_init__(self) -> None:
        pass

    @override
    def waited(self, what: str, seconds: float) -> None:
        pass

    @override
    def ran(self, *_: Any) -> None:
        pass

    @override
    def end(self, outcome: str) -> None:
        pass


def _nothing(*_: Any, **__: Any) -> None:
    pass


if __name__ == "__main__":
    for counter in (Counter, QuickCounter):
        counter.inc = _nothing  # type: ignore[method-assign]
    for histogram in (Histogram, QuickHistogram):
        histogram.observe = _nothing  # type: ignore[method-assign]
    call.Call = Silent  # type: ignore[misc]
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(50))
    sys.exit(cli.main())
