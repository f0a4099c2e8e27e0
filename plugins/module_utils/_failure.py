# Copyright: the convoy.rollout authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The one way in which an operation of this collection ends badly."""

from __future__ import annotations

import typing as t


class Failure(Exception):
    """What went wrong in one sentence, and the facts that the task returns beside it."""

    def __init__(self, message: str, /, **facts: t.Any) -> None:
        super().__init__(message)
        self.message = message
        self.facts = facts
