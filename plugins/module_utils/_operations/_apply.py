# Copyright: the convoy.rollout authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What action plugin apply hands to kubernetes.core.k8s, and makes of what that returns. Pure, but for the pause."""

from __future__ import annotations

import typing as t

from ansible_collections.convoy.rollout.plugins.module_utils._cluster import _api, _client_errors, _retries
from ansible_collections.convoy.rollout.plugins.module_utils._failure import Failure
from ansible_collections.convoy.rollout.plugins.module_utils._run import _run

ARGUMENTS: dict[str, t.Any] = {
    **_api.ARGUMENTS,
    **_run.OPTION,
    "namespace": {"type": "str"},
    "definition": {"type": "raw", "required": True},
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


def module_args(options: t.Mapping[str, t.Any], kubeconfig: str) -> dict[str, t.Any]:
    """The arguments of kubernetes.core.k8s. There is no secret among them: credentials are in the kubeconfig's file."""
    definition = options["definition"]
    text = "\n---\n".join(each for each in definition if each) if isinstance(definition, list) else definition
    return {
        "kubeconfig": kubeconfig,
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


def judged(
    result: t.Mapping[str, t.Any], options: t.Mapping[str, t.Any], run: _run.Run, again: bool
) -> dict[str, t.Any]:
    """What the task returns of what the module did: of a Secret, only that it changed. Raises Failure."""
    if result.get("failed"):
        said = str(result.get("msg") or "The module kubernetes.core.k8s broke down")
        why = _client_errors.refusal(said, options["namespace"])
        more = "; the API server fails again and again: run again when it does not" if again else ""
        raise Failure(f"{why.rstrip('.')}{more}.")
    found = result.get("result") or {}
    items = found.get("results") if "results" in found else [{**result, "result": found}]
    changes, diffs, objects = [], [], []
    for item in items or []:
        made = item.get("result") or {}
        name = f"{made.get('kind')} {(made.get('metadata') or {}).get('name')}"
        objects.append(name)
        if not item.get("changed"):
            continue
        changes.append(name)
        if item.get("diff") and made.get("kind") != "Secret":
            diffs.append({**item["diff"], "before_header": name, "after_header": name})
    for name in changes:
        run.journal.note("changed", message=f"{name} was applied")
    return {
        "changed": bool(changes),
        "objects": objects,
        "changes": changes,
        "message": f"applied: {', '.join(changes)}" if changes else "nothing to apply: each object is as described",
        **({"diff": diffs} if diffs else {}),
    }
