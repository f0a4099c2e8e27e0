"""Who else looks after an object, and who wrote which field."""

from __future__ import annotations

import typing as t

import pytest
from ansible_collections.convoy.rollout.plugins.module_utils._workload._managers import (
    changed_by,
    last_writer,
    owner_of,
    value,
    writers,
)

Object = dict[str, t.Any]


def item(
    labels: Object | None = None, annotations: Object | None = None, managers: t.Sequence[str] = (), **more: t.Any
) -> Object:
    """A Deployment."""
    fields = [{"manager": name, "fieldsV1": {"f:metadata": {}}} for name in managers]
    metadata = {"name": "shop", "labels": labels, "annotations": annotations, "managedFields": fields, **more}
    return {"kind": "Deployment", "metadata": metadata}


HELM = {"app.kubernetes.io/managed-by": "Helm"}


@pytest.mark.parametrize(
    ("found", "owner"),
    [
        (item(), None),
        (item(managers=["kubectl-client-side-apply", "convoy.rollout", "kube-controller-manager"]), None),
        # Whoever pipes helm template into kubectl has the label, and no release.
        (item(HELM), None),
        (item(HELM, {"meta.helm.sh/release-name": "shop-prod"}), "Helm (shop-prod)"),
        (item(HELM, managers=["helm"]), "Helm"),
        (item(HELM, {"argocd.argoproj.io/tracking-id": "shop:apps/Deployment:n/shop"}), "Argo CD (shop)"),
        (item({"argocd.argoproj.io/instance": "shop"}), "Argo CD (shop)"),
        (item(managers=["argocd-controller"]), "Argo CD"),
        (item(HELM | {"helm.toolkit.fluxcd.io/name": "web"}, {"meta.helm.sh/release-name": "web"}), "Flux (web)"),
        (item({"kustomize.toolkit.fluxcd.io/name": "apps"}), "Flux (apps)"),
        (item({"app.kubernetes.io/managed-by": "kustomize-v5.4.2"}), "Kustomize"),
        (item(ownerReferences=[{"kind": "Shop", "name": "eu", "controller": True}]), "Shop (eu)"),
        (item(ownerReferences=[{"kind": "Shop", "name": "eu"}]), None),
    ],
)
def test_who_looks_after_an_object(found: Object, owner: str | None) -> None:
    assert (str(owner_of(found)) if owner_of(found) else None) == owner


def written(*entries: tuple[str, str, Object]) -> Object:
    """A Deployment whose fields were written by managers, each at a minute."""
    fields = [
        {"manager": manager, "operation": "Update", "time": f"2026-11-25T08:{minute}:00Z", "fieldsV1": said}
        for manager, minute, said in entries
    ]
    return {"kind": "Deployment", "metadata": {"name": "shop", "managedFields": fields}}


REPLICAS = {"f:spec": {"f:replicas": {}}}
IMAGE = {
    "f:spec": {"f:template": {"f:spec": {"f:containers": {'k:{"name":"web"}': {".": {}, "f:image": {}, "f:name": {}}}}}}
}


@pytest.mark.parametrize(
    ("path", "manager"),
    [
        ("spec.replicas", "kubectl-patch"),
        ("spec.template.spec.containers[name=web].image", "helm"),
        ("spec.template.spec.containers[name=log].image", ""),
        ("spec.template", "helm"),
        ("spec.selector", "kubectl-edit"),
        ("spec.selector.version", "kubectl-edit"),  # it is written as a whole
        ("metadata.annotations[convoy.rollout/weight]", "convoy.rollout"),
        ("metadata.annotations", "convoy.rollout"),
        ("spec.paused", ""),
        ("status", ""),
    ],
)
def test_who_wrote_a_field_last(path: str, manager: str) -> None:
    found = written(
        ("convoy.rollout", "01", REPLICAS),
        ("kubectl-patch", "05", REPLICAS),
        ("kube-controller-manager", "03", REPLICAS),
        ("helm", "02", IMAGE),
        ("kubectl-edit", "04", {"f:spec": {"f:selector": {}}}),
        ("convoy.rollout", "06", {"f:metadata": {"f:annotations": {"f:convoy.rollout/weight": {}}}}),
    )
    assert last_writer(found, path) == manager


def test_each_who_wrote_a_field_the_newest_first() -> None:
    found = written(("a", "01", REPLICAS), ("b", "05", REPLICAS), ("c", "03", IMAGE))
    assert [(writer.manager, writer.time[14:16]) for writer in writers(found, "spec.replicas")] == [
        ("b", "05"),
        ("a", "01"),
    ]
    assert writers({"metadata": {"name": "shop"}}, "spec.replicas") == []


def test_a_change_names_field_values_and_manager() -> None:
    found = written(("kubectl-patch", "05", REPLICAS))
    said = "spec.replicas of Deployment shop was changed from 7 to 2 by kubectl-patch"
    assert changed_by(found, "spec.replicas", 7, 2) == said
    selector = changed_by(found, "spec.selector", {"app": "a", "version": "1"}, {"app": "a"})
    assert selector.endswith("was changed from app=a,version=1 to app=a by somebody else")
    assert "from nothing to true" in changed_by(found, "spec.paused", None, True)


def test_an_item_of_an_atomic_list_is_found_by_its_place() -> None:
    item = {
        "metadata": {
            "name": "hello",
            "annotations": {"1": "one"},
            "managedFields": [
                {"manager": "other", "operation": "Apply", "time": "1", "fieldsV1": {"f:spec": {"f:rules": {}}}},
                {"manager": "status", "operation": "Update", "time": "2", "fieldsV1": {"f:status": {}}},
            ],
        },
        "spec": {"rules": [{"backendRefs": [{"name": "a", "weight": 9}, {"name": "b", "weight": 0}]}]},
    }
    path = "spec.rules[0].backendRefs[name=b].weight"
    assert value(item, path) == 0
    assert value(item, "spec.rules[1].backendRefs[name=b].weight") is None
    assert value(item, "metadata.annotations[1]") == "one"
    assert last_writer(item, path) == "other"
