"""Finding the router of a Service: what is asked for, and what becomes of it where rights are missing."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.convoy.rollout.plugins.module_utils._cluster._api import ApiError
from ansible_collections.convoy.rollout.plugins.module_utils._failure import Failure
from ansible_collections.convoy.rollout.plugins.module_utils._operations import _router_found
from unit.plugins.module_utils._strategy.routers.test__backends import istio, openshift, traefik
from unit.plugins.module_utils._strategy.routers.test__gateway_api import backend, route
from unit.plugins.module_utils._strategy.routers.test__ingress import ingress, ingress_class

Object = dict[str, Any]

GROUPS = {
    "httproutes": ("gateway.networking.k8s.io", "v1"),
    "ingresses": ("networking.k8s.io", "v1"),
    "virtualservices": ("networking.istio.io", "v1"),
    "traefikservices": ("traefik.io", "v1alpha1"),
    "routes": ("route.openshift.io", "v1"),
}


class Cluster:
    """An API server with some objects by plural, which refuses what `forbidden` names."""

    def __init__(self, forbidden: tuple[str, ...] = (), served: tuple[str, ...] = (), **items: list[Object]) -> None:
        self.items_of = {"ingresses": [], "ingressclasses": [ingress_class("nginx")], **items}
        self.served = {*self.items_of, *served}
        self.forbidden = forbidden
        self.asked: list[str] = []

    def _checked(self, what: str) -> None:
        self.asked.append(what)
        if what in self.forbidden:
            raise ApiError(403, "Forbidden", "forbidden")

    def get(self, path: str) -> Object:
        assert path == "/apis"
        self._checked(path)
        found = [GROUPS[plural] for plural in self.served if plural in GROUPS]
        return {"groups": [{"name": group, "versions": [{"version": version}]} for group, version in found]}

    def items(self, path: str) -> list[Object]:
        plural = path.rpartition("/")[2]
        self._checked(f"list {plural}")
        if plural not in self.served:
            raise ApiError(404, "NotFound", "not found")
        if plural in GROUPS:
            group, version = GROUPS[plural]
            assert path == f"/apis/{group}/{version}/namespaces/lab/{plural}"
        return self.items_of.get(plural, [])

    def patch(self, path: str, _operations: list[Object], *, dry_run: bool) -> None:
        assert dry_run
        self._checked(f"patch {path.split('/')[-2]}")

    def create(self, path: str, manifest: Object, *, dry_run: bool) -> None:
        assert dry_run
        assert manifest["metadata"]["name"] == "hello-canary"
        self._checked(f"create {path.rpartition('/')[2]}")


def found(cluster: Any) -> tuple[str, tuple[str, ...]]:
    router, may_not = _router_found.router(cluster, "lab", "hello", "hello-canary")
    return str(router) if router else "", may_not


def of(item: Object) -> Object:
    item["metadata"]["uid"] = "1"
    return item


@pytest.mark.parametrize(
    ("plural", "item", "router"),
    [
        ("httproutes", route([backend("hello")]), "HTTPRoute hello"),
        ("ingresses", ingress(), "Ingress web"),
        ("virtualservices", istio(), "VirtualService web"),
        ("traefikservices", traefik(), "TraefikService web"),
        ("routes", openshift(), "Route web"),
    ],
)
def test_what_leads_to_the_service_is_its_router(plural: str, item: Object, router: str) -> None:
    assert found(Cluster(**{plural: [of(item)]})) == (router, ())


def test_a_cluster_that_serves_none_of_the_kinds_is_asked_for_its_groups_and_ingresses() -> None:
    cluster = Cluster()
    assert found(cluster) == ("", ())
    assert cluster.asked == ["/apis", "list ingresses"]


def test_what_leads_elsewhere_is_none() -> None:
    from unit.plugins.module_utils._strategy.routers.test__ingress import path

    items = {"httproutes": [route([backend("other")])], "ingresses": [ingress(path("other"))]}
    assert found(Cluster(**items)) == ("", ())


def test_an_ingress_of_another_controller_is_none() -> None:
    item = ingress()
    item["spec"]["ingressClassName"] = "public"
    classes = [ingress_class("public", "example.com/other")]
    assert found(Cluster(ingresses=[item], ingressclasses=classes)) == ("", ())


def test_two_are_refused() -> None:
    with pytest.raises(Failure, match="HTTPRoute hello and Ingress web lead to Service hello"):
        found(Cluster(httproutes=[of(route([backend("hello")]))], ingresses=[ingress()]))


@pytest.mark.parametrize(
    ("forbidden", "router", "may_not"),
    [
        (("list httproutes",), "", ("list httproutes",)),
        (("list ingresses",), "HTTPRoute hello", ("list ingresses",)),
        (("patch httproutes",), "", ("patch httproutes",)),
        (("/apis",), "HTTPRoute hello", ()),
    ],
)
def test_what_a_user_may_not_do_is_told(forbidden: tuple[str, ...], router: str, may_not: tuple[str, ...]) -> None:
    cluster = Cluster(forbidden, httproutes=[of(route([backend("hello")]))])
    assert found(cluster) == (router, may_not)


def test_an_ingress_is_none_for_who_may_not_create_the_canarys() -> None:
    assert found(Cluster(("create ingresses",), ingresses=[ingress()])) == ("", ("create ingresses",))
    assert found(Cluster(("list ingressclasses",), ingresses=[ingress()])) == ("Ingress web", ())
