"""playbooks/lab.yml, which tells the lab as one story, and explain.yml."""

from __future__ import annotations

import re

import pytest
from integration.playbooks import ELSEWHERE, PATIENCE, QUICK, ROOT, Lab, ended


def test_the_lab_is_told_step_by_step(empty: Lab) -> None:
    told = [
        "PLAY [Explain: ",
        "Number of desired pods",
        "PLAY [Create: ",
        "observed: 1.0.0 ",
        "PLAY [Scale: from 3 to 5]",
        "5 of 5 pods are ready",
        "PLAY [Scale: back to 3]",
        "3 of 3 pods are ready",
        "PLAY [Rolling update: ",
        "paused with 2 of 3 new pods; a pause at 50% was requested. observed: ",
        "hello 2.0.0 runs in all 3 pods",
        "PLAY [Undo: ",
        "Rolling update to 2.0.0",
        "is back at revision 1",
        "PLAY [Canary: 2.0.0 beside it",
        "1 of 4 pods gives 25%",
        "PLAY [Session affinity: ",
        "one client: ",
        "many clients: ",
        "this machine are not given" if ELSEWHERE else "each client got one version in 3 requests",
        "PLAY [Canary: promoted",
        "hello 2.0.0 now receives all traffic: the canary was promoted",
        "PLAY [Start again: ",
        "PLAY [Blue/green: all traffic to 2.0.0]",
        "hello 2.0.0 (green, Deployment hello-green) now receives all traffic",
        "PLAY [Blue/green: and back]",
        "hello 1.0.0 (blue, Deployment hello) now receives all traffic",
    ]
    # This machine has addresses that reach a cluster for the sandbox only.
    addresses = {"client_addresses": []} if ELSEWHERE else {}
    begun = empty.start(ROOT / "playbooks/lab.yml", **QUICK, **addresses)  # the application as users have it
    run = ended(begun, timeout=PATIENCE * sum(line.startswith("PLAY ") for line in told))
    assert run.code == 0, run.output
    places = [run.output.find(line) for line in told]
    assert -1 not in places, (told[places.index(-1)], run.output)
    assert sorted(places) == places, run.output
    assert not re.search(r"WARNING|[1-9]\d* lost", run.output), run.output
    assert empty.selector() == {"app": "hello", "version": "1.0.0"}


@pytest.mark.parametrize("application", ["auth", "shop"])
def test_the_lab_is_for_its_own_application(bad_lab: Lab, application: str) -> None:
    before = bad_lab.spec_versions()
    run = bad_lab.play("lab", application=application)
    assert run.code != 0
    assert f"application is {application}, with " in run.output
    assert "Nothing was changed." in run.output
    assert bad_lab.spec_versions() == before


def test_a_field_is_explained_as_the_cluster_describes_it(empty: Lab) -> None:
    run = empty.play("explain", field="deployment.spec.strategy")
    assert (run.code, run.changed) == (0, 0), run.output
    assert "FIELD: strategy <DeploymentStrategy>" in run.output
    assert "rollingUpdate" in run.output
    wrong = empty.play("explain", field="deployment.spec.replica")
    assert wrong.code != 0
    assert "replica" in wrong.output
