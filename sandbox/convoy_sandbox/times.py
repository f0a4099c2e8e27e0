# SPDX-FileCopyrightText: The convoy.rollout authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""What time it is, and times as Kubernetes writes them."""

from __future__ import annotations

import asyncio
import datetime
import time


def now() -> datetime.datetime:
    """The time now, in UTC: whoever looks at the clock looks at this one, so that a test can have time pass at once.

    It is the machine's, unless the event loop has a time of day of its own: a method `time_of_day`, in seconds since
    the epoch.
    """
    try:
        loop = asyncio.get_running_loop()
    except RuntimeError:  # somebody else's thread
        return datetime.datetime.now(datetime.UTC)
    return datetime.datetime.fromtimestamp(getattr(loop, "time_of_day", time.time)(), datetime.UTC)


def timestamp() -> str:
    """The time now as Kubernetes writes it: UTC, whole seconds."""
    return now().strftime("%Y-%m-%dT%H:%M:%SZ")
