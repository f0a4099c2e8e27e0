# SPDX-FileCopyrightText: The convoy.rollout authors
# SPDX-License-Identifier: GPL-3.0-or-later

# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What action plugin apply hands to kubernetes.core.k8s, and makes of what that returns. Pure, but for the pause."""

from __future__ import annotations

import base64
import contextlib
import json
import typing as t

from ansible_collections.convoy.rollout.plugins.module_utils._cluster import _api, _client_errors, _retries, _yaml
from ansible_collections.convoy.rollout.plugins.module_utils._failure import Failure
from ansible_collections.convoy.rollout.plugins.module_utils._run import _run
from ansible_collections.convoy.rollout.plugins.module_utils._workload import _given
from ansible_collections.convoy.rollout.plugins.module_utils._workload._place import Place

ARGUMENTS: dict[str, t.Any] = {
    **_api.ARGUMENTS,
    **_run.OPTION,
    "namespace": {"type": "str"},
    "definition": {"type": "raw", "required": True, "no_log": True},  # there may be Secrets in it
    "others": {"type": "str", "choices": ["keep", "refuse", "take"], "default": "keep"},
    "room": {"type": "bool", "default": False},
}

ATTEMPTS = 6  #: how often the module is called where the API server fails for a moment

#: What the API server adds by itself says nothing about what was asked for.
NOISE = (
    "metadata.creationTimestamp",
    "metadata.generation",
    "metadata.managedFields",
    "metadata.resourceVersion",
    "metadata.uid",
    "status",
)
HIDDEN = "***"
LAST_APPLIED = "kubectl.kubernetes.io/last-applied-configuration"  #: an annotation with the whole object in it
SHORTEST = 4  #: letters of a value of a Secret that is looked for: a shorter one is in every text


def text_of(definition: t.Any) -> str:
    """Manifests as one text: they are given as text, as dictionaries, or as a list of these."""
    given = definition if isinstance(definition, list) else [definition]
    texts = [each if isinstance(each, str) else json.dumps(each) for each in given if each]
    return "\n---\n".join(each for each in texts if each.strip())


def documents(text: str) -> list[_api.Object]:
    """The objects of manifests. Raises Failure, which quotes nothing of them, as they may be Secrets."""
    try:
        import yaml
    except ImportError as error:
        raise Failure("PyYAML is needed to read manifests: pip install PyYAML.") from error
    try:
        found = [each for each in _yaml.documents(text) if each is not None]
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f" in line {mark.line + 1}, column {mark.column + 1}" if mark else ""
        why = getattr(error, "problem", None) or type(error).__name__
        raise Failure(f"The manifests are not valid YAML{where} ({why}); fix the template that made them.") from None
    for number, each in enumerate(found, 1):
        if not isinstance(each, dict) or not each.get("kind") or not isinstance(each.get("metadata", {}), dict):
            raise Failure(f"Document {number} of the manifests is not a Kubernetes object: it has no kind.")
    return [item for each in found for item in (each.get("items") or [] if str(each["kind"]) == "List" else [each])]


def name_of(item: t.Mapping[str, t.Any]) -> str:
    """An object as a person names it."""
    return f"{item.get('kind')} {(item.get('metadata') or {}).get('name')}"


def secret_values(items: t.Iterable[_api.Object]) -> set[str]:
    """What must not be shown anywhere: the values of Secrets, encoded and in clear."""
    found: set[str] = set()
    for item in items:
        if item.get("kind") != "Secret":
            continue
        for value in _texts(item.get("data")):
            found.add(value)
            with contextlib.suppress(ValueError):  # what the API server will refuse, or no text
                found.add(base64.b64decode(value, validate=True).decode())
        for value in _texts(item.get("stringData")):
            found |= {value, base64.b64encode(value.encode()).decode()}
    lines = {line for value in found for line in value.splitlines()}
    return {value for value in found | lines if len(value.strip()) >= SHORTEST}


def _texts(data: t.Any) -> list[str]:
    return [value for value in (data.values() if isinstance(data, dict) else ()) if isinstance(value, str)]


def masked(text: str, values: t.Iterable[str]) -> str:
    """A text in which nothing is left that must not be shown."""
    for value in sorted(values, key=len, reverse=True):  # one may be a part of another
        text = text.replace(value, HIDDEN)
    return text


def module_args(options: t.Mapping[str, t.Any], text: str, access: t.Mapping[str, t.Any]) -> dict[str, t.Any]:
    """The arguments of kubernetes.core.k8s, which nobody is shown. `access` are those that lead to the cluster."""
    return {
        **access,
        "namespace": options["namespace"],
        "definition": text,
        "apply": True,
        "server_side_apply": {"field_manager": _api.FIELD_MANAGER, "force_conflicts": True},
        "hidden_fields": list(NOISE),
    }


def failed_for_a_moment(result: t.Mapping[str, t.Any]) -> bool:
    """Whether the module failed of something that passes, so that it can be called again."""
    return bool(result.get("failed")) and _client_errors.is_transient(result)


def pause(attempt: int) -> float:
    """Seconds before the next attempt."""
    return _retries.growing(attempt)


def untried(items: t.Sequence[_api.Object], namespace: str) -> dict[str, t.Any]:
    """What is returned in check mode for objects of a namespace that there will be: the API server cannot try them."""
    names = [name_of(item) for item in items]
    return {
        "changed": bool(names),
        "objects": names,
        "changes": names,
        "message": f"would be applied once namespace {namespace} exists: {', '.join(names)}",
        "diff": [_difference(item, {"before": {}, "after": item}) for item in items],
    }


def in_missing_namespace(result: t.Mapping[str, t.Any], items: t.Iterable[_api.Object], namespace: str) -> bool:
    """Whether the API server could not try objects as their namespace is one of them."""
    made = any(name_of(item) == f"Namespace {namespace}" for item in items)
    return (
        made and bool(result.get("failed")) and _client_errors.namespace_is_missing(str(result.get("msg")), namespace)
    )


def judged(
    result: t.Mapping[str, t.Any],
    options: t.Mapping[str, t.Any],
    items: t.Sequence[_api.Object],
    run: _run.Run,
    *,
    check_mode: bool = False,
    diff: bool = False,
    again: bool = False,
) -> dict[str, t.Any]:
    """What the task returns of what the module did: of a Secret, only which of its values changed. Raises Failure.

    An object of which only the owners of fields are others than before has not changed. `diff` is whether it is asked
    for how objects change, `again` whether the API server failed for a moment until the last attempt.
    """
    values = secret_values(items)
    if result.get("failed"):
        said = str(result.get("msg") or "The module kubernetes.core.k8s failed without a message")
        why = masked(_client_errors.refusal(said, options["namespace"]), values)
        more = "; the API server keeps failing: run the playbook again once it answers" if again else ""
        if not check_mode and (len(items) > 1 or again):
            run.journal.note("changed", message="objects before it may have been applied")
        raise Failure(f"{why.rstrip('.')}{more}.")
    found = result.get("result") or {}
    every = found.get("results") if "results" in found else [{**result, "result": found}]
    changes, differences, objects = [], [], []
    manifests = {name_of(item): item for item in items}
    for each in every or []:
        made = each.get("result") or {}
        objects.append(name_of(made))
        if not check_mode and objects[-1] in manifests:
            metadata = made["metadata"]
            place = Place(made["kind"], metadata.get("namespace") or options["namespace"], metadata["name"])
            run.gave(place, _given.fields_of(made, manifests[objects[-1]]))
        difference = each.get("diff") or {}
        if each.get("changed") and difference.get("before", {}) != difference.get("after"):
            changes.append(objects[-1])
            differences.append(_difference(made, difference))
    for name in changes:
        run.journal.note("changed", message=f"{name} was applied")
    done = "would be applied" if check_mode else "applied"
    told = [masked(str(warning), values) for warning in result.get("warnings") or []]
    return {
        "changed": bool(changes),
        "objects": objects,
        "changes": changes,
        "message": f"{done}: {', '.join(changes)}" if changes else "nothing to apply: each object is as described",
        **({"diff": differences} if differences and diff else {}),
        **({"warnings": told} if told else {}),
    }


def _difference(item: t.Mapping[str, t.Any], difference: t.Mapping[str, t.Any]) -> dict[str, t.Any]:
    """How an object changes, for --diff; of a Secret, which values do, as kubectl diff has it."""
    before, after = (dict(difference.get(side) or {}) for side in ("before", "after"))
    if item.get("kind") == "Secret":
        before, after = _hidden(before, after, "before"), _hidden(after, before, "after")
    name = name_of(item)
    return {"before_header": name, "after_header": name, "before": before, "after": after}


def _hidden(secret: _api.Object, other: _api.Object, side: str) -> _api.Object:
    """A Secret without its values; one that is another one on the `other` side says on which `side` it is."""
    found = dict(secret)
    for field in ("data", "stringData"):
        if isinstance(found.get(field), dict):
            there = other.get(field) or {}
            found[field] = {
                key: HIDDEN if there.get(key, value) == value else f"{HIDDEN} ({side})"
                for key, value in found[field].items()
            }
    metadata = found.get("metadata")
    if isinstance(metadata, dict) and LAST_APPLIED in (metadata.get("annotations") or {}):
        kept = {key: value for key, value in metadata["annotations"].items() if key != LAST_APPLIED}
        found["metadata"] = {**metadata, "annotations": kept}
    return found
