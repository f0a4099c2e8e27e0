"""Pods that end where proxies follow as late as on a real cluster: with a drain nobody loses anything, and without one
the run says who lost how many requests and why, and takes nothing good back."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from unittest import mock

import pytest
from integration.conftest import namespace
from integration.outcomes import Outcomes, said
from integration.playbooks import Lab, description

ENTRY = {"service": "hello", "via": "url"}


@pytest.fixture(scope="module")
def slow() -> Iterator[Lab]:
    """hello 1.0.0 alone, users at its own address, on a sandbox whose data plane is as slow as a node's.

    Its proxy writes every other second, so that a busy machine makes requests enough in the time that is lost.
    """
    from convoy_sandbox.network import data_plane
    from convoy_sandbox.testing import sandbox

    name = f"test-{uuid.uuid4().hex[:8]}"
    with (
        mock.patch.object(data_plane, "INTERVAL", 2.0),
        sandbox(name=name, data_plane="kube-proxy") as cluster,
        namespace(str(cluster.kubeconfig)) as lab,
    ):
        yield lab


def hello(**more: Any) -> dict[str, Any]:
    """The lab's hello behind an address of its own."""
    application = description()["hello"]
    application["service"] = {**application["service"], "type": "LoadBalancer"}
    return {"hello": {**application, **more}}


def given(role: str, applications: dict[str, Any], **more: Any) -> dict[str, Any]:
    """The variables of a run of a role."""
    return {f"{role}_{name}": value for name, value in {"entry": ENTRY, "applications": applications, **more}.items()}


def test_without_a_drain_the_run_warns_says_what_was_lost_and_takes_nothing_good_back(
    slow: Lab, tmp_path: Path
) -> None:
    undrained = hello(drain=0)
    [deployed], _run = Outcomes(slow, tmp_path, "app_deploy", given("app_deploy", undrained)).run()
    assert said(deployed)[0:2] == ("success", "pass")

    refused, updated, back = (
        given("rolling_update", undrained, version="2.0.0", require_drain=True),
        given("rolling_update", undrained, version="2.0.0"),
        given("rolling_update", undrained) | {"tasks_from": "rollback"},
    )
    (refused, updated, back), run = Outcomes(slow, tmp_path, "rolling_update", refused, updated, back).run()
    assert said(refused) == ("refused", "fail", "1.0.0", "1.0.0", False, True)
    assert refused["message"].startswith(
        "rolling_update_require_drain is set, and the pods of Deployment hello have no drain"
    )
    for outcome, to, before in ((updated, "2.0.0", "1.0.0"), (back, "1.0.0", "2.0.0")):
        assert said(outcome) == ("success", "pass", before, to, True, False)
        assert [warning.split(",")[0] for warning in outcome["warnings"]] == [
            "The pods of Deployment hello have no drain"
        ]
        assert outcome["ended"]["pods"].keys() == {before}
        assert outcome["ended"]["lost"] > 0
        assert "they have no drain, so they stop listening as soon as they are told to end" in outcome["ended"]["cause"]
        assert f"lost: {outcome['ended']['message']}" in outcome["lines"]
    assert "[WARNING]: The pods of Deployment hello have no drain" in " ".join(run.output.split())

    canary = given("canary", undrained, version="2.0.0", promote=True, steps=[{"weight": 25}])
    [promoted], _run = Outcomes(slow, tmp_path, "canary", canary).run()
    assert said(promoted) == ("success", "pass", "1.0.0", "2.0.0", True, False)
    # Each of its pods has ended when no other change kept the proxies from hearing of it in time.
    assert "ends only when a new one has been ready for 3 seconds" in promoted["warnings"][0]
    spec = slow.apps.read_namespaced_deployment("hello", slow.namespace).spec
    assert (spec.min_ready_seconds, spec.strategy.rolling_update.max_unavailable) == (None, "25%")

    [scaled], _run = Outcomes(slow, tmp_path, "scale", given("scale", undrained, replicas="1")).run()
    assert said(scaled) == ("success", "pass", 3, 1, True, False)
    assert scaled["warnings"]


def test_with_a_drain_nothing_is_lost_and_nothing_is_warned_of(slow: Lab, tmp_path: Path) -> None:
    drained = hello()
    [deployed], _run = Outcomes(slow, tmp_path, "app_deploy", given("app_deploy", drained)).run()
    assert said(deployed)[0:2] == ("success", "pass")
    to, back = (
        given("rolling_update", drained, version="2.0.0", require_drain=True),
        given("rolling_update", drained) | {"tasks_from": "rollback"},
    )
    outcomes, run = Outcomes(slow, tmp_path, "rolling_update", to, back).run()
    for outcome in outcomes:
        assert said(outcome)[0:2] == ("success", "pass")
        assert (outcome["lost"], outcome["ended"], outcome["warnings"]) == (0, None, [])
    assert "WARNING" not in run.output


def test_a_version_that_is_broken_is_taken_back_all_the_same(slow: Lab, tmp_path: Path) -> None:
    bad = hello(drain=0, image="sandbox/hello")
    [deployed], _run = Outcomes(slow, tmp_path, "app_deploy", given("app_deploy", hello(drain=0))).run()
    assert said(deployed)[0:2] == ("success", "pass")
    broken = given("rolling_update", bad, version="broken")
    [outcome], _run = Outcomes(slow, tmp_path, "rolling_update", broken).run()
    assert said(outcome) == ("rolled back", "fail", "1.0.0", "1.0.0", True, True)
    assert "HTTP 500" in outcome["message"]
