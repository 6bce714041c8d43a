"""Prometheus' text format, for a page of which only the numbers change from one scrape to the next.

The library's own rendering makes all samples and their labels anew each time, and takes ten times as long, during which
no other call goes on. https://prometheus.io/docs/instrumenting/exposition_formats/#text-based-format
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from prometheus_client import CollectorRegistry, Counter, Histogram
from prometheus_client.utils import floatToGoString

_TYPE = {"info": "gauge", "unknown": "untyped"}
_SUFFIX = {"counter": "_total", "info": "_info"}

# What a line begins with, and the library's own keeper of its number.
type _Line = tuple[str, Any]


class Exposition:
    """Renders some registries. Keeps the unchanging part of each line, so their series must be bounded, and stay."""

    def __init__(self, *registries: CollectorRegistry) -> None:
        self._registries = registries
        self._heads: dict[Any, str] = {}
        self._counters: dict[Counter, tuple[str, list[_Line]]] = {}
        self._histograms: dict[Histogram, tuple[str, list[_Buckets]]] = {}

    def render(self) -> bytes:
        """All samples as they are now."""
        lines: list[str] = []
        for registry in self._registries:
            for collector in tuple(registry._collector_to_names):  # noqa: SLF001 - in the order of their registration
                if isinstance(collector, Counter):
                    self._count(collector, lines)
                elif isinstance(collector, Histogram):
                    self._measure(collector, lines)
                else:
                    for family in collector.collect():
                        self._tell(family, lines)
        return "".join(lines).encode()

    def _count(self, counter: Counter, lines: list[str]) -> None:
        kept = self._counters.get(counter)
        if kept is None or len(kept[1]) != _number_of_children(counter):
            children = _children(counter)
            heads = [_head(f"{counter._name}_total", labels) for labels, _ in children]  # noqa: SLF001
            values = [child._value for _, child in children]  # noqa: SLF001
            kept = self._counters[counter] = _head_of(counter), list(zip(heads, values, strict=True))
        lines.append(kept[0])
        lines += [f"{head} {_number(value.get())}\n" for head, value in kept[1]]

    def _measure(self, histogram: Histogram, lines: list[str]) -> None:
        kept = self._histograms.get(histogram)
        if kept is None or len(kept[1]) != _number_of_children(histogram):
            name = histogram._name  # noqa: SLF001
            measured = [_Buckets(name, labels, child) for labels, child in _children(histogram)]
            kept = self._histograms[histogram] = _head_of(histogram), measured
        lines.append(kept[0])
        for each in kept[1]:
            each.tell(lines)

    def _tell(self, family: Any, lines: list[str]) -> None:
        heads = self._heads
        lines.append(heads.get(family.name) or self._keep(family.name, _head_of_family(family)))
        for sample in family.samples:
            key = (sample.name, *sample.labels.values())
            head = heads.get(key) or self._keep(key, _head(sample.name, sample.labels))
            lines.append(f"{head} {_number(sample.value)}\n")

    def _keep(self, key: Any, head: str) -> str:
        self._heads[key] = head
        return head


class _Buckets:
    """The lines of one histogram's series, whose buckets the library keeps apart and Prometheus has added up."""

    __slots__ = ("_buckets", "_count", "_sum")

    def __init__(self, name: str, labels: dict[str, str], child: Any) -> None:
        bounds: Sequence[float] = child._upper_bounds  # noqa: SLF001
        told = [_head(f"{name}_bucket", {**labels, "le": _number(bound)}) for bound in bounds]
        self._buckets: list[_Line] = list(zip(told, child._buckets, strict=True))  # noqa: SLF001
        self._count = _head(f"{name}_count", labels)
        self._sum: _Line = _head(f"{name}_sum", labels), child._sum  # noqa: SLF001

    def tell(self, lines: list[str]) -> None:
        count = 0.0
        for head, bucket in self._buckets:
            count += bucket.get()
            lines.append(f"{head} {_number(count)}\n")
        head, total = self._sum
        lines.append(f"{self._count} {_number(count)}\n{head} {_number(total.get())}\n")


def _children(metric: Any) -> list[tuple[dict[str, str], Any]]:
    """The series of a metric, by their labels."""
    names = metric._labelnames  # noqa: SLF001
    if not names:
        return [({}, metric)]
    return [(dict(zip(names, values, strict=True)), child) for values, child in tuple(metric._metrics.items())]  # noqa: SLF001


def _number_of_children(metric: Any) -> int:
    return len(metric._metrics) if metric._labelnames else 1  # noqa: SLF001


def _number(value: float) -> str:
    # Most are 0.
    return floatToGoString(value) if value else "0.0"  # type: ignore[no-untyped-call]


def _head_of(metric: Any) -> str:
    return _head_of_family(metric._get_metric())  # noqa: SLF001


def _head_of_family(family: Any) -> str:
    name = family.name + _SUFFIX.get(family.type, "")
    words = family.documentation.replace("\\", r"\\").replace("\n", r"\n")
    return f"# HELP {name} {words}\n# TYPE {name} {_TYPE.get(family.type, family.type)}\n"


def _head(name: str, labels: dict[str, str]) -> str:
    if not labels:
        return name
    told = ",".join(f'{label}="{_escaped(value)}"' for label, value in sorted(labels.items()))
    return f"{name}{{{told}}}"


def _escaped(value: str) -> str:
    return value.replace("\\", r"\\").replace("\n", r"\n").replace('"', r"\"")
