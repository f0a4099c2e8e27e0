"""playbooks/canary.yml by annotations of ingress-nginx, which a real Traefik serves: small shares, no request lost."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from typing import Any

import pytest
from convoy_sandbox.network import traefik
from convoy_sandbox.testing import Sandbox, sandbox
from integration.playbooks import Traffic
from integration.routed import Routed, behind, deployed, killed, make_route
from kubernetes import client

pytestmark = pytest.mark.skipif(traefik.program() is None, reason=traefik.MISSING)

ANNOTATION = "nginx.ingress.kubernetes.io/canary"


@pytest.fixture(scope="module")
def cluster() -> Iterator[Sandbox]:
    with sandbox(name=f"ingress-{uuid.uuid4().hex[:8]}", gateway=True) as running:
        yield running


@pytest.fixture(scope="module")
def source(cluster: Sandbox) -> Iterator[Routed]:
    with deployed(cluster) as found:
        yield found


@pytest.fixture
def lab(source: Routed) -> Iterator[Routed]:
    def made(found: Routed) -> None:
        found.variables["application_router"] = {"ingress": {"name": "hello"}}
        make(found)

    with behind(source, made) as found:
        yield found


def make(lab: Routed, name: str = "hello", host: str = "", classed: str = "nginx") -> None:
    backend = {"service": {"name": "hello", "port": {"number": 80}}}
    other = {"service": {"name": "other", "port": {"number": 80}}}
    paths = [
        {"path": "/", "pathType": "Prefix", "backend": backend},
        {"path": "/other", "pathType": "Prefix", "backend": other},
    ]
    ingress = {
        "metadata": {"name": name},
        "spec": {"ingressClassName": classed, "rules": [{"host": host or lab.host, "http": {"paths": paths}}]},
    }
    client.NetworkingV1Api(lab.api).create_namespaced_ingress(lab.namespace, ingress)


def ingresses(lab: Routed) -> dict[str, Any]:
    items = client.NetworkingV1Api(lab.api).list_namespaced_ingress(lab.namespace).items
    return {item.metadata.name: item for item in items}


def weight(lab: Routed) -> tuple[str, str, str]:
    noted = ingresses(lab)["hello-canary"].metadata.annotations
    return noted[ANNOTATION], noted[f"{ANNOTATION}-weight"], noted[f"{ANNOTATION}-weight-total"]


def is_as_before(lab: Routed, version: str, before: Any) -> None:
    assert lab.deployments() == {"hello"}
    assert lab.services() == {"hello"}
    assert lab.selector() == {"app": "hello"}
    assert {name: item.spec for name, item in ingresses(lab).items()} == {"hello": before["hello"].spec}
    assert ingresses(lab)["hello"].metadata.annotations == before["hello"].metadata.annotations
    assert lab.versions(50) == {version: 50}


def test_a_part_then_all_of_it_and_promoted_loses_no_request(lab: Routed) -> None:
    before, first = ingresses(lab), {"weight": 12.5, "replicas": 2}
    with Traffic(lab) as traffic:
        one = lab.canary(version="2.0.0", canary_steps=[first])
        assert one.code == 0, one.output
        assert "weight 12.5%: Ingress hello gives it to 2 replicas beside 3 of stable" in one.output
        assert weight(lab) == ("true", "25", "200")
        (rule,) = ingresses(lab)["hello-canary"].spec.rules
        assert (rule.host, [path.path for path in rule.http.paths]) == (lab.host, ["/"])
        assert rule.http.paths[0].backend.service.name == "hello-canary"
        assert ingresses(lab)["hello"].spec == before["hello"].spec
        version = ingresses(lab)["hello-canary"].metadata.resource_version

        again = lab.canary(version="2.0.0", canary_steps=[first])
        assert (again.code, again.changed) == (0, 0), again.output
        assert ingresses(lab)["hello-canary"].metadata.resource_version == version

        done = lab.canary(version="2.0.0", canary_steps=[first, {"weight": 100}], promote=True)
        assert done.code == 0, done.output
        is_as_before(lab, "2.0.0", before)
    assert traffic.lost == []


def test_check_mode_changes_nothing_and_shows_the_weight(lab: Routed) -> None:
    versions, before = lab.spec_versions(), ingresses(lab)
    dry = lab.canary("--check", "--diff", version="2.0.0", canary_weight=5)
    assert dry.code == 0, dry.output
    assert f"{ANNOTATION}-weight: '5'" in dry.output, dry.output
    assert (lab.spec_versions(), set(ingresses(lab))) == (versions, set(before))


def test_a_weight_that_was_changed_between_two_runs_is_given_again(lab: Routed) -> None:
    before = ingresses(lab)
    assert lab.canary(version="2.0.0", canary_weight=25).code == 0
    networking = client.NetworkingV1Api(lab.api)
    body = {"metadata": {"annotations": {f"{ANNOTATION}-weight": "60"}}}
    networking.patch_namespaced_ingress("hello-canary", lab.namespace, body)
    # And the users' own has another host by now.
    rules = [*before["hello"].spec.rules, {**before["hello"].spec.rules[0].to_dict(serialize=True), "host": "b.test"}]
    networking.patch_namespaced_ingress("hello", lab.namespace, {"spec": {"rules": rules}})
    again = lab.canary(version="2.0.0", canary_weight=25)
    assert again.code == 0, again.output
    assert weight(lab) == ("true", "25", "100")
    assert [rule.host for rule in ingresses(lab)["hello-canary"].spec.rules] == [lab.host, "b.test"]


def test_it_is_found_where_it_is_left_out_and_refused_by_name_where_there_are_two(lab: Routed) -> None:
    before = ingresses(lab)
    lab.variables["application_router"] = {}
    make(lab, "elsewhere", "elsewhere.example.com", "of-another-controller")
    found = lab.canary(version="2.0.0", canary_weight=1)
    assert found.code == 0, found.output
    assert "weight 1%: Ingress hello gives it to 1 replica beside 3 of stable" in found.output
    assert weight(lab) == ("true", "1", "100")
    make_route(lab)  # the canary that there is goes on by what it has
    aborted = lab.canary(abort=True)
    assert aborted.code == 0, aborted.output
    client.NetworkingV1Api(lab.api).delete_namespaced_ingress("elsewhere", lab.namespace)
    is_as_before(lab, "1.0.0", before)

    versions = lab.spec_versions()
    refused = lab.canary(version="2.0.0", canary_weight=1)
    assert refused.code != 0
    assert "HTTPRoute hello and Ingress hello lead to Service hello" in refused.output, refused.output
    assert "{gateway_api: {route: hello}} or {ingress: {name: hello}}, or as {pods: true}" in refused.output
    assert lab.spec_versions() == versions

    pods = lab.canary(version="2.0.0", canary_weight=25, application_router={"pods": True})
    assert pods.code == 0, pods.output
    assert "weight 25%: 1 of 4 pods gives 25%" in pods.output
    assert (set(ingresses(lab)), lab.services()) == ({"hello"}, {"hello"})
    aborted = lab.canary(abort=True)
    assert aborted.code == 0, aborted.output
    is_as_before(lab, "1.0.0", before)


def test_killed_with_its_ingress_run_again_and_aborted_gives_everything_back(cluster: Sandbox, lab: Routed) -> None:
    def counts(write: Any) -> bool:
        kinds = ("services", "deployments", "ingresses")
        return bool(write.action.namespace == lab.namespace and write.action.resource in kinds)

    before = ingresses(lab)
    with Traffic(lab) as traffic:
        killed(cluster, lab, "canary", counts, 4, version="2.0.0", canary_weight=50)
        assert weight(lab) == ("true", "0", "100")
        again = lab.canary(version="2.0.0", canary_weight=50)
        assert again.code == 0, again.output
        assert weight(lab) == ("true", "50", "100")
        aborted = lab.canary(abort=True)
        assert aborted.code == 0, aborted.output
        is_as_before(lab, "1.0.0", before)
    assert traffic.lost == []


def test_blue_green_there_and_back_leaves_the_users_ingress_alone_and_loses_no_request(lab: Routed) -> None:
    def is_at_rest(version: str) -> None:
        assert {name: item.spec for name, item in ingresses(lab).items()} == {"hello": before["hello"].spec}
        assert lab.selector()["version"] == version
        assert lab.versions(50) == {version: 50}

    before = ingresses(lab)
    with Traffic(lab) as traffic:
        there = lab.play("bluegreen", version="2.0.0")
        assert there.code == 0, there.output
        words = " ".join(there.output.split())
        assert "switched by the weights of Ingress hello; Service hello follows once that is verified" in words
        assert "verified before by Service hello-preview" in words
        is_at_rest("2.0.0")
        back = lab.play("bluegreen", rollback=True)
        assert back.code == 0, back.output
        is_at_rest("1.0.0")
    assert (traffic.lost, traffic.versions) == ([], ["1.0.0", "2.0.0"])
