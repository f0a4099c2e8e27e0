# SPDX-FileCopyrightText: The convoy.rollout authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""What pytest finds by itself once the package is installed: the fixture `convoy_sandbox`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

    from .testing import Sandbox


@pytest.fixture(scope="session")
def convoy_sandbox() -> Iterator[Sandbox]:
    """A cluster that the tests of a session share."""
    from .testing import sandbox  # the cluster is imported only where a test asks for one

    with sandbox() as running:
        yield running
