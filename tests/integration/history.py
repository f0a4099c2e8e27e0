"""Every state that a rollout takes a namespace through, from watches, in the order of resourceVersions."""

from __future__ import annotations

import contextlib
import functools
import json
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from itertools import pairwise
from typing import Any

from integration.playbooks import PATIENCE, Lab
from kubernetes import client

SERVICE_NAME = "kubernetes.io/service-name"


@dataclass(frozen=True)
class Deployment:
    """What a Deployment is asked for, and how far it is."""

    images: tuple[str, ...]
    wanted: int
    ready: int
    complete: bool  #: every pod is of this template and ready, and there are no others

    @classmethod
    def of(cls, item: dict[str, Any]) -> Deployment:
        """An object of the API server."""
        wanted, status = item["spec"]["replicas"], item.get("status") or {}
        counts = {status.get(count, 0) for count in ("replicas", "updatedReplicas", "readyReplicas")}
        return cls(
            images=tuple(container["image"] for container in item["spec"]["template"]["spec"]["containers"]),
            wanted=wanted,
            ready=status.get("readyReplicas", 0),
            complete=counts == {wanted} and status.get("observedGeneration") == item["metadata"]["generation"],
        )


@dataclass(frozen=True)
class State:
    """A namespace after one change; everything is by name."""

    selectors: dict[str, dict[str, str]] = field(default_factory=dict)
    slices: dict[str, tuple[str, frozenset[str]]] = field(default_factory=dict)  #: the Service, and its ready pods
    deployments: dict[str, Deployment] = field(default_factory=dict)

    def ready(self, service: str) -> frozenset[str]:
        """The pods that new connections to a Service go to."""
        return frozenset().union(*(pods for name, pods in self.slices.values() if name == service))

    def of(self, image: str) -> list[Deployment]:
        """The Deployments of an image."""
        return [each for each in self.deployments.values() if image in each.images]

    def after(self, kind: str, event: dict[str, Any]) -> State:
        """The state after one event of a watch."""
        item = event["object"]
        known = dict(getattr(self, kind))
        if event["type"] == "DELETED":
            known.pop(item["metadata"]["name"], None)
        else:
            known[item["metadata"]["name"]] = READ[kind](item)
        return replace(self, **{kind: known})


def _slice(item: dict[str, Any]) -> tuple[str, frozenset[str]]:
    ready = (each for each in item.get("endpoints") or () if (each.get("conditions") or {}).get("ready", True))
    return item["metadata"]["labels"][SERVICE_NAME], frozenset(each["targetRef"]["name"] for each in ready)


READ: dict[str, Callable[[dict[str, Any]], Any]] = {
    "selectors": lambda item: item["spec"].get("selector") or {},
    "slices": _slice,
    "deployments": Deployment.of,
}


def events_since(listed: Callable[..., Any], version: str) -> Iterator[tuple[int, dict[str, Any]]]:
    """Each event of a watch from a resourceVersion until now, and its own.

    `listed` asks for the list, with further options, and returns the response.
    """
    now = int(json.loads(listed().data)["metadata"]["resourceVersion"])
    deadline = time.monotonic() + PATIENCE
    while int(version) < now:  # a server that is busy may not come to it in one watch, however much there is to tell
        assert time.monotonic() < deadline, f"the watch tells of {version} only, and not of {now}"
        # Long enough for a bookmark, which says how far it is: it comes two seconds before the end.
        with contextlib.closing(
            listed(watch=True, resource_version=version, timeout_seconds=3, allow_watch_bookmarks=True)
        ) as told:
            for event in map(json.loads, told):
                assert event["type"] in ("ADDED", "MODIFIED", "DELETED", "BOOKMARK"), event
                version = event["object"]["metadata"]["resourceVersion"]
                if event["type"] != "BOOKMARK":
                    yield int(version), event
                if int(version) >= now:
                    break


class History:
    """The Services, EndpointSlices and Deployments of a namespace from entry to exit.

    Nothing watches meanwhile: watches from the resourceVersions of the beginning tell all that has been.
    """

    def __init__(self, lab: Lab) -> None:
        listers = {
            "selectors": lab.core.list_namespaced_service,
            "slices": client.DiscoveryV1Api(lab.api).list_namespaced_endpoint_slice,
            "deployments": lab.apps.list_namespaced_deployment,
        }
        self._listers = {kind: functools.partial(lister, lab.namespace) for kind, lister in listers.items()}
        self._lists: dict[str, dict[str, Any]] = {}
        self.states: list[State] = []

    def __enter__(self) -> History:
        self._lists = {kind: json.loads(self._asked(kind).data) for kind in self._listers}
        return self

    def __exit__(self, *_: object) -> None:
        events = [
            (0, kind, {"type": "ADDED", "object": item})
            for kind, listed in self._lists.items()
            for item in listed["items"]
        ]
        began = len(events)
        with ThreadPoolExecutor() as pool:
            for found in pool.map(self._since, self._lists):
                events += found
        state = State()
        for number, (_version, kind, event) in enumerate(sorted(events, key=lambda event: event[0]), start=1):
            state = state.after(kind, event)
            if number >= began:
                self.states.append(state)

    def _asked(self, kind: str, **options: Any) -> Any:
        return self._listers[kind](_preload_content=False, **options)

    def _since(self, kind: str) -> list[tuple[int, str, dict[str, Any]]]:
        events = events_since(functools.partial(self._asked, kind), self._lists[kind]["metadata"]["resourceVersion"])
        return [(version, kind, event) for version, event in events]

    def steps(self) -> list[tuple[State, State]]:
        """Each change, as the states before and after it."""
        return list(pairwise(self.states))

    def always_served(self, service: str, pods: int) -> bool:
        """Whether a Service had a selector, and so many ready pods at least, at every moment."""
        return bool(self.states) and all(
            state.selectors.get(service) and len(state.ready(service)) >= pods for state in self.states
        )

    def moves(self, service: str) -> list[tuple[State, State]]:
        """The states before and after each change of a Service's selector to another version."""
        return [
            (before, after)
            for before, after in self.steps()
            if before.selectors[service].get("version") != after.selectors[service].get("version")
        ]
