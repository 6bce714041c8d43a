"""The dashboards: their files are current, they keep the house rules, and each of their questions has an answer.

There is no Grafana in it. A Prometheus that scrapes a gateway under load is asked what the panels would ask.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from math import isnan
from pathlib import Path
from typing import Any

import pytest

from ops.grafana import load
from ops.grafana.files import DIRECTORY, files
from ops.grafana.prometheus import Prometheus, installed, scraping
from tests.conftest import TestDatabase
from tests.e2e.conftest import reader_and_writer, run_gateway

PROVISIONING = DIRECTORY.parent / "provisioning"
DATASOURCE = {"type": "prometheus", "uid": "${datasource}"}
BOARDS: list[dict[str, Any]] = [json.loads(path.read_text()) for path in sorted(DIRECTORY.glob("*.json"))]
# What Grafana would put in: the whole load at once, so that all of it is seen.
VARIABLES = {"$__rate_interval": "60s", "$__range": "60s", "$instance": ".+"}


@dataclass(frozen=True)
class Question:
    """One query of one panel."""

    board: str
    panel: dict[str, Any]
    target: dict[str, Any]

    @property
    def name(self) -> str:
        return f"{self.board} / {self.panel['title']} / {self.target['refId']}"

    @property
    def written(self) -> str:
        expression: str = self.target["expr"]
        return expression

    @property
    def filled_in(self) -> str:
        expression = self.written
        for name, value in VARIABLES.items():
            expression = expression.replace(name, value)
        return expression

    @property
    def metrics(self) -> set[str]:
        return set(re.findall(r"([a-z_]\w*)\{", self.written))


QUESTIONS = [
    Question(board["title"], panel, target)
    for board in BOARDS
    for panel in board["panels"]
    for target in panel["targets"]
]


def test_the_files_are_current() -> None:
    expected = dict(files())
    assert sorted(expected) == sorted(DIRECTORY.glob("*.json"))
    for path, text in expected.items():
        assert path.read_text() == text, "run: ./dev run python -m ops.grafana"


@pytest.mark.parametrize("board", BOARDS, ids=lambda board: board["uid"])
def test_a_dashboard_can_be_pointed_at_any_prometheus_and_any_gateway(board: dict[str, Any]) -> None:
    datasource, instance = board["templating"]["list"]
    assert (datasource["name"], datasource["type"], datasource["query"]) == ("datasource", "datasource", "prometheus")
    assert (instance["name"], instance["datasource"]) == ("instance", DATASOURCE)
    # Without a value of its own, "All" is the gateways that the variable found, and not every process that is scraped.
    assert instance["includeAll"]
    assert not instance.get("allValue")
    assert board["refresh"] == "30s"
    assert board["title"]
    assert board["description"]


def test_dashboards_and_panels_have_names_of_their_own() -> None:
    assert len({board["uid"] for board in BOARDS}) == len({board["title"] for board in BOARDS}) == len(BOARDS) == 2
    for board in BOARDS:
        for key in ("id", "title"):
            assert len({panel[key] for panel in board["panels"]}) == len(board["panels"])


@pytest.mark.parametrize("board", BOARDS, ids=lambda board: board["uid"])
def test_panels_fill_the_width_and_do_not_overlap(board: dict[str, Any]) -> None:
    taken = [
        (x, y)
        for at in (panel["gridPos"] for panel in board["panels"])
        for x in range(at["x"], at["x"] + at["w"])
        for y in range(at["y"], at["y"] + at["h"])
    ]
    bottom = max(y for _, y in taken) + 1
    assert sorted(taken) == [(x, y) for x in range(24) for y in range(bottom)]


@pytest.mark.parametrize(
    "panel", [pytest.param(panel, id=panel["title"]) for board in BOARDS for panel in board["panels"]]
)
def test_a_panel_says_what_it_shows_and_in_what(panel: dict[str, Any]) -> None:
    assert panel["title"]
    assert panel["description"].endswith(".")
    assert panel["fieldConfig"]["defaults"]["unit"]
    assert panel["datasource"] == DATASOURCE
    if panel["type"] == "heatmap":
        assert panel["options"]["yAxis"]["unit"]
    ref_ids = [target["refId"] for target in panel["targets"]]
    assert all(ref_ids)
    assert len(set(ref_ids)) == len(ref_ids) > 0


@pytest.mark.parametrize("question", QUESTIONS, ids=lambda question: question.name)
def test_a_query_asks_the_chosen_gateways_over_an_interval_of_grafanas(question: Question) -> None:
    assert question.target["datasource"] == DATASOURCE
    assert question.target["legendFormat"]
    named = set(re.findall(r"\b(?:coldquery|process)_\w+", question.written))
    assert named == question.metrics, "a metric without a selector"
    assert question.written.count('instance=~"$instance"') == question.written.count("{")
    # A figure of now can look back over all that is shown; for a graph that would be read anew for each of its points.
    allowed = {"$__rate_interval"} | ({"$__range"} if question.target["instant"] else set())
    for function, interval in re.findall(r"(\w+)\s*\([^()]*\[([^\]]+)\]", question.written):
        assert function in {"rate", "increase"}
        assert interval in allowed
    for metric in question.metrics:
        if metric.endswith(("_total", "_bucket", "_count", "_sum")):
            assert re.search(rf"(rate|increase)\({metric}\b", question.written), f"{metric} only ever grows"


def test_what_grafana_is_provisioned_with_is_what_the_dashboards_need() -> None:
    yaml = pytest.importorskip("yaml")
    (source,) = yaml.safe_load((PROVISIONING / "datasources" / "coldquery.yml").read_text())["datasources"]
    assert source["type"] == DATASOURCE["type"]
    prometheus = yaml.safe_load((DIRECTORY.parents[1] / "prometheus" / "prometheus.yml").read_text())
    assert source["jsonData"]["timeInterval"] == prometheus["global"]["scrape_interval"]
    (provider,) = yaml.safe_load((PROVISIONING / "dashboards" / "coldquery.yml").read_text())["providers"]
    assert provider["options"]["path"].endswith("/coldquery")


@pytest.mark.skipif(not installed(), reason="no Prometheus here: apt install prometheus")
async def test_every_query_has_an_answer_from_a_prometheus_that_scrapes_a_busy_gateway(
    database: TestDatabase, tmp_path: Path
) -> None:
    audit = {"COLDQUERY_AUDIT": str(tmp_path / "audit.jsonl")}
    async with run_gateway(env=reader_and_writer(database, **load.SETTINGS, **audit)) as gateway:
        with scraping(gateway.base.removeprefix("http://"), tmp_path) as prometheus:
            await load.everything(gateway.url)
            # What happened last is scraped last: the request under a wrong name.
            prometheus.wait_for('increase(coldquery_auth_failures_total{reason="421"}[60s]) > 0')

            unknown = {metric for question in QUESTIONS for metric in question.metrics} - prometheus.names()
            assert not unknown
            empty = [question.name for question in QUESTIONS if not numbers(prometheus, question.filled_in)]
            assert not empty
            assert missed(prometheus) == []


def numbers(prometheus: Prometheus, expression: str) -> list[float]:
    """The values that an expression has now, but for those that are none."""
    values = [float(each["value"][1]) for each in prometheus.now(expression)]
    return [value for value in values if not isnan(value)]


# What the load did, as it must have been counted.
DONE = [
    'coldquery_sessions{state="idle"} == 1',
    'coldquery_sessions{state="failed"} == 1',
    "coldquery_session_oldest_age_seconds > 0",
    "max_over_time(coldquery_sessions_blocking[60s]) == 1",
    'coldquery_sessions_ended_total{reason="committed"} > 0',
    'coldquery_sessions_ended_total{reason="rolled_back"} > 0',
    'coldquery_sessions_rejected_total{reason="session_limit"} == 1',
    'coldquery_commit_outcomes_total{outcome="committed"} > 0',
    'coldquery_commit_outcomes_total{outcome="rolled_back"} == 1',
    'coldquery_calls_total{tool="pg_query", action="read", outcome="ok"} > 0',
    'coldquery_calls_total{tool="pg_query", action="read", outcome="error"} > 0',
    'coldquery_calls_total{tool="pg_query", action="read", outcome="timeout"} > 0',
    'coldquery_calls_total{tool="pg_query", action="write", outcome="denied"} > 0',
    'coldquery_calls_by_door_total{door="express"} > 0',
    'coldquery_calls_by_door_total{door="fastmcp"} > 0',
    *(f'coldquery_results_truncated_total{{limit="{limit}"}} > 0' for limit in ("rows", "bytes", "cell")),
    *(f'coldquery_db_errors_total{{sqlstate_class="{each}"}} > 0' for each in ("22", "23", "42", "57")),
    "sum (increase(coldquery_session_leaks_total[60s])) == 0",
    "coldquery_audit_lines_total > 0",
    "coldquery_db_up == 1",
    "coldquery_ready == 1",
]


def missed(prometheus: Prometheus) -> list[str]:
    return [expression for expression in DONE if not prometheus.now(expression)]
