# SPDX-FileCopyrightText: The convoy.rollout authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Events: what controllers tell about the objects they work on, counted where it repeats."""

from __future__ import annotations

import itertools
import time

from .. import resources, times
from ..errors import ApiError
from ..registry import Registry
from ..store import Object
from ..times import timestamp

#: Repeats of one event within this many seconds are counted instead of listed again.
_WINDOW = 600.0


def reference(obj: Object, field_path: str = "") -> Object:
    """An ObjectReference to an object, as Events carry it."""
    meta = obj["metadata"]
    found = {"kind": obj["kind"]}
    if "namespace" in meta:
        found["namespace"] = meta["namespace"]
    found |= {
        "name": meta["name"],
        "uid": meta["uid"],
        "apiVersion": obj["apiVersion"],
        "resourceVersion": meta["resourceVersion"],
    }
    if field_path:
        found["fieldPath"] = field_path
    return found


class Recorder:
    """Writes the Events of one component."""

    _serial = itertools.count(time.time_ns())

    def __init__(self, registry: Registry, component: str) -> None:
        self._registry = registry
        self._component = component
        self._seen: dict[tuple[str, ...], tuple[float, str]] = {}

    def event(
        self,
        obj: Object,
        reason: str,
        message: str,
        *,
        warning: bool = False,
        host: str = "",
        field_path: str = "",
        action: str = "",
    ) -> None:
        """Record that something happened to an object. With `action`, in the newer form that schedulers use."""
        meta = obj["metadata"]
        namespace = meta.get("namespace", "default")
        key = (meta["uid"], reason, message, field_path)
        while self._seen and time.monotonic() - next(iter(self._seen.values()))[0] >= _WINDOW:
            del self._seen[next(iter(self._seen))]
        last = self._seen.pop(key, None)
        if last is not None and not action:
            self._count(namespace, last[1])
            self._seen[key] = (time.monotonic(), last[1])  # the latest stands last
            return
        name = f"{meta['name']}.{next(self._serial):x}"
        self._seen[key] = (time.monotonic(), name)
        body: Object = {
            "metadata": {"name": name, "namespace": namespace},
            "involvedObject": reference(obj, field_path),
            "reason": reason,
            "message": message,
            "type": "Warning" if warning else "Normal",
            "reportingComponent": self._component,
        }
        if action:
            now = times.now()
            body |= {
                "eventTime": now.strftime("%Y-%m-%dT%H:%M:%S.%fZ"),
                "action": action,
                "reportingInstance": f"{self._component}-sandbox",
            }
        else:
            body |= {
                "source": {"component": self._component, **({"host": host} if host else {})},
                "firstTimestamp": timestamp(),
                "lastTimestamp": timestamp(),
                "count": 1,
                "reportingInstance": host,
            }
        try:
            self._registry.create(resources.EVENTS, namespace, body)
        except ApiError:
            return  # a namespace that is going takes no more events

    def _count(self, namespace: str, name: str) -> None:
        def change(event: Object) -> None:
            event["count"] = event.get("count", 1) + 1
            event["lastTimestamp"] = timestamp()

        try:
            self._registry.modify(resources.EVENTS, namespace, name, change)
        except ApiError:
            return
