"""What is stored and not acted upon is said to whoever writes it."""

from __future__ import annotations

from typing import Any

import pytest
from convoy_sandbox import resources
from convoy_sandbox.admission import context, honesty
from convoy_sandbox.registry import Registry
from convoy_sandbox.resources import RESOURCES, Resource
from convoy_sandbox.store import Store
from convoy_sandbox.users import User

CONTAINER = {"name": "main", "image": "i"}
BACKEND = {"service": {"name": "web", "port": {"number": 80}}}
INGRESS = {"spec": {"defaultBackend": BACKEND}}


def warnings(resource: Resource, body: dict[str, Any]) -> list[str]:
    registry = Registry(Store())
    registry.create(resources.NAMESPACES, "", {"metadata": {"name": "lab"}})
    with context.request_of(User("jane")) as request:
        registry.create(resource, "lab" if resource.namespaced else "", {"metadata": {"name": "a"}, **body})
    return request.warnings


@pytest.mark.parametrize(
    ("resource", "body", "about"),
    [
        (resources.INGRESSES, INGRESS, ["no controller serves Ingresses, so nothing listens for them"]),
        (resources.PODS, {"spec": {"containers": [CONTAINER]}}, []),
        (resources.PRIORITYCLASSES, {"value": 5}, ["pods of a higher priority do not preempt others"]),
        (resources.PRIORITYCLASSES, {"value": -5}, []),
        (resources.CONFIGMAPS, {"data": {"a": "b"}}, []),
    ],
)
def test_what_is_not_acted_upon_is_a_warning(resource: Resource, body: dict[str, Any], about: list[str]) -> None:
    start = "the sandbox stores this but does not act on it: "
    assert warnings(resource, body) == [start + text for text in about]


def test_an_ingress_of_a_class_that_is_there_has_somebody_who_serves_it() -> None:
    registry = Registry(Store())
    registry.create(resources.NAMESPACES, "", {"metadata": {"name": "lab"}})
    registry.create(resources.INGRESSCLASSES, "", {"metadata": {"name": "nginx"}, "spec": {"controller": "a.b/c"}})
    for name, told in (("nginx", []), ("other", 1)):
        body = {"metadata": {"name": name}, "spec": {**INGRESS["spec"], "ingressClassName": name}}
        with context.request_of(User("jane")) as request:
            registry.create(resources.INGRESSES, "lab", body)
        assert len(request.warnings) == (told or 0)


def test_the_kinds_that_are_only_stored_are_served() -> None:
    served = {(resource.group, resource.plural) for resource in RESOURCES.values()}
    assert set(honesty.STORED_ONLY) <= served
