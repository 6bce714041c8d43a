"""The conformance suite, in one revision of the protocol, held to a list of what is known to fail."""

import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from ops.conformance.toolchain import Toolchain

LIMIT_S = 600
# A line of its summary: the scenario, how many of its checks passed, how many failed.
_SCENARIO = re.compile(r"^[✓✗] \S+: (\d+) passed, (\d+) failed$", re.MULTILINE)
# What it says at its end of what it did not expect.
_UNEXPECTED = re.compile(r"^(?:Stale baseline|Unexpected failures).*", re.MULTILINE | re.DOTALL)
_COLOUR = re.compile(r"\x1b\[\d+m")


@dataclass(frozen=True)
class Outcome:
    """How many passed and failed, expected or not; and what the suite said of what was not expected."""

    scenarios: tuple[int, int]
    checks: tuple[int, int]
    problem: str | None


def run(tools: Toolchain, url: str, revision: str) -> Outcome:
    """Run every scenario that applies to the revision, those too that are not in its frozen set."""
    details = tools.home / "results" / revision
    shutil.rmtree(details, ignore_errors=True)
    which = ("--suite", "all", "--spec-version", revision, "--output-dir", str(details))
    expected = Path(__file__).with_name(f"{revision}.yml")
    done = subprocess.run(
        [*tools.conformance, "server", "--url", url, *which, "--expected-failures", str(expected)],
        check=False,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=LIMIT_S,
    )
    said = _COLOUR.sub("", done.stdout)
    counts = [(int(passed), int(failed)) for passed, failed in _SCENARIO.findall(said)]
    bad = sum(1 for _, failed in counts if failed)
    scenarios = (len(counts) - bad, bad)
    checks = (sum(passed for passed, _ in counts), sum(failed for _, failed in counts))
    # A suite that found nothing to run is not content.
    if done.returncode == 0 and counts:
        return Outcome(scenarios, checks, None)
    unexpected = _UNEXPECTED.search(said)
    return Outcome(scenarios, checks, f"{unexpected[0] if unexpected else said}\nIn detail: {details}")
