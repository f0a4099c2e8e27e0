"""Versions that fail and clusters that get in the way: what each strategy makes of it, and how soon."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from convoy_sandbox.settings import Timing
from convoy_sandbox.writes import Write
from integration.playbooks import Answer, Lab, Traffic, description
from kubernetes import client
from reliability.frame import Case, Result, Section, wrong
from reliability.kills import Bench, Started, bench, said, until
from reliability.scenarios import DEPLOY, phases

Object = dict[str, Any]
Act = Callable[[Bench, Lab], None]

TIMEOUT = 30  #: seconds that a rollout may take, by the roles' own variables
NODE_GRACE = 40.0  #: seconds until a silent node counts as lost, as on a real cluster
LONGEST = 240.0
#: How each strategy is run towards a version, and the task with which the version comes to the cluster.
STRATEGIES: dict[str, tuple[str, dict[str, Any], str]] = {
    "bluegreen": ("bluegreen", {"bluegreen_timeout": TIMEOUT}, "Create the other colour"),
    "canary": ("canary", {"canary_timeout": TIMEOUT, "promote": True}, "Create the canary"),
    "rolling_update": ("rolling_update", {"rolling_update_timeout": TIMEOUT}, "Give the Deployment the new version"),
    "scale": ("scale", {"replicas": 5, "scale_timeout": TIMEOUT}, "Scale it"),
}
ROLLED = ("bluegreen", "canary", "rolling_update")


@dataclass(frozen=True)
class Trouble:
    """One fault: of the version that is rolled out, or an act amid the run."""

    name: str
    version: str = "2.0.0"
    act: Act | None = None
    strategies: tuple[str, ...] = ROLLED
    variables: Mapping[str, Any] = field(default_factory=dict)
    before: Act | None = None  #: what is done before the run
    when: Literal["before", "after"] = "after"  #: the first Deployment of hello has been changed
    fine: bool = False  #: whether nothing is wrong with the version, so that the run has to end well
    unseen: str = ""  #: why a strategy cannot see it, where it cannot


def _quota(_it: Bench, lab: Lab) -> None:
    there = len(lab.core.list_namespaced_pod(lab.namespace).items)
    lab.core.create_namespaced_resource_quota(
        lab.namespace, {"metadata": {"name": "pods"}, "spec": {"hard": {"pods": str(there)}}}
    )


def _node(it: Bench, lab: Lab) -> None:
    """A node goes that has a pod that serves, but not the frontend, which is there once and not rolled out."""
    pods = lab.core.list_namespaced_pod(lab.namespace).items
    entry = {pod.spec.node_name for pod in pods if pod.metadata.labels["app"] == "frontend"}
    serving = {pod.spec.node_name for pod in pods if pod.metadata.labels["app"] == "hello" and _ready(pod)}
    it.cluster.stop_node(sorted(serving - entry)[0])


def _budget(_it: Bench, lab: Lab) -> None:
    client.PolicyV1Api(lab.api).create_namespaced_pod_disruption_budget(
        lab.namespace,
        {
            "metadata": {"name": "hello"},
            "spec": {"minAvailable": "100%", "selector": {"matchLabels": {"app": "hello"}}},
        },
    )


def _autoscaler(_it: Bench, lab: Lab) -> None:
    target = {"apiVersion": "apps/v1", "kind": "Deployment", "name": "hello"}
    spec = {"minReplicas": 4, "maxReplicas": 6, "scaleTargetRef": target}
    client.AutoscalingV2Api(lab.api).create_namespaced_horizontal_pod_autoscaler(
        lab.namespace, {"metadata": {"name": "hello"}, "spec": spec}
    )


def _editor(_it: Bench, lab: Lab) -> None:
    """Somebody gives every Deployment of hello another greeting."""
    template = {"spec": {"containers": [{"name": "hello", "env": [{"name": "GREETING", "value": "mine"}]}]}}
    for name in lab.deployments() & {"hello", "hello-green", "hello-canary"}:
        lab.apps.patch_namespaced_deployment(name, lab.namespace, {"spec": {"template": template}})


def _soak(_it: Bench, lab: Lab) -> None:
    """New pods count as available after 25 s."""
    lab.apps.patch_namespaced_deployment("hello", lab.namespace, {"spec": {"minReadySeconds": 25}})

    def available() -> bool:
        found = lab.apps.read_namespaced_deployment("hello", lab.namespace)
        seen = found.status.observed_generation == found.metadata.generation
        return bool(seen and found.status.available_replicas == found.spec.replicas)

    until(available, "the old pods' time")


def _soaked() -> dict[str, Any]:
    applications = description()
    applications["hello"]["deployment"] = {"minReadySeconds": 25}
    return applications


def _entry() -> dict[str, Any]:
    return {
        "service": "frontend", "port": 443, "scheme": "https", "path": "/version", "validate_certs": False,
        "max_p99": 0.5,
    }  # fmt: skip


LATE = {"bluegreen_timeout": 60, "canary_timeout": 60, "rolling_update_timeout": 60}
TROUBLES = (
    Trouble("image missing", "nowhere"),
    Trouble("crash at start", "crash"),
    Trouble("crash after 20 s", "crash-later", unseen="it runs well until the run is over"),
    Trouble(
        "crash after 20 s, minReadySeconds 25", "crash-later", before=_soak,
        variables={**LATE, "applications": _soaked()},
    ),
    Trouble(
        "crash after 20 s, old colour kept 30 s", "crash-later", strategies=("bluegreen",),
        variables={"bluegreen_keep_previous": False, "bluegreen_previous_delay": 30},
    ),
    Trouble(
        "crash after 20 s, canary pauses 30 s", "crash-later", strategies=("canary",),
        variables={"canary_steps": [{"weight": 25, "pause": "30s"}]},
    ),
    Trouble("never ready", "unready"),
    Trouble("answers 500", "broken"),
    Trouble("answers a fifth with 500", "flaky"),
    Trouble("answers another version", "liar"),
    Trouble("2% of the answers take 1 s", "slow-tail", unseen="no limit is set"),
    Trouble(
        "2% of the answers take 1 s, max_p99 0.5 s", "slow-tail", variables={"application_entry": _entry()},
        unseen="too few requests to be sure of it, as a rule",
    ),
    Trouble("all answers take 1 s, max_p99 0.5 s", "slow", variables={"application_entry": _entry()}),
    Trouble("memory over its limit", "hungry"),
    Trouble("node lost", act=_node, strategies=(*ROLLED, "scale")),
    Trouble("quota lowered to what there is", act=_quota, when="before", strategies=(*ROLLED, "scale")),
    Trouble("PodDisruptionBudget of 100%", before=_budget, strategies=(*ROLLED, "scale"), fine=True),
    Trouble("HorizontalPodAutoscaler (4 to 6) appears", act=_autoscaler, strategies=(*ROLLED, "scale"), fine=True),
    Trouble("somebody edits the Deployments", act=_editor, strategies=(*ROLLED, "scale"), fine=True),
)  # fmt: skip
BY_NAME = {trouble.name: trouble for trouble in TROUBLES}


class Watched(Traffic):
    """Traffic that knows when each answer came."""

    def __init__(self, lab: Lab) -> None:
        super().__init__(lab)
        ask = self._ask
        self.times: list[float] = []

        def asked() -> Answer:
            answer: Answer = ask()
            self.times.append(time.monotonic())
            return answer

        self._ask = asked

    def last_not(self, version: str) -> float | None:
        """When the last request was not answered by a version, None where each was."""
        other = [at for at, answer in zip(self.times, self.answers, strict=False) if answer.version != version]
        return other[-1] if other else None


def plan() -> dict[str, Any]:
    """The application's objects, and a case for each fault and strategy."""
    with bench() as it:
        start = it.after(DEPLOY)
    cases = [
        {"key": f"{trouble.name}, {strategy}", "group": strategy, "trouble": trouble.name, "strategy": strategy}
        for trouble in TROUBLES
        for strategy in trouble.strategies
    ]
    return {"start": start, "cases": cases}


@contextlib.contextmanager
def worker(plan: Mapping[str, Any]) -> Iterator[Callable[[Case], Result]]:
    """One worker's sandbox; an autoscaler looks each second."""
    with bench(timing=Timing(autoscaler_period=1.0, node_grace=NODE_GRACE)) as it:
        yield lambda case: meet(it, plan["start"], case)


def meet(it: Bench, start: Mapping[str, Sequence[Object]], case: Case) -> Result:
    """A run that meets with one fault."""
    trouble, strategy = BY_NAME[case["trouble"]], case["strategy"]
    playbook, options, brings = STRATEGIES[strategy]
    variables = {**options, **trouble.variables}
    if strategy != "scale":
        variables["version"] = trouble.version
        if trouble.version != "2.0.0":
            applications = variables.setdefault("applications", description())
            variables["applications"] = {**applications, "hello": {**applications["hello"], "image": "sandbox/hello"}}
    lab = it.begin(start)
    try:
        if trouble.before:
            trouble.before(it, lab)
        acted: list[float] = []
        with Watched(lab) as traffic:
            run, started = _run(it, lab, (playbook, variables), trouble, acted)
            time.sleep(1)  # what users get right after it
        tasks = started.started()
        began = acted[0] if acted else next((at for at, name in tasks if brings in name), None)
        # A run comes to its rescue as soon as it knows that something is wrong.
        turns = phases(playbook)["rescue"][0]
        found = next((at for at, name in tasks if began and at > began and turns in name), None) if run.code else None
        left = traffic.last_not("1.0.0")
        ask = lab.asker()
        version = " and ".join(
            sorted({answer.version for answer in (ask() for _ in range(20)) if answer.status == 200})
        )
        result = {
            "key": case["key"],
            "group": strategy,
            "trouble": trouble.name,
            "strategy": strategy,
            "failed": run.code != 0,
            "found": round(found - began, 1) if found and began else None,
            "back": None if run.code == 0 or not began else round(max(0.0, (left or 0) - began), 1),
            "said": said(run) if run.code else _observed(run.output),
            "requests": len(traffic.answers),
            "lost": len(traffic.lost),
            "causes": traffic.causes,
            "version": version,
            "output": run.output[-6000:],
        }
        return {**result, "problems": _problems(trouble, result)}
    finally:
        for node in [node.metadata.name for node in lab.core.list_node().items]:
            it.cluster.start_node(node)
        it.forget(lab)
        until(lambda: all(_ready(node) for node in lab.core.list_node().items), "the nodes")


def _ready(item: Any) -> bool:
    """Whether a node or a pod is ready."""
    return any(found.type == "Ready" and found.status == "True" for found in item.status.conditions or [])


def _run(it: Bench, lab: Lab, play: Any, trouble: Trouble, acted: list[float]) -> tuple[Any, Started]:
    """The run; what is to be done amid it is done as the first Deployment of hello is changed."""
    if trouble.act is None:
        return it.run(lab, play)
    act = trouble.act

    def counts(write: Write) -> bool:
        return write.action.namespace == lab.namespace and write.action.resource == "deployments"

    with it.cluster.hold(1, trouble.when, counts) as hold:

        def do() -> None:
            if hold.wait(LONGEST):
                acted.append(time.monotonic())
                act(it, lab)
                hold.release()

        thread = threading.Thread(target=do, daemon=True)
        thread.start()
        ran = it.run(lab, play)
    thread.join(5)
    return ran


def _observed(output: str) -> str:
    lines = [
        line.strip()
        for line in output.splitlines()
        if "all traffic" in line or "runs in all" in line or "scaled" in line
    ]
    return lines[-1] if lines else ""


def _problems(trouble: Trouble, result: Mapping[str, Any]) -> list[str]:
    problems = []
    if trouble.fine and result["failed"]:
        problems.append("it failed")
    if result["failed"] and result["version"] != "1.0.0":
        problems.append(f"it failed, and users get {result['version']}")
    if trouble.version != "2.0.0" and not trouble.unseen and not result["failed"]:
        problems.append("it was not found")
    if "Traceback" in result["said"]:
        problems.append("it ended with a traceback")
    return problems


def text(_plan: Mapping[str, Any], results: Sequence[Result]) -> str:
    """The section: a row a fault and strategy."""
    rows = [
        "| fault | strategy | found after | what the run said | requests | lost | serving at the end | old version has "
        "all traffic again after |",
        "| --- | --- | ---: | --- | ---: | ---: | --- | ---: |",
    ]
    by_key = {item["key"]: item for item in results}
    for trouble in TROUBLES:
        for strategy in trouble.strategies:
            item = by_key.get(f"{trouble.name}, {strategy}")
            if item is None or "said" not in item:
                continue
            if item["failed"]:
                found = f"{item['found']:.1f} s" if item["found"] is not None else "before it began"
                back = f"{item['back']:.1f} s" if item["back"] else "it never lost any"
            else:
                found = "not needed" if trouble.fine else "**not found**" if trouble.version != "2.0.0" else "ends well"
                back = "-"
            causes = ", ".join(f"{count} {cause}" for cause, count in sorted(item["causes"].items()))
            lost = f"{item['lost']} ({causes})" if causes else item["lost"]
            words = item["said"].replace("|", "\\|")
            rows.append(
                f"| {trouble.name} | {strategy} | {found} | {words} | {item['requests']} | {lost} | "
                f"{item['version']} | {back} |"
            )
    return "\n".join([WORDS, *rows, "", *wrong(results, " with a version that fails")])


WORDS = f"""\
An application that serves 1.0.0 with three replicas is rolled out to a version that fails, or something happens to the
cluster as the first Deployment is changed. The roles' timeouts are {TIMEOUT} s here (600 s by default): what is found
after about that long was found by the timeout. All the while users ask the frontend, one request after the other.
*Found* is the time from the version's rollout, or from what happened, to the run's first step back. A lost node is
known to be lost after {NODE_GRACE:g} s, as on a real cluster: until then a Service goes on sending its pods requests,
whatever a rollout does. Why requests were lost stands beside their number: HTTP 500 is what the version itself answers,
which no strategy can prevent once users are led there; HTTP 502, 504 and no answer come from pods that are gone or do
not listen.

The table also shows what a strategy cannot see: a version that runs well for as long as it is watched passes. To find a
crash after 20 s takes a soak time: `minReadySeconds` of the Deployment, a pause of the canary, or for blue/green the
seconds for which the old colour is kept. A container that crashed in that time is found even where no request met it.
Slow answers are judged where `max_p99` of the entry says what slow is. It takes hundreds of requests to know twice
as many slow answers as allowed: with the roles' own numbers such a version usually passes.

"""

SECTION = Section("A version that fails", plan, worker, text)
