"""The lab's hello behind an HTTPRoute of Gateway API, on the Traefik of a sandbox with a gateway."""

from __future__ import annotations

import contextlib
import functools
import http.client
import os
import signal
import subprocess
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from convoy_sandbox.testing import Sandbox
from integration.conftest import namespace
from integration.outcomes import Outcomes
from integration.playbooks import PATIENCE, REQUEST, Answer, Lab, Run, asked, copied, description
from kubernetes import client, watch

ROUTES = ("gateway.networking.k8s.io", "v1")
GIT = "argocd-controller"


def until(reached: Callable[[], Any]) -> None:
    """Wait until something is so."""
    deadline = time.monotonic() + PATIENCE
    while not reached():
        assert time.monotonic() < deadline
        time.sleep(0.1)


@dataclass
class Routed(Lab):
    """The lab's hello, alone, behind an HTTPRoute of its own host."""

    address: str = ""
    host: str = ""
    variables: dict[str, Any] = field(default_factory=dict)

    def asker(self, **headers: str) -> Callable[[], Answer]:
        """A function that asks the gateway once for the version, over a new connection."""

        connect = functools.partial(http.client.HTTPConnection, self.address, timeout=REQUEST)
        return functools.partial(asked, connect, "/version", {"Host": self.host, **headers})

    def start(self, playbook: str | Path, *options: str, **extra_vars: Any) -> subprocess.Popen[str]:
        """Begin a playbook that is told of the route and of where users come in."""
        return super().start(playbook, *options, **{**self.variables, **extra_vars})

    def canary(self, *options: str, **extra_vars: Any) -> Run:
        """Run the canary's playbook to its end."""
        return self.play("canary", *options, **extra_vars)

    @property
    def custom(self) -> client.CustomObjectsApi:
        return client.CustomObjectsApi(self.api)

    def route(self) -> dict[str, Any]:
        """The route as it is."""
        return dict(self.custom.get_namespaced_custom_object(*ROUTES, self.namespace, "httproutes", "hello"))

    @contextlib.contextmanager
    def watched(self) -> Iterator[list[tuple[dict[str, int], int]]]:
        """What the route led to as it changed: the weights of its backends, and how many rules it had."""
        seen: list[tuple[dict[str, int], int]] = []
        last = {"watched": uuid.uuid4().hex}  # the labels of the event that ends it, after all that came before

        def go_on() -> None:
            listed = self.custom.list_namespaced_custom_object
            for event in watch.Watch().stream(listed, *ROUTES, self.namespace, "httproutes"):
                route = event["object"]
                rules = route["spec"]["rules"]
                now = {each["name"]: each["weight"] for each in rules[0]["backendRefs"]}, len(rules)
                if [now] != seen[-1:]:
                    seen.append(now)
                if route["metadata"].get("labels") == last:
                    return

        thread = threading.Thread(target=go_on)
        thread.start()
        try:
            until(lambda: seen)
            yield seen
        finally:
            patch = {"metadata": {"labels": last}}
            self.custom.patch_namespaced_custom_object(*ROUTES, self.namespace, "httproutes", "hello", patch)
            thread.join()

    def weights(self) -> dict[str, int]:
        """The weights of its backends."""
        return {each["name"]: each["weight"] for each in self.route()["spec"]["rules"][0]["backendRefs"]}

    def backed(self, backends: list[dict[str, Any]]) -> None:
        """Somebody gives the route other backends."""
        patch = {"spec": {"rules": [{"backendRefs": backends}]}}
        self.custom.patch_namespaced_custom_object(
            *ROUTES, self.namespace, "httproutes", "hello", patch, field_manager=GIT
        )

    def outcomes(self, folder: Path, role: str = "canary", *runs: dict[str, Any], **variables: Any) -> Outcomes:
        """A play that keeps the outcomes of a role by this route: of each of `runs`, by default of one."""
        names = {name.replace("application_", f"{role}_"): value for name, value in self.variables.items()}
        names[f"{role}_applications"] = names.pop("applications")
        return Outcomes(self, folder, role, *({**names, **variables, **run} for run in runs or ({},)))

    def met(self, cluster: Sandbox, outcomes: Outcomes, resource: str, number: int, act: Callable[[], Any]) -> Any:
        """The outcome of a run during which somebody acted, right after its `number`th write to a kind."""

        def counts(write: Any) -> bool:
            return bool((write.action.namespace, write.action.full_resource) == (self.namespace, resource))

        return outcomes.met(cluster, counts, act, number)

    def services(self) -> set[str]:
        """The names of the Services."""
        return {item.metadata.name for item in self.core.list_namespaced_service(self.namespace).items}

    def is_as_before(self, version: str) -> None:
        """Nothing of the canary is left, and users get one version."""
        assert self.deployments() == {"hello"}
        assert self.services() == {"hello"}
        assert self.weights() == {"hello": 1}
        assert self.selector() == {"app": "hello"}
        assert self.versions(50) == {version: 50}


def killed(
    cluster: Sandbox, lab: Routed, playbook: str, counts: Callable[[Any], bool], number: int = 1, **play: Any
) -> None:
    """Run a playbook, kill it right after its `number`th write of those that count, and give up its lock."""
    with cluster.hold(number, "after", counts) as held:
        with lab.start(playbook, **play) as running:
            reached = held.wait(PATIENCE)
            os.killpg(running.pid, signal.SIGKILL)
            running.communicate()
        held.abandon()
    assert reached is not None
    with contextlib.suppress(client.ApiException):
        client.CoordinationV1Api(lab.api).delete_collection_namespaced_lease(lab.namespace)


def routed(kubeconfig: str, namespace: str, *, quick: bool = True) -> Routed:
    """The application in a namespace, with nothing in it yet."""
    lab = Lab(kubeconfig, namespace)
    service = lab.core.read_namespaced_service("traefik", "gateway")
    port = (service.metadata.annotations or {}).get("sandbox.convoy.rollout/port-80", "80")
    address, host = f"{service.status.load_balancer.ingress[0].ip}:{port}", f"{namespace}.example.com"
    hello = description()["hello"]
    # As of a user who may not listen on ports below 1024; Traefik asks pods themselves.
    hello["container"] |= {
        "args": ["-http=:8080", "-health=:8081"],
        "ports": [{"name": "http", "containerPort": 8080}, {"name": "health", "containerPort": 8081}],
        "readinessProbe": {"httpGet": {"path": "/readiness", "port": 8081}, "periodSeconds": 1},
        "livenessProbe": {"httpGet": {"path": "/healthz", "port": 8081}},
    }
    hello["service"] = {"ports": [{"name": "http", "port": 80, "targetPort": 8080}]}
    variables = {
        "applications": {"hello": hello},
        "application_entry": {"url": f"http://{address}/version", "headers": {"Host": host}},
        "application_router": {"gateway_api": {"route": "hello"}},
    }
    return Routed(kubeconfig, namespace, quick=quick, address=address, host=host, variables=variables)


@contextlib.contextmanager
def deployed(cluster: Sandbox) -> Iterator[Routed]:
    """The application as app_deploy leaves it, behind nothing: what tests begin with copies of."""
    with namespace(str(cluster.kubeconfig)) as empty:
        found = routed(empty.kubeconfig, empty.namespace)
        entry = {"service": "hello", "port": 80, "path": "/version"}
        run = found.play("app_deploy", application_entry=entry, application_router={})
        assert run.code == 0, run.output
        yield found


@contextlib.contextmanager
def behind(source: Routed, make: Callable[[Routed], None]) -> Iterator[Routed]:
    """The application of another namespace in one of its own, behind what `make` creates, once users are answered."""
    with namespace(source.kubeconfig) as empty:
        found = routed(empty.kubeconfig, empty.namespace)
        make(found)
        copied(source, found)
        yield found


def make_route(lab: Routed, parent: str = "web") -> None:
    """Create the route of the application's own host."""
    route = {
        "apiVersion": "/".join(ROUTES),
        "kind": "HTTPRoute",
        "metadata": {"name": "hello"},
        "spec": {
            "parentRefs": [{"name": parent, "namespace": "gateway"}],
            "hostnames": [lab.host],
            "rules": [{"backendRefs": [{"name": "hello", "port": 80}]}],
        },
    }
    lab.custom.create_namespaced_custom_object(*ROUTES, lab.namespace, "httproutes", route)
