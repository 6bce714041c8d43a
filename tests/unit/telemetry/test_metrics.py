"""Metrics: closed sets of labels, all at 0 from the start, and a page that is what Prometheus' own library renders."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, Info, generate_latest

from coldquery.errors import Code
from coldquery.postgres.digest import kind_of
from coldquery.sessions.reaper import Kind
from coldquery.sessions.reasons import REASONS
from coldquery.sessions.replies import Outcome
from coldquery.telemetry import metrics
from coldquery.telemetry.exposition import Exposition
from coldquery.telemetry.metrics import REGISTRY, known


def test_the_closed_sets_are_those_of_the_code() -> None:
    assert set(metrics.ENDS) == {str(each) for each in REASONS}
    assert set(metrics.LEAKS) == {each.value for each in Kind}
    assert set(metrics.COMMITS) == {*(each.value for each in Outcome), "refused"}
    codes = {each.value for each in Code}
    assert set(metrics.DENIALS) <= codes
    assert set(metrics.REJECTIONS) <= codes | {metrics.OTHER}


def test_every_label_value_is_there_from_the_start() -> None:
    page = Exposition(REGISTRY).render().decode()
    for reason in metrics.ENDS:
        assert f'coldquery_sessions_ended_total{{reason="{reason}"}} ' in page
    assert 'coldquery_commit_outcomes_total{outcome="unknown"} ' in page
    assert 'coldquery_db_errors_total{sqlstate_class="other"} ' in page
    assert 'coldquery_db_operation_duration_seconds_count{kind="ddl",outcome="error"} ' in page
    assert "_created" not in page


def test_a_value_from_outside_makes_no_new_series() -> None:
    assert known("42", metrics.SQLSTATE_CLASSES) == "42"
    assert known("Z9", metrics.SQLSTATE_CLASSES) == "other"


def test_every_kind_of_statement_is_one_of_the_closed_set() -> None:
    kinds = {
        "SELECT 1": "read",
        "-- ?\n(VALUES (1))": "read",
        "WITH a AS (SELECT 1) SELECT * FROM a": "read",
        "with a as (delete from t returning *) select * from a": "write",
        "INSERT INTO t VALUES (1)": "write",
        "CREATE TABLE t ()": "ddl",
        "EXPLAIN SELECT 1": "explain",
        "VACUUM": "maintenance",
        "COMMIT": "tx_control",
        "nonsense": "other",
        "": "other",
    }
    assert {sql: kind_of(sql) for sql in kinds} == kinds
    assert set(kinds.values()) == set(metrics.STATEMENT_KINDS)


def test_the_page_is_what_the_library_renders() -> None:
    registry = CollectorRegistry()
    Counter("a_things", 'of "all" \\ kinds\nof', ["kind"], registry=registry).labels('x"\\\n').inc(3)
    Gauge("a_level", "how high", registry=registry).set(-1.5)
    Histogram("a_wait_seconds", "how long", ["pool"], buckets=(0.1, 1), registry=registry).labels("read").observe(0.5)
    Info("a_build", "what", registry=registry).info({"version": "1"})
    exposition = Exposition(registry)
    assert exposition.render() == generate_latest(registry)
    assert exposition.render() == generate_latest(registry), "from what it kept, too"


def test_a_series_that_comes_later_is_rendered_too() -> None:
    registry = CollectorRegistry()
    counter = Counter("things", "of all kinds", ["kind"], registry=registry)
    wait = Histogram("wait_seconds", "how long", ["pool"], buckets=(1,), registry=registry)
    exposition = Exposition(registry)
    for each in ("first", "second"):
        counter.labels(each).inc(12_345_678)
        wait.labels(each).observe(2)
        assert exposition.render() == generate_latest(registry)


def test_our_metrics_are_rendered_as_the_library_does() -> None:
    """The page reads the library's own keepers of numbers."""
    ours = CollectorRegistry()
    for name, each in vars(metrics).items():
        if name.isupper() and isinstance(each, Counter | Gauge | Histogram):
            ours.register(each)
    assert Exposition(ours).render() == generate_latest(ours)


def test_two_registries_are_one_page() -> None:
    first, second = CollectorRegistry(), CollectorRegistry()
    Gauge("one", "1", registry=first).set(1)
    Gauge("two", "2", registry=second).set(2)
    assert Exposition(first, second).render() == generate_latest(first) + generate_latest(second)
