"""The real playbooks against a real API server, and what the tests look at afterwards."""

from __future__ import annotations

import base64
import contextlib
import copy
import functools
import http.client
import json
import os
import re
import signal
import ssl
import subprocess
import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import yaml
from integration import warm
from kubernetes import client, config, dynamic, watch

#: The kubeconfig of a cluster that is not the tests' own; empty where they run on one of their own.
GIVEN = os.environ.get("CONVOY_TEST_KUBECONFIG", "")
if GIVEN:
    GIVEN = str(Path(GIVEN).expanduser().absolute())
ELSEWHERE = bool(GIVEN)
CATALOG = "sandbox/hello"  #: hello with faults as its versions, which only the sandbox has

ROOT = Path(__file__).resolve().parents[2]
#: Seconds after which a test gives up waiting for what has to come: so many that no busy machine takes as long.
PATIENCE = 600
#: Seconds after which a user gives up a request: so many that no answer of a busy machine takes as long.
REQUEST = 60
DESCRIPTION = ROOT / "inventories/sandbox/group_vars/clusters/application.yml"
#: Of verdicts that a test is not about: 50 requests show that 95% are answered, 100 that a share is not off by 20%.
#: By default about 500 show 99.9%, and 10%.
QUICK = {
    "app_deploy_samples": 50,
    "app_deploy_min_success": 0.95,
    "bluegreen_samples": 50,
    "bluegreen_min_success": 0.95,
    "canary_min_success": 0.95,
    "canary_tolerance": 20,
    "rolling_update_min_success": 0.95,
    "scale_samples": 50,
    "scale_min_success": 0.95,
}
#: Where users come in without TLS, whose handshakes are more than half of what a request costs.
PLAIN = {"service": "frontend", "port": "http", "path": "/version"}


def description() -> dict[str, Any]:
    """The lab's application with a plain port of its frontend, to be changed by a test and given as extra variables."""
    applications: dict[str, Any] = copy.deepcopy(yaml.safe_load(DESCRIPTION.read_text())["applications"])
    frontend = applications["frontend"]
    frontend["service"]["ports"].append({"name": "http", "port": 8080, "targetPort": 8080})
    conf = frontend["config_maps"]["nginx-frontend-conf"]
    conf["frontend.conf"] = conf["frontend.conf"].replace("listen 443 ssl;", "listen 443 ssl;\n    listen 8080;")
    return applications


def cheap() -> dict[str, Any]:
    """The variables of a run whose verdict costs as little as it may."""
    return {**QUICK, "applications": description(), "application_entry": PLAIN}


def catalog() -> str:
    """The image of the sandbox whose versions are faults; on another cluster the test is skipped."""
    if ELSEWHERE:
        pytest.skip(f"its fault is an image that only the sandbox has, {CATALOG}")
    return CATALOG


def faulty() -> dict[str, Any]:
    """The lab's application with hello's faults as its versions; on another cluster the test is skipped."""
    applications = description()
    applications["hello"]["image"] = catalog()
    return applications


@dataclass(frozen=True)
class Run:
    """One run of ansible-playbook."""

    code: int
    output: str

    @property
    def changed(self) -> int:
        """How many tasks changed something, from the recap."""
        recap = re.search(r"changed=(\d+)", self.output)
        assert recap, self.output
        return int(recap[1])


@dataclass(frozen=True)
class Answer:
    """What one request of the background traffic got."""

    status: int
    version: str


def asked(connect: Callable[[], http.client.HTTPConnection], path: str, headers: dict[str, str]) -> Answer:
    """What one request gets over a new connection."""
    connection = connect()
    try:
        connection.request("GET", path, headers=headers)
        answer = connection.getresponse()
        body = answer.read().decode()
    except (OSError, http.client.HTTPException) as error:
        return Answer(0, repr(error))
    finally:
        connection.close()
    return Answer(answer.status, json.loads(body)["version"] if answer.status == 200 else body)


class Traffic:
    """Requests to the frontend, one new connection each, from entry to exit."""

    def __init__(self, lab: Lab) -> None:
        self._ask = lab.asker()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self.answers: list[Answer] = []

    def _run(self) -> None:
        while not self._stop.is_set():
            self.answers.append(self._ask())
            self._stop.wait(0.1)

    def __enter__(self) -> Traffic:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    @property
    def lost(self) -> list[Answer]:
        """The requests that were not answered."""
        return [answer for answer in self.answers if answer.status != 200]

    @property
    def causes(self) -> dict[str, int]:
        """How many requests were not answered, by why."""
        return Counter(f"HTTP {answer.status}" if answer.status else "no answer" for answer in self.lost)

    @property
    def versions(self) -> list[str]:
        """The versions that answered, in the order in which they first did."""
        return list(dict.fromkeys(answer.version for answer in self.answers))


def begun(args: list[str], env: dict[str, str]) -> subprocess.Popen[str] | warm.Forked:
    """A run of ansible-playbook with these arguments, in the root of this project."""
    return warm.start(args, env) if warm.fits(env) else warm.program(args, env)


def ended(started: subprocess.Popen[str] | warm.Forked, timeout: float = PATIENCE) -> Run:
    """A run at its end; one that takes longer is killed."""
    with started:
        try:
            output, _ = started.communicate(timeout=timeout)
        except BaseException:
            with contextlib.suppress(ProcessLookupError):  # it has just ended
                os.killpg(started.pid, signal.SIGKILL)
            raise
    return Run(int(started.returncode or 0), output)


def complete(apps: client.AppsV1Api, namespace: str) -> None:
    """Return when the rollout of each Deployment of a namespace is complete."""
    listed = apps.list_namespaced_deployment
    for _ in watch.Watch().stream(listed, namespace, timeout_seconds=PATIENCE):
        if all(is_complete(each) for each in listed(namespace).items):
            return
    raise AssertionError([each.status for each in listed(namespace).items if not is_complete(each)])


def is_complete(deployment: Any) -> bool:
    """Whether a Deployment has the pods that its newest generation says, all of them new and available."""
    status, wanted = deployment.status, deployment.spec.replicas
    has = {status.replicas or 0, status.available_replicas or 0, status.updated_replicas or 0}
    return bool(status.observed_generation == deployment.metadata.generation and has == {wanted})


@dataclass
class Lab:
    """The lab's application in one namespace of one cluster."""

    kubeconfig: str
    namespace: str
    environment: dict[str, str] = field(default_factory=dict)  #: of the runs, besides the caller's
    quick: bool = True  #: whether a run's verdict costs as little as it may
    api: client.ApiClient = field(init=False)

    def __post_init__(self) -> None:
        self.api = config.new_client_from_config(self.kubeconfig)
        self.core = client.CoreV1Api(self.api)
        self.apps = client.AppsV1Api(self.api)

    def start(self, playbook: str | Path, *options: str, **extra_vars: Any) -> subprocess.Popen[str] | warm.Forked:
        """Begin to run one of the collection's playbooks, or that of a path, as a user does, with extra variables."""
        path = playbook if isinstance(playbook, Path) else f"playbooks/{playbook}.yml"
        quick = cheap() if self.quick and not isinstance(playbook, Path) else {}
        variables = {"kubeconfig": self.kubeconfig, "application_namespace": self.namespace} | quick | extra_vars
        args = [str(path), "--extra-vars", json.dumps(variables), *options]
        return begun(args, warm.environment() | self.environment)

    def play(self, playbook: str, *options: str, **extra_vars: Any) -> Run:
        """Run a playbook to its end."""
        return ended(self.start(playbook, *options, **extra_vars))

    def objects(self) -> dict[str, Any]:
        """Every object that the roles write, by kind and name, as the API server has it."""
        listers = {
            "Deployment": self.apps.list_namespaced_deployment,
            "Service": self.core.list_namespaced_service,
            "ConfigMap": self.core.list_namespaced_config_map,
            "Secret": self.core.list_namespaced_secret,
        }
        return {
            f"{kind} {item.metadata.name}": item
            for kind, lister in listers.items()
            for item in lister(self.namespace).items
        }

    def spec_versions(self) -> dict[str, tuple[str, int | None]]:
        """What identifies each object's present wishes; a Deployment's status may still be moving."""
        return {
            name: (item.metadata.uid, item.metadata.generation)
            if name.startswith("Deployment")
            else (item.metadata.uid, item.metadata.resource_version)
            for name, item in self.objects().items()
        }

    def selector(self, service: str = "hello") -> dict[str, str]:
        """A Service's selector."""
        return dict(self.core.read_namespaced_service(service, self.namespace).spec.selector)

    def replicas(self, deployment: str) -> int:
        """How many replicas a Deployment is to have."""
        return int(self.apps.read_namespaced_deployment(deployment, self.namespace).spec.replicas)

    def deployments(self) -> set[str]:
        """The names of the Deployments."""
        return {item.metadata.name for item in self.apps.list_namespaced_deployment(self.namespace).items}

    def complete(self) -> None:
        """Return when each Deployment's rollout is complete."""
        complete(self.apps, self.namespace)

    def settled(self) -> None:
        """Return when each Deployment's rollout is complete, no pod is ending and users get answers.

        Who leads users to pods follows their Deployment later; what drains is there until then.
        """
        self.complete()
        deadline = time.monotonic() + PATIENCE
        pods = self.core.list_namespaced_pod
        while any(pod.metadata.deletion_timestamp for pod in pods(self.namespace).items):
            assert time.monotonic() < deadline, "pods do not end"
            time.sleep(0.1)
        while (answer := self.asker()()).status != 200:
            assert time.monotonic() < deadline, answer
            time.sleep(0.1)

    def asker(self) -> Any:
        """A function that asks the frontend once for its version, over a new connection."""
        service = self.core.read_namespaced_service("frontend", self.namespace)
        ingress = next(iter(service.status.load_balancer.ingress or []), None)
        ports = {item.name: item.port for item in service.spec.ports}
        scheme = "http" if "http" in ports else "https"
        port, path, headers = ports[scheme], "/version", {}
        # Not the default one, which reads all CAs of the machine: that takes longer than ten requests.
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        if ingress and not any(item.error for item in ingress.ports or [] if item.port == port):
            place = f"{ingress.ip or ingress.hostname}:{port}"
        else:
            settings = self.api.configuration
            server = urlsplit(settings.host)
            proxy = f"/api/v1/namespaces/{self.namespace}/services/{scheme}:frontend:{port}/proxy/version"
            scheme, place, path = "https", server.netloc, server.path.rstrip("/") + proxy
            token = settings.get_api_key_with_prefix("authorization")
            headers = {"Authorization": token} if token else {}
            if settings.verify_ssl:
                context = ssl.create_default_context(cafile=settings.ssl_ca_cert)
            if settings.cert_file:
                context.load_cert_chain(settings.cert_file, settings.key_file)
        connect: Callable[[], http.client.HTTPConnection] = (
            functools.partial(http.client.HTTPConnection, place, timeout=REQUEST)
            if scheme == "http"
            else functools.partial(http.client.HTTPSConnection, place, timeout=REQUEST, context=context)
        )

        return functools.partial(asked, connect, path, headers)

    def versions(self, requests: int = 20) -> Counter[str]:
        """Which versions users get."""
        ask = self.asker()
        return Counter(answer.version for answer in (ask() for _ in range(requests)))


def applied(found: Any, fields: dict[str, Any]) -> Any:
    """The part of an object that a field manager applied, from the manager's fieldsV1."""
    if not fields:
        return found
    if isinstance(found, dict):
        return {key[2:]: applied(found[key[2:]], below) for key, below in fields.items() if key.startswith("f:")}
    keys = [(json.loads(key[2:]), below) for key, below in fields.items() if key.startswith("k:")]
    return [applied(item, below) for item in found for key, below in keys if key.items() <= item.items()]


@functools.cache
def discovered(kubeconfig: str) -> dynamic.DynamicClient:
    """A client that has asked a cluster for its kinds."""
    return dynamic.DynamicClient(config.new_client_from_config(kubeconfig))


def copied(source: Lab, target: Lab) -> Lab:
    """What the roles applied in one namespace, applied in another one: the same objects in a tenth of the time."""
    cluster = discovered(target.kubeconfig)
    for kind, version in (("ConfigMap", "v1"), ("Secret", "v1"), ("Service", "v1"), ("Deployment", "apps/v1")):
        resource = cluster.resources.get(api_version=version, kind=kind)
        for item in resource.get(namespace=source.namespace).to_dict()["items"]:
            managed = {entry["manager"]: entry["fieldsV1"] for entry in item["metadata"].get("managedFields") or ()}
            if "convoy.rollout" in managed:
                body = applied(item, managed["convoy.rollout"])
                body |= {"apiVersion": version, "kind": kind}
                body["metadata"] = {**body.get("metadata", {}), "name": item["metadata"]["name"]}
                resource.server_side_apply(
                    body, namespace=target.namespace, field_manager="convoy.rollout", force_conflicts=True
                )
    target.settled()
    return target


def flattened(kubeconfig: str) -> dict[str, Any]:
    """A kubeconfig's own context, with what it names in files in itself: `kubectl config view --minify --flatten`."""
    place = Path(kubeconfig)
    document: dict[str, Any] = yaml.safe_load(place.read_text())
    (context,) = (item for item in document["contexts"] if item["name"] == document["current-context"])
    document["contexts"] = [context]
    for kind, files in {
        "cluster": ("certificate-authority",),
        "user": ("client-certificate", "client-key"),
    }.items():
        document[f"{kind}s"] = [item for item in document[f"{kind}s"] if item["name"] == context["context"][kind]]
        for item in document[f"{kind}s"]:
            for name in files:
                if name in item[kind]:
                    content = (place.parent / item[kind].pop(name)).read_bytes()
                    item[kind][f"{name}-data"] = base64.b64encode(content).decode()
    return document


def namespace_gone(core: client.CoreV1Api, namespace: str) -> None:
    """Delete a namespace, if it is there; on a cluster that stays, return when nothing of it is left."""
    with contextlib.suppress(client.exceptions.NotFoundException):
        core.delete_namespace(namespace)
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        try:
            core.read_namespace(namespace)
            # Nobody asks these pods any more, so that they need not drain.
            core.delete_collection_namespaced_pod(namespace, grace_period_seconds=0)
        except client.ApiException as error:
            if error.status == 404:
                return
            raise
        if not ELSEWHERE:
            return  # the tests' own cluster ends with them
        time.sleep(0.2)
    raise TimeoutError(f"namespace {namespace} is still there")
