"""playbooks/bluegreen.yml by a route of Gateway API, on a real Traefik: the switch is the route's two weights."""

from __future__ import annotations

import re
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from convoy_sandbox.network import traefik
from convoy_sandbox.testing import Sandbox, sandbox
from integration.outcomes import gateway, said
from integration.playbooks import CATALOG, Traffic
from integration.routed import GIT, Routed, behind, deployed, killed, make_route

pytestmark = pytest.mark.skipif(traefik.program() is None, reason=traefik.MISSING)


@pytest.fixture(scope="module")
def cluster() -> Iterator[Sandbox]:
    with sandbox(name=f"gateway-{uuid.uuid4().hex[:8]}", gateway=True) as running:
        yield running


@pytest.fixture(scope="module")
def source(cluster: Sandbox) -> Iterator[Routed]:
    with deployed(cluster) as found:
        yield found


@pytest.fixture
def lab(source: Routed) -> Iterator[Routed]:
    with behind(source, make_route) as found:
        yield found


def is_at_rest(lab: Routed, version: str) -> None:
    """The route leads to the users' Service alone, that to one colour, and users get its version."""
    spec = lab.route()["spec"]
    assert [[each["name"] for each in rule["backendRefs"]] for rule in spec["rules"]] == [["hello"]]
    assert lab.weights() == {"hello": 1}
    assert lab.selector().get("version", version) == version
    noted = lab.core.read_namespaced_service("hello", lab.namespace).metadata.annotations or {}
    assert "convoy.rollout/unfinished" not in noted
    if "hello-preview" in lab.services():
        preview = lab.core.read_namespaced_service("hello-preview", lab.namespace).metadata
        assert not {"convoy.rollout/router", "convoy.rollout/weights-before"} & set(preview.annotations or {})
    assert lab.versions(50) == {version: 50}


def test_there_again_and_back_lose_no_request(lab: Routed) -> None:
    def state() -> tuple[Any, int]:
        return lab.spec_versions(), lab.route()["metadata"]["generation"]

    before = state()
    dry = lab.play("bluegreen", "--check", "--diff", version="2.0.0")
    assert dry.code == 0, dry.output
    assert state() == before
    assert re.search(r"\+ +weight: 100\n", dry.output), dry.output

    switch = [({"hello": 1}, 1), ({"hello": 1, "hello-preview": 0}, 1)]
    home = [({"hello": 100, "hello-preview": 0}, 1), ({"hello": 1}, 1)]
    with Traffic(lab) as traffic:
        with lab.watched() as route:
            there = lab.play("bluegreen", version="2.0.0")
        assert there.code == 0, there.output
        tried = [({"hello": 1, "hello-preview": 0}, 2), ({"hello": 0, "hello-preview": 100}, 2)]
        assert route == [*switch, *tried, ({"hello": 0, "hello-preview": 100}, 1), *home]
        assert "switched by the weights of HTTPRoute hello; Service hello follows" in there.output
        is_at_rest(lab, "2.0.0")

        after = state()
        again = lab.play("bluegreen", version="2.0.0")
        assert (again.code, again.changed) == (0, 0), again.output
        assert state() == after

        with lab.watched() as route:  # found by itself
            back = lab.play("bluegreen", rollback=True, application_router={})
        assert back.code == 0, back.output
        assert route == [*switch, ({"hello": 0, "hello-preview": 100}, 1), *home]
        is_at_rest(lab, "1.0.0")
    assert traffic.lost == []
    assert traffic.versions == ["1.0.0", "2.0.0"]


def test_what_fails_before_and_after_the_switch_is_taken_back(lab: Routed, tmp_path: Path) -> None:
    hello = {**lab.variables["applications"]["hello"], "image": CATALOG}
    broken: dict[str, Any] = {"bluegreen_version": "broken", "bluegreen_applications": {"hello": hello}}

    def version() -> str | None:
        return None if lab.weights().get("hello-preview") else "1.0.0"

    # What users come in by cannot do with the new version, which shows only after the switch.
    with gateway(version) as url, Traffic(lab) as traffic, lab.watched() as route:
        late = {"bluegreen_version": "2.0.0", "bluegreen_entry": {"url": url}, "bluegreen_preview_headers": {}}
        outcomes, run = lab.outcomes(tmp_path, "bluegreen", broken, late).run()
    before, after = outcomes
    assert said(before) == ("failed", "fail", "1.0.0", "1.0.0", True, True), run.output
    assert (before["evidence"][-1]["what"], before["evidence"][-1]["verdict"]) == ("preview", "fail")
    gone = "HTTPRoute hello leads to Service hello alone; Deployment hello-green was removed"
    assert gone in before["message"]

    assert said(after) == ("rolled back", "fail", "1.0.0", "1.0.0", True, True), run.output
    assert "HTTP 502" in after["reason"]
    evidence = [(each["what"], each["verdict"]) for each in after["evidence"]]
    assert evidence == [("before", "pass"), ("preview", "pass"), ("traffic by the weights", "fail")]
    assert "the traffic was switched back to 1.0.0, which receives all traffic again" in after["message"]
    backed = [weights for weights, _rules in route]
    there, back = {"hello": 0, "hello-preview": 100}, {"hello": 100, "hello-preview": 0}
    tried = [{"hello": 1}, {"hello": 1, "hello-preview": 0}]
    assert backed == [tried[0], tried[1], tried[1], tried[1], *tried, there, back, {"hello": 1}]
    is_at_rest(lab, "1.0.0")
    assert traffic.lost == []


def test_a_route_that_is_put_back_fails_the_run_which_names_the_weight_and_who_wrote_it(
    cluster: Sandbox, lab: Routed, tmp_path: Path
) -> None:
    def heal() -> None:
        """Git has a route that leads to one Service, and puts it back as soon as users get something else."""
        assert lab.weights()["hello-preview"] == 100
        lab.backed([{"name": "hello", "port": 80}])

    outcomes = lab.outcomes(tmp_path, "bluegreen", bluegreen_version="2.0.0")
    with Traffic(lab) as traffic:
        outcome = lab.met(cluster, outcomes, "httproutes", 3, heal)
    assert said(outcome) == ("rolled back", "fail", "1.0.0", "1.0.0", True, True), outcome
    field = "spec.rules[0].backendRefs[name=hello-preview].weight of HTTPRoute hello was changed from 100 to nothing"
    assert f"{field} by {GIT}" in outcome["reason"]
    is_at_rest(lab, "1.0.0")
    assert traffic.lost == []


#: Of a run's writes to Services, Deployments and the route, and how it is gone on with.
#: `make faults SECTION=gateway` kills at all of them.
KILLS = {
    "requests by their headers get the other colour, and it goes back": (6, {"rollback": True}, "1.0.0"),
    "all users get it, and it goes on": (7, {"version": "2.0.0"}, "2.0.0"),
    "all users get it, and it goes back": (7, {"version": "1.0.0"}, "1.0.0"),
    "the users' Service has followed, and it goes back": (8, {"rollback": True}, "1.0.0"),
    "the route leads to that again, and it goes on": (10, {"version": "2.0.0"}, "2.0.0"),
}


@pytest.mark.parametrize("point", list(KILLS))
def test_killed_once_a_write_was_done_it_goes_on_or_back(cluster: Sandbox, lab: Routed, point: str) -> None:
    number, play, version = KILLS[point]

    def counts(write: Any) -> bool:
        kinds = ("services", "deployments", "httproutes")  # and not a status, which Traefik writes
        return bool(write.action.namespace == lab.namespace and write.action.full_resource in kinds)

    with Traffic(lab) as traffic:
        killed(cluster, lab, "bluegreen", counts, number, version="2.0.0")
        if point == "all users get it, and it goes on":
            third = lab.play("bluegreen", version="3.0.0")
            assert "so 3.0.0 cannot take its place" in " ".join(third.output.split()), third.output
        after = lab.play("bluegreen", **play)
        assert after.code == 0, after.output
        is_at_rest(lab, version)
    assert traffic.lost == []
