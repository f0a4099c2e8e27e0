"""Whether two answers of two clusters say the same: what differs from cluster to cluster is set aside.

Pure functions: they know neither the recordings' files nor the sandbox.
"""

from __future__ import annotations

import functools
import json
import re
from dataclasses import dataclass, field
from typing import Any

_ALPHABET = "bcdfghjklmnpqrstvwxz2456789"

#: Fields whose values differ from cluster to cluster, each with its reason. Only that they are there counts.
VOLATILE: dict[str, str] = {
    "caBundle": "the authority of the webhooks, which are this test's own",
    "uid": "made at random",
    "resourceVersion": "counts every write of its cluster",
    "clusterIP": "allocated at random from the cluster's own range",
    "clusterIPs": "allocated at random from the cluster's own range",
    "nodePort": "allocated at random",
    "healthCheckNodePort": "allocated at random",
    "token": "signed by the cluster's own key",
    "continue": "holds a resourceVersion",
    "authentication.kubernetes.io/credential-id": "made at random",
    "podIP": "the cluster's own network",
    "podIPs": "the cluster's own network",
    "hostIP": "the cluster's own network",
    "hostIPs": "the cluster's own network",
    "containerID": "made at random",
    "imageID": "a digest of the recorder's image, which was one image under many names",
    "user": "the user of the recorder's image",
    "goVersion": "the compiler that the recorder's binaries were built with",
    "serverAddress": "where this server listens",
    "serverRelativeURL": "has a digest of a document that the sandbox writes in its own way",
}
#: Fields that are set aside whether they are there or not.
ABSENT: dict[str, str] = {
    "managedFields": "taken out of the recordings",
    "metadata.annotations.endpoints.kubernetes.io/last-change-trigger-time": "a time",
}
#: Texts inside values that differ, with what stands for them.
_PATTERNS: list[tuple[re.Pattern[str], str, str]] = [
    (re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z"), "<time>", "a time"),
    (re.compile(r"\b\d{1,3}\.\d{1,3}\.\d{1,3}\.\d{1,3}\b"), "<ip>", "the cluster's own network"),
    (re.compile(rf"kube-api-access-[{_ALPHABET}]{{5}}"), "kube-api-access-<suffix>", "made at random"),
    (
        re.compile(r"\b[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}\b"),
        "<uid>",
        "made at random",
    ),
    (re.compile(r"Too large resource version: \d+, current: \d+"), "<version>", "counts every write of its cluster"),
    (re.compile(r"(in (?:the )?(?:precondition|record)) \(\d+\)"), r"\1 (<version>)", "counts every write"),
    (re.compile(r'(resourceVersion\\*":\\*")\d+'), r"\1<version>", "counts every write of its cluster"),
    (re.compile(r"too old resource version: \d+ \(\d+\)"), "<too old>", "counts every write of its cluster"),
    (re.compile(r"-----BEGIN CERTIFICATE-----[^\"]*"), "<certificate>", "the cluster's own authority"),
    (re.compile(r"\b[0-9a-f]{64}\b"), "<digest>", "made at random"),
    (re.compile(r'"docker\.io/[^"]*"'), '"<image>"', "the recorder's image was one image under many names"),
]
#: `NAME-HASH` and `NAME-HASH-SUFFIX`: the hash must map one to one, the suffix is random.
_NAMES = r"(?:hello(?:-green|-canary)?|web|twin-[ab]|mutated|free|other|db|agent|[bcd])"
_GENERATED = re.compile(rf"\b({_NAMES})-([{_ALPHABET}]{{7,10}})(?:-([{_ALPHABET}]{{5}}))?(?![a-z0-9]|-[a-z0-9])")
_HASH = re.compile(rf"[{_ALPHABET}]{{7,10}}")
#: Names of what a Service, a Job or a DaemonSet makes.
_SLICE = re.compile(rf"^({_NAMES}|good|bad|brief)-[{_ALPHABET}0-9]{{5}}$")
_AGE = re.compile(r"^(\d+[smhdy])+$|^<unknown>$")


@dataclass
class Names:
    """The hashes of one cluster's templates as they map to another's: one to one, or it is a difference."""

    forward: dict[str, str] = field(default_factory=dict)
    backward: dict[str, str] = field(default_factory=dict)

    def pair(self, recorded: str, ours: str) -> bool:
        """Whether two hashes may stand for the same template; remembers that they do."""
        if recorded not in self.forward and ours not in self.backward:
            self.forward[recorded], self.backward[ours] = ours, recorded
        return self.forward.get(recorded) == ours


def normalised(value: Any, key: str = "") -> Any:
    """A value with what is volatile in it replaced by placeholders; hashes stay as they are."""
    if key in VOLATILE or (key == "continue" and value):  # where a list goes on, in the server's own form
        return "<volatile>"
    if isinstance(value, dict):
        if key == "annotations":
            return _kept_annotations(value)
        if key == "status" and "containerStatuses" in value:
            value = _without_loops(value)
        # How often an EndpointSlice is written depends on how many pods become ready at once.
        counted = "kubernetes.io/service-name" in (value.get("labels") or ())
        value = _causes_in_order(value)
        return {
            name: "<volatile>" if counted and name == "generation" else normalised(item, name)
            for name, item in value.items()
            if name not in ABSENT and not (name == "annotations" and not _kept_annotations(item))
        }
    if isinstance(value, list):
        if key == "cells":
            cells = [_text(value[0], "name"), *(_cell(item) for item in value[1:])]
            if len(cells) > 3 and re.fullmatch(r"[1-9]\d* \(<age> ago\)", str(cells[3])):
                cells[1:4] = ["again and again"] * 3  # see _without_loops
            return cells
        items = [normalised(item) for item in value]
        if key == "conditions" and any(item.get("type") == "NamesAccepted" for item in items):
            items.sort(key=_without_names)  # three controllers write a definition's conditions, as they come to it
        # Pods, endpoints and rows come in the order of names, and those are random; a group's resources as it happens.
        if key in ("items", "rows", "endpoints", "resources"):
            items.sort(key=_without_names)
        return items
    if isinstance(value, str):
        return _text(value, key)
    return value


def _without_loops(status: dict[str, Any]) -> dict[str, Any]:
    """A pod's status in which nothing tells where in their loop containers are that end again and again.

    A kubelet looks at a container that waits to be restarted when it comes to it: 1 s after its end in `faults`, 10 to
    20 s after it in `pods`; until then it is terminated.
    """
    looping = {
        entry["name"]
        for key in ("containerStatuses", "initContainerStatuses")
        for entry in status.get(key) or ()
        if entry.get("restartCount") and entry.get("lastState")
    }
    if not looping:
        return status
    kept: dict[str, Any] = dict(status)
    for key in ("containerStatuses", "initContainerStatuses"):
        if key in status:
            kept[key] = [
                {"name": entry["name"], "state": "again and again"} if entry["name"] in looping else entry
                for entry in status[key]
            ]
    conditions = status.get("conditions") or ()
    kept["conditions"] = [each for each in conditions if each["type"] not in ("Ready", "ContainersReady")]
    return kept


def _causes_in_order(value: dict[str, Any]) -> dict[str, Any]:
    """A Status of several causes with these sorted: a real server walks an object's fields in no order of its own."""
    details = value.get("details")
    causes = details.get("causes") if isinstance(details, dict) else None
    head, separator, rest = str(value.get("message", "")).partition("[")
    texts = [f"{cause.get('field')}: {cause.get('message')}" for cause in causes or ()]
    if not separator or rest != ", ".join(texts) + "]":
        return value
    ordered = sorted(causes or (), key=lambda cause: json.dumps(cause, sort_keys=True))
    return {**value, "message": head, "details": {**(details or {}), "causes": ordered}}


def _without_names(item: Any) -> str:
    """A value as text to sort by, in which generated names do not count."""
    text = re.sub(r'"pod-template-hash": "\w+"', "", json.dumps(item, sort_keys=True))
    return _GENERATED.sub(r"\1-<hash>", text)


def _kept_annotations(value: Any) -> Any:
    return {
        name: _text(str(item), name)
        for name, item in (value or {}).items()
        if f"metadata.annotations.{name}" not in ABSENT
    }


def _cell(value: Any) -> Any:
    if not isinstance(value, str):
        return value
    if _AGE.match(value):
        return "<age>"
    return _text(re.sub(r"\(\S+ ago\)", "(<age> ago)", value), "")


# The same texts come again and again, in each state of an object and in each object of a list.
@functools.cache
def _text(value: str, key: str) -> str:
    if key == "image" and value.startswith("docker.io/"):
        return "<image>"
    for pattern, placeholder, _ in _PATTERNS:
        value = pattern.sub(placeholder, value)
    return _SLICE.sub(r"\1-<suffix>", value) if key == "name" else value


def differences(recorded: Any, ours: Any, names: Names, path: str = "") -> list[str]:
    """Where two normalised values differ, in words; [] where they agree."""
    if isinstance(recorded, dict) and isinstance(ours, dict):
        found = [f"{path}.{key} is missing" for key in recorded if key not in ours]
        found += [f"{path}.{key} should not be there" for key in ours if key not in recorded]
        for key in recorded:
            if key in ours:
                found += differences(recorded[key], ours[key], names, f"{path}.{key}")
        return found
    if isinstance(recorded, list) and isinstance(ours, list):
        if len(recorded) != len(ours):
            return [f"{path} has {len(ours)} elements, recorded {len(recorded)}"]
        return [
            text
            for index, (a, b) in enumerate(zip(recorded, ours, strict=True))
            for text in differences(a, b, names, f"{path}[{index}]")
        ]
    if isinstance(recorded, str) and isinstance(ours, str):
        return _text_differences(recorded, ours, names, path)
    if type(recorded) is not type(ours) or recorded != ours:
        return [f"{path} is {ours!r}, recorded {recorded!r}"]
    return []


def _text_differences(recorded: str, ours: str, names: Names, path: str) -> list[str]:
    hashed = (".pod-template-hash", ".controller.kubernetes.io/hash", ".controller-revision-hash")
    if path.endswith(hashed) and _HASH.fullmatch(recorded) and _HASH.fullmatch(ours):
        if names.pair(recorded, ours):
            return []
    else:
        (skeleton, hashes), (our_skeleton, our_hashes) = _parts(recorded), _parts(ours)
        if skeleton == our_skeleton and all(map(names.pair, hashes, our_hashes)):
            return []
    return [f"{path} is {ours!r}, recorded {recorded!r}"]


@functools.cache
def _parts(text: str) -> tuple[str, list[str]]:
    """A text without what is generated in it, and the hashes of its generated names."""
    skeleton = re.sub(rf"pod-template-hash=[{_ALPHABET}]{{7,10}}", "pod-template-hash=<hash>", text)
    skeleton = _GENERATED.sub(lambda m: f"{m[1]}-<hash>" + ("-<suffix>" if m[3] else ""), skeleton)
    return skeleton, [hash_ for _, hash_, _ in generated_names(text)]


def generated_names(text: str) -> list[tuple[str, str, str]]:
    """The generated names in a text: (Deployment, hash, suffix)."""
    return _GENERATED.findall(text)
