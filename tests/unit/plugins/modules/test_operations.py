"""The operations as modules: what they ask of an API server, and what they return."""

from __future__ import annotations

import importlib
import io
import json
import random
import socket
import typing as t
from collections.abc import Callable
from contextlib import redirect_stdout

import pytest
import yaml
from ansible.module_utils.testing import patch_module_args
from ansible_collections.convoy.rollout.plugins.module_utils._cluster._api import path_of
from ansible_collections.convoy.rollout.plugins.module_utils._operations import _version_distribution
from ansible_collections.convoy.rollout.plugins.module_utils._proof._statistics import Standard
from ansible_collections.convoy.rollout.plugins.module_utils._traffic._sampler import Sample

Object = dict[str, t.Any]
Make = Callable[..., t.Any]
PLUGINS = "ansible_collections.convoy.rollout.plugins"
NAMES = [
    "application_info",
    "bluegreen_info",
    "canary_info",
    "capacity",
    "cluster_info",
    "cluster_plan",
    "explain",
    "lock",
    "rolling_update",
    "rollout",
    "scale",
    "version_distribution",
]

DEPLOYMENTS = path_of("deployments", "default", group="apps")
HELLO = path_of("deployments", "default", "hello", group="apps")
SETS = path_of("replicasets", "default", group="apps")
PODS = path_of("pods", "default")
NAMESPACE = path_of("namespaces", name="default")
SERVICE = path_of("services", "default", "hello")


def ran(operation: str, check_mode: bool = False, **options: t.Any) -> Object:
    """What a module prints, run in this process."""
    module = importlib.import_module(f"{PLUGINS}.modules.{operation}")
    printed = io.StringIO()
    with (
        patch_module_args({**options, "_ansible_check_mode": check_mode}),
        redirect_stdout(printed),
        pytest.raises(SystemExit),
    ):
        module.main()
    return t.cast(Object, json.loads(printed.getvalue()))


PODS_SPEC = {"containers": [{"name": "hello", "image": "hello:1.0.0"}]}


def deployment(available: int, version: int = 5, **more: t.Any) -> Object:
    """The Deployment hello with three copies, so many of which are available."""
    return {
        "kind": "Deployment",
        "metadata": {
            "name": "hello",
            "namespace": "default",
            "uid": "d",
            "generation": 2,
            "resourceVersion": str(version),
            "annotations": {"deployment.kubernetes.io/revision": "7"},
        },
        "spec": {
            "replicas": 3,
            "selector": {"matchLabels": {"app": "hello"}},
            "template": {"metadata": {"labels": {"app": "hello", "version": "1.0.0"}}, "spec": PODS_SPEC},
            **more,
        },
        "status": {
            "observedGeneration": 2,
            "replicas": 3,
            "updatedReplicas": 3,
            "availableReplicas": available,
        },
    }


def named(name: str) -> Object:
    """It under another name."""
    found = deployment(3)
    return {**found, "metadata": {**found["metadata"], "name": name}}


def replica_set() -> Object:
    """Its ReplicaSet."""
    return {
        "metadata": {
            "name": "hello-1",
            "uid": "r",
            "resourceVersion": "5",
            "ownerReferences": [{"uid": "d", "controller": True}],
        },
        "spec": {"template": deployment(0)["spec"]["template"]},
    }


def pod(**status: t.Any) -> Object:
    """A pod of it."""
    return {
        "metadata": {
            "name": "hello-1-a",
            "uid": "p",
            "resourceVersion": "5",
            "ownerReferences": [{"uid": "r", "controller": True}],
        },
        "spec": PODS_SPEC,
        "status": status,
    }


def crashing() -> Object:
    """A container that crashes again and again."""
    waiting = {"reason": "CrashLoopBackOff", "message": "back-off 10s"}
    return {"name": "hello", "restartCount": 1, "state": {"waiting": waiting}}


def unplaced() -> Object:
    """The condition of a pod that no node takes."""
    return {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": "Insufficient cpu"}


@pytest.fixture
def cluster(api_server: t.Any, answer: Make) -> Callable[..., t.Any]:
    """Have the API server show a Deployment that is under way, and then the events of its watch."""

    def show(*pods: Object, events: tuple[Object, ...] = ()) -> t.Any:
        def listed(*items: Object) -> t.Any:
            return answer(body={"metadata": {"resourceVersion": "5"}, "items": list(items)})

        api_server.on(HELLO, answer(body=deployment(0)))
        api_server.on(DEPLOYMENTS, listed(deployment(0)))
        api_server.on(SETS, listed(replica_set()))
        api_server.on(PODS, listed(*pods))
        for path in (SETS, PODS):
            api_server.on_watch(path, answer(hold=True))
        api_server.on_watch(DEPLOYMENTS, answer(events=events, hold=True))
        return api_server

    return show


def complete(server: t.Any, answer: Make, available: int = 3) -> None:
    """Have the API server show a Deployment that so many pods of are available, its ReplicaSet and a pod."""
    server.on(HELLO, answer(body=deployment(available)))
    server.on(SETS, answer(body={"items": [replica_set()]}))
    server.on(PODS, answer(body={"items": [pod()]}))


def here(server: t.Any) -> Object:
    """The options that lead to a scripted server."""
    return {"host": server.url, "api_key": "geheim"}


def test_rollout_waits_until_the_deployment_is_complete(cluster: Make) -> None:
    events = tuple({"type": "MODIFIED", "object": deployment(n, 5 + n)} for n in (1, 2, 3))
    server = cluster(pod(), events=events)
    result = ran("rollout", name="hello", **here(server))
    assert (result["status"], result["revision"], result["changed"]) == ("complete", 7, False)
    assert result["replicas"]["availableReplicas"] == 3
    assert "geheim" not in json.dumps(result)
    assert {a.query.get("labelSelector") for a in server.asked if a.path in (SETS, PODS)} == {"app=hello"}
    assert {a.query.get("fieldSelector") for a in server.asked if a.path == DEPLOYMENTS} == {"metadata.name=hello"}


def test_rollout_that_is_complete_asks_for_each_thing_once(api_server: t.Any, answer: Make) -> None:
    complete(api_server, answer)
    assert ran("rollout", name="hello", **here(api_server))["status"] == "complete"
    assert api_server.paths() == [HELLO, SETS, PODS]


def test_rollout_says_which_pod_fails_and_its_last_words(cluster: Make, answer: Make) -> None:
    server = cluster(pod(containerStatuses=[crashing()]))
    server.on(f"{PODS}/hello-1-a/log", answer(body={"cannot": "open the database"}))
    result = ran("rollout", name="hello", **here(server))
    assert result["failed"]
    failure = result["failure"]
    assert (failure["pod"], failure["container"], failure["reason"]) == (
        "hello-1-a",
        "hello",
        "CrashLoopBackOff",
    )
    assert "open the database" in failure["log"]
    assert "pod hello-1-a, container hello: CrashLoopBackOff" in result["msg"]
    assert "open the database" in result["msg"]
    (asked,) = [ask for ask in server.asked if ask.path.endswith("/log")]
    assert asked.query == {"tailLines": "10", "container": "hello", "previous": "true"}


def test_rollout_gives_a_pod_without_a_node_its_grace_and_no_longer(cluster: Make) -> None:
    server = cluster(pod(conditions=[unplaced()]))
    result = ran("rollout", name="hello", unschedulable_grace=0, timeout=60, **here(server))
    assert result["failure"]["reason"] == "Unschedulable"
    result = ran("rollout", name="hello", unschedulable_grace=1, timeout=60, **here(server))
    assert result["failure"]["reason"] == "Unschedulable"
    assert result["duration"] >= 1
    result = ran("rollout", name="hello", unschedulable_grace=60, timeout=1, **here(server))
    assert result["failure"]["reason"] == "Timeout"


def test_rollout_that_is_late_says_what_was_missing_and_what_the_pod_was_warned_of(cluster: Make, answer: Make) -> None:
    server = cluster(pod())
    event = {"metadata": {}, "reason": "FailedMount", "lastTimestamp": "2026-11-24T10:00:00Z"}
    older = {"metadata": {}, "reason": "Old", "message": "x", "lastTimestamp": "2026-11-24T09:00:00Z"}
    events = [dict(event, message='configmap "c" not found'), older]
    server.on(path_of("events", "default"), answer(body={"items": events}))
    result = ran("rollout", name="hello", timeout=1, **here(server))
    assert "pod hello-1-a: Timeout: 0 of 3 new pods are available after 1 s" in result["msg"]
    assert 'FailedMount: configmap "c" not found' in result["msg"]


def paused(**more: t.Any) -> Object:
    """The Deployment hello, paused."""
    return deployment(3, paused=True, **more)


@pytest.mark.parametrize("state", ["restarted", "undone"])
def test_a_paused_deployment_is_neither_restarted_nor_undone(api_server: t.Any, answer: Make, state: str) -> None:
    complete(api_server, answer)
    api_server.on(HELLO, answer(body=paused()))
    result = ran("rollout", name="hello", state=state, **here(api_server))
    assert f"Deployment hello is paused and cannot be {state}; resume it first" in result["msg"]
    assert {ask.method for ask in api_server.asked} == {"GET"}


def test_rollout_writes_only_on_what_it_has_read(api_server: t.Any, answer: Make, refusal: Make) -> None:
    complete(api_server, answer)
    # The status changed in between: read again, and written on that.
    newer = deployment(2, 6)
    api_server.on(
        HELLO, answer(body=deployment(3)), refusal(422, "Invalid", "test"), answer(body=newer), answer(body=paused())
    )
    result = ran("rollout", name="hello", state="paused", **here(api_server))
    assert (result["changed"], result["status"]) == (True, "paused")
    assert result["diff"]["after"]["spec"]["paused"]
    tested = [[step["value"] for step in ask.body if step["op"] == "test"] for ask in api_server.asked if ask.body]
    assert tested == [["d", "5"], ["d", "6"]]
    assert ran("rollout", name="hello", state="paused", **here(api_server))["changed"] is False


def test_rollout_in_check_mode_only_tries(api_server: t.Any, answer: Make) -> None:
    complete(api_server, answer)
    api_server.on(HELLO, answer(body=deployment(3)), answer(body=paused()))
    result = ran("rollout", check_mode=True, name="hello", state="paused", **here(api_server))
    assert result["changed"]
    assert [ask.query.get("dryRun") for ask in api_server.asked if ask.method == "PATCH"] == ["All"]


def test_undone_does_not_overwrite_what_somebody_else_did(api_server: t.Any, answer: Make, refusal: Make) -> None:
    complete(api_server, answer)
    older = replica_set()
    older["metadata"].update(uid="o", annotations={"deployment.kubernetes.io/revision": "6"})
    older["spec"] = {"template": {"metadata": {"labels": {"app": "hello"}}, "spec": PODS_SPEC}}
    api_server.on(SETS, answer(body={"items": [replica_set(), older]}))
    edited = deployment(3, 6, template={"metadata": {"labels": {"app": "hello", "version": "3"}}, "spec": PODS_SPEC})
    api_server.on(HELLO, answer(body=deployment(3)), refusal(422, "Invalid", "test"), answer(body=edited))
    result = ran("rollout", name="hello", state="undone", **here(api_server))
    assert "was changed by somebody else during this run" in result["msg"]


def test_undone_knows_its_own_change_where_the_answer_was_lost(api_server: t.Any, answer: Make, refusal: Make) -> None:
    complete(api_server, answer)
    older = replica_set()
    older["metadata"].update(uid="o", annotations={"deployment.kubernetes.io/revision": "6"})
    older["spec"] = {"template": {"metadata": {"labels": {"app": "hello"}}, "spec": PODS_SPEC}}
    api_server.on(SETS, answer(body={"items": [replica_set(), older]}))
    mine = answer(body=deployment(0, 6, **older["spec"]))
    lost, made_again = answer(drop=True), refusal(422, "Invalid", "test")
    api_server.on(HELLO, answer(body=deployment(3)), lost, made_again, mine)
    result = ran("rollout", name="hello", state="undone", **here(api_server))
    assert result["changed"], result
    assert "is rolled back to revision 6" in result["message"]


def test_rolling_update_knows_its_own_change_where_the_answer_was_lost(
    api_server: t.Any, answer: Make, refusal: Make
) -> None:
    complete(api_server, answer)
    api_server.on(path_of("services", "default"), answer(body={"items": []}))

    def running(version: str, number: int) -> Object:
        containers = [{"name": "hello", "image": f"hello:{version}"}]
        return deployment(
            3, number, template={"metadata": {"labels": {"app": "hello"}}, "spec": {"containers": containers}}
        )

    lost, made_again = answer(drop=True), refusal(422, "Invalid", "test")
    before, mine = answer(body=running("1.0.0", 5)), answer(body=running("2.0.0", 6))
    api_server.on(HELLO, before, lost, made_again, mine)
    result = ran("rolling_update", name="hello", version="2.0.0", **here(api_server))
    assert result["changed"], result
    other = answer(body=running("3.0.0", 6))
    api_server.on(HELLO, before, made_again, other)
    refused = ran("rolling_update", name="hello", version="2.0.0", **here(api_server))
    assert "was changed by somebody else during this run" in refused["msg"]


def test_rollout_of_a_deployment_that_is_deleted_meanwhile(cluster: Make) -> None:
    server = cluster(pod(), events=({"type": "DELETED", "object": deployment(0, 6)},))
    assert "was deleted" in ran("rollout", name="hello", **here(server))["msg"]


def test_rollout_in_check_mode_waits_for_nothing(api_server: t.Any, answer: Make) -> None:
    complete(api_server, answer, available=1)
    result = ran("rollout", check_mode=True, name="hello", **here(api_server))
    assert result["status"] == "progressing"
    assert result["message"] == "Check mode: not waiting for Deployment hello, of which 1 of 3 new pods are available."
    result = ran("rollout", check_mode=True, name="other", **here(api_server))
    assert (result["status"], result.get("failed", False)) == ("missing", False)
    assert api_server.paths()[3:] == [HELLO.replace("hello", "other"), NAMESPACE]


@pytest.mark.parametrize(
    ("name", "options", "said"),
    [
        ("rollout", {"name": "other"}, "There is no Deployment other in namespace default; create it, or"),
        ("rollout", {"name": "hello", "timeout": 0}, "must be at least 1 second"),
        ("rollout", {"name": "hello", "unschedulable_grace": -1}, "must not be negative"),
        ("rollout", {"name": "x", "at": "50%"}, "at can be used only with state=paused"),
        ("rollout", {"name": "x", "to_revision": 2}, "to_revision can be used only with state=undone"),
        ("rollout", {"name": "x", "state": "undone", "to_revision": -1}, "to_revision is -1"),
        ("rollout", {"name": "x", "state": "paused", "at": "half"}, "cannot be paused at half"),
        ("rollout", {"name": "x", "state": "paused", "kind": "StatefulSet"}, "only Deployments have a pause"),
        ("rollout", {"name": "x", "state": "resumed", "kind": "DaemonSet"}, "DaemonSet x cannot be resumed"),
        ("rollout", {"name": "x", "namespace": "nowhere"}, "There is no namespace nowhere; create it"),
        ("scale", {"name": "x", "replicas": "3"}, "There is no Deployment x in namespace default; create it, or"),
        ("capacity", {"replicas": -1}, "must not be negative"),
        ("capacity", {"replicas": 1}, "Set template"),
        ("capacity", {"replicas": 1, "deployment": "other"}, "There is no Deployment other"),
        ("bluegreen_info", {"name": "other"}, "There is no Service other in namespace default; run app_deploy"),
        ("version_distribution", {}, "Set name"),
        ("version_distribution", {"name": "x"}, "There is no Service x in namespace default; create it, or name"),
        ("version_distribution", {"name": "x", "namespace": "nowhere"}, "There is no namespace nowhere; create it"),
        ("version_distribution", {"name": "hello", "samples": 0}, "samples is 0; it must be at least 1"),
        ("version_distribution", {"name": "x", "requests_per_client": 0}, "it must be at least 1"),
        ("version_distribution", {"url": "http://x", "source_addresses": ["me"]}, "'me' is neither an address nor a"),
        ("version_distribution", {"url": "http://127.0.0.1", "source_addresses": ["192.0.2.1"]}, "cannot reach 127"),
        (
            "version_distribution",
            {"url": "http://127.0.0.1", "source_addresses": ["127.0.0.9"], "samples": 2},
            "samples is 2, and source_addresses are only 1 clients",
        ),
        (
            "version_distribution",
            {"name": "x", "state": "watch", "source_addresses": ["127.0.0.1"]},
            "goes with state=sampled",
        ),
        ("version_distribution", {"name": "x", "timeout": 0}, "more than 0 seconds"),
        ("version_distribution", {"name": "x", "max_p99": 0}, "max_p99 is 0.0; it must be more than 0 seconds"),
        (
            "version_distribution",
            {"name": "x", "entry": {"max_p99": -1}},
            "max_p99 is -1.0; it must be more than 0 seconds",
        ),
        (
            "version_distribution",
            {"name": "x", "entry": {"rate_limit": -1}},
            "rate_limit of the entry is -1; the least that works is 0, which sets no limit",
        ),
        (
            "version_distribution",
            {"entry": {"url": "https://x", "ca_cert": "/nothing.pem"}},
            "target_ca_cert /nothing.pem cannot be read",
        ),
        ("version_distribution", {"url": "http://x", "expected_from": "endpoints"}, "Set application_service"),
        ("version_distribution", {"url": "http://x", "agree": ["pods"]}, "the Service whose pods are meant"),
        (
            "version_distribution",
            {"name": "x", "expected": {"1": 1}, "expected_from": "endpoints"},
            "Set expected or expected_from, not both.",
        ),
        ("version_distribution", {"name": "x", "tolerance": 2}, "a share from 0 to 1"),
        ("version_distribution", {"name": "x", "confidence": 1}, "between 0 and 1"),
        ("version_distribution", {"name": "x", "expected": {"1": 0.5}}, "must add up to 1"),
        ("version_distribution", {"name": "x", "expected": {"1": "much"}}, "expected"),
        ("version_distribution", {"name": "x", "path": "/a b"}, "white space"),
        ("version_distribution", {"name": "x", "headers": {"a": "b\r\nc: d"}}, "line breaks"),
        ("version_distribution", {"url": "ftp://x"}, "must be an http or https URL"),
        ("version_distribution", {"url": "http://x:99999/"}, "must be an http or https URL"),
    ],
)
def test_bad_input_gets_one_sentence(api_server: t.Any, answer: Make, name: str, options: Object, said: str) -> None:
    api_server.on(NAMESPACE, answer(body={}))
    result = ran(name, **options, **here(api_server))
    assert result["failed"]
    assert said in result["msg"]
    assert "\n" not in result["msg"]


AUTOSCALERS = path_of("horizontalpodautoscalers", "default", group="autoscaling").replace("/v1/", "/v2/")


def test_scale_writes_a_number_once(api_server: t.Any, answer: Make) -> None:
    api_server.on(HELLO, answer(body=deployment(3)), answer(body=deployment(3, replicas=5)))
    result = ran("scale", name="hello", replicas="+2", **here(api_server))
    assert (result["changed"], result["before"], result["after"]) == (True, 3, 5)
    assert api_server.asked[-1].body[-1] == {"op": "add", "path": "/spec/replicas", "value": 5}
    again = ran("scale", name="hello", replicas="5", **here(api_server))
    assert (again["changed"], again["message"]) == (False, "Deployment hello has 5 replicas.")


def test_scale_leaves_the_number_to_an_autoscaler(api_server: t.Any, answer: Make) -> None:
    api_server.on(HELLO, answer(body=deployment(3)))
    aims = {"apiVersion": "apps/v1", "kind": "Deployment", "name": "hello"}
    hpa = {"metadata": {"name": "hello-cpu"}, "spec": {"scaleTargetRef": aims, "minReplicas": 2, "maxReplicas": 8}}
    api_server.on(AUTOSCALERS, answer(body={"items": [hpa]}))
    result = ran("scale", name="hello", replicas="5", **here(api_server))
    assert (result["changed"], result["after"]) == (False, 3)
    assert "HorizontalPodAutoscaler hello-cpu sets them, from 2 to 8; change its" in result["message"]
    assert {ask.method for ask in api_server.asked} == {"GET"}


def test_scale_notices_who_else_scales(api_server: t.Any, answer: Make, refusal: Make) -> None:
    said = (
        "Deployment hello was scaled from 3 to 4 replicas by somebody else during this run (field manager kubectl "
        "wrote spec.replicas); find out who did that, and run the playbook again."
    )
    theirs = deployment(3, 6, replicas=4)
    theirs["metadata"]["managedFields"] = [
        {"manager": "kubectl", "subresource": "scale", "fieldsV1": {"f:spec": {"f:replicas": {}}}}
    ]
    api_server.on(HELLO, answer(body=deployment(3)), refusal(422, "Invalid", "t"), answer(body=theirs))
    assert ran("scale", name="hello", replicas="+2", **here(api_server))["msg"] == said
    assert ran("scale", name="hello", replicas="5", current_replicas=3, **here(api_server))["msg"] == said


def test_scale_does_not_touch_a_rollout_that_is_held(api_server: t.Any, answer: Make) -> None:
    api_server.on(HELLO, answer(body=deployment(1, paused=True)))
    assert "is paused in the middle" in ran("scale", name="hello", replicas="5", **here(api_server))["msg"]


def service(**status: t.Any) -> Object:
    """The Service hello."""
    return {
        "metadata": {"name": "hello", "namespace": "default"},
        "spec": {"selector": {"app": "hello"}, "ports": [{"name": "http", "port": 80}, {"port": 443}]},
        "status": status,
    }


def test_version_distribution_goes_through_the_proxy_without_an_address(api_server: t.Any, answer: Make) -> None:
    api_server.on(SERVICE, answer(body=service()))
    proxied = f"{path_of('services', 'default')}/hello:80/proxy/version"
    api_server.on(proxied, answer(body={"version": "2.0.0"}))
    options = {"name": "hello", "samples": 12, "expected": {"2.0.0": 1}, **here(api_server)}
    result = ran("version_distribution", **options)
    assert (result["via"], result["verdict"], result["counts"]) == ("proxy", "pass", {"2.0.0": 12})
    assert api_server.connections == 13
    assert api_server.asked[-1].headers["Authorization"] == "Bearer geheim"
    tls = f"{path_of('services', 'default')}/https:hello:443/proxy/version"
    api_server.on(tls, answer(body={"version": "2.0.0"}))
    assert ran("version_distribution", port=443, **options)["verdict"] == "pass"


def test_version_distribution_that_may_not_use_the_proxy(api_server: t.Any, answer: Make, refusal: Make) -> None:
    api_server.on(SERVICE, answer(body=service()))
    api_server.on(f"{path_of('services', 'default')}/hello:80/proxy/version", refusal(403, "Forbidden", "no"))
    result = ran("version_distribution", name="hello", samples=3, **here(api_server))
    assert "allow this user to get services/proxy" in result["msg"]
    assert result["errors"] == {"HTTP 403 (the API server's proxy)": 3}


def test_an_application_that_answers_403_through_the_proxy_is_not_taken_for_the_api_server(
    api_server: t.Any, answer: Make
) -> None:
    api_server.on(SERVICE, answer(body=service()))
    api_server.on(f"{path_of('services', 'default')}/hello:80/proxy/version", answer(403, {"error": "who are you"}))
    result = ran("version_distribution", name="hello", samples=3, **here(api_server))
    assert result["errors"] == {"HTTP 403": 3}
    assert "set headers that are let in" in result["msg"]
    assert "services/proxy" not in result["msg"].replace("services/hello:80/proxy", "")


@pytest.mark.parametrize(
    ("ingress", "url"),
    [
        ([{"ip": "127.0.0.1"}], "http://127.0.0.1/version"),
        ([{"hostname": "localhost"}], "http://localhost/version"),
        ([{"ip": "127.0.0.1", "ports": [{"port": 80, "protocol": "TCP", "error": "Taken"}]}], None),
        ([], None),
    ],
)
def test_an_address_whose_port_is_in_error_is_none(
    api_server: t.Any, answer: Make, ingress: list[Object], url: str | None
) -> None:
    api_server.on(SERVICE, answer(body=service(loadBalancer={"ingress": ingress})))
    options = {"name": "hello", "via": "url", "samples": 1, "timeout": 2, **here(api_server)}
    result = ran("version_distribution", fail_on="never", **options)
    assert result.get("url") == url
    assert url or "has no external address for port 80; use via=proxy" in result["msg"]


@pytest.mark.parametrize(
    ("body", "status", "said"),
    [
        ({"release": 2}, 200, "(1 x no version in the answer): set version_from to where an answer names it"),
        ({}, 404, "(1 x HTTP 404): check that path is right, and the header Host, which headers can set"),
        ({}, 503, "(1 x HTTP 503): check the log of what answers there"),
        ({}, 401, "(1 x HTTP 401): set headers that are let in, such as Authorization"),
    ],
)
def test_what_answers_no_request_is_told_with_what_to_do(
    api_server: t.Any, answer: Make, body: Object, status: int, said: str
) -> None:
    api_server.on("/version", answer(status=status, body=body))
    options = {"url": f"{api_server.url}/version", "concurrency": 1, "expected": {"1": 1}}
    assert ran("version_distribution", **options)["msg"] == (
        f"{api_server.url}/version: no version of 1 requests, 1 lost {said}"
    )


def test_what_cannot_be_reached_is_told_with_what_to_do() -> None:
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        port = listening.getsockname()[1]  # nothing listens
        refused = ran("version_distribution", url=f"http://127.0.0.1:{port}/", concurrency=1, expected={"1": 1})
        assert refused["msg"].endswith("(1 x connection refused): check that something listens there")
        listening.listen()  # and says nothing
        options = {"url": f"http://127.0.0.1:{port}/", "concurrency": 1, "request_timeout": 0.1, "expected": {"1": 1}}
        silent = ran("version_distribution", **options)
        assert silent["msg"].endswith(
            "(1 x timeout): check that the network leads there, use via=proxy, or set a longer request_timeout"
        )


def test_a_name_that_is_not_known_is_asked_for_once(monkeypatch: pytest.MonkeyPatch) -> None:
    def unknown(*_asked: t.Any, **_how: t.Any) -> t.NoReturn:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", unknown)
    result = ran("version_distribution", url="http://nowhere.invalid/", rate_limit=0, expected={"1": 1})
    assert result["msg"] == (
        "http://nowhere.invalid/: no version of 1 requests, 1 lost (1 x no connection (Name or service not known)): "
        "check that the name is right and the network leads there, or use via=proxy"
    )


def test_version_distribution_fails_by_its_verdict(api_server: t.Any, answer: Make) -> None:
    api_server.on("/version", answer(body={"version": "1.0.0"}))
    options: Object = {"url": f"{api_server.url}/version", "samples": 4}
    wrong = {"expected": {"2.0.0": 1.0}}
    result = ran("version_distribution", **wrong, **options)
    assert (result["failed"], result["verdict"], result["counts"]) == (True, "fail", {"1.0.0": 4})
    assert "1.0.0 answers 4 of 4 requests, expected 0%" in result["msg"]
    assert not ran("version_distribution", fail_on="never", **wrong, **options).get("failed")
    unsure = {"expected": {"1.0.0": 0.7, "2.0.0": 0.3}}
    assert ran("version_distribution", **unsure, **options)["verdict"] == "inconclusive"
    assert ran("version_distribution", fail_on="inconclusive", **unsure, **options)["failed"]


SLICES = path_of("endpointslices", "default", group="discovery.k8s.io")


def behind(
    api_server: t.Any,
    answer: Make,
    *versions: str,
    spec: Object | None = None,
    tag: str = "",
    said: t.Sequence[str] = (),
) -> Object:
    """A Service hello with a ready pod of each version, the images' tag, what is answered. The options."""
    pods = [
        {
            "metadata": {"name": f"hello-{number}", "labels": {"app": "hello", "version": version}},
            "spec": {"containers": [{"name": "hello", "image": f"sandbox/hello:{tag or version}"}]},
            "status": {"conditions": [{"type": "Ready", "status": "True"}]},
        }
        for number, version in enumerate(versions)
    ]
    endpoints = [{"addresses": ["10.0.0.1"], "targetRef": {"name": pod["metadata"]["name"]}} for pod in pods]
    found = service()
    found["spec"].update(spec or {})
    api_server.on(SERVICE, answer(body=found))
    api_server.on(PODS, answer(body={"items": pods}))
    api_server.on(SLICES, answer(body={"items": [{"metadata": {"name": "hello-x"}, "endpoints": endpoints}]}))
    proxied = f"{path_of('services', 'default')}/hello:80/proxy/version"
    api_server.on(proxied, *[answer(body={"version": version}) for version in said or versions])
    return {"name": "hello", "rate_limit": 0, "concurrency": 1, **here(api_server)}


def test_shares_are_not_judged_where_samples_cannot_tell_them(api_server: t.Any, answer: Make) -> None:
    options = behind(api_server, answer, "1", "1", "1", "2", spec={"sessionAffinity": "ClientIP"})
    result = ran("version_distribution", expected={"1": 0.75, "2": 0.25}, **options)
    assert result["msg"] == (
        "Service hello has sessionAffinity ClientIP, which keeps one client with one pod, so samples from one place "
        "do not show the shares; ask from many source_addresses, expect one version, or judge what is reachable with "
        "source=endpoints."
    )
    assert not [path for path in api_server.paths() if "proxy" in path]
    clients = ran("version_distribution", source_addresses=["127.0.0.1"], **options)
    assert "has no external address for port 80, and through the API server it sees no source" in clients["msg"]
    reachable = ran("version_distribution", expected={"1": 0.75, "2": 0.25}, source="endpoints", **options)
    assert (reachable["verdict"], reachable["counts"]) == ("pass", {"1": 3, "2": 1})
    assert ran("version_distribution", expected={"2": 1}, **options)["msg"].endswith(
        "hello 1 answers 1 of 1 requests, expected 0%"
    )


def test_hints_that_this_user_may_not_read_are_not_refused(api_server: t.Any, answer: Make, refusal: Make) -> None:
    options = behind(api_server, answer, "1", "2", said="1")
    api_server.on(SLICES, refusal(403, "Forbidden", "no"))
    result = ran("version_distribution", expected={"1": 0.5, "2": 0.5}, **options)
    assert "hello 1 answers 100% of" in result["msg"]


def test_what_is_expected_comes_from_the_ready_endpoints(api_server: t.Any, answer: Make) -> None:
    mixed = random.Random(6).choices("1112", k=1000)
    options = behind(api_server, answer, "1", "1", "1", "2", said=mixed)
    good = ran("version_distribution", expected_from="endpoints", agree=["endpoints", "pods"], **options)
    assert (good["verdict"], good["sources"]["endpoints"]) == ("pass", {"1": 3, "2": 1})
    assert good["sources"]["pods"] == {"1": 3, "2": 1}
    assert good["sources"]["traffic"] == good["counts"]
    options = behind(api_server, answer, "1", "2", said="1")
    bad = ran("version_distribution", expected_from="endpoints", **options)
    assert "hello 1 answers 100% of" in bad["msg"]
    assert bad["msg"].endswith("expected 50 ± 10")


def test_what_a_verdict_needs_of_a_service_is_read_once(api_server: t.Any, answer: Make) -> None:
    options = behind(api_server, answer, "1", "2", said=random.Random(6).choices("12", k=1000))
    ran("version_distribution", expected_from="endpoints", agree=["endpoints", "pods"], **options)
    read = [path.split("?")[0] for path in api_server.paths() if "proxy" not in path]
    assert sorted(read) == sorted([SERVICE, SLICES, PODS])


def test_a_version_that_is_not_what_it_says_it_is_does_not_agree(api_server: t.Any, answer: Make) -> None:
    options = behind(api_server, answer, "liar", said=["1.0.0"])
    alone = {"expected": {"1.0.0": 1}}
    assert ran("version_distribution", **alone, **options)["verdict"] == "pass"
    result = ran("version_distribution", agree=["traffic", "endpoints"], **alone, **options)
    assert result["failed"]
    assert result["sources"] == {"traffic": result["counts"], "endpoints": {"liar": 1}}
    assert "traffic and endpoints do not agree: hello 1.0.0 answers" in result["msg"]
    assert result["msg"].endswith("expected 0%")
    pods = ran("version_distribution", source="endpoints", agree=["pods"], **options)
    assert (pods["verdict"], pods["message"]) == ("pass", "liar 1 of 1 ready endpoints")


def test_endpoints_and_pods_that_do_not_agree(api_server: t.Any, answer: Make) -> None:
    options = behind(api_server, answer, "1", "1", "2")
    # The Service does not lead to one of them yet.
    first = [{"addresses": ["10.0.0.1"], "targetRef": {"name": f"hello-{number}"}} for number in (0, 2)]
    api_server.on(SLICES, answer(body={"items": [{"metadata": {"name": "hello-x"}, "endpoints": first}]}))
    result = ran("version_distribution", source="endpoints", agree=["pods"], **options)
    assert result["msg"] == (
        "Service hello: 1 1, 2 1 of 2 ready endpoints; endpoints and pods do not agree: hello 1 is 1 of 2 ready "
        "endpoints, expected 66.6667 ± 10"
    )
    behind(api_server, answer)
    empty = ran("version_distribution", expected_from="endpoints", **options)
    assert "has no ready endpoints; deploy its application" in empty["msg"]


def test_an_inconclusive_verdict_says_how_many_more_it_wants(api_server: t.Any, answer: Make) -> None:
    options = behind(api_server, answer, "1", said="1")
    result = ran("version_distribution", max_samples=20, expected={"1": 1}, on_inconclusive="pass", **options)
    assert (result["verdict"], result["decision"], result["missing"]) == ("inconclusive", "pass", 24)
    assert result["message"].endswith("too few samples to tell; about 24 more would")
    slow = ran("version_distribution", max_p99=0.000001, expected={"1": 1}, **options)
    assert "hello took more than 1e-06 s for" in slow["msg"]
    assert (result["too_slow"], slow["too_slow"]) == (False, True)


def test_a_verdict_stands_though_more_answers_come() -> None:
    asked = {**dict.fromkeys(("name", "application_service", "samples", "max_p99")), "tolerance": 0.1}
    asked.update(confidence=0.99, min_success=1.0, family_size=1, on_inconclusive="fail")
    order = random.Random(6).choices("1112", k=1000)

    def found(number: int, settled: int, more: str = "") -> str:
        taken = [Sample(0.0, 0.1, version) for version in [*order[:number], *more]]
        standards = {"": Standard({"1": 0.75, "2": 0.25})}
        return str(_version_distribution.report(taken, standards, asked, settled)["verdict"])

    settled = next(number for number in range(1, 1000) if found(number, 0) == "pass")
    assert found(settled, 0, "2222") == "inconclusive"
    assert found(settled, settled, "2222") == "pass"
    assert found(settled, settled, "3") == "fail"


@pytest.mark.parametrize(("more", "said"), [({}, ""), ({"sessionAffinity": "ClientIP"}, "ClientIP")])
def test_rolling_update_says_where_requests_cannot_tell_shares(
    api_server: t.Any, answer: Make, more: Object, said: str
) -> None:
    hello = deployment(3)
    hello["spec"]["template"]["spec"] = {"containers": [{"name": "hello", "image": "hello:1.0.0"}]}
    leading = service()
    leading["spec"] = {**leading["spec"], "selector": {"app": "hello"}, **more}
    api_server.on(HELLO, answer(body=hello))
    api_server.on(SETS, answer(body={"items": []}))
    api_server.on(PODS, answer(body={"items": []}))
    api_server.on(path_of("services", "default"), answer(body={"items": [leading]}))
    result = ran("rolling_update", name="hello", version="1.0.0", **here(api_server))
    assert (result["phase"], result["services"]) == ("done", ["hello"])
    assert said in result["uneven"]
    assert bool(result["uneven"]) == bool(said)


def test_capacity_takes_the_template_of_a_deployment(api_server: t.Any, answer: Make) -> None:
    hello = deployment(3)
    (container,) = PODS_SPEC["containers"]
    hello["spec"]["template"]["spec"] = {"containers": [{**container, "resources": {"requests": {"cpu": "200m"}}}]}
    there = {
        "metadata": {
            "name": "hello-1-a",
            "namespace": "default",
            "labels": {"app": "hello", "pod-template-hash": "1"},
        },
        "spec": {"nodeName": "n", "containers": [{**container, "resources": {"requests": {"cpu": "600m"}}}]},
    }
    node = {"metadata": {"name": "n"}, "status": {"allocatable": {"cpu": "1", "pods": "10"}}}
    api_server.on(HELLO, answer(body=hello))
    api_server.on(path_of("pods"), answer(body={"items": [there]}))
    api_server.on(path_of("nodes"), answer(body={"items": [node]}))
    api_server.on(path_of("resourcequotas", "default"), answer(body={"items": []}))
    result = ran("capacity", deployment="hello", replicas=4, **here(api_server))
    assert (result["fits"], result["replicas"], result["room"], result["limited_by"]) == (False, 3, 2, "cpu")
    assert result["message"] == "needs 3 x 200m cpu, but schedulable nodes have only 400m free"
    assert ran("capacity", deployment="hello", replicas=3, **here(api_server))["fits"]
    bad = {"spec": {"containers": [{"resources": {"requests": {"cpu": "lots"}}}]}}
    assert "'lots' is not a quantity" in ran("capacity", template=bad, replicas=1, **here(api_server))["msg"]


def test_bluegreen_info_reads_three_times_and_plans(api_server: t.Any, answer: Make) -> None:
    api_server.on(SERVICE, answer(body=service()))
    api_server.on(f"{SERVICE}-preview", answer(404, body={"kind": "Status", "reason": "NotFound"}))
    api_server.on(DEPLOYMENTS, answer(body={"items": [deployment(3)]}))
    result = ran("bluegreen_info", name="hello", version="2.0.0", **here(api_server))
    assert (result["phase"], result["active"]["version"]) == ("preview", "1.0.0")
    assert (result["router"], result["stand"]) == ("", "home")
    assert api_server.paths() == [SERVICE, DEPLOYMENTS, f"{SERVICE}-preview"]


def test_canary_info_reads_what_an_application_has_and_plans(api_server: t.Any, answer: Make) -> None:
    slices = path_of("endpointslices", "default", group="discovery.k8s.io")
    endpoint = {"addresses": ["10.0.0.1"], "targetRef": {"name": "hello-1-a"}, "conditions": {"ready": True}}
    ends = {"metadata": {"name": "hello-x"}, "endpoints": [endpoint]}
    api_server.on(path_of("services", "default"), answer(body={"items": [service()]}))
    spec = {"containers": [{"name": "hello", "image": "hello:1.0.0"}]}
    labels = {"app": "hello", "version": "1.0.0"}
    stable = deployment(3, template={"metadata": {"labels": labels}, "spec": spec})
    api_server.on(DEPLOYMENTS, answer(body={"items": [stable]}))
    api_server.on(SETS, answer(body={"items": []}))
    api_server.on(PODS, answer(body={"items": [pod()]}))
    api_server.on(slices, answer(body={"items": [ends]}))
    template = {"metadata": {}, "spec": {"containers": [{"name": "hello", "image": "hello:2.0.0"}]}}
    asked = {"name": "hello", "version": "2.0.0", "steps": [{"weight": 25, "pause": "1m"}], "template": template}
    result = ran("canary_info", **asked, **here(api_server))
    assert (result["phase"], result["ready"], result["steps"][0]["canary"]) == (
        "stable",
        {"stable": 1, "canary": 0},
        1,
    )
    queries = {ask.path: ask.query.get("labelSelector") for ask in api_server.asked}
    assert queries[PODS] == "app=hello"
    assert queries[slices] == "kubernetes.io/service-name=hello"


@pytest.mark.parametrize(
    ("deployments", "namespace", "said"),
    [
        ([], 404, "There is no namespace default; create it"),
        ([], 200, "There is no Deployment hello in namespace default for a canary"),
        ([], 403, "There is no Deployment hello in namespace default for a canary"),
        ([named("hello-canary")], 200, "There is no stable Deployment hello"),
    ],
)
def test_canary_info_says_what_is_missing(
    api_server: t.Any, answer: Make, refusal: Make, deployments: list[Object], namespace: int, said: str
) -> None:
    api_server.on(DEPLOYMENTS, answer(body={"items": deployments}))
    there = answer(body={}) if namespace == 200 else refusal(namespace, "No", "no")
    api_server.on(path_of("namespaces", None, "default"), there)
    assert said in ran("canary_info", name="hello", **here(api_server))["msg"]


def test_canary_info_refuses_bad_steps_before_it_asks(api_server: t.Any) -> None:
    result = ran("canary_info", name="hello", steps=[{"weight": 150}], **here(api_server))
    assert "must be above 0 and at most 100" in result["msg"]
    assert api_server.asked == []


def test_the_secrets_of_a_kubeconfig_given_as_a_dictionary_do_not_show(api_server: t.Any, answer: Make) -> None:
    complete(api_server, answer)
    kubeconfig = {
        "current-context": "c",
        "contexts": [{"name": "c", "context": {"cluster": "c", "user": "u"}}],
        "clusters": [{"name": "c", "cluster": {"server": api_server.url}}],
        "users": [{"name": "u", "user": {"token": "geheim"}}],
    }
    result = ran("rollout", name="hello", kubeconfig=kubeconfig)
    assert result["status"] == "complete"
    assert api_server.asked[0].headers["Authorization"] == "Bearer geheim"
    assert "geheim" not in json.dumps(result)


@pytest.mark.parametrize("name", [*NAMES, "apply", "bluegreen", "fleet", "gke_kubeconfig", "run"])
def test_the_documentation_names_the_options_that_there_are(name: str) -> None:
    module = importlib.import_module(f"{PLUGINS}.modules.{name}")
    arguments = importlib.import_module(f"{PLUGINS}.module_utils._operations._{name}").ARGUMENTS
    own = yaml.safe_load(module.DOCUMENTATION)
    documented: Object = dict(own["options"])
    for fragment in own.get("extends_documentation_fragment", []):
        name, *section = fragment.split(".")[2:]  # of convoy.rollout.NAME[.SECTION]
        shared = importlib.import_module(f"{PLUGINS}.doc_fragments.{name}").ModuleDocFragment
        documented.update(yaml.safe_load(getattr(shared, (section or ["documentation"])[0].upper()))["options"])
    assert set(documented) == set(arguments)
    for option, spec in arguments.items():
        said = documented[option]
        assert said["type"] == spec["type"], option
        assert said.get("default") == spec.get("default"), option
        assert said.get("choices") == spec.get("choices"), option
        assert said.get("required", False) == spec.get("required", False), option


REVIEWS = path_of("selfsubjectaccessreviews", group="authorization.k8s.io")


def review(allowed: bool) -> Object:
    """An answered SelfSubjectAccessReview."""
    return {"kind": "SelfSubjectAccessReview", "status": {"allowed": allowed}}


def test_cluster_info_asks_for_each_right_and_lists_what_is_missing(api_server: t.Any, answer: Make) -> None:
    api_server.on("/version", answer(body={"gitVersion": "v1.36.2"}))
    ready = {"conditions": [{"type": "Ready", "status": "True"}], "allocatable": {"cpu": "1", "memory": "3Gi"}}
    api_server.on(
        path_of("nodes"), answer(body={"items": [{"metadata": {"name": "n"}, "spec": {}, "status": ready}] * 5})
    )
    api_server.on(REVIEWS, *(answer(body=review(allowed)) for allowed in (False, True, False, True)))
    found = ran("cluster_info", host=api_server.url, namespace="shop", strategies=["lock"])
    assert not found.get("failed"), found
    assert (found["changed"], found["server_version"], found["supported"]) == (False, "v1.36.2", True)
    assert (found["nodes"], found["ready"], found["allocatable"]) == (5, 5, {"cpu": "5", "memory": "15Gi"})
    assert found["missing"] == [
        {"verb": "create", "resource": "leases.coordination.k8s.io", "namespace": "shop"},
    ]
    asked = [ask.body["spec"]["resourceAttributes"] for ask in api_server.asked if ask.path == REVIEWS]
    assert [item["verb"] for item in asked] == ["*", "get", "create", "update", "delete"]
    assert {item["namespace"] for item in asked[1:]} == {"shop"}


def test_cluster_info_asks_an_administrator_once(api_server: t.Any, answer: Make) -> None:
    api_server.on("/version", answer(body={"gitVersion": "v1.36.2"}))
    api_server.on(path_of("nodes"), answer(body={"items": []}))
    api_server.on(REVIEWS, answer(body=review(True)))
    found = ran("cluster_info", host=api_server.url, strategies=["canary", "bluegreen"])
    assert found["missing"] == []
    assert [ask.body["spec"]["resourceAttributes"] for ask in api_server.asked if ask.path == REVIEWS] == [
        {"group": "*", "resource": "*", "verb": "*"}
    ]


def test_cluster_info_goes_on_where_nodes_may_not_be_listed(api_server: t.Any, answer: Make, refusal: Make) -> None:
    api_server.on("/version", answer(body={"gitVersion": "v1.36.2"}))
    api_server.on(path_of("nodes"), refusal(403, "Forbidden", "nodes is forbidden"))
    found = ran("cluster_info", host=api_server.url, check_mode=True)
    assert (found["nodes"], found["ready"], found["allocatable"], found["missing"]) == (None, None, {}, [])
    assert found["message"] == "Kubernetes v1.36.2."


def test_cluster_info_names_a_cluster_that_is_not_there() -> None:
    found = ran("cluster_info", host="https://127.0.0.1:1")
    assert found["failed"]
    assert "connection refused" in found["msg"]


def described(api_server: t.Any, answer: Make) -> None:
    """Have the API server tell its resources, and describe Deployments."""
    kind = {"group": "apps", "version": "v1", "kind": "Deployment"}
    fields = {"replicas": {"type": "integer", "description": "Number of desired pods."}}
    schema = {
        "properties": {"spec": {"type": "object", "properties": fields}},
        "x-kubernetes-group-version-kind": [kind],
    }
    deployments = {"name": "deployments", "singularName": "deployment", "kind": "Deployment", "shortNames": ["deploy"]}
    scale = {"name": "deployments/scale", "singularName": "", "kind": "Scale"}
    groups = [{"name": name, "preferredVersion": {"groupVersion": f"{name}/v1"}} for name in ("broken.io", "apps")]
    api_server.on("/api/v1", answer(body={"resources": [{"name": "pods", "singularName": "pod", "kind": "Pod"}]}))
    api_server.on("/apis", answer(body={"groups": groups}))
    api_server.on("/apis/broken.io/v1", answer(503, {"kind": "Status", "message": "away"}))
    api_server.on("/apis/apps/v1", answer(body={"resources": [scale, deployments]}))
    index = {"paths": {"apis/apps/v1": {"serverRelativeURL": "/openapi/v3/apis/apps/v1?hash=A1"}}}
    api_server.on("/openapi/v3", answer(body=index))
    api_server.on("/openapi/v3/apis/apps/v1", answer(body={"components": {"schemas": {"d": schema}}}))


@pytest.mark.parametrize("name", ["deployment", "deployments", "deploy", "Deployment", "deployments.apps"])
def test_explain_finds_a_resource_by_each_of_its_names(api_server: t.Any, answer: Make, name: str) -> None:
    described(api_server, answer)
    result = ran("explain", field=f"{name}.spec.replicas", **here(api_server))
    assert (result["kind"], result["type"]) == ("Deployment", "integer")
    assert result["lines"][-2:] == ["DESCRIPTION:", "    Number of desired pods."]
    assert api_server.asked[-1].query == {"hash": "A1"}
    assert [asked.path for asked in api_server.asked].count("/apis/broken.io/v1") <= 1, "one that is away takes no time"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            {"field": "deploymnt"},
            "There is no resource 'deploymnt' in the API server {url}; similar names: deployments.",
        ),
        ({"field": "pod", "api_version": "apps/v1"}, "There is no resource 'pod' in apps/v1; there are deployments."),
        ({"field": "pod", "api_version": "apps/v9"}, "The API server {url} has no API apps/v9."),
        ({"field": "pod"}, "The API server {url} has no OpenAPI document of api/v1."),
        ({"field": "deployment.spec.replica"}, "Deployment.spec has no field 'replica'; similar names: replicas."),
        (
            {"field": "deployment.spec[0]"},
            "field is 'deployment.spec[0]'; name a resource and its fields, as in deployment.spec.replicas.",
        ),
    ],
)
def test_explain_refuses(api_server: t.Any, answer: Make, options: Object, message: str) -> None:
    described(api_server, answer)
    result = ran("explain", **options, **here(api_server))
    assert (result["failed"], result["msg"]) == (True, message.format(url=api_server.url))


def test_explain_needs_openapi_v3(api_server: t.Any, answer: Make, refusal: Make) -> None:
    described(api_server, answer)
    api_server.on("/openapi/v3", refusal(404, "NotFound", "not found"))
    result = ran("explain", field="deployment", **here(api_server))
    assert result["msg"].endswith("serves no OpenAPI v3 documents; Kubernetes 1.24 and newer do.")


def gke(path: t.Any, **more: t.Any) -> Object:
    """What gke_kubeconfig answers for the lab's cluster."""
    lab = {"name": "lab", "endpoint": "192.0.2.1", "ca": "Q0E=", "auth_kind": "accesstoken", "access_token": "ya29"}
    return ran("gke_kubeconfig", path=str(path), **{**lab, **more})


def test_gke_kubeconfig_is_written_once_and_for_its_owner_only(tmp_path: t.Any) -> None:
    path = tmp_path / "new" / "kubeconfig"
    assert gke(path, check_mode=True)["changed"]
    assert not path.parent.exists()
    first = gke(path)
    assert (first["changed"], first["auth"], first["context"], first["expires"]) == (True, "token", "lab", "")
    assert path.stat().st_mode & 0o777 == 0o600
    assert "ya29" in path.read_text()
    assert not gke(path)["changed"]
    path.chmod(0o644)
    assert gke(path)["changed"]
    assert path.stat().st_mode & 0o777 == 0o600
    assert gke(path, access_token="another")["changed"]
    assert [item.name for item in path.parent.iterdir()] == ["kubeconfig"]


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"access_token": None}, "auth_kind is accesstoken; set access_token."),
        ({"auth": "plugin"}, "cannot be given an access token; choose auth: token."),
        ({"auth_kind": "serviceaccount", "service_account_file": "/no/file"}, "/no/file cannot be read"),
        ({"auth_kind": "serviceaccount", "service_account_file": "/dev/null"}, "not the JSON key of a service account"),
    ],
)
def test_gke_kubeconfig_says_what_is_wrong(tmp_path: t.Any, options: Object, said: str) -> None:
    failed = gke(tmp_path / "kubeconfig", **options)
    assert failed["failed"]
    assert said in failed["msg"]
    assert list(tmp_path.iterdir()) == []
