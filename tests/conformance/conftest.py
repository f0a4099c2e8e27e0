"""Prints how much of each recording agrees, whatever pytest captures."""

from __future__ import annotations

from collections.abc import Callable

import pytest


@pytest.fixture
def report(request: pytest.FixtureRequest, record_property: Callable[[str, object], None]) -> Callable[[str], None]:
    """Keeps a line for the end of the run."""

    def keep(line: str) -> None:
        record_property("conformance", line)

    return keep


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """The lines of all tests, also of those that ran in other processes."""
    lines = [
        value
        for reports in terminalreporter.stats.values()
        for item in reports
        for key, value in getattr(item, "user_properties", ())
        if key == "conformance" and item.when == "call"
    ]
    if lines:
        terminalreporter.section("conformance with the recordings of a real Kubernetes")
        for line in lines:
            terminalreporter.line(str(line))
