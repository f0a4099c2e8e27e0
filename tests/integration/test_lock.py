"""One run at a time: five at once, one whose lock is taken over, one that is killed."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, TypeVar

from integration.history import events_since
from integration.playbooks import PATIENCE, Lab, Run, Traffic, description, ended
from kubernetes import client

T = TypeVar("T")


def leases(lab: Lab) -> list[Any]:
    """The Leases of the namespace."""
    return list(client.CoordinationV1Api(lab.api).list_namespaced_lease(lab.namespace).items)


def until(what: Callable[[], T]) -> T:
    """What a function returns as soon as that is true."""
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end:
        found = what()
        if found:
            return found
        time.sleep(0.1)
    raise TimeoutError(what)


def test_of_five_runs_at_once_one_works_at_a_time(lab: Lab) -> None:
    wanted = ["good morning", "good evening"] * 2 + ["good night"]
    listed = client.CoordinationV1Api(lab.api).list_namespaced_lease

    def asked(**options: Any) -> Any:
        return listed(lab.namespace, _preload_content=False, **options)

    def play(greeting: str) -> tuple[int, Run]:
        applications = description()
        applications["hello"]["container"]["env"] = [{"name": "GREETING", "value": greeting}]
        started = lab.start("bluegreen", version="2.0.0", applications=applications)
        return started.pid, ended(started)

    before = json.loads(asked().data)["metadata"]["resourceVersion"]
    with Traffic(lab) as traffic, ThreadPoolExecutor(len(wanted)) as pool:
        runs = list(pool.map(play, wanted))
    holders: list[str] = []  # in their order
    for _version, event in events_since(asked, before):
        if event["type"] == "ADDED":
            holders.append(event["object"]["spec"]["holderIdentity"])
        assert event["object"]["spec"]["holderIdentity"] == holders[-1], "it was taken from who had it"
    refused = [run.output for _pid, run in runs if run.code != 0]
    assert all("is being changed by" in output and "-e takeover=true" in output for output in refused), refused
    assert 1 <= len(holders) == len(runs) - len(refused)
    # Where the machine is so slow that a run begins when another has ended, that one finds its work done.
    (first,) = (greeting for greeting, (pid, _run) in zip(wanted, runs, strict=True) if f"({pid}-" in holders[0])
    green = lab.apps.read_namespaced_deployment("hello-green", lab.namespace)
    assert green.spec.template.spec.containers[0].env[0].value == first
    assert dict(lab.versions()) == {"2.0.0": 20}
    assert lab.deployments() == {"auth", "frontend", "hello", "hello-green"}
    assert leases(lab) == []
    assert traffic.lost == []


#: Notes for each fork of a companion how many threads run in the process that is forked.
NOTED = """
import os, sys

def look():
    if sys._getframe(1).f_globals.get("__name__", "").endswith("._companion"):
        with open(os.environ["NOTED"], "a") as notes:
            print(len(os.listdir("/proc/self/task")), file=notes)

os.register_at_fork(before=look)
"""


def test_companions_are_forked_where_no_other_thread_runs(lab: Lab, tmp_path: Path) -> None:
    # A companion may wait for ever for what another thread held, and Python warns of it from 3.12 on.
    (tmp_path / "sitecustomize.py").write_text(NOTED)
    lab.environment.update(PYTHONPATH=str(tmp_path), NOTED=str(tmp_path / "notes"))
    run = lab.play("scale", replicas=4)
    assert run.code == 0, run.output
    assert (tmp_path / "notes").read_text().split() == ["1"] * 4  # the lock's and the watch's, each forked twice


def probed(lab: Lab) -> set[str]:
    """What the Deployments ask their pods for, to see that they are ready."""
    pods = [item.spec.template.spec for item in lab.apps.list_namespaced_deployment(lab.namespace).items]
    probes = [container.readiness_probe for pod in pods for container in pod.containers]
    return {probe.http_get.path for probe in probes if probe and probe.http_get}


def test_a_lock_is_taken_over_and_given_up_by_a_run_that_is_killed(lab: Lab) -> None:
    stuck = description()
    stuck["hello"]["container"]["readinessProbe"]["httpGet"]["path"] = "/nothing-here"

    def begin() -> tuple[subprocess.Popen[str], str]:
        """A run that waits for what does not come, and who it says that it is."""
        run = lab.start("bluegreen", version="2.0.0", applications=stuck)
        who = until(lambda: [lease.spec.holder_identity for lease in leases(lab)])
        until(lambda: "/nothing-here" in probed(lab))
        return run, who[0]

    with Traffic(lab) as traffic:
        first, who = begin()
        refused = lab.play("bluegreen", version="2.0.0")
        assert refused.code != 0
        assert f"hello in namespace {lab.namespace} is being changed by {who} since" in refused.output
        assert "for blue/green to 2.0.0" in refused.output
        taken = lab.play("bluegreen", version="2.0.0", takeover=True)
        assert taken.code == 0, taken.output
        said, _ = first.communicate(timeout=PATIENCE)
        assert first.returncode != 0
        assert "The lock of hello" in said, said
        assert "so this run stops" in said, said
        assert dict(lab.versions()) == {"2.0.0": 20}
        assert leases(lab) == []

        assert lab.play("bluegreen", rollback=True).code == 0
        second, _who = begin()
        os.killpg(second.pid, signal.SIGKILL)
        second.communicate()
        until(lambda: not leases(lab))
    assert traffic.lost == []
