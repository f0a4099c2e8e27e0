"""playbooks/canary.yml by a route of Gateway API, on a real Traefik: small shares, and no request lost."""

from __future__ import annotations

import re
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml
from convoy_sandbox.network import traefik
from convoy_sandbox.network.images import Image
from convoy_sandbox.testing import Sandbox, sandbox
from integration.conftest import namespace
from integration.fleet import Fleet, Member, fleet, table
from integration.outcomes import said
from integration.playbooks import QUICK, Run, Traffic
from integration.routed import GIT, ROUTES, Routed, behind, deployed, killed, make_route, routed, until

pytestmark = pytest.mark.skipif(traefik.program() is None, reason=traefik.MISSING)
#: Of hello's versions in a fleet, one that fails in this cluster only, and one that is good in this cluster only.
IMAGES = {"kelseyhightower/hello:3.0.0": Image("hello", error_share=1.0), "kelseyhightower/hello:bad": Image("hello")}


@pytest.fixture(scope="module")
def cluster() -> Iterator[Sandbox]:
    with sandbox(name=f"gateway-{uuid.uuid4().hex[:8]}", gateway=True, images=IMAGES) as running:
        yield running


@pytest.fixture(scope="module")
def source(cluster: Sandbox) -> Iterator[Routed]:
    with deployed(cluster) as found:
        yield found


@pytest.fixture
def lab(source: Routed) -> Iterator[Routed]:
    with behind(source, make_route) as found:
        yield found


def test_one_percent_again_and_aborted_gives_everything_back_and_loses_no_request(lab: Routed) -> None:
    with Traffic(lab) as traffic:
        one = lab.canary(version="2.0.0", canary_steps=[{"weight": 1, "replicas": 2}])
        assert one.code == 0, one.output
        assert "weight 1%: HTTPRoute hello gives it to 2 replicas beside 3 of stable" in one.output
        assert lab.weights() == {"hello": 99, "hello-canary": 1}
        assert (lab.replicas("hello"), lab.replicas("hello-canary")) == (3, 2)
        assert lab.selector() == {"app": "hello", "track": "stable"}
        before = lab.route()["metadata"]["generation"]

        again = lab.canary(version="2.0.0", canary_steps=[{"weight": 1, "replicas": 2}])
        assert (again.code, again.changed) == (0, 0), again.output
        assert lab.route()["metadata"]["generation"] == before

        aborted = lab.canary(abort=True)
        assert aborted.code == 0, aborted.output
        lab.is_as_before("1.0.0")
    assert traffic.lost == []


def test_testers_get_the_canary_by_their_header_and_nobody_else_does(lab: Routed) -> None:
    def versions(**headers: str) -> set[str]:
        ask = lab.asker(**headers)
        return {ask().version for _ in range(20)}

    testers = {"weight": 0, "match": {"headers": {"x-canary": "always"}}}
    with Traffic(lab) as traffic:
        one = lab.canary(version="2.0.0", canary_steps=[{**testers, "pause": "1s"}])
        assert one.code == 0, one.output
        assert "each request with x-canary: always" in one.output
        assert "observed: with x-canary: always 2.0.0 " in one.output
        assert (versions(**{"x-canary": "always"}), versions(), versions(**{"x-canary": "no"})) == (
            {"2.0.0"},
            {"1.0.0"},
            {"1.0.0"},
        )
        generation = lab.route()["metadata"]["generation"]
        again = lab.canary(version="2.0.0", canary_steps=[{**testers, "pause": "1s"}])
        assert (again.code, again.changed) == (0, 0), again.output
        assert lab.route()["metadata"]["generation"] == generation

        with lab.watched() as route:
            steps = [testers, {"weight": 50}, {**testers, "weight": 60}]
            more = lab.canary(version="2.0.0", canary_steps=steps)
        assert more.code == 0, more.output
        # A step without testers takes them their rule, once users get its weight, and one with them gives it back.
        given = [(weights["hello-canary"], rules) for weights, rules in route]
        assert given == [(0, 2), (50, 2), (50, 1), (60, 1), (60, 2)]
        aborted = lab.canary(abort=True)
        assert aborted.code == 0, aborted.output
        assert len(lab.route()["spec"]["rules"]) == 1
        lab.is_as_before("1.0.0")
    assert traffic.lost == []


def test_a_route_that_no_gateway_accepts_is_refused_before_anything_changes(lab: Routed) -> None:
    lab.custom.delete_namespaced_custom_object(*ROUTES, lab.namespace, "httproutes", "hello")
    make_route(lab, parent="nobody")
    before = lab.spec_versions()
    run = lab.canary(version="2.0.0", canary_weight=5)
    assert run.code != 0
    assert "HTTPRoute hello is not accepted by all of its gateways: Gateway nobody has not answered" in run.output
    assert lab.spec_versions() == before


def test_check_mode_changes_nothing_and_shows_the_weights(lab: Routed) -> None:
    before, route = lab.spec_versions(), lab.route()["metadata"]["generation"]
    dry = lab.canary("--check", "--diff", version="2.0.0", canary_weight=5)
    assert dry.code == 0, dry.output
    assert dry.changed > 0
    assert "hello-canary" in dry.output
    assert (lab.spec_versions(), lab.route()["metadata"]["generation"]) == (before, route)


def test_a_canary_whose_pods_are_gone_is_no_share(lab: Routed) -> None:
    """A backend without endpoints keeps its weight at this gateway, and costs its share of the requests.

    An abort ends that, so that what it cost before excuses nothing afterwards.
    """
    assert lab.canary(version="2.0.0", canary_weight=25).code == 0
    lab.apps.patch_namespaced_deployment_scale("hello-canary", lab.namespace, {"spec": {"replicas": 0}})
    until(lambda: any(lab.asker()().status == 503 for _ in range(8)))
    aborted = lab.canary(abort=True, canary_min_success=1)
    assert aborted.code == 0, aborted.output
    assert re.search(r"observed: 1\.0\.0 (\d+) of \1 requests, 0 lost by http", aborted.output), aborted.output
    lab.is_as_before("1.0.0")


def killed_at(cluster: Sandbox, lab: Routed, resource: str, name: str, **play: Any) -> None:
    """Run the canary's playbook, and kill it right after its first write to an object.

    `make faults SECTION=gateway` kills at each of its writes, and has each of these runs followed by one to the end.
    """

    def counts(write: Any) -> bool:
        action = write.action  # and not one of a status, which Traefik writes
        return bool((action.namespace, action.full_resource, action.name) == (lab.namespace, resource, name))

    killed(cluster, lab, "canary", counts, **play)


def test_killed_on_its_way_up_it_goes_on_each_time_and_loses_no_request(cluster: Sandbox, lab: Routed) -> None:
    play = {"version": "2.0.0", "canary_weight": 50}
    with Traffic(lab) as traffic:
        killed_at(cluster, lab, "httproutes", "hello", **play)
        assert lab.weights() == {"hello": 1, "hello-canary": 0}
        killed_at(cluster, lab, "httproutes", "hello", **play)
        assert lab.weights() == {"hello": 50, "hello-canary": 50}
        again = lab.canary(**play)
        assert again.code == 0, again.output
        assert lab.weights() == {"hello": 50, "hello-canary": 50}
        aborted = lab.canary(abort=True)
        assert aborted.code == 0, aborted.output
        lab.is_as_before("1.0.0")
    assert traffic.lost == []


def test_killed_in_its_promotion_it_goes_on_each_time_and_a_rollback_is_for_afterwards(
    cluster: Sandbox, lab: Routed
) -> None:
    play = {"version": "2.0.0", "canary_weight": 50}
    with Traffic(lab) as traffic:
        assert lab.canary(**play).code == 0
        before = lab.spec_versions()
        refused = lab.play("rollback")
        assert refused.code != 0
        assert "A canary 2.0.0 of hello (Deployment hello-canary) is still there" in refused.output
        words = " ".join(refused.output.split())
        assert "get it beside a rollback. To go back, remove it with playbooks/canary.yml -e abort=true" in words
        assert lab.spec_versions() == before

        killed_at(cluster, lab, "deployments", "hello", **play, promote=True)  # stable has the new version
        assert lab.weights() == {"hello": 50, "hello-canary": 50}
        killed_at(cluster, lab, "httproutes", "hello", **play, promote=True)
        assert lab.weights() == {"hello": 100, "hello-canary": 0}
        killed_at(cluster, lab, "deployments", "hello-canary", **play, promote=True)  # its pods go
        assert lab.weights() == {"hello": 100, "hello-canary": 0}
        again = lab.canary(**play, promote=True)
        assert again.code == 0, again.output
        lab.is_as_before("2.0.0")
        back = lab.play("rollback")
        assert back.code == 0, back.output
        lab.is_as_before("1.0.0")
    assert traffic.lost == []


def test_a_route_that_is_put_back_fails_the_run_which_names_the_weight_and_who_wrote_it(
    cluster: Sandbox, lab: Routed, tmp_path: Path
) -> None:
    def heal() -> None:
        """Git has a route that leads to stable only, and puts it back as soon as users may get something else."""
        assert lab.weights()["hello-canary"] == 25
        lab.backed([{"name": "hello", "port": 80}])

    outcomes = lab.outcomes(tmp_path, canary_version="2.0.0", canary_weight=25)
    with Traffic(lab) as traffic:
        outcome = lab.met(cluster, outcomes, "httproutes", 2, heal)
    assert said(outcome) == ("rolled back", "fail", "1.0.0", "1.0.0", True, True), outcome
    field = "spec.rules[0].backendRefs[name=hello-canary].weight of HTTPRoute hello was changed from 25 to nothing"
    assert f"{field} by {GIT} during this run" in outcome["reason"]
    assert "hello 2.0.0 was rolled back to 1.0.0, which receives all traffic again" in outcome["message"]
    lab.is_as_before("1.0.0")
    assert traffic.lost == []


def test_a_backend_that_the_gateway_does_not_find_gets_no_weight(cluster: Sandbox, lab: Routed, tmp_path: Path) -> None:
    outcomes = lab.outcomes(tmp_path, canary_version="2.0.0", canary_weight=25)

    def other_port() -> None:
        patch = [{"op": "replace", "path": "/spec/ports/0/port", "value": 81}]
        lab.core.patch_namespaced_service("hello-canary", lab.namespace, patch)

    with Traffic(lab) as traffic:
        outcome = lab.met(cluster, outcomes, "services", 1, other_port)
    assert said(outcome) == ("rolled back", "fail", "1.0.0", "1.0.0", True, True), outcome
    assert "HTTPRoute hello is not accepted by all of its gateways after" in outcome["reason"]
    assert "Gateway web does not find its backends" in outcome["reason"]
    lab.is_as_before("1.0.0")
    assert traffic.lost == []


def test_a_route_whose_backend_has_no_such_port_is_refused(lab: Routed) -> None:
    lab.backed([{"name": "hello", "port": 81}])
    until(lambda: lab.asker()().status != 200)
    before = lab.spec_versions()
    run = lab.canary(version="2.0.0", canary_weight=5)
    assert run.code != 0
    assert (
        "HTTPRoute hello is not accepted by all of its gateways: Gateway web does not find its backends" in run.output
    )
    assert lab.spec_versions() == before


def test_a_canary_that_somebody_scales_to_nothing_is_taken_back_and_the_run_names_who_did(
    cluster: Sandbox, lab: Routed, tmp_path: Path
) -> None:
    """Its backend has no endpoints then, and its share of the requests is lost."""
    outcomes = lab.outcomes(tmp_path, canary_version="2.0.0", canary_weight=25)

    def scaled() -> None:
        scale = {"spec": {"replicas": 0}}
        lab.apps.patch_namespaced_deployment("hello-canary", lab.namespace, scale, field_manager="colleague")

    outcome = lab.met(cluster, outcomes, "httproutes", 2, scaled)
    assert said(outcome) == ("rolled back", "fail", "1.0.0", "1.0.0", True, True), outcome
    assert "spec.replicas of Deployment hello-canary was changed from 1 to 0 by colleague" in outcome["reason"]
    lab.is_as_before("1.0.0")


def test_the_demonstration_takes_a_canary_from_one_percent_to_all_of_it(cluster: Sandbox) -> None:
    with namespace(str(cluster.kubeconfig)) as empty:
        lab = routed(empty.kubeconfig, empty.namespace)
        run = lab.play("gateway", application_host=lab.host)
        assert run.code == 0, run.output
        told = [
            "PLAY [Create: hello 1.0.0, behind an HTTPRoute]",
            "PLAY [Canary: 2.0.0 gets 1%, 10%, 50% and 100%",
            *(f"weight {weight}%: HTTPRoute hello gives it to " for weight in (1, 10, 50, 100)),
            "PLAY [Canary: promoted",
            "hello 2.0.0 now receives all traffic: the canary was promoted",
        ]
        places = [run.output.find(line) for line in told]
        assert -1 not in places, (told[places.index(-1)], run.output)
        assert sorted(places) == places, run.output
        assert not re.search(r"[1-9]\d* lost", run.output), run.output
        lab.is_as_before("2.0.0")


@dataclass
class Mixed:
    """A fleet of two clusters whose canaries get their share in different ways, as each host's variables say."""

    fleet: Fleet
    route: Routed  #: the host `route`: by the weights of an HTTPRoute
    pods: Member  #: the host `cluster-03`: by the number of pods

    def canary(self, version: str, **extra_vars: Any) -> Run:
        """Roll a version out to both of them in one wave."""
        least = {"fleet_samples": 10, "fleet_min_success": 1}
        return self.fleet.play(version=version, fleet_strategy="canary", waves=["all"], **least, **QUICK, **extra_vars)


@pytest.fixture(scope="module")
def mixed(source: Routed, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mixed]:
    """Each test begins with what the one before it has left."""
    with behind(source, make_route) as lab, fleet(tmp_path_factory.mktemp("fleet"), 1, first=2) as made:
        inventory = yaml.safe_load(made.inventory.read_text())
        hosts = inventory["clusters"]["hosts"]
        # What a cluster would find by itself is no proof that its host's variable counts.
        inventory["clusters"]["vars"]["application_router"] = {"gateway_api": {"route": "nowhere"}}
        entry = {"service": "hello", "port": 80, "path": "/version"}
        hosts["cluster-03"] |= {"application_entry": entry, "application_router": {"pods": True}}
        hosts["route"] = {"kubeconfig": lab.kubeconfig, "application_namespace": lab.namespace, **lab.variables}
        made.inventory.write_text(yaml.safe_dump(inventory))
        yield Mixed(made, lab, made.members["cluster-03"])


def ends(run: Run) -> dict[str, tuple[str, str, str]]:
    """What each cluster had before and has after a run of the fleet, and the verdict."""
    return {name: (row["BEFORE"], row["AFTER"], row["VERDICT"]) for name, row in table(run).items()}


def test_a_version_that_fails_by_pods_goes_back_by_the_route_too_where_the_wave_does(mixed: Mixed) -> None:
    before = mixed.pods.live()
    with Traffic(mixed.route) as traffic:
        run = mixed.canary("bad", on_failure="rollback_wave")
        assert run.code != 0
        back = {"cluster-03": (before, before, "fail"), "route": ("1.0.0", "1.0.0", "rolled back")}
        assert ends(run) == back, run.output
        assert (
            "Wave 1 of 1 failed, so no later wave was started. cluster-03: hello bad failed verification" in run.output
        )
        mixed.route.is_as_before("1.0.0")
    assert (traffic.lost, traffic.versions) == ([], ["1.0.0", "bad"])
    assert (mixed.pods.live(), mixed.pods.scaled()) == (before, {"hello": 3})


def test_a_version_that_fails_by_the_route_is_taken_back_there_and_stays_where_it_is_good(mixed: Mixed) -> None:
    before = mixed.pods.live()
    run = mixed.canary("3.0.0")
    assert run.code != 0
    assert ends(run) == {"cluster-03": (before, "3.0.0", "pass"), "route": ("1.0.0", "1.0.0", "fail")}, run.output
    back = "hello 3.0.0 failed verification and was rolled back to 1.0.0, which receives all traffic again"
    assert f"Wave 1 of 1 failed, so no later wave was started. route: {back}" in run.output
    mixed.route.is_as_before("1.0.0")
    assert (mixed.pods.live(), mixed.pods.scaled()) == ("3.0.0", {"hello": 3})


def test_a_fleet_gives_a_canary_its_share_in_each_clusters_own_way(mixed: Mixed) -> None:
    before = mixed.pods.live()
    with Traffic(mixed.route) as traffic:
        run = mixed.canary("2.0.0")
        assert run.code == 0, run.output
        assert ends(run) == {"cluster-03": (before, "2.0.0", "pass"), "route": ("1.0.0", "2.0.0", "pass")}
        proved = r"; observed: {} [1-9]\d*, 2\.0\.0 [1-9]\d* of "
        by_route = "weight 25%: HTTPRoute hello gives it to 1 replica beside 3 of stable" + proved.format(r"1\.0\.0")
        by_pods = "weight 25%: 1 of 4 pods gives 25%" + proved.format(re.escape(before))
        assert re.search(by_route, run.output), run.output
        assert re.search(by_pods, run.output), run.output
        assert "wave 1, 2 clusters together: pass, 2.0.0 20 of 20 requests, 0 lost" in run.output
        mixed.route.is_as_before("2.0.0")
    assert traffic.lost == []
    assert (mixed.pods.live(), mixed.pods.scaled()) == ("2.0.0", {"hello": 3})
