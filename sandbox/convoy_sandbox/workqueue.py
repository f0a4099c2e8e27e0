# SPDX-FileCopyrightText: The convoy.rollout authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""A work queue of keys, as controllers and Services have them: changes put keys in, a function takes them out."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

from .admission import context
from .admission.answers import Answers
from .admission.webhooks import Unanswered
from .errors import ApiError

log = logging.getLogger(__name__)

K = TypeVar("K", bound=Hashable)
#: What failed is tried again after this long, then after twice that and so on, as controllers do.
_FIRST_RETRY_SECONDS = 0.005
_LAST_RETRY_SECONDS = 1000.0


class Queue(Generic[K]):
    """A work queue: each key once, however often it is added; `reconcile` runs on the event loop.

    A reconcile that fails is logged and tried again after a delay, as a controller's rate limiter does; one whose
    writes webhooks have to be asked about is tried again when they have answered.
    """

    def __init__(self, name: str, reconcile: Callable[[K], None]) -> None:
        self.name = name
        self._reconcile = reconcile
        self._failures: dict[K, int] = {}
        self._keys: dict[K, None] = {}
        self._timers: dict[K, asyncio.TimerHandle] = {}
        self._scheduled: asyncio.Handle | None = None
        self._closed = False
        self._answers = Answers()
        self._asking: dict[K, asyncio.Task[None]] = {}

    def add(self, key: K) -> None:
        """Have a key reconciled soon: after the present call stack, never inside it."""
        if self._closed:
            return
        self._keys[key] = None
        if self._scheduled is None:
            self._scheduled = asyncio.get_running_loop().call_soon(self._run_one)

    def add_after(self, key: K, seconds: float) -> None:
        """Have a key reconciled after a delay; the earlier of two delays counts."""
        if self._closed:
            return
        loop = asyncio.get_running_loop()
        timer = self._timers.get(key)
        when = loop.time() + seconds
        if timer is not None:
            if timer.when() <= when:
                return
            timer.cancel()
        self._timers[key] = loop.call_at(when, self._due, key)

    def close(self) -> None:
        """Forget everything that is queued."""
        self._closed = True
        for timer in self._timers.values():
            timer.cancel()
        for task in self._asking.values():
            task.cancel()
        self._timers.clear()
        self._keys.clear()

    def _due(self, key: K) -> None:
        self._timers.pop(key, None)
        self.add(key)

    def _answered(self, key: K) -> None:
        self._asking.pop(key, None)
        self.add(key)

    def _again(self, key: K) -> float:
        """Have a key that failed reconciled later, each time twice as late: the seconds until then."""
        failures = self._failures.get(key, 0)
        self._failures[key] = failures + 1
        seconds = min(_FIRST_RETRY_SECONDS * 2.0 ** min(failures, 32), _LAST_RETRY_SECONDS)
        self.add_after(key, seconds)
        return seconds

    def _run_one(self) -> None:
        self._scheduled = None
        if self._closed or not self._keys:
            return
        key = next((each for each in self._keys if each not in self._asking), None)
        if key is None:
            return
        del self._keys[key]
        try:
            with context.controller(self._answers):
                self._reconcile(key)
        except Unanswered as missing:
            self._asking[key] = asyncio.get_running_loop().create_task(missing.ask())
            self._asking[key].add_done_callback(lambda _: self._answered(key))
        except ApiError as error:
            log.info("%s: %s refused (%s), tried again in %s s", self.name, key, error.message, self._again(key))
        except Exception:
            log.exception("%s: %s failed, tried again in %s s", self.name, key, self._again(key))
        else:
            self._failures.pop(key, None)
        if self._scheduled is None and any(each not in self._asking for each in self._keys):
            self._scheduled = asyncio.get_running_loop().call_soon(self._run_one)
