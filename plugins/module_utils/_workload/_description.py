# SPDX-FileCopyrightText: The convoy.rollout authors
# SPDX-License-Identifier: GPL-3.0-or-later

# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What stands against the description of applications, before a cluster is touched. Pure functions."""

from __future__ import annotations

import json
import re
import typing as t

from ansible_collections.convoy.rollout.plugins.module_utils._workload import _images

NAME = re.compile(r"[a-z]([a-z0-9-]{0,53}[a-z0-9])?")
VERSION = re.compile(r"[A-Za-z0-9]([A-Za-z0-9._-]{0,61}[A-Za-z0-9])?")
IMAGE = re.compile(r"[A-Za-z0-9]([A-Za-z0-9._:/-]*[A-Za-z0-9])?")
OBJECT = re.compile(r"[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?")

Checks = t.Mapping[str, t.Tuple[t.Callable[[t.Any], bool], str]]


def problems(applications: t.Any) -> list[str]:
    """A sentence for each problem. Whatever is given, it raises nothing."""
    if not isinstance(applications, t.Mapping):
        return [f"The applications must be a dictionary of descriptions by name; they are {_shown(applications)}."]
    return [problem for name, application in applications.items() for problem in _problems(name, application)]


def _problems(name: t.Any, application: t.Any) -> t.Iterator[str]:
    said = f"Application {name if _fits(NAME)(name) else _shown(name)} cannot be deployed:"
    if not _fits(NAME)(name):
        yield (
            f"{said} its name must be one that a Service can have, of at most 55 small letters, digits and dashes that "
            "begin with a letter."
        )
    if not isinstance(application, t.Mapping):
        yield f"{said} it must be a dictionary; it is {_shown(application)}."
        return
    for field in ("image", "version"):
        if field not in application:
            yield f"{said} it has no {field}."
    if application.get("drain") and _own_hook(application):
        yield f"{said} it has both a drain and container.lifecycle.preStop; leave out one of them."
    for field, (holds, what) in FIELDS.items():
        if field in application and not holds(application[field]):
            # Of what holds secrets, or is long, only the kind.
            value = _shown(application[field]) if field in ("image", "version", "replicas", "drain") else None
            yield f"{said} {field} must be {what}{'' if value is None else f'; it is {value}'}."


#: Seconds that a pod goes on listening once it is told to end, where a description says nothing else.
DRAIN = 5
GRACE = 30  #: terminationGracePeriodSeconds where a description has none: Kubernetes' own default


def drained(application: t.Mapping[str, t.Any], *, sleeps: bool) -> dict[str, t.Any]:
    """An application with the preStop hook that its `drain` comes down to, and with the grace period for it.

    A pod that is told to end stops listening at once, and is still sent requests until every proxy has heard of it. The
    hook keeps it listening until then. What it needs to end afterwards, terminationGracePeriodSeconds as described,
    comes on top. A preStop hook that is described stays as it is. `sleeps` says whether the cluster knows the hook
    `sleep` (Kubernetes 1.30 and later); elsewhere a program of that name is run, which the image has to have.
    """
    seconds = int(application.get("drain", DRAIN))
    if not seconds or _own_hook(application):
        return dict(application)
    container, pod = dict(application.get("container") or {}), dict(application.get("pod") or {})
    hook = {"sleep": {"seconds": seconds}} if sleeps else {"exec": {"command": ["sleep", str(seconds)]}}
    container["lifecycle"] = {**(container.get("lifecycle") or {}), "preStop": hook}
    needs = pod.get("terminationGracePeriodSeconds")
    pod["terminationGracePeriodSeconds"] = seconds + (GRACE if needs is None else int(needs))
    return {**application, "container": container, "pod": pod}


def _own_hook(application: t.Mapping[str, t.Any]) -> bool:
    """Whether a description has a preStop hook of its own. Whatever is given, it raises nothing."""
    container = application.get("container")
    lifecycle = container.get("lifecycle") if isinstance(container, t.Mapping) else None
    return isinstance(lifecycle, t.Mapping) and bool(lifecycle.get("preStop"))


#: What templates are given descriptions as.
DESCRIBED = ("deployments", "services")

Manifests = t.Mapping[str, t.Mapping[str, t.Any]]


def without_secrets(manifests: Manifests) -> dict[str, dict[str, t.Any]]:
    """What templates are given, without what nobody may be shown; `with_secrets` puts that back in."""
    return {
        kind: {name: _without(item) if kind in DESCRIBED else item for name, item in items.items()}
        for kind, items in manifests.items()
    }


def _without(item: t.Mapping[str, t.Any]) -> dict[str, t.Any]:
    return {key: value for key, value in item.items() if key != "secrets"}


def with_secrets(manifests: Manifests, application: t.Mapping[str, t.Any]) -> dict[str, dict[str, t.Any]]:
    """What templates are given of an application, its Secrets included."""
    back = {"secrets": application["secrets"]} if "secrets" in application else {}
    return {
        kind: {name: {**item, **back} if kind in DESCRIBED else item for name, item in items.items()}
        for kind, items in manifests.items()
    }


def is_version(value: t.Any) -> bool:
    """Whether a value can be a version: a label, and so a text."""
    return _fits(VERSION)(value)


def _shown(value: t.Any) -> str:
    """A value in one line, and not too much of it; of a dictionary or a list only that it is one."""
    for kind, what in ((t.Mapping, "a dictionary"), ((list, tuple), "a list")):
        if isinstance(value, t.cast(type, kind)):
            return what
    text = json.dumps(value, default=str)
    return text if len(text) <= 80 else f"{text[:77]}..."


def _fits(pattern: re.Pattern[str]) -> t.Callable[[t.Any], bool]:
    return lambda value: isinstance(value, str) and pattern.fullmatch(value) is not None


def _map_of(holds: t.Callable[[t.Any], bool], key: re.Pattern[str] | None = None) -> t.Callable[[t.Any], bool]:
    named = _is_text if key is None else _fits(key)
    return lambda value: isinstance(value, t.Mapping) and all(named(k) and holds(v) for k, v in value.items())


def _is_text(value: t.Any) -> bool:
    return isinstance(value, str)


def _is_repository(value: t.Any) -> bool:
    return _fits(IMAGE)(value) and not _images.parse(value).tag


def _is_count(value: t.Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 2**31


def _is_secret(value: t.Any) -> bool:
    if not isinstance(value, t.Mapping) or not _is_text(value.get("type", "")):
        return False
    if "self_signed" not in value:
        return _map_of(_is_text)(value.get("data"))
    made = value["self_signed"]
    return (
        isinstance(made, t.Mapping)
        and _is_text(made.get("common_name"))
        and isinstance(made.get("names", []), list)
        and all(map(_is_text, made.get("names", [])))
        and _is_count(made.get("days", 1))
    )


FIELDS: Checks = {
    "image": (_is_repository, "the name of an image without its tag"),
    "version": (_fits(VERSION), 'a quoted string that is a valid label, such as "1.0.0"'),
    "replicas": (_is_count, "a number of replicas that is not negative"),
    "drain": (_is_count, "a number of seconds that is not negative"),
    "labels": (_map_of(_is_text), "a dictionary of strings"),
    "selector": (_map_of(_is_text), "a dictionary of strings"),
    "container": (_map_of(lambda _value: True), "a dictionary of fields of a container"),
    "pod": (_map_of(lambda _value: True), "a dictionary of fields of a pod's spec"),
    "deployment": (_map_of(lambda _value: True), "a dictionary of fields of a Deployment's spec"),
    "service": (_map_of(lambda _value: True), "a dictionary of fields of a Service's spec"),
    "service_session_affinity": (lambda value: value in ("ClientIP", "None"), "ClientIP or None"),
    "config_maps": (
        _map_of(_map_of(_is_text), OBJECT),
        "a dictionary of ConfigMaps, each of them a dictionary of strings",
    ),
    "secrets": (
        _map_of(_is_secret, OBJECT),
        "a dictionary of Secrets, each with data, a dictionary of strings, or with self_signed, which has a common "
        "name (common_name)",
    ),
}
