"""Typed settings: what may be set (model), where values come from (sources), how they are given and shown."""

from coldquery.settings.flags import add_flags, chosen_flags
from coldquery.settings.model import Settings
from coldquery.settings.reference import reference
from coldquery.settings.shown import Row, describe, table
from coldquery.settings.sources import Loaded, load

__all__ = ["Loaded", "Row", "Settings", "add_flags", "chosen_flags", "describe", "load", "reference", "table"]
