"""`coldquery doctor`: connect as the gateway would, look at what bears on its promises, and say what to do.

A module for each thing that is looked at. In each, `ask_…` is the I/O, and `judge_…` a pure function from what was
asked to a `Finding`. `examination` goes through them in order; `report` makes text and JSON of it.
"""

from coldquery.doctor.examination import examine
from coldquery.doctor.finding import Check, Finding, Verdict, exit_code
from coldquery.doctor.report import as_json, as_text

__all__ = ["Check", "Finding", "Verdict", "as_json", "as_text", "examine", "exit_code"]
