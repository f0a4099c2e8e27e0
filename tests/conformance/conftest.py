"""Prints how much of each recording agrees, at the end of the run."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest
from conformance import recordings


@pytest.fixture(autouse=True)
def _recordings_are_here(request: pytest.FixtureRequest) -> None:
    if recordings.available() or "test_comparison" in request.node.nodeid:
        return
    message = f"the recordings are not at {recordings.GOLDEN}; say where they are with CONVOY_GOLDEN"
    if os.environ.get("CI"):
        pytest.fail(message)
    pytest.skip(message)


@pytest.fixture
def report(request: pytest.FixtureRequest, capsys: pytest.CaptureFixture[str]) -> Iterator[list[str]]:
    """Lines to print, whatever pytest captures."""
    lines: list[str] = []
    yield lines
    with capsys.disabled():
        for line in lines:
            print(f"\nconformance: {line}")
