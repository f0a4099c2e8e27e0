"""Admission webhooks over HTTPS, asked by a whole cluster."""

from __future__ import annotations

import base64
import contextlib
import json
import socket
from collections.abc import Callable, Iterator
from typing import Any

import https
import kubernetes
import pytest
from convoy_sandbox import certificates
from convoy_sandbox.testing import Sandbox, sandbox

Object = dict[str, Any]
Answer = Callable[[Object], Object]


@contextlib.contextmanager
def webhook(answer: Answer) -> Iterator[tuple[str, str, list[Object]]]:
    """A webhook's URL, the authority to trust, and the requests that it is sent, as they come."""
    seen: list[Object] = []

    class Webhook(https.Handler):
        def do_POST(self) -> None:
            review = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            seen.append({"path": self.path, **review["request"]})
            response = {"uid": review["request"]["uid"], **answer(review["request"])}
            body = json.dumps({**review, "request": None, "response": response}).encode()
            self.answer(200, body)

    with https.served(Webhook) as (server, authority):
        yield f"https://127.0.0.1:{server.server_port}", authority, seen


@pytest.fixture(scope="module")
def cluster() -> Iterator[Sandbox]:
    with sandbox(nodes=1) as found:
        yield found


@pytest.fixture
def api(cluster: Sandbox) -> Iterator[Any]:
    client = kubernetes.config.new_client_from_config(str(cluster.kubeconfig))
    hooks = kubernetes.client.AdmissionregistrationV1Api(client)
    yield client
    hooks.delete_collection_validating_webhook_configuration()
    hooks.delete_collection_mutating_webhook_configuration()


def configure(api: Any, where: tuple[str, str, list[Object]], name: str = "one", **hook: Any) -> None:
    url, authority, _ = where
    mutates = hook.pop("mutates", False)
    hooks = kubernetes.client.AdmissionregistrationV1Api(api)
    make = hooks.create_mutating_webhook_configuration if mutates else hooks.create_validating_webhook_configuration
    rule = {"apiGroups": ["*"], "apiVersions": ["*"], "operations": ["*"], "resources": ["configmaps", "pods"]}
    default = {
        "name": f"{name}.example.com", "sideEffects": "None", "admissionReviewVersions": ["v1"],
        "clientConfig": {"url": f"{url}/{name}", "caBundle": authority}, "rules": [rule],
    }  # fmt: skip
    make({"metadata": {"name": name}, "webhooks": [{**default, **hook}]})


def create(api: Any, name: str) -> Object:
    core = kubernetes.client.CoreV1Api(api)
    body = {"metadata": {"name": name}, "data": {"a": "b"}}
    made: Object = json.loads(core.create_namespaced_config_map("default", body, _preload_content=False).data)
    return made


def refused(api: Any, name: str) -> Object:
    with pytest.raises(kubernetes.client.ApiException) as caught:
        create(api, name)
    status: Object = json.loads(caught.value.body)
    return status


def test_what_a_webhook_denies_is_refused_in_its_words(api: Any) -> None:
    with webhook(lambda _: {"allowed": False, "status": {"message": "not today", "code": 418}}) as where:
        configure(api, where)
        status = refused(api, "denied")
    assert status["message"] == 'admission webhook "one.example.com" denied the request: not today'
    assert status["code"] == 418
    asked = where[2][0]
    assert (asked["path"], asked["operation"], asked["name"]) == ("/one?timeout=10s", "CREATE", "denied")
    assert asked["object"]["data"] == {"a": "b"}
    assert asked["userInfo"]["groups"] == ["system:masters", "system:authenticated"]


def test_what_a_webhook_allows_is_asked_once_and_stored(api: Any) -> None:
    with webhook(lambda _: {"allowed": True}) as where:
        configure(api, where)
        create(api, "allowed")
        core = kubernetes.client.CoreV1Api(api)
        core.patch_namespaced_config_map("allowed", "default", {"data": {"a": "c"}})
        core.delete_namespaced_config_map("allowed", "default")
    assert [asked["operation"] for asked in where[2]] == ["CREATE", "UPDATE", "DELETE"]
    assert [where[2][1][key]["data"]["a"] for key in ("oldObject", "object")] == ["b", "c"]


def test_a_webhook_that_is_not_there_refuses_unless_it_may_be_ignored(api: Any) -> None:
    authority = base64.b64encode(certificates.make().ca).decode()
    with socket.socket() as silent:  # which keeps the port, and listens to nobody
        silent.bind(("127.0.0.1", 0))
        place = f"127.0.0.1:{silent.getsockname()[1]}"
        where = (f"https://{place}", authority, [])
        configure(api, where)
        assert refused(api, "nobody")["message"] == (
            'Internal error occurred: failed calling webhook "one.example.com": failed to call webhook: Post '
            f'"https://{place}/one?timeout=10s": dial tcp {place}: connect: connection refused'
        )
        hooks = kubernetes.client.AdmissionregistrationV1Api(api)
        hooks.delete_validating_webhook_configuration("one")
        configure(api, where, failurePolicy="Ignore")
        create(api, "ignored")


def test_an_unknown_authority_is_not_trusted(api: Any) -> None:
    other = base64.b64encode(certificates.make().ca).decode()
    with webhook(lambda _: {"allowed": True}) as where:
        configure(api, (where[0], other, where[2]))
        message = refused(api, "untrusted")["message"]
    assert message.endswith("tls: failed to verify certificate: x509: certificate signed by unknown authority")
    assert not where[2]


def test_a_service_that_is_not_there_is_named(api: Any) -> None:
    hook = {"service": {"name": "gone", "namespace": "default", "path": "/check"}}
    configure(api, ("", "", []), clientConfig=hook)
    assert refused(api, "service")["message"].endswith(
        'Post "https://gone.default.svc:443/check?timeout=10s": service "gone" not found'
    )


def test_webhooks_change_objects_one_after_the_other_before_others_validate_them(api: Any) -> None:
    def label(request: Object) -> Object:
        if request["operation"] != "CREATE":
            return {"allowed": True}
        before = len(request["object"]["metadata"].get("labels") or ())
        labels = {**(request["object"]["metadata"].get("labels") or {}), f"n{before}": "yes"}
        operations = [{"op": "add", "path": "/metadata/labels", "value": labels}]
        patch = base64.b64encode(json.dumps(operations).encode()).decode()
        return {"allowed": True, "patchType": "JSONPatch", "patch": patch}

    with webhook(label) as changing, webhook(lambda _: {"allowed": True}) as looking:
        configure(api, changing, "first", mutates=True)
        configure(api, changing, "second", mutates=True)
        configure(api, looking)
        made = create(api, "labelled")
    assert made["metadata"]["labels"] == {"n0": "yes", "n1": "yes"}
    assert "uid" not in changing[2][0]["object"]["metadata"]
    assert looking[2][0]["object"]["metadata"]["labels"] == {"n0": "yes", "n1": "yes"}
    fields = [entry["fieldsV1"] for entry in made["metadata"]["managedFields"]]
    assert "f:labels" not in fields[0].get("f:metadata", {})  # they are nobody's


def test_conditions_and_selectors_decide_whether_a_webhook_is_asked(api: Any) -> None:
    with webhook(lambda _: {"allowed": False}) as where:
        configure(api, where, matchConditions=[{"name": "big", "expression": "'big' in object.data"}])
        configure(api, where, "two", objectSelector={"matchLabels": {"hook": "yes"}})
        configure(api, where, "three", namespaceSelector={"matchLabels": {"hook": "yes"}})
        create(api, "unconditional")
    assert not where[2]


def test_pods_of_a_replica_set_are_changed_and_refused_as_others_are(api: Any) -> None:
    def inject(request: Object) -> Object:
        if request["operation"] != "CREATE" or request["resource"]["resource"] != "pods":
            return {"allowed": True}
        operations = [{"op": "add", "path": "/metadata/labels/injected", "value": "yes"}]
        patch = base64.b64encode(json.dumps(operations).encode()).decode()
        return {"allowed": True, "patchType": "JSONPatch", "patch": patch}

    apps, core = kubernetes.client.AppsV1Api(api), kubernetes.client.CoreV1Api(api)
    template = {
        "metadata": {"labels": {"app": "hooked"}},
        "spec": {"containers": [{"name": "main", "image": "kelseyhightower/hello:1.0.0"}]},
    }
    spec = {"replicas": 3, "selector": {"matchLabels": {"app": "hooked"}}, "template": template}
    with webhook(inject) as where:
        configure(api, where, mutates=True)
        apps.create_namespaced_deployment("default", {"metadata": {"name": "hooked"}, "spec": spec})
        watch = kubernetes.watch.Watch()
        for event in watch.stream(core.list_namespaced_pod, "default", label_selector="injected", timeout_seconds=300):
            assert event["object"].metadata.labels["injected"] == "yes"
            if len(core.list_namespaced_pod("default", label_selector="injected").items) == 3:
                watch.stop()
    pods = core.list_namespaced_pod("default", label_selector="app=hooked").items
    assert len(pods) == 3
    assert len([asked for asked in where[2] if asked["operation"] == "CREATE"]) == 3  # each pod by itself
