# SPDX-FileCopyrightText: The convoy.rollout authors
# SPDX-License-Identifier: GPL-3.0-or-later

# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What is kept up to date by watching: a list, then its changes, for as long as someone looks."""

from __future__ import annotations

import queue
import threading
import time
import typing as t

from ansible_collections.convoy.rollout.plugins.module_utils._cluster import _shapes
from ansible_collections.convoy.rollout.plugins.module_utils._cluster._api import (
    MALFORMED,
    Access,
    Api,
    ApiError,
    Object,
)

WINDOW = 30.0  #: seconds of one watch: a connection that died unnoticed is not waited on for longer
REFUSED = (401, 403)  #: who may not look now will not later either
PAUSE = 0.2  #: seconds before the next try where the API server would not be watched


class Mirror:
    """The objects of several lists, by uid, each list followed by a thread of its own.

    A watch that ends or is dropped is taken up where it stopped; one whose version has expired
    (410 Gone) begins again with a list. An error of the first list is raised by `wait`.
    """

    def __init__(self, access: Access, lists: t.Mapping[str, tuple[str, t.Mapping[str, str]]], seconds: float) -> None:
        """Follow `lists`: by a name, a path and a query. `seconds` is how long at most."""
        self.objects: dict[str, dict[str, Object]] = {name: {} for name in lists}
        self._deadline = time.monotonic() + seconds
        self._changes: queue.Queue[tuple[str, t.Callable[[], None]] | Exception] = queue.Queue()
        self._closed = threading.Event()
        self._listed: set[str] = set()
        for name, (path, query) in lists.items():
            threading.Thread(target=self._follow, args=(Api(access), name, path, query), daemon=True).start()

    def wait(self, until: float | None = None) -> bool:
        """Take in what changed, waiting for a change; False when there was none in time. Raises Failure.

        In time is before the end of the watch, or before the monotonic time `until` if that is sooner.
        """
        end = self._deadline if until is None else min(until, self._deadline)
        first = True
        while True:
            left = end - time.monotonic()
            try:
                change = self._changes.get(block=first, timeout=max(0.0, left) if first else None)
            except queue.Empty:
                return not first
            if isinstance(change, Exception):
                raise change
            name, take_in = change
            take_in()
            self._listed.add(name)
            # Nothing can be judged before every list is there.
            first = len(self._listed) < len(self.objects)

    def close(self) -> None:
        """Stop following; the threads end with their connections."""
        self._closed.set()

    def _follow(self, api: Api, name: str, path: str, query: t.Mapping[str, str]) -> None:
        try:
            self._followed(api, name, path, query)
        except Exception as error:  # whoever waits is told, whatever it is
            self._changes.put(error)
        finally:
            api.close()

    def _followed(self, api: Api, name: str, path: str, query: t.Mapping[str, str]) -> None:
        version = ""
        listed = False
        while not self._closed.is_set() and time.monotonic() < self._deadline:
            try:
                if not version:
                    answer = api.get(path, query)
                    api.check(answer, _shapes.version, "list")
                    items = answer.get("items") or []
                    for item in items:
                        api.check(item, _shapes.identity, "object in a list")
                    version = answer["metadata"]["resourceVersion"]
                    self._put(name, self._replace, items)
                    listed = True
                left = min(WINDOW, max(1.0, self._deadline - time.monotonic()))
                for event in api.watch(path, dict(query, resourceVersion=version), left):
                    version = event["object"]["metadata"]["resourceVersion"]
                    if event["type"] != "BOOKMARK":
                        api.check(event["object"], _shapes.identity, "object in a watch")
                        self._put(name, self._change, event)
                    if self._closed.is_set():
                        break
            except ApiError as error:
                if error.status in REFUSED or error.reason == MALFORMED or (not listed and error.status == 404):
                    raise
                # Gone, or out of reach for a moment: begin again.
                version = ""
                self._closed.wait(max(PAUSE, error.refusal.retry_after or 0.0))

    def _put(self, name: str, change: t.Callable[[str, t.Any], None], what: t.Any) -> None:
        self._changes.put((name, lambda: change(name, what)))

    def _replace(self, name: str, items: list[Object]) -> None:
        self.objects[name] = {item["metadata"]["uid"]: item for item in items}

    def _change(self, name: str, event: Object) -> None:
        uid = event["object"]["metadata"]["uid"]
        if event["type"] == "DELETED":
            self.objects[name].pop(uid, None)
        else:
            self.objects[name][uid] = event["object"]
