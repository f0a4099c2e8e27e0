# SPDX-FileCopyrightText: The convoy.rollout authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""What webhooks are asked, and what they have answered to writes that are made again once all is known."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

from ..store import Object


@dataclass(frozen=True)
class Call:
    """One question to one webhook; `key` is the same for the same question."""

    key: tuple[str, ...]
    client: Object
    seconds: int
    review: Object


@dataclass(frozen=True)
class Answer:
    """What a webhook said: its `response`, or in `error` why there is none."""

    response: Object = dataclasses.field(default_factory=dict)
    error: str = ""


class Answers:
    """What webhooks have answered to writes that are not done yet."""

    def __init__(self) -> None:
        self._known: dict[tuple[str, ...], Answer] = {}
        self._used: set[tuple[str, ...]] = set()

    def add(self, call: Call, answer: Answer) -> None:
        """Keep an answer for when the write is made again."""
        self._known[call.key] = answer

    def find(self, call: Call) -> Answer | None:
        """The answer to a question, if it has been asked."""
        found = self._known.get(call.key)
        if found is not None:
            self._used.add(call.key)
        return found

    def settle(self) -> None:
        """A write is done: its answers are for no other."""
        for key in self._used:
            self._known.pop(key, None)
        self._used.clear()
