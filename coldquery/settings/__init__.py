"""Typed settings: what may be set, where values come from, and how they are shown."""

from coldquery.settings.model import Settings
from coldquery.settings.shown import Row, add_flags, chosen_flags, describe, reference, table
from coldquery.settings.sources import Loaded, load

__all__ = ["Loaded", "Row", "Settings", "add_flags", "chosen_flags", "describe", "load", "reference", "table"]
