"""Prometheus' text format, for a page of which only the numbers change from one scrape to the next.

The library's own rendering checks each label's name anew each time, and takes three times as long, during which no
other call goes on. https://prometheus.io/docs/instrumenting/exposition_formats/#text-based-format
"""

from __future__ import annotations

from typing import Any

from prometheus_client import CollectorRegistry
from prometheus_client.utils import floatToGoString

_TYPE = {"info": "gauge", "unknown": "untyped"}
_SUFFIX = {"counter": "_total", "info": "_info"}


class Exposition:
    """Renders some registries. Keeps the unchanging part of each line, so their series must be bounded."""

    def __init__(self, *registries: CollectorRegistry) -> None:
        self._registries = registries
        self._heads: dict[Any, str] = {}

    def render(self) -> bytes:
        """All samples as they are now."""
        lines: list[str] = []
        heads = self._heads
        for registry in self._registries:
            for family in registry.collect():
                lines.append(heads.get(family.name) or self._keep(family.name, _head_of_family(family)))
                for sample in family.samples:
                    key = (sample.name, *sample.labels.values())
                    head = heads.get(key) or self._keep(key, _head(sample.name, sample.labels))
                    lines.append(f"{head} {floatToGoString(sample.value)}\n")  # type: ignore[no-untyped-call]
        return "".join(lines).encode()

    def _keep(self, key: Any, head: str) -> str:
        self._heads[key] = head
        return head


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
