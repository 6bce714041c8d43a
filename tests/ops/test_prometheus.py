"""The rules of ops/prometheus: Prometheus' own tools take them, and they ask only for what the gateway tells."""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any
from unittest.mock import MagicMock

import asyncpg
import promql_parser
import pytest
import yaml
from prometheus_client import Metric

from coldquery.settings import Settings
from coldquery.telemetry.audit import Audit
from coldquery.telemetry.call import Call
from coldquery.telemetry.metrics import POOLS, REGISTRY, expect_calls
from coldquery.telemetry.sinks import AuditFile
from coldquery.web.metrics import Standing
from tests.conftest import TestDatabase

ROOT = Path(__file__).parents[2]
RULES = ROOT / "ops" / "prometheus"
RUNBOOK = ROOT / "docs" / "runbook.md"

# What Prometheus itself says of each scrape. https://prometheus.io/docs/concepts/jobs_instances/
FROM_PROMETHEUS = {"up": {"job": {"coldquery"}}, "scrape_samples_scraped": {"job": {"coldquery"}}}
# Filled by tools as they are registered.
OPEN_LABELS = {"tool", "action"}


def program(name: str, package: str) -> Any:
    """A parameter of a test that needs a program, and is skipped where it is not installed."""
    absent = pytest.mark.skipif(shutil.which(name) is None, reason=f"{name} is not installed (Debian: {package})")
    return pytest.param(name, marks=absent)


PROMTOOL, AMTOOL = program("promtool", "prometheus"), program("amtool", "prometheus-alertmanager")


def load(name: str) -> Any:
    return yaml.safe_load((RULES / name).read_text())


def rules(name: str) -> list[dict[str, Any]]:
    return [rule for group in load(name)["groups"] for rule in group["rules"]]


RECORDED = rules("rules.yml")
ALERTS = {rule["alert"]: rule for rule in rules("alerts.yml")}
ALERT = pytest.mark.parametrize("alert", ALERTS)


def run(*command: str) -> None:
    done = subprocess.run(command, cwd=RULES, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("promtool", [PROMTOOL])
@pytest.mark.parametrize(
    ("what", "files"),
    [
        ("check config", ["prometheus.yml"]),
        ("check rules", ["rules.yml", "alerts.yml"]),
        ("test rules", ["tests.yml"]),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_promtool_is_content(promtool: str, what: str, files: list[str]) -> None:
    run(promtool, *what.split(), *files)


@pytest.mark.parametrize("amtool", [AMTOOL])
def test_amtool_is_content(amtool: str) -> None:
    run(amtool, "check-config", "alertmanager.yml")


def test_prometheus_loads_every_file_of_rules_and_bounds_the_scrape() -> None:
    configuration = load("prometheus.yml")
    assert configuration["rule_files"] == load("tests.yml")["rule_files"] == ["rules.yml", "alerts.yml"]
    (scrape,) = configuration["scrape_configs"]
    assert (scrape["job_name"], scrape["sample_limit"]) == ("coldquery", 5000)
    assert scrape["static_configs"] == [{"targets": [f"127.0.0.1:{Settings.model_fields['port'].default}"]}]


# What the rules ask for.


async def told() -> dict[str, dict[str, set[str]]]:
    """Every sample's name that the gateway tells, with its labels and their values."""
    gateway = MagicMock()
    gateway.pools.return_value = [MagicMock()] * len(POOLS)
    expect_calls("pg_query", ["read"])
    found: dict[str, dict[str, set[str]]] = {}
    families: Iterable[Metric] = [*REGISTRY.collect(), *Standing(gateway).collect()]
    for family in families:
        for sample in family.samples:
            labels = found.setdefault(sample.name, {})
            for label, value in sample.labels.items():
                labels.setdefault(label, set()).add(value)
    return found


def selectors(promql: str) -> list[promql_parser.VectorSelector]:
    found: list[promql_parser.VectorSelector] = []

    def visit(expression: promql_parser.Expr) -> bool:
        if isinstance(expression, promql_parser.VectorSelector):
            found.append(expression)
        return True

    promql_parser.walk(promql_parser.parse(promql), visit)
    return found


EXPRESSIONS = {rule.get("alert") or rule["record"]: rule["expr"] for rule in [*RECORDED, *ALERTS.values()]}


@pytest.mark.parametrize("rule", EXPRESSIONS)
async def test_a_rule_asks_only_for_metrics_and_label_values_that_exist(rule: str) -> None:
    known = {**await told(), **FROM_PROMETHEUS, **{each["record"]: {} for each in RECORDED}}
    asked = selectors(EXPRESSIONS[rule])
    assert asked
    for selector in asked:
        assert selector.name in known, selector
        labels = known[selector.name]
        for matcher in selector.matchers.matchers:
            if matcher.name == "job":
                assert matcher.value == "coldquery"
            elif matcher.name not in OPEN_LABELS:
                assert set(matcher.value.split("|")) <= labels[matcher.name], selector


async def test_the_runbook_names_only_metrics_that_exist() -> None:
    known = {*await told(), *(each["record"] for each in RECORDED)}
    named = set(re.findall(r"\binstance\w*:\w+:\w+\b|(?<![\w:./])coldquery_\w+\b(?!:)", RUNBOOK.read_text()))
    assert named
    assert named <= known


async def test_the_tests_of_the_rules_feed_them_what_exists() -> None:
    known = {*await told(), *FROM_PROMETHEUS}
    fed = {re.split(r"\{", each["series"])[0] for test in load("tests.yml")["tests"] for each in test["input_series"]}
    assert fed <= known


# Every alert.


@ALERT
def test_an_alert_has_a_case_that_fires_and_one_that_does_not(alert: str) -> None:
    cases = {
        ("fires" if case["exp_alerts"] else "stays silent", test["name"].split()[1])
        for test in load("tests.yml")["tests"]
        if test["name"].split()[0] == alert
        for case in test["alert_rule_test"]
        if case["alertname"] == alert
    }
    assert ("fires", "fires") in cases
    assert ("stays silent", "stays") in cases


@ALERT
def test_an_alert_says_what_an_operator_needs(alert: str) -> None:
    rule = ALERTS[alert]
    assert rule["labels"]["severity"] in {"critical", "warning"}
    assert set(rule["annotations"]) == {"summary", "description", "runbook_url"}
    assert rule["annotations"]["runbook_url"] == f"docs/runbook.md#{alert.lower()}"


@ALERT
def test_an_alert_has_a_section_in_the_runbook(alert: str) -> None:
    sections = dict(re.findall(r"^## (\w+)\n(.*?)(?=^## |\Z)", RUNBOOK.read_text(), re.DOTALL | re.MULTILINE))
    assert list(sections) == list(ALERTS), "in the order of alerts.yml, and no other"
    assert re.findall(r"^\*\*(\w+):\*\*", sections[alert], re.MULTILINE) == ["Means", "Look", "Do", "Over"]


# The runbook.


def test_the_runbook_leads_to_sections_that_exist() -> None:
    text = RUNBOOK.read_text()
    for page, anchor in re.findall(r"\]\(([\w.]*)#([\w-]+)\)", text):
        headings = re.findall(r"^#+ (.*)$", (RUNBOOK.parent / page).read_text() if page else text, re.MULTILINE)
        assert anchor in {re.sub(r"[^\w -]", "", heading).lower().replace(" ", "-") for heading in headings}


# What a gateway has written when each alert was true.
LOG = r"""
import structlog
from coldquery.telemetry.logging import configure
from coldquery.telemetry.call import Call
configure("info", "json")
for outcome in ("write_denied", "commit_unknown"):
    Call("pg_tx", "commit", "anonymous", session="Zx3_aB-9").end(outcome)
log = structlog.get_logger("x")
log.error("leak", kind="backend_gone", session="Zx3_aB-9", backend_pid=1)
log.error("task_crashed")
log.error("audit_failing", reason="No space left on device", pending=1)
"""


async def test_the_searches_of_the_runbook_find_what_the_gateway_writes(tmp_path: Path) -> None:
    with (tmp_path / "LOG").open("w") as said:
        subprocess.run([sys.executable, "-c", LOG], stderr=said, check=True, timeout=30)
    audit = Audit(AuditFile(tmp_path / "AUDIT", max_bytes=1_000_000, keep=1))
    audit.note("statement", Call("pg_query", "write", "anonymous", session="SHORTID"))
    await audit.close()
    searches = re.findall(r"grep [^`\n]*?(?:LOG|AUDIT)\b", RUNBOOK.read_text())
    assert len(searches) == RUNBOOK.read_text().count("grep ")
    for search in searches:
        found = subprocess.run(
            shlex.split(search), cwd=tmp_path, capture_output=True, text=True, check=False, timeout=10
        )
        assert found.stdout, search


async def test_the_queries_of_the_runbook_run(database: TestDatabase) -> None:
    blocks = re.findall(r"```sql\n(.*?)```", RUNBOOK.read_text(), re.DOTALL)
    assert len(blocks) == 4
    connection = await asyncpg.connect(database.superuser_dsn, timeout=10)
    try:
        xid = await connection.fetchval("SELECT pg_current_xact_id()::text")
        for block in blocks:
            for statement in filter(str.strip, block.replace("12345", xid).split(";")):
                await connection.fetch(statement)
        assert await connection.fetchval(f"SELECT pg_xact_status('{xid}'::xid8)") == "committed"
    finally:
        await connection.close()
