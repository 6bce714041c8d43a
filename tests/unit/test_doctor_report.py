"""Doctor's findings as people and programs read them."""

from __future__ import annotations

import json

from coldquery.doctor.finding import Check, fail, ok, skip, warn
from coldquery.doctor.report import as_json, as_text

CHECKS = [
    Check("version", None, ok("PostgreSQL 18.6")),
    Check("role", "reader", warn("agent is a superuser", "Use another.")),
    Check("pooler", None, fail("in the way", "Go round it.")),
    Check("clock", None, skip("not asked")),
]
TEXT = """\
ok    version        PostgreSQL 18.6
warn  role (reader)  agent is a superuser
      Next: Use another.
FAIL  pooler         in the way
      Next: Go round it.
skip  clock          not asked

1 ok, 1 warning, 1 failure, 1 skipped."""


def test_each_check_is_a_line_with_its_next_step_below() -> None:
    assert as_text(CHECKS) == TEXT
    assert as_text(CHECKS[:1]).endswith("\n\n1 ok, 0 warnings, 0 failures.")


def test_a_name_from_the_database_cant_steer_the_terminal() -> None:
    text = as_text([Check("role", None, warn("\x1b[2Jevil\nok    all", "Drop \u202eevil."))])
    assert text.splitlines()[:2] == [
        "warn  role  \\x1b[2Jevil\\nok    all",
        "      Next: Drop \\u202eevil.",
    ]


def test_programs_get_all_of_it_and_the_exit_code() -> None:
    answer = json.loads(as_json(CHECKS))
    assert answer["exit_code"] == 2
    assert answer["checks"][1] == {
        "name": "role",
        "identity": "reader",
        "verdict": "warn",
        "found": "agent is a superuser",
        "next": "Use another.",
    }
    assert [each["verdict"] for each in answer["checks"]] == ["ok", "warn", "fail", "skip"]
