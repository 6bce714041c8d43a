"""The dashboards as the files that Grafana reads."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

from grafana_foundation_sdk.cog.encoder import JSONEncoder

from ops.grafana.gateway import gateway
from ops.grafana.sessions import sessions

DIRECTORY = Path(__file__).parent / "dashboards"


def files() -> Iterator[tuple[Path, str]]:
    """Each file, and what is to be in it."""
    for dashboard in (sessions(), gateway()):
        text = json.dumps(dashboard, cls=JSONEncoder, indent=2, sort_keys=True, ensure_ascii=False)
        yield DIRECTORY / f"{dashboard.uid}.json", text + "\n"
