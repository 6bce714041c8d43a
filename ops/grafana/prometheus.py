"""A Prometheus of its own that scrapes one gateway, to ask what a dashboard would ask."""

from __future__ import annotations

import json
import shutil
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http import HTTPStatus
from pathlib import Path
from typing import Any
from urllib.error import HTTPError, URLError
from urllib.parse import urlencode
from urllib.request import urlopen

from ops.bench.harness import free_port

PROGRAM = "prometheus"
CONFIG = """
global: {{scrape_interval: 1s, scrape_timeout: 1s}}
scrape_configs: [{{job_name: coldquery, static_configs: [{{targets: ["{target}"]}}]}}]
"""


class Prometheus:
    """Asks a Prometheus that runs."""

    def __init__(self, url: str) -> None:
        self._url = url

    def now(self, expression: str) -> list[Any]:
        """The series that an expression yields, with the value of each; refused is what can't be parsed."""
        return self._series("query", query=expression)

    def over_time(self, expression: str, start: float, end: float, step: float) -> list[Any]:
        """The series that an expression yields, with their values from `start` to `end`."""
        return self._series("query_range", query=expression, start=start, end=end, step=step)

    def names(self) -> set[str]:
        """Every metric that it has met."""
        return set(self._get("label/__name__/values"))

    def wait_for(self, expression: str, *, within: float = 30) -> None:
        """Until the expression yields something."""
        until = time.monotonic() + within
        while True:
            try:
                if self.now(expression):
                    return
            except URLError:
                pass  # it starts yet
            if time.monotonic() > until:
                raise TimeoutError(f"{expression} yields nothing within {within} s")
            time.sleep(0.05)

    def _series(self, path: str, **query: Any) -> list[Any]:
        data: Mapping[str, Any] = self._get(f"{path}?{urlencode(query)}")
        result: list[Any] = data["result"]
        return result

    def _get(self, path: str) -> Any:
        try:
            with urlopen(f"{self._url}/api/v1/{path}", timeout=10) as answer:
                return json.load(answer)["data"]
        except HTTPError as error:
            if error.code != HTTPStatus.BAD_REQUEST:
                raise
            with error:
                raise ValueError(f"{json.load(error)['error']}: {path}") from None


def installed() -> bool:
    """Whether there is a Prometheus that could be started."""
    return shutil.which(PROGRAM) is not None


@contextmanager
def scraping(target: str, home: Path) -> Iterator[Prometheus]:
    """Start one that scrapes `target` (host:port) each second, and wait for the first scrape: a counter that has grown
    before it has no increase.
    """
    config, listen = home / "prometheus.yml", f"127.0.0.1:{free_port()}"
    config.write_text(CONFIG.format(target=target))
    command = [
        PROGRAM,
        f"--config.file={config}",
        f"--storage.tsdb.path={home / 'prometheus'}",
        f"--web.listen-address={listen}",
        "--log.level=error",
    ]
    with subprocess.Popen(command) as process:
        try:
            prometheus = Prometheus(f"http://{listen}")
            prometheus.wait_for("up == 1")
            yield prometheus
        finally:
            process.terminate()
