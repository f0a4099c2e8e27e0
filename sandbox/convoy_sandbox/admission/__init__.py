# SPDX-FileCopyrightText: The convoy.rollout authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Admission: what stands between a request that is well formed and the store.

`complete` fills in what a namespace, an account or a class decides, and `webhooks.mutate` what webhooks change; `check`
refuses what they forbid, and warns. Controllers' writes are admitted like clients'.
"""

from __future__ import annotations

from .. import errors, quota, resources
from ..kinds.base import wrong
from ..resources import Resource
from ..selectors import labels_of
from ..store import Object, Store
from . import context, honesty, limits, pods, policies, security, webhooks
from .policies import Attempt

_TEMPLATES = frozenset(
    {
        resources.DEPLOYMENTS, resources.REPLICASETS, resources.STATEFULSETS, resources.DAEMONSETS, resources.JOBS,
        resources.CRONJOBS,
    }
)  # fmt: skip


def complete(store: Store, resource: Resource, new: Object) -> None:
    """Fill in what others decide about a new object. Raises ApiError 403."""
    if resource == resources.PODS:
        pods.runtime_class(store, new)
        limits.complete(store, new)
        pods.priority(store, new)
        pods.service_account(store, new)


def check(store: Store, attempt: Attempt) -> None:
    """Refuse what the rules of a namespace, policies and webhooks forbid. Raises ApiError, Unanswered."""
    resource, new, old = attempt.resource, attempt.object, attempt.old
    if old is None or resource == resources.PERSISTENTVOLUMECLAIMS:
        _within_limits(store, resource, new)
    _secure(store, resource, new, old)
    ask(store, attempt)
    if old is None:
        # Whoever brings a class brings what serves it, as the gateway of `--gateway` does.
        named = str((new.get("spec") or {}).get("ingressClassName", "")) if resource == resources.INGRESSES else ""
        served = store.get(resources.INGRESSCLASSES, "", named) is not None
        for text in honesty.unheeded(resource, new, has_class=served):
            context.warn(text)
    if old is None or resource in quota.RECOUNTED:
        quota.admit(store, resource, new, old)


def ask(store: Store, attempt: Attempt) -> None:
    """Refuse what a ValidatingAdmissionPolicy or a webhook denies. Raises ApiError, Unanswered."""
    policies.enforce(store, attempt)
    webhooks.validate(store, attempt)


def _within_limits(store: Store, resource: Resource, new: Object) -> None:
    if resource not in (resources.PODS, resources.PERSISTENTVOLUMECLAIMS):
        return
    problems = limits.problems(store, resource, new)
    if problems:
        text = problems[0] if len(problems) == 1 else f"[{', '.join(problems)}]"
        raise errors.forbidden(resource, new["metadata"]["name"], text)


def _secure(store: Store, resource: Resource, new: Object, old: Object | None) -> None:
    if resource == resources.NAMESPACES:
        _check_labels(new, old)
        if old is not None:
            _warn_of_pods(store, new, old)
        return
    if resource == resources.PODS:
        if old is not None:
            return
        spec = new["spec"]
    elif resource in _TEMPLATES:
        body = new["spec"]["jobTemplate"]["spec"] if resource == resources.CRONJOBS else new["spec"]
        spec = body["template"]["spec"]
    else:
        return
    namespace = store.get(resources.NAMESPACES, "", new["metadata"]["namespace"]) or {"metadata": {}}
    if resource == resources.PODS:
        enforced = security.policy(namespace, "enforce")
        found = security.violations(spec, enforced.level)
        if found:
            why = f'violates PodSecurity "{enforced}": {security.sentence(found)}'
            raise errors.forbidden(resource, new["metadata"]["name"], why)
    warned = security.policy(namespace, "warn")
    found = security.violations(spec, warned.level)
    if found:
        context.warn(f'would violate PodSecurity "{warned}": {security.sentence(found)}')


def _check_labels(namespace: Object, old: Object | None) -> None:
    """Refuse labels that no policy can be read from. Raises ApiError 422."""
    before = security.label_problems(labels_of(old)) if old else []
    problems = [each for each in security.label_problems(labels_of(namespace)) if each not in before]
    if problems:
        causes = [wrong(f"metadata.labels[{key}]", value, why) for key, value, why in problems]
        raise errors.invalid(resources.NAMESPACES, namespace["metadata"]["name"], causes)


def _warn_of_pods(store: Store, new: Object, old: Object) -> None:
    """Say which pods of a namespace a stricter policy would refuse now."""
    policy, before = security.policy(new, "enforce"), security.policy(old, "enforce")
    if policy == before or security.LEVELS.index(policy.level) <= security.LEVELS.index(before.level):
        return
    name = new["metadata"]["name"]
    names: dict[str, list[str]] = {}
    for pod in store.list(resources.PODS, name):
        reasons = ", ".join(reason for reason, _ in security.violations(pod["spec"], policy.level))
        if reasons:
            names.setdefault(reasons, []).append(pod["metadata"]["name"])
    if names:
        context.warn(f'existing pods in namespace "{name}" violate the new PodSecurity enforce level "{policy}"')
    for reasons, found in names.items():
        others = len(found) - 1
        more = f" (and {others} other pod{'s' if others > 1 else ''})" if others else ""
        context.warn(f"{found[0]}{more}: {reasons}")
