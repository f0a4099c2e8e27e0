"""Runs that are killed with kill -9, everywhere, and what the same command or the way back makes of it."""

from __future__ import annotations

import contextlib
import copy
import itertools
import json
import os
import signal
import subprocess
import tempfile
import time
import uuid
import warnings
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import urllib3
from convoy_sandbox import resources
from convoy_sandbox.network.images import Image
from convoy_sandbox.testing import Sandbox, sandbox
from convoy_sandbox.writes import Write
from integration import warm
from integration.playbooks import Lab, Run, Traffic
from reliability.frame import Case, Result, Section, wrong
from reliability.scenarios import SCENARIOS, Play, Scenario

Object = dict[str, Any]

CALLBACKS = str(Path(__file__).with_name("callbacks"))
IMAGES = {"kelseyhightower/hello:3.0.0": Image("hello", version="3.0.0")}
LONGEST = 600.0  #: seconds for a run to come to a point or to end
SETTLE = 20.0  #: seconds after a run for what it deleted to be gone
REQUESTS = 40  #: how many are asked for the version in the end

#: What is looked at: all of it has to be as an undisturbed run leaves it.
KINDS = (
    resources.CONFIGMAPS,
    resources.SECRETS,
    resources.SERVICES,
    resources.DEPLOYMENTS,
    resources.REPLICASETS,
    resources.LEASES,
)
#: The start of a scenario is made of these; the others follow.
MADE = (resources.CONFIGMAPS, resources.SECRETS, resources.SERVICES, resources.DEPLOYMENTS)
CLUSTER_CA = "kube-root-ca.crt"  #: every namespace has it
SERVER_SIDE = ("clusterIP", "clusterIPs", "healthCheckNodePort")

#: Who dies: the process and its group, as by kill or a closed terminal; all that the run started but what it
#: left to watch over it, as by a container's end; or everything, as by a power cut.
MODES = ("group", "run", "everything")


@dataclass(frozen=True)
class Started:
    """A run that can be killed, known by a mark that all of its processes have."""

    process: subprocess.Popen[str] | warm.Forked
    mark: str
    tasks: Path

    def started(self) -> list[tuple[float, str]]:
        """When each task started (seconds), and its name."""
        lines = self.tasks.read_text().splitlines() if self.tasks.exists() else []
        return [(float(line.partition(" ")[0]), line.partition(" ")[2]) for line in lines]

    def processes(self) -> dict[int, str]:
        """The names of the run's processes that live, by id."""
        found = {}
        for entry in Path("/proc").iterdir():
            if entry.name.isdigit():
                with contextlib.suppress(OSError):
                    if self.mark.encode() in (entry / "environ").read_bytes():
                        found[int(entry.name)] = (entry / "comm").read_text().strip()
        return found

    def kill(self, mode: str) -> None:
        """Kill it as `mode` of MODES says."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        # One that was just being forked is seen at the next look.
        while mode != "group" and (meant := self._meant(mode)):
            for pid in meant:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
        self.process.wait()
        assert self.process.stdout
        self.process.stdout.close()

    def _meant(self, mode: str) -> list[int]:
        return [pid for pid, name in self.processes().items() if mode == "everything" or not name.startswith("convoy-")]


class Bench:
    """A sandbox in which scenarios begin again and again."""

    def __init__(self, cluster: Sandbox, directory: Path, *, quick: bool = False) -> None:
        self.cluster, self.directory, self.quick = cluster, directory, quick

    def lab(self) -> Lab:
        """A namespace with nothing in it."""
        name = f"bad-day-{uuid.uuid4().hex[:8]}"
        registry = self.cluster.cluster.registry
        self.cluster.call(lambda: registry.create(resources.NAMESPACES, "", {"metadata": {"name": name}}))
        return Lab(str(self.cluster.kubeconfig), name, quick=self.quick)

    def forget(self, lab: Lab) -> None:
        """Delete a namespace, without waiting for its end."""
        registry = self.cluster.cluster.registry
        self.cluster.call(lambda: registry.delete(resources.NAMESPACES, "", lab.namespace))

    def objects(self, lab: Lab) -> dict[str, list[Object]]:
        """What is in a namespace, by plural."""
        store = self.cluster.cluster.store
        return self.cluster.call(
            lambda: {kind.plural: copy.deepcopy(store.list(kind, lab.namespace)) for kind in KINDS}
        )

    def begin(self, start: Mapping[str, Sequence[Object]]) -> Lab:
        """A new namespace with these objects, when all of its pods are ready and its users are answered."""
        lab, registry = self.lab(), self.cluster.cluster.registry
        for kind in MADE:
            for item in start[kind.plural]:
                self.cluster.call(lambda kind=kind, item=item: registry.create(kind, lab.namespace, item))
        until(lambda: all(_is_complete(item) for item in self.objects(lab)["deployments"]), "the start")
        ask = lab.asker()
        until(lambda: ask().status == 200, "the start")
        return lab

    def start(self, lab: Lab, play: Play, stop_at: int = 0) -> Started:
        """Begin a run that tells which tasks start, and stops at one of them; a quick one does neither."""
        playbook, variables = play
        mark = uuid.uuid4().hex
        tasks = self.directory / mark
        environment = {warm.MARK: mark}
        if not self.quick:
            environment |= {
                "RELIABILITY_TASKS": str(tasks),
                "RELIABILITY_STOP_AT": str(stop_at),
                "ANSIBLE_CALLBACK_PLUGINS": CALLBACKS,
            }
        return Started(replace(lab, environment=environment).start(playbook, **variables), mark, tasks)

    def run(self, lab: Lab, play: Play) -> tuple[Run, Started]:
        """A run to its end."""
        started = self.start(lab, play)
        try:
            output, _ = started.process.communicate(timeout=LONGEST)
        except subprocess.TimeoutExpired:
            started.kill("everything")
            raise
        return Run(started.process.returncode, output), started

    def well(self, lab: Lab, play: Play) -> Started:
        """A run that nothing disturbs. Raises RuntimeError where it fails."""
        run, started = self.run(lab, play)
        if run.code:
            raise RuntimeError(f"An undisturbed run failed:\n{run.output}")
        return started

    def after(self, play: Play, start: Mapping[str, Sequence[Object]] | None = None) -> dict[str, list[Object]]:
        """The objects, to begin with, that a run leaves in a namespace that is empty or begins with others."""
        lab = self.begin(start) if start else self.lab()
        self.well(lab, play)
        left = start_of(self.objects(lab))
        self.forget(lab)
        return left

    def writes(self, lab: Lab) -> list[Write]:
        """What runs have changed in a namespace, except that they renewed a Lease, which only time decides."""
        return [write for write in self.cluster.writes() if _counts(write) and write.action.namespace == lab.namespace]


def until(what: Callable[[], Any], said: str, seconds: float = LONGEST) -> None:
    """Wait until something is so. Raises TimeoutError."""
    end = time.monotonic() + seconds
    while not what():
        if time.monotonic() > end:
            raise TimeoutError(f"{said}: nothing within {seconds:g} s")
        time.sleep(0.1)


def _counts(write: Write) -> bool:
    renewed = write.action.verb == "update" and write.action.resource == "leases"
    return not renewed and write.action.subresource != "status"  # which a gateway writes


def _is_complete(deployment: Object) -> bool:
    wanted, status = deployment["spec"]["replicas"], deployment.get("status") or {}
    seen = status.get("observedGeneration", 0) >= deployment["metadata"]["generation"]
    return seen and all(
        status.get(key, 0) == wanted for key in ("replicas", "updatedReplicas", "readyReplicas", "availableReplicas")
    )


def start_of(objects: Mapping[str, Sequence[Object]]) -> dict[str, list[Object]]:
    """The objects of a namespace, to be made again in another one."""
    made: dict[str, list[Object]] = {}
    for kind in MADE:
        made[kind.plural] = []
        for item in objects[kind.plural]:
            if item["metadata"]["name"] == CLUSTER_CA:
                continue
            kept = {key: value for key, value in item.items() if key not in ("metadata", "status")}
            kept["metadata"] = _named(item["metadata"])
            if kind == resources.SERVICES:
                kept["spec"] = _service_spec(item)
            made[kind.plural].append(kept)
    return made


def wishes_of(objects: Mapping[str, Sequence[Object]]) -> dict[str, Any]:
    """What is wished for in a namespace, by kind and name: what two runs that end alike have in common."""
    found: dict[str, Any] = {}
    for plural, items in objects.items():
        for item in items:
            name, spec = item["metadata"]["name"], item.get("spec", item.get("data"))
            if name == CLUSTER_CA:
                continue
            if plural == "services":
                spec = _service_spec(item)
            if plural == "replicasets":  # named by its pod template
                spec = {"replicas": item["spec"]["replicas"]}
            if plural == "httproutes":  # of a host of its own in each namespace
                spec = {"rules": item["spec"]["rules"]}
            if plural == "leases":
                spec = item["spec"].get("holderIdentity", "")
            noted = {} if plural == "replicasets" else _named(item["metadata"])
            found[f"{plural} {name}"] = {"metadata": noted, "spec": spec}
    return json.loads(json.dumps(found, sort_keys=True))


def _named(metadata: Object) -> Object:
    kept = {key: metadata[key] for key in ("name", "labels", "annotations") if key in metadata}
    if "annotations" in kept:
        noted = kept["annotations"]
        kept["annotations"] = {key: noted[key] for key in noted if key != "deployment.kubernetes.io/revision"}
    return kept


def _service_spec(service: Object) -> Object:
    spec = {key: value for key, value in service["spec"].items() if key not in SERVER_SIDE}
    return spec | {"ports": [{key: port[key] for key in port if key != "nodePort"} for port in spec["ports"]]}


def differences(wanted: Mapping[str, Any], found: Mapping[str, Any]) -> list[str]:
    """In what two sets of wishes differ, in words."""
    said = [f"{name} is missing" for name in wanted.keys() - found.keys()]
    said += [f"{name} is left over" for name in found.keys() - wanted.keys()]
    for name in wanted.keys() & found.keys():
        said += _different(name, wanted[name], found[name])
    return sorted(said)


def _different(where: str, wanted: Any, found: Any) -> list[str]:
    if isinstance(wanted, dict) and isinstance(found, dict):
        keys = sorted(wanted.keys() | found.keys())
        return [part for key in keys for part in _different(f"{where}.{key}", wanted.get(key), found.get(key))]
    return [] if wanted == found else [f"{where} is {json.dumps(found)}, not {json.dumps(wanted)}"]


@contextlib.contextmanager
def bench(*, quick: bool = False, **settings: Any) -> Iterator[Bench]:
    """A sandbox to work on; `settings` are those of `Settings`.

    `quick` is as of Lab; its runs are forked, too, and can be killed at what they write, and not at a task.
    """
    warnings.simplefilter("ignore", urllib3.exceptions.InsecureRequestWarning)
    with (
        tempfile.TemporaryDirectory() as directory,
        sandbox(name=f"kills-{uuid.uuid4().hex[:6]}", images=IMAGES, **settings) as cluster,
    ):
        yield Bench(cluster, Path(directory), quick=quick)


def plan() -> dict[str, Any]:
    """Run each scenario once, undisturbed: where it begins and ends, and the points at which it can be killed."""
    with bench() as it:
        return planned(it, SCENARIOS)


def planned(it: Bench, scenarios: Mapping[str, Scenario]) -> dict[str, Any]:
    """The plan of some scenarios."""
    known: dict[str, Any] = {}
    cases: list[Case] = []
    applications = {scenario.drains: scenario.deploy for scenario in scenarios.values()}
    deployed = {drains: it.after(play) for drains, play in applications.items()}
    for name, scenario in scenarios.items():
        start = deployed[scenario.drains]
        for play in scenario.before:
            start = it.after(play, start)
        lab = it.begin(start)
        begun = wishes_of(it.objects(lab))
        earlier = len(it.writes(lab))
        with Traffic(lab) as traffic:
            started = it.well(lab, scenario.play)
        done, writes = started.started(), it.writes(lab)[earlier:]
        until(lambda lab=lab: not it.objects(lab)["leases"], "the Lease", SETTLE)
        time.sleep(1)  # what was deleted goes with what it owns
        known[name] = {"start": start, "begun": begun, "end": wishes_of(it.objects(lab)), "lost": len(traffic.lost)}
        it.forget(lab)
        cases += _cases(name, scenario, done, writes)
        print(f"kills: {scenario.group}, {name}: {len(done)} tasks, {len(writes)} writes", flush=True)
    return {"scenarios": known, "cases": cases}


def _cases(
    name: str, scenario: Scenario, tasks: Sequence[tuple[float, str]], writes: Sequence[Write]
) -> Iterator[Case]:
    """Every point, followed by the same command and by the way back."""
    points: list[Case] = []
    for number, (began, task) in enumerate(tasks, 1):
        ended = tasks[number][0] if number < len(tasks) else began
        points.append({"at": "start", "number": number, "what": f"task {number}, {task}"})
        points.append(
            {"at": "midway", "number": number, "what": f"amid task {number}, {task}", "after": (ended - began) / 2}
        )
    for number, write in enumerate(writes, 1):
        what = str(write).partition(" ")[2].replace(write.action.namespace, "").replace(" /", " ").strip()
        for when in ("before", "after"):
            points.append({"at": when, "number": number, "what": f"{when} write {number}, {what}"})
    for index, point in enumerate(points):
        for then in ("again", "back"):
            mode = MODES[(index // 2 if point["at"] in ("start", "midway") else index) % len(MODES)]
            if point["at"] in ("before", "after") and mode == "group":
                mode = "run"  # a task that outlives its run would make its request again
            yield {
                "key": f"{scenario.strategy} {name}, {point['what']} ({point['at']}), {then}",
                "group": scenario.group,
                "scenario": name,
                "mode": mode,
                "then": then,
                **point,
            }


@contextlib.contextmanager
def worker(plan: Mapping[str, Any]) -> Iterator[Callable[[Case], Result]]:
    """One worker's sandbox."""
    with bench() as it:
        yield lambda case: kill(it, SCENARIOS[case["scenario"]], plan["scenarios"][case["scenario"]], case)


def kill(it: Bench, scenario: Scenario, known: Mapping[str, Any], case: Case) -> Result:
    """Kill a run at a point, and run what follows."""
    lab = it.begin(known["start"])
    try:
        with Traffic(lab) as traffic:
            first, reached = killed(it, lab, scenario.play, case)
            left = wishes_of(it.objects(lab))
            began = time.monotonic()
            again = case["then"] == "again"
            run, started = it.run(lab, scenario.play if again else scenario.back)
            runs = [first, started]
            if again:
                problems = _as_undisturbed(it, lab, known, scenario, run)
            else:
                if scenario.undo and f"to go back from {scenario.new}: {scenario.undo[0]}.yml" in run.output:
                    run, started = it.run(lab, scenario.undo)
                    runs.append(started)
                problems = _as_before(it, lab, known, scenario, left, run)
            seconds = time.monotonic() - began
        for process in runs:
            try:
                until(lambda process=process: not process.processes(), "the processes' end", SETTLE)
            except TimeoutError:
                problems.append(f"processes are left over: {sorted(process.processes().values())}")
                process.kill("everything")
        strange = {answer.version for answer in traffic.answers if answer.status == 200} - {
            scenario.old,
            scenario.new,
            scenario.earlier,
        }
        if traffic.lost and scenario.drains:
            problems.append(f"{len(traffic.lost)} requests were lost, such as {traffic.lost[0]}")
        elif strange:
            problems.append(f"users got {sorted(strange)}")
        return {
            "key": case["key"],
            "group": case["group"],
            "at": case["at"],
            "mode": case["mode"],
            "then": case["then"],
            "reached": reached,
            "problems": problems,
            "requests": len(traffic.answers),
            "lost": len(traffic.lost),
            "seconds": round(seconds, 1),
        }
    finally:
        it.forget(lab)


def killed(it: Bench, lab: Lab, play: Play, case: Case) -> tuple[Started, bool]:
    """A run that was killed, and whether it came to the point."""
    number = case["number"]
    if case["at"] in ("before", "after"):

        def counts(write: Write) -> bool:
            return _counts(write) and write.action.namespace == lab.namespace

        with it.cluster.hold(number, case["at"], counts) as hold:
            started = it.start(lab, play)
            until(lambda: hold.write or started.process.poll() is not None, "the write")
            started.kill(case["mode"])
            hold.abandon()
        return started, hold.write is not None
    stop_at = number if case["at"] == "start" else 0
    started = it.start(lab, play, stop_at)
    ended: list[bool] = []

    def come(number: int) -> bool:
        ended[:] = [started.process.poll() is not None]
        return ended[0] or len(started.started()) >= number

    until(lambda: come(number), "the task")
    if case["at"] == "midway":
        end = time.monotonic() + case["after"]
        until(lambda: come(number + 1) or time.monotonic() >= end, "the task's middle")
    started.kill(case["mode"])
    return started, not ended[0]


def _without_leases(wishes: Mapping[str, Any]) -> dict[str, Any]:
    return {name: wish for name, wish in wishes.items() if not name.startswith("leases ")}


def _as_undisturbed(it: Bench, lab: Lab, known: Mapping[str, Any], scenario: Scenario, run: Run) -> list[str]:
    """What is not as an undisturbed run leaves it."""
    if run.code:
        return [f"the same command failed: {said(run)}"]
    with contextlib.suppress(TimeoutError):
        until(lambda: not differences(known["end"], wishes_of(it.objects(lab))), "the end", SETTLE)
    problems = differences(known["end"], wishes_of(it.objects(lab)))
    got = lab.versions(REQUESTS)
    if set(got) != {scenario.new} and set(got) != set(_mixed(scenario)):
        problems.append(f"users get {dict(got)}")
    return problems


def _mixed(scenario: Scenario) -> Counter[str]:
    """What users get where a run leaves two versions: a canary that is not promoted."""
    stays = scenario.strategy == "canary" and not scenario.play[1].get("promote")
    return Counter({scenario.old: 1, scenario.new: 1} if stays else {})


def _as_before(
    it: Bench, lab: Lab, known: Mapping[str, Any], scenario: Scenario, left: Mapping[str, Any], run: Run
) -> list[str]:
    """What is not as it was before the run that was killed."""
    untouched = _untouched(known, left)
    problems = [f"the way back failed: {said(run)}"] if run.code and not untouched else []
    until(lambda: "hello-canary" not in lab.deployments() or problems, "the canary's end", SETTLE)
    with contextlib.suppress(TimeoutError):
        until(lambda: not it.objects(lab)["leases"], "the Lease", SETTLE)
    problems += [f"Lease {item['metadata']['name']} is left over" for item in it.objects(lab)["leases"]]
    problems += [f"Deployment {name} is left over" for name in lab.deployments() if name.endswith("-canary")]
    got = set(lab.versions(REQUESTS))
    if got != {scenario.old} and not (untouched and got == {scenario.earlier}):
        problems.append(f"users get {sorted(got)}, not {scenario.old}")
    # A Service that was switched stays pinned; the route by which that was done is as it was.
    restored = ("services ", "httproutes ") if scenario.strategy == "canary" else ("httproutes ",)

    def paths(wishes: Mapping[str, Any]) -> dict[str, Any]:
        """By what users are led to pods."""
        return {name: wish for name, wish in wishes.items() if name.startswith(restored)}

    problems += differences(paths(known["begun"]), paths(wishes_of(it.objects(lab))))
    serving = known["begun"]["deployments hello"]["spec"]["replicas"]
    if scenario.strategy != "bluegreen" and lab.replicas("hello") != serving:
        problems.append(f"Deployment hello has {lab.replicas('hello')} replicas, not {serving}")
    return problems


def _untouched(known: Mapping[str, Any], left: Mapping[str, Any]) -> bool:
    """Whether a run had changed nothing yet, or only pinned the Service while no other version was there."""
    changed = differences(_without_leases(known["begun"]), _without_leases(left))
    pinned = all(where.startswith("services ") for where in changed) and "deployments hello-green" not in left
    return not changed or pinned


def said(run: Run) -> str:
    """Why a run failed: what is shown below the last task that did."""
    lines = run.output.splitlines()
    last = next((number for number in reversed(range(len(lines))) if lines[number].startswith("failed: [")), None)
    if last is not None:
        words = itertools.takewhile(lambda line: line.startswith("  "), lines[last + 1 :])
        return " ".join(line.strip() for line in words)[:600]
    errors = [line.strip() for line in lines if line.startswith(("[ERROR]", "ERROR!", "fatal:"))]
    return (errors or [line.strip() for line in lines if line.strip()] or ["nothing"])[-1][:600]


def text(plan: Mapping[str, Any], results: Sequence[Result]) -> str:
    """The section: how many points of each strategy, and what was not as it should be."""
    drain = {scenario.group: scenario.drains for scenario in SCENARIOS.values()}
    return "\n".join([WORDS, *table(plan, results, drain)])


def table(plan: Mapping[str, Any], results: Sequence[Result], drain: Mapping[str, bool]) -> list[str]:
    """The lines of a section's figures; `drain` says of each group whether its pods drain."""
    rows = [
        "| strategy | points | killed at | in tasks | at requests | run again: ends as undisturbed | "
        "way back: old version serves | users' requests | lost |",
        "| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |",
    ]
    for strategy in dict.fromkeys(case["group"] for case in plan["cases"]):
        there = {(case["scenario"], case["at"], case["number"]) for case in plan["cases"] if case["group"] == strategy}
        mine = [item for item in results if item["group"] == strategy and item.get("reached")]
        points = {item["key"].rpartition(", ")[0] for item in mine}
        at = Counter(item["at"] in ("before", "after") for item in mine)
        good = {then: [item for item in mine if item["then"] == then] for then in ("again", "back")}
        counted = [
            f"{sum(not item['problems'] for item in good[then])} of {len(good[then])}" for then in ("again", "back")
        ]
        asked, lost = (sum(item[key] for item in mine) for key in ("requests", "lost"))
        why = "" if drain[strategy] or not lost else ", by the application: its pods stop listening at once"
        rows.append(
            f"| {strategy} | {len(there)} | {len(points)} | {at[False]} | {at[True]} | {counted[0]} | {counted[1]} | "
            f"{asked} | {lost}{why} |"
        )

    def line(item: Result) -> str:
        return f"{item['key']}, {item.get('mode')}: {'; '.join(item['problems'])}"

    return [*rows, "", *wrong(results, line=line)]


WORDS = """\
A run of `ansible-playbook` is killed with `kill -9`: as a task starts, in the middle of a task, and at each request
that changes something, before it takes effect and after it took effect but before its answer came. Each kill hits
either the process and its group, or all that the run started, or everything, also what watches over its lock, as a
power cut does. Then, at once, the same command is run again: it has to end where an undisturbed run ends, with the
same objects (specs, labels, annotations, ReplicaSets, no Lease) and no process left over. Or the way back is run
instead (`rollback=true`, `abort=true`, `rollback.yml -e revision=N`, `scale.yml` to the old number): the old version
has to receive all traffic. Where `abort=true` finds the promotion complete it says so, and names `rollback.yml`, which
is run then. All the while users send requests to the frontend.

Traffic follows the pods as late as with a node's proxy. The application drains: its pods go on listening for 5 seconds
once they are told to end, so that not one request may be lost. What an application without a drain loses meanwhile is
its own doing, and the table says so.

A way back knows only what the run had changed. A run that was killed before its first change leaves no trace:
`bluegreen.yml -e rollback=true` then undoes the rollout before it, as `rollback.yml` without a revision does, or says
that there is nothing to roll back to. Both are right here. `-e version=...` leads to a version whatever had happened.
The tasks of a run end with it, even where only its process is killed. A request that was already sent is still
answered, and the next run waits for that.
"""

SECTION = Section("Killed anywhere", plan, worker, text)
