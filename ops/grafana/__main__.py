"""Writes the dashboards: ./dev run python -m ops.grafana."""

from __future__ import annotations

from ops.grafana.files import files

for path, text in files():
    path.write_text(text)
    print(path)
