"""Verdicts on real traffic: a canary at its share, at other shares, one that fails, and one that lies."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from typing import Any

import pytest
from integration.conftest import judged, namespace
from integration.playbooks import ELSEWHERE, PATIENCE, Lab, catalog, copied

QUARTER = {"1.0.0": 0.75, "2.0.0": 0.25}


@pytest.fixture(scope="module")
def shared(bad_lab: Lab) -> Iterator[Lab]:
    """The lab's application, deployed once for all verdicts."""
    with namespace(bad_lab.kubeconfig) as lab:
        yield copied(bad_lab, lab)


def behind(
    lab: Lab, stable: int, canary: int, version: str = "2.0.0", repository: str = "kelseyhightower/hello"
) -> None:
    """Return when hello has so many ready endpoints of 1.0.0 and of a canary, and no others."""
    name = f"hello-{version}".replace(".", "-")
    if canary and name not in lab.deployments():
        other = lab.apps.read_namespaced_deployment("hello", lab.namespace)
        labels = {"app": "hello", "version": version}
        other.spec.template.metadata.labels = labels
        other.spec.selector.match_labels = labels
        other.spec.template.spec.containers[0].image = f"{repository}:{version}"
        body = {"metadata": {"name": name}, "spec": other.spec}
        lab.apps.create_namespaced_deployment(lab.namespace, body)
    for each in lab.deployments():
        if each.startswith("hello"):
            number = {"hello": stable, name: canary}.get(each, 0)
            lab.apps.patch_namespaced_deployment_scale(each, lab.namespace, {"spec": {"replicas": number}})
    wanted = {each: number for each, number in {"1.0.0": stable, version: canary}.items() if number}
    deadline = time.monotonic() + PATIENCE
    while (found := judged(lab, source="endpoints", fail_on="never")["counts"]) != wanted:
        assert time.monotonic() < deadline, found
        time.sleep(0.1)


def settled(lab: Lab, verdict: str, said: str, **options: Any) -> dict[str, Any]:
    """The first look that ends so and says so: a data plane follows the endpoints when it does."""
    deadline = time.monotonic() + PATIENCE
    while True:
        seen = judged(lab, **options)
        if seen.get("verdict") == verdict and re.search(said, seen["message"]):
            return seen
        assert time.monotonic() < deadline, seen


def test_a_canary_at_its_share_passes_and_at_another_one_fails(shared: Lab) -> None:
    behind(shared, 3, 1)
    settled(shared, "pass", "2.0.0", expected=QUARTER)
    settled(shared, "pass", "2.0.0", expected_from="endpoints", agree=["endpoints", "pods"])

    behind(shared, 2, 2)
    # Pods that just went may lose a request.
    sure = r"\(99% confidence: [\d.]+ to [\d.]+%\)"
    said = rf"hello 2\.0\.0 answers (4[5-9]|5\d)% of \d+ requests {sure}, expected 25 ± 10$"
    settled(shared, "fail", said, expected=QUARTER, min_success=0.9)

    behind(shared, 3, 0)
    none = settled(shared, "fail", "hello 2.0.0 answers 0% of", expected=QUARTER, min_success=0.9)
    assert "2.0.0 answered none of" in none["guards"][0]


def test_a_canary_that_loses_one_request_in_ten_fails_on_success_rate(shared: Lab) -> None:
    behind(shared, 2, 2, "flaky", catalog())  # every fifth answer of a half is 500
    sure = r"\(99% confidence: [\d.]+% at most\)"
    said = rf"hello answers [\d.]+% of \d+ requests with a version {sure}, expected 99% or more$"
    lossy = settled(shared, "fail", said, expected_from="endpoints", min_success=0.99)
    assert list(lossy["errors"]) == ["HTTP 500"]


def test_a_version_that_is_not_what_it_says_fails_where_sources_must_agree(shared: Lab) -> None:
    behind(shared, 3, 1, "liar", catalog())
    settled(shared, "pass", "1.0.0", expected={"1.0.0": 1})
    said = "traffic and endpoints do not agree: hello liar answers 0% of"
    liar = settled(shared, "fail", said, expected={"1.0.0": 1}, agree=["traffic", "endpoints"])
    assert liar["sources"]["endpoints"] == {"1.0.0": 3, "liar": 1}


def test_a_proxy_that_keeps_its_connections_is_named_where_users_do_not_follow_the_endpoints(shared: Lab) -> None:
    behind(shared, 3, 1)
    deployment = {"spec": {"template": {"spec": {"containers": [{"name": "frontend", "image": "nginx:1.31.2"}]}}}}
    before = shared.apps.read_namespaced_deployment("frontend", shared.namespace).spec.template.spec
    shared.apps.patch_namespaced_deployment("frontend", shared.namespace, deployment)
    shared.complete()
    # Its connections to 1.0.0 stay, though the Service leads there no more.
    settled(shared, "pass", "1.0.0", expected={}, samples=100)
    shared.core.patch_namespaced_service("hello", shared.namespace, {"spec": {"selector": {"version": "2.0.0"}}})
    said = (
        "the ready endpoints of Service hello are as expected, so either a proxy in front of it keeps its connections"
    )
    kept = settled(shared, "fail", said, expected={"2.0.0": 1})
    assert kept["counts"]["1.0.0"] > 0
    shared.core.patch_namespaced_service("hello", shared.namespace, {"spec": {"selector": {"version": None}}})
    shared.apps.patch_namespaced_deployment("frontend", shared.namespace, {"spec": {"template": {"spec": before}}})
    shared.complete()


@pytest.mark.skipif(
    ELSEWHERE,
    reason="this machine has addresses that reach a cluster for the sandbox only",
)
def test_one_client_stays_with_one_version_and_many_clients_get_the_weighted_share(shared: Lab) -> None:
    behind(shared, 3, 1)
    # Of its own port, as a cluster may have no right to one below 1024.
    ports = [{"name": "http", "port": 80, "targetPort": 80}, {"name": "users", "port": 8080, "targetPort": 80}]
    spec = {"type": "LoadBalancer", "sessionAffinity": "ClientIP", "ports": ports}
    shared.core.patch_namespaced_service("hello", shared.namespace, {"spec": spec})
    clients = {"name": "hello", "port": 8080, "source_addresses": ["127.3.0.0/22"]}
    deadline = time.monotonic() + PATIENCE
    while not (one := judged(shared, **{**clients, "samples": 1})).get("counts"):
        assert time.monotonic() < deadline, one
        time.sleep(0.1)
    assert (one["clients"]["count"], one["clients"]["one_version"], len(one["counts"])) == (1, 1, 1), one

    many = settled(shared, "pass", "each client got one version", **clients, expected=QUARTER)
    asked = many["clients"]["count"]
    assert many["clients"] == {"count": asked, "requests": 3 * asked, "one_version": asked, "several": {}}
    assert f"of {asked} clients, 0 lost; each client got one version in 3 requests" in many["message"]
    wrong = judged(shared, **clients, expected={"1.0.0": 0.25, "2.0.0": 0.75})
    assert wrong["verdict"] == "fail"
    few = judged(shared, **{**clients, "source_addresses": ["127.3.0.1", "127.3.0.2"]}, expected=QUARTER)
    assert (few["verdict"], few["samples"]) == ("inconclusive", 2)
    assert few["msg"].endswith("2 clients are too few, set more source_addresses")

    # All users of the frontend are one client, its pod, to the Service behind it.
    behind_another = judged(shared, source_addresses=["127.3.0.0/22"], expected=QUARTER)
    assert "all clients come to it by the Service in front of it" in behind_another["msg"]
    assert len(judged(shared)["counts"]) == 1

    shared.core.patch_namespaced_service("hello", shared.namespace, {"spec": {"sessionAffinity": "None"}})
    # Without affinity a client may get any version.
    several = r"\d+ of \d+ clients got several versions in 3 requests, such as 127\.3\."
    settled(shared, "pass", several, **clients, expected=QUARTER)
