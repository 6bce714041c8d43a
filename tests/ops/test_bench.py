"""The benchmark suite runs, and what it says of a run is true."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from pathlib import Path
from typing import Any

import pytest

from ops.bench import replies
from ops.bench.lanes import BenchError
from ops.bench.rounds import Case, Sample
from ops.bench.subjects import OWN
from ops.bench.verdicts import noise, ratio, verdicts
from ops.bench.work import READS, Load
from tests.conftest import TestDatabase

ROOT = Path(__file__).parents[2]
SUBJECTS = {subject.name: subject for subject in OWN}
BY_KEY = next(work for work in READS if work.name == "by-key")


async def test_one_subject_does_one_work_and_the_json_has_all_that_was_measured(
    database: TestDatabase, tmp_path: Path
) -> None:
    written = tmp_path / "bench.json"
    options = ["--quick", "--subject", "coldquery", "--work", "by-key", "--callers", "1", "--dsn", database.owner_dsn]
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *("-m", "ops.bench", *options, "--json", str(written)),
        cwd=ROOT,
        env={name: value for name, value in os.environ.items() if not name.startswith("COLDQUERY_")},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    out, err = await process.communicate()
    assert process.returncode == 0, err.decode()
    report: dict[str, Any] = json.loads(written.read_text())
    assert {
        "date",
        "command",
        "machine",
        "versions",
        "subjects",
        "skipped",
        "client",
        "cases",
        "cold",
        "targets",
    } <= set(report)
    assert report["versions"]["postgresql"]
    assert {each["callers"] for each in report["client"]} == {1}
    (case,) = report["cases"]
    assert (case["work"], case["callers"], case["subject"]) == ("by-key", 1, "coldquery")
    (sample,) = case["rounds"]
    assert set(sample) == set(Sample.__annotations__)
    assert sample["units"] > 0
    assert sample["server_cpu_s"] > 0
    assert sample["memory_mib"] > 10
    # One round proves nothing.
    assert all(target["holds"] is None for target in report["targets"])
    assert "by-key: one row of 7 columns" in out.decode()


def case(subject: str, *rates: float) -> Case:
    samples = [
        Sample(
            units=1, seconds=1, per_s=rate, p50_ms=1, p99_ms=2, server_cpu_s=0.5, postgres_cpu_s=None, memory_mib=80,
            client_busy=0.1,
        )
        for rate in rates
    ]  # fmt: skip
    return Case(BY_KEY, Load(16), SUBJECTS[subject], 200, samples)


def test_a_ratio_is_of_the_rounds_that_stand_beside_each_other() -> None:
    assert ratio(case("coldquery", 100, 110, 120), case("naive-fast", 50, 55, 60)) == "2.00"


def test_rounds_that_differ_too_much_give_no_verdict() -> None:
    quiet, noisy = case("naive-fast", 100, 100, 100), case("coldquery", 100, 130, 200)
    assert ratio(noisy, quiet) == "too noisy (77%)"
    told = verdicts([quiet, noisy], {})[0]
    assert (told.reached, told.holds) == ("too noisy (77%)", None)


def test_too_few_rounds_give_no_verdict() -> None:
    assert noise([1.0, 1.0]) == "too few rounds"


def test_a_target_is_met_or_missed() -> None:
    slow = verdicts([case("naive-fast", 100, 100, 100), case("coldquery", 90, 90, 90)], {})[0]
    assert (slow.reached, slow.holds) == ("0.90", False)
    assert verdicts([case("naive-fast", 100, 100, 100)], {})[0].reached is None


ANSWER = b'{"jsonrpc":"2.0","id":1,"result":{"content":[{"type":"text","text":"one"}],"isError":false}}'
EVENT = b"event: message\r\ndata: " + ANSWER + b"\r\n\r\n"


@pytest.mark.parametrize(
    "body", [ANSWER, EVENT, b"%x\r\n%s\r\n%x\r\n%s\r\n0\r\n\r\n" % (9, EVENT[:9], len(EVENT) - 9, EVENT[9:])]
)
def test_the_text_of_an_answer_is_found_in_each_form_that_it_comes_in(body: bytes) -> None:
    replies.check(body)
    assert replies.text(body) == "one"


@pytest.mark.parametrize(
    "body",
    [
        b'{"jsonrpc":"2.0","id":1,"error":{"code":-32602,"message":"no"}}',
        ANSWER.replace(b"false", b"true"),
        ANSWER.replace(b":false", b": true"),
    ],
)
def test_an_error_is_no_answer(body: bytes) -> None:
    with pytest.raises(BenchError):
        replies.check(body)
