# SPDX-FileCopyrightText: The convoy.rollout authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""What time it is, and times as Kubernetes writes them."""

from __future__ import annotations

import datetime


def now() -> datetime.datetime:
    """The time now, in UTC: whoever looks at the clock looks at this one, so that a test can have time pass at once."""
    return datetime.datetime.now(datetime.UTC)


def timestamp() -> str:
    """The time now as Kubernetes writes it: UTC, whole seconds."""
    return now().strftime("%Y-%m-%dT%H:%M:%SZ")
