"""What EXPLAIN says, read: the plan as text, and what is worth knowing of it. Pure; see docs/plans.md."""

from coldquery.postgres.plans.explained import PLAN_LIMITS, plans_of
from coldquery.postgres.plans.finding import Finding
from coldquery.postgres.plans.reading import read
from coldquery.postgres.plans.text import render
from coldquery.postgres.plans.tree import Node, Plan, parse

__all__ = ["PLAN_LIMITS", "Finding", "Node", "Plan", "parse", "plans_of", "read", "render"]
