"""What holds for every test.

A test that needs something of the machine (namespaces, a sandbox, a browser, a server) may be skipped
where that is missing, with the reason. In continuous integration the machine is ours and must have
everything: there such a skip is a failure, so that a missing package cannot pass for a green run.
"""

from __future__ import annotations

import os
from collections.abc import Generator
from typing import Any

import pytest
from hypothesis import settings

# A loaded machine is slow, not wrong; pytest's own limit bounds a test.
settings.register_profile("skerry", deadline=None)
settings.load_profile("skerry")

MARKERS_NEVER_SKIPPED_IN_CI = frozenset(
    {"namespaces", "sandbox", "browser", "server", "reference", "processes"}
)


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, Any, None]:
    """Turn a skip of a marked test into a failure in continuous integration."""
    outcome = yield
    report = outcome.get_result()
    if not os.environ.get("CI") or not report.skipped or hasattr(report, "wasxfail"):
        return
    marked = {mark.name for mark in item.iter_markers()} & MARKERS_NEVER_SKIPPED_IN_CI
    if marked:
        report.outcome = "failed"
        report.longrepr = f"skipped although marked {sorted(marked)}: {report.longrepr}"
