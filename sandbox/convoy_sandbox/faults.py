# SPDX-FileCopyrightText: The convoy.rollout authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Faults of the API server on demand: which requests meet with which trouble, by chance and a seed."""

from __future__ import annotations

import dataclasses
import random
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from .authorization import Action

#: What can go wrong, and the verbs that it can happen to (none: all of them).
KINDS: dict[str, frozenset[str]] = {
    "429": frozenset(),  # too many requests; Retry-After says `seconds`
    "500": frozenset(),  # etcd does not answer
    "503": frozenset(),  # the server is not able to handle the request
    "409": frozenset({"update", "patch"}),  # somebody else was faster
    "410": frozenset({"list", "watch"}),  # the resourceVersion or the page asked for is no longer kept
    "drop": frozenset(),  # the connection breaks before the request is looked at
    "drop-after": frozenset(),  # it breaks when all is done, before the answer
    "drop-watch": frozenset({"watch"}),  # it breaks after `seconds` of a watch
    "delay": frozenset(),  # the request waits for `seconds`
}


class FaultError(ValueError):
    """A description of a fault that makes no sense."""


@dataclass(frozen=True)
class Fault:
    """One kind of trouble (of `KINDS`), for a share (0..1) of the requests that it is for.

    `verbs` (get, list, watch, create, update, patch, delete, deletecollection) and `resources`
    (`deployments`, `deployments/scale`) restrict it; empty they do not. `limit` is how often it happens
    at most. Raises FaultError.
    """

    kind: str
    share: float = 1.0
    verbs: tuple[str, ...] = ()
    resources: tuple[str, ...] = ()
    seconds: float = 1.0
    limit: int | None = None

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise FaultError(f"there is no fault {self.kind!r}; there are {', '.join(KINDS)}")
        if not 0 <= self.share <= 1:
            raise FaultError(f"fault {self.kind}: share is between 0 and 1, not {self.share}")
        if self.seconds < 0:
            raise FaultError(f"fault {self.kind}: seconds are 0 or more, not {self.seconds}")

    def is_for(self, action: Action) -> bool:
        """Whether a request can meet with it."""
        possible = KINDS[self.kind]
        return (
            (not possible or action.verb in possible)
            and (not self.verbs or action.verb in self.verbs)
            and (not self.resources or action.full_resource in self.resources)
        )


def from_mapping(given: Mapping[str, Any]) -> Fault:
    """A fault from its fields. Raises FaultError."""
    unknown = sorted(set(given) - {field.name for field in dataclasses.fields(Fault)})
    if unknown or "kind" not in given:
        known = ", ".join(field.name for field in dataclasses.fields(Fault))
        problem = f"there is no field {', '.join(unknown)}" if unknown else "it has no kind"
        raise FaultError(f"a fault cannot be read: {problem}; its fields are {known}")
    fields = dict(given)
    try:
        for key in ("verbs", "resources"):
            fields[key] = tuple(str(item) for item in fields.get(key) or ())
        fields["kind"] = str(fields["kind"])
        fields["share"], fields["seconds"] = float(fields.get("share", 1)), float(fields.get("seconds", 1))
        fields["limit"] = None if fields.get("limit") is None else int(fields["limit"])
    except (TypeError, ValueError):
        raise FaultError(f"fault {given['kind']}: share and seconds are numbers, limit a whole one") from None
    return Fault(**fields)


def from_text(text: str) -> Fault:
    """A fault as the command line gives it: `KIND[:KEY=VALUE,...]`, lists joined by `+`. Raises FaultError."""
    kind, _, rest = text.partition(":")
    given: dict[str, Any] = {"kind": kind}
    for part in filter(None, rest.split(",")):
        key, equals, value = part.partition("=")
        if not equals:
            raise FaultError(f"fault {text}: {part!r} is not KEY=VALUE")
        given[key] = value.split("+") if key in ("verbs", "resources") else value
    return from_mapping(given)


class Faults:
    """The faults of a cluster now, and how often each has happened; they can be changed at any time."""

    def __init__(self, faults: Iterable[Fault] = (), seed: int = 0) -> None:
        self.set(faults, seed)

    def set(self, faults: Iterable[Fault], seed: int = 0) -> None:
        """Other faults from now on; the same seed and the same order of requests give the same faults."""
        self.faults = tuple(faults)
        self.seed = seed
        self.counts = [0] * len(self.faults)
        self._random = random.Random(seed)

    def draw(self, action: Action) -> list[Fault]:
        """What a request meets with: delays, and at most one fault that is none."""
        met: list[Fault] = []
        for index, fault in enumerate(self.faults):
            if not fault.is_for(action) or (fault.limit is not None and self.counts[index] >= fault.limit):
                continue
            if self._random.random() >= fault.share:
                continue
            self.counts[index] += 1
            met.append(fault)
            if fault.kind != "delay":
                break
        return met

    def described(self) -> dict[str, Any]:
        """The faults as JSON, each with its count."""
        listed = [
            {**dataclasses.asdict(fault), "count": count} for fault, count in zip(self.faults, self.counts, strict=True)
        ]
        return {"seed": self.seed, "faults": listed}
