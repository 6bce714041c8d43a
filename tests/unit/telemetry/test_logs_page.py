"""docs/logs.md tells of every event."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parents[3]


def test_the_page_names_every_event() -> None:
    told = (ROOT / "docs" / "logs.md").read_text()
    sources = [path.read_text() for path in (ROOT / "coldquery").rglob("*.py")]
    telling = re.compile(r'(?:\b(?:_log\.[a-z]+|level)\(|QUICK\.tell\(\s*\{\s*"event":)\s*"(\w+)"')
    events = {name for source in sources for name in telling.findall(source)}
    assert {"call", "session_ended", "attention"} <= events
    assert {event for event in events if f"`{event}`" not in told} == set()
