# SPDX-FileCopyrightText: The convoy.rollout authors
# SPDX-License-Identifier: GPL-3.0-or-later

# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What the tasks of one run note for its outcome: JSON lines in the private directory of the run's companion."""

from __future__ import annotations

import json
import os
import time
import typing as t
from pathlib import Path

Event = t.Dict[str, t.Any]


class Journal:
    """The notes of one run. Without a directory nothing is kept, as for a task that belongs to no run."""

    def __init__(self, directory: str | None) -> None:
        self._path = Path(directory, "journal") if directory else None

    def note(self, kind: str, **facts: t.Any) -> None:
        """Add an event. What the tasks of one run do is done one after the other, so no two write at once."""
        if self._path is None:
            return
        line = json.dumps({"kind": kind, "at": time.time(), **facts}, default=str)
        try:
            descriptor = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        except OSError:
            return  # the companion was killed, and its directory is gone; the lock's next check says so
        with os.fdopen(descriptor, "a", encoding="utf-8") as file:
            file.write(line + "\n")

    def events(self) -> list[Event]:
        """What was noted, in order; nothing where the companion is gone."""
        try:
            lines = self._path.read_text(encoding="utf-8").splitlines() if self._path else []
        except OSError:
            return []
        return [json.loads(line) for line in lines]
