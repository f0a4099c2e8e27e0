"""How property tests look for cases, and what no test may do."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, settings
from unit import forks

# How long a machine takes over a case says nothing about the software, and what passed once passes again.
settings.register_profile("steady", deadline=None, suppress_health_check=[HealthCheck.too_slow], derandomize=True)
settings.load_profile("steady")


@pytest.fixture(autouse=True)
def no_fork_beside_threads() -> Iterator[None]:
    """Nothing forks while other threads run: it may wait for ever for what they hold."""
    forks.beside_threads.clear()
    yield
    assert forks.beside_threads == []
