"""Answers to "who am I" and "may I": the sandbox has one user, and that is the administrator."""

from __future__ import annotations

from ..resources import Resource
from ..store import Object

_STATUS: dict[str, Object] = {
    "selfsubjectaccessreviews": {"allowed": True},
    "selfsubjectreviews": {
        "userInfo": {"username": "kubernetes-admin", "groups": ["system:masters", "system:authenticated"]}
    },
}


def answer(resource: Resource, review: Object) -> Object | None:
    """The review with its status, or None where the resource is none that is answered so."""
    status = _STATUS.get(resource.plural)
    if status is None:
        return None
    return {
        "kind": resource.kind,
        "apiVersion": resource.api_version,
        "metadata": {"creationTimestamp": None},
        "spec": review.get("spec") or {},
        "status": status,
    }
