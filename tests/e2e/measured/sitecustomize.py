"""Runs first in a gateway that is measured: coverage starts when other people's modules are imported.

They are not measured, yet while coverage looks on their import takes three times as long.
"""

import os

import asyncpg  # noqa: F401
import fastmcp.server
import fastmcp.tools  # noqa: F401
import prometheus_client  # noqa: F401
import structlog  # noqa: F401
import uvicorn  # noqa: F401

if configuration := os.environ.pop("COVERAGE_AFTER_IMPORTS", None):
    os.environ["COVERAGE_PROCESS_CONFIG"] = configuration

    import coverage

    coverage.process_startup()
