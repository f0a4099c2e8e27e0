# SPDX-FileCopyrightText: The convoy.rollout authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Times as Kubernetes writes them."""

from __future__ import annotations

import datetime


def timestamp() -> str:
    """The time now as Kubernetes writes it: UTC, whole seconds."""
    return datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
