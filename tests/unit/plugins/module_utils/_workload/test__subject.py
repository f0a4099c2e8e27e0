"""Which application is meant: what a namespace has of it."""

from __future__ import annotations

import typing as t
from dataclasses import replace

import pytest
from ansible_collections.convoy.rollout.plugins.module_utils._failure import Failure
from ansible_collections.convoy.rollout.plugins.module_utils._workload import _applications
from ansible_collections.convoy.rollout.plugins.module_utils._workload._images import Rule
from ansible_collections.convoy.rollout.plugins.module_utils._workload._subject import (
    Autoscaler,
    Drain,
    Namespace,
    autoscaler,
    check_alone,
    check_named,
    drain,
    subject,
    taking,
    way_back,
)
from ansible_collections.convoy.rollout.plugins.module_utils._workload._workloads import FAILED, REVISION
from hypothesis import given
from hypothesis import strategies as st

Object = dict[str, t.Any]


class There:
    """A namespace that is put together Deployment by Deployment, with the ReplicaSets and pods of each."""

    def __init__(self) -> None:
        self.namespace = Namespace("n")

    def has(self, **more: t.Any) -> There:
        """More of some kinds."""
        for kind, items in more.items():
            self.namespace = replace(self.namespace, **{kind: [*getattr(self.namespace, kind), *items]})
        return self

    def deployment(
        self,
        name: str,
        *,
        labels: Object,
        containers: t.Sequence[Object] = (),
        tag: str = "1.0.0",
        replicas: int = 2,
        ready: int | None = None,
        selector: Object | None = None,
        complete: bool = True,
        **spec: t.Any,
    ) -> There:
        """A Deployment of one revision, whose pods are ready."""
        made = containers or [{"name": "web", "image": f"team/shop:{tag}"}]
        template = {"metadata": {"labels": labels}, "spec": {"containers": made, **spec}}
        serving = replicas if ready is None else ready
        deployment = {
            "kind": "Deployment",
            "metadata": {"name": name, "namespace": "n", "uid": f"d-{name}", "annotations": {REVISION: "1"}},
            "spec": {"replicas": replicas, "selector": selector or {"matchLabels": labels}, "template": template},
            "status": {
                "replicas": replicas,
                "updatedReplicas": replicas if complete else 0,
                "readyReplicas": serving,
                "availableReplicas": serving,
            },
        }
        pods = [
            {
                "metadata": {
                    "name": f"{name}-7d9-{number}",
                    "namespace": "n",
                    "labels": {**labels, "pod-template-hash": "7d9"},
                    "ownerReferences": [{"uid": f"r-{name}", "name": f"{name}-7d9", "controller": True}],
                },
                "spec": template["spec"],
                "status": {"conditions": [{"type": "Ready", "status": "True"}]},
            }
            for number in range(serving)
        ]
        return self.has(
            deployments=[deployment], replica_sets=[replica_set(name, 1, template, ready=serving)], pods=pods
        )

    def service(self, name: str, ports: t.Sequence[Object] = (), slices: bool = True, **selector: str) -> There:
        """A Service with an EndpointSlice of the pods that it selects."""
        chosen = [
            {"targetRef": {"name": pod["metadata"]["name"]}, "addresses": ["10.0.0.1"]}
            for pod in self.namespace.pods
            if selector.items() <= pod["metadata"]["labels"].items()
        ]
        of = {"labels": {"kubernetes.io/service-name": name}}
        self.has(
            services=[{"metadata": {"name": name, "uid": f"s-{name}"}, "spec": {"selector": selector, "ports": ports}}]
        )
        return self.has(endpoint_slices=[{"metadata": of, "endpoints": chosen}]) if slices else self

    def subject(self, application: str, **asked: t.Any) -> t.Any:
        """The application."""
        return subject(self.namespace, application, **asked)


def replica_set(name: str, number: int, template: Object, ready: int = 0, uid: str = "") -> Object:
    """The ReplicaSet of a revision."""
    return {
        "metadata": {
            "name": f"{name}-7d9",
            "uid": uid or f"r-{name}",
            "annotations": {REVISION: str(number)},
            "ownerReferences": [{"uid": f"d-{name}", "controller": True}],
        },
        "spec": {"template": template},
        "status": {"replicas": ready, "readyReplicas": ready},
    }


def colours(live: str = "green", pin: bool = True) -> There:
    """web as blue with 1.0.0 and web-green with 2.0.0, of which one has the traffic."""
    there = There().deployment("web", labels={"app": "web", "version": "1.0.0"})
    there.deployment("web-green", labels={"app": "web", "version": "2.0.0", "color": "green"}, tag="2.0.0")
    pins = {"green": {"version": "2.0.0", "color": "green"}, "blue": {"version": "1.0.0"}}[live] if pin else {}
    return there.service("web", app="web", **pins)


# Cases scale-after-bluegreen and service-of-another-name: relations, not names.


def test_the_colour_that_the_service_selects_has_the_traffic() -> None:
    found = colours().subject("web")
    assert (found.live.name, found.live.color, found.version, found.uid) == (
        "web-green",
        "green",
        "2.0.0",
        "d-web-green",
    )
    assert found.services[0].pinned == {"version": "2.0.0", "color": "green"}
    assert [(item.name, item.role, item.version) for item in found.others] == [("web", "preview", "1.0.0")]
    assert colours("blue").subject("web").live.name == "web"
    said = "Deployment web-green 2.0.0 has the traffic of web, and Deployment web has none: a rolling update of web"
    with pytest.raises(Failure, match=said):
        check_named(found, "a rolling update")


@pytest.mark.parametrize(("idle", "live"), [(0, "web"), (2, "web")])
def test_one_without_replicas_has_no_traffic(idle: int, live: str) -> None:
    there = There().deployment("web", labels={"app": "web"})
    there.deployment("web-green", labels={"app": "web", "color": "green"}, replicas=idle)
    found = there.service("web", app="web").subject("web")
    assert found.live.name == live
    assert [item.name for item in found.beside] == (["web-green"] if idle else [])


def test_where_two_colours_take_traffic_and_neither_is_named_it_is_unclear() -> None:
    there = There().deployment("web-blue", labels={"app": "web"})
    there.deployment("web-green", labels={"app": "web"}).service("web", app="web")
    found = there.subject("web")
    assert found.live is None
    assert "Service web leads to Deployments web-blue and web-green" in found.unclear
    with pytest.raises(Failure, match="name one of them as application"):
        taking(found)


def test_ready_endpoints_decide_where_the_selector_picks_both() -> None:
    there = There().deployment("web-blue", labels={"app": "web"}, ready=0)
    there.deployment("web-green", labels={"app": "web"}).service("web", app="web")
    assert there.subject("web").live.name == "web-green"


def test_services_are_found_by_what_they_select() -> None:
    there = (
        There()
        .deployment("shop-web", labels={"app": "shop-web", "tier": "front"})
        .service("release-shop", app="shop-web")
    )
    there.service("all", tier="front").service("other", app="other").service("half", app="shop-web", tier="back")
    found = there.subject("shop-web")
    assert [link.name for link in found.services] == ["all", "release-shop"]
    assert there.service("shop-web", app="shop-web").subject("shop-web").services[0].name == "shop-web"
    # The application may be named by its Service alone.
    assert there.subject("release-shop").live.name == "shop-web"


def test_the_service_that_users_come_in_by_decides_where_it_leads_there() -> None:
    there = colours("green").service("front", app="web", version="1.0.0")
    assert there.subject("web", service="front").live.name == "web"
    # A proxy in front of it leads to itself.
    there.deployment("gateway", labels={"app": "gateway"}).service("gateway", app="gateway")
    found = there.subject("web", service="gateway")
    assert found.live.name == "web-green"
    assert [(link.name, link.entry) for link in found.services] == [("web", False), ("gateway", True)]
    with pytest.raises(Failure, match="There is no Service gone in namespace n"):
        there.subject("web", service="gone")


def test_a_service_of_the_name_may_lead_to_what_is_called_otherwise() -> None:
    there = There().deployment("web", labels={"app": "web"}, replicas=0)
    there.deployment("legacy", labels={"app": "legacy"}).service("web", app="legacy")
    found = there.subject("web")
    assert (found.live.name, found.live.color) == ("legacy", "")
    for colours_too in (False, True):
        with pytest.raises(Failure, match=r"Deployment legacy 1.0.0 has the traffic of web, and .* user; name legacy"):
            check_named(found, "scaling", colours=colours_too)


def test_a_service_of_the_name_may_lead_to_a_proxy_in_front_of_the_application() -> None:
    there = There().deployment("web", labels={"app": "web"}).deployment("edge", labels={"app": "edge"})
    found = there.service("web", app="edge").service("web-internal", app="web").subject("web")
    assert (found.live.name, found.services[0].name) == ("web", "web-internal")


def test_a_colour_may_be_meant_by_the_name_of_the_application() -> None:
    assert check_named(colours().subject("web"), "scaling", colours=True).name == "web-green"


def test_services_that_do_not_agree_are_unclear_and_a_preview_decides_nothing() -> None:
    there = There().deployment("web-blue", labels={"app": "web", "version": "1"})
    there.deployment("web-green", labels={"app": "web", "version": "2"}).service("live", app="web", version="1")
    assert there.service("web-preview", app="web", version="2").subject("web").live.name == "web-blue"
    assert (
        "Several Services lead to Deployments of web"
        in there.service("z", app="web", version="2").subject("web").unclear
    )


def test_a_canary_is_never_the_one_that_has_the_traffic() -> None:
    there = There().deployment("web", labels={"app": "web"}, replicas=0)
    there.deployment("web-canary", labels={"app": "web", "track": "canary"}, tag="2.0.0").service("web", app="web")
    found = there.subject("web")
    assert (found.live.name, found.live.endpoints) == ("web", 0)
    assert [(item.name, item.role, item.endpoints) for item in found.others] == [("web-canary", "canary", 2)]
    with pytest.raises(Failure, match=r"A canary 2.0.0 of web \(.*web-canary\).*beside a rollback.*abort=true"):
        check_alone(found, "a rollback")


def test_a_canary_without_replicas_is_beside_nothing() -> None:
    there = There().deployment("web", labels={"app": "web"}).service("web", app="web")
    there.deployment("web-canary", labels={"app": "web", "track": "canary"}, replicas=0, ready=0)
    found = there.subject("web")
    assert [item.role for item in found.others] == ["canary"]
    check_alone(found, "a rollback")


def test_what_is_not_there_is_said() -> None:
    with pytest.raises(Failure, match="no Deployment web in namespace n, nor a Service web that leads to one"):
        There().service("web", app="web").subject("web")


# Cases bookinfo-version-subset, proxy-first-held, native-sidecar-version and tag-with-v-prefix: the version.


@pytest.mark.parametrize(
    ("owner", "sets", "who"),
    [
        ({"kind": "StatefulSet", "name": "shop", "uid": "s"}, [], "StatefulSet shop"),
        ({"kind": "DaemonSet", "name": "other", "uid": "s"}, [], "DaemonSet other"),
        (
            {"kind": "ReplicaSet", "name": "shop-7d9", "uid": "r"},
            [{"kind": "Rollout", "name": "shop", "uid": "a"}],
            "Rollout shop",
        ),
        ({"kind": "ReplicaSet", "name": "shop", "uid": "r"}, [], "ReplicaSet shop"),
    ],
)
def test_what_another_kind_runs_is_said(owner: Object, sets: list[Object], who: str) -> None:
    """By the application's name, or by the Service of that name."""
    there = There().has(
        pods=[
            {"metadata": {"name": "p", "labels": {"app": "shop"}, "ownerReferences": [{**owner, "controller": True}]}}
        ],
        replica_sets=[
            {"metadata": {"name": "x", "uid": "r", "ownerReferences": [{**each, "controller": True} for each in sets]}}
        ],
    )
    there.service("shop", app="shop")
    with pytest.raises(Failure, match=f"shop in namespace n is run by {who}, and only Deployments can be changed here"):
        there.subject("shop")


@pytest.mark.parametrize("selected", [True, False])
def test_a_subset_is_no_version(selected: bool) -> None:
    labels = {"app": "reviews", "version": "v1"}
    there = There().deployment(
        "reviews-v1",
        labels=labels,
        tag="1.20.1",
        selector={"matchLabels": labels if selected else {"app": "reviews"}},
    )
    there.deployment("reviews-v2", labels={"app": "reviews", "version": "v2"}, tag="1.20.1").service(
        "reviews", app="reviews"
    )
    found = there.subject("reviews-v1")
    assert (found.version, found.live.label) == ("1.20.1", "v1")
    assert [link.name for link in found.services] == ["reviews"]
    assert [item.name for item in found.beside] == ["reviews-v2"]


TWO = ({"name": "proxy", "image": "nginx:1.28.0"}, {"name": "backend", "image": "team/shop:1.0.0@sha256:abc"})


def test_the_container_that_is_asked_for_carries_the_version() -> None:
    there = There().deployment("shop", labels={"app": "shop"}, containers=TWO).service("shop", app="shop")
    found = there.subject("shop", container="backend")
    assert (found.container, found.version, found.image.pinned_by) == ("backend", "1.0.0", "both")
    assert found.images == ("nginx:1.28.0", "team/shop:1.0.0@sha256:abc")
    assert (there.subject("shop").container, there.subject("shop").version) == ("", "")
    assert there.subject("shop", repository="team/shop").container == "backend"


def test_a_container_may_be_named_as_the_application_or_as_the_deployment() -> None:
    there = There().deployment("web-green", labels={"app": "web"}, containers=[TWO[0], {**TWO[1], "name": "web"}])
    assert there.service("web", app="web").subject("web").container == "web"
    there = There().deployment("shop-web", labels={"app": "s"}, containers=[TWO[0], {**TWO[1], "name": "shop-web"}])
    assert there.service("shop", app="s").subject("shop").container == "shop-web"


def test_a_native_sidecar_is_meant_only_where_it_is_named() -> None:
    mesh = {"name": "mesh", "image": "mesh:7", "restartPolicy": "Always"}
    there = There().deployment("shop", labels={"app": "shop"}, initContainers=[mesh])
    assert there.subject("shop").version == "1.0.0"
    assert there.subject("shop", container="mesh").version == "7"


def test_the_tag_reads_as_the_application_answers() -> None:
    there = There().deployment("shop", labels={"app": "shop", "version": "v1.0.0"}, tag="v1.0.0")
    assert there.subject("shop", rule=Rule(prefix="v")).version == "1.0.0"
    assert there.subject("shop").state.way_back.version == "v1.0.0"
    assert there.subject("shop", rule=Rule(prefix="v")).state.way_back.version == "1.0.0"


# Case hpa-not-seen-by-canary: autoscalers.


def scaler(name: str = "shop", kind: str = "Deployment", version: str | None = "apps/v1", **metadata: t.Any) -> Object:
    """A HorizontalPodAutoscaler."""
    aims = {"kind": kind, "name": name, **({"apiVersion": version} if version else {})}
    return {"metadata": {"name": "hpa", **metadata}, "spec": {"scaleTargetRef": aims, "maxReplicas": 8}}


def test_an_autoscaler_is_told_by_what_it_aims_at() -> None:
    others = [scaler("other"), scaler(kind="StatefulSet"), scaler(version="example.com/v1"), scaler(version="v1")]
    assert autoscaler("shop", others) is None
    assert autoscaler("shop", [*others, scaler()]) == Autoscaler("hpa", 1, 8)
    assert autoscaler("shop", [scaler(version=None)]) == Autoscaler("hpa", 1, 8)


def test_an_autoscaler_that_keda_made_names_its_scaled_object() -> None:
    owned = [{"kind": "ScaledObject", "name": "queue", "controller": True}]
    found = colours().has(autoscalers=[scaler("web-green", ownerReferences=owned), scaler("web")]).subject("web")
    assert found.autoscaler.scaled_object == "queue"
    assert [item.autoscaler.name for item in found.others] == ["hpa"]  # of the colour that loses the traffic


# Case match-expressions: disruption budgets are picked by selectors of all forms.


@pytest.mark.parametrize(
    ("selector", "picked"),
    [
        ({"matchExpressions": [{"key": "app", "operator": "In", "values": ["web", "api"]}]}, True),
        ({"matchExpressions": [{"key": "app", "operator": "NotIn", "values": ["web"]}]}, False),
        ({"matchLabels": {"app": "web"}, "matchExpressions": [{"key": "legacy", "operator": "Exists"}]}, False),
        ({}, True),
        (None, False),
    ],
)
def test_a_disruption_budget_counts_the_pods_that_its_selector_picks(selector: Object | None, picked: bool) -> None:
    budget = {"metadata": {"name": "pdb"}, "spec": {"selector": selector, "minAvailable": 1}}
    found = colours().has(disruption_budgets=[budget]).subject("web")
    assert [item.name for item in found.budgets] == (["pdb"] if picked else [])


# Case quota-without-requests.


def quota(hard: Object, **spec: t.Any) -> Object:
    """A ResourceQuota."""
    return {"metadata": {"name": "team"}, "spec": {"hard": hard, **spec}, "status": {"hard": hard}}


HARD = {"requests.cpu": "4", "limits.memory": "4Gi", "pods": "20"}


def test_a_quota_on_what_the_containers_do_not_name_admits_none_of_them() -> None:
    there = There().deployment("web", labels={"app": "web"}).has(quotas=[quota(HARD)])
    (found,) = there.subject("web").quotas
    assert found.refusal == "failed quota: team: must specify limits.memory for: web; requests.cpu for: web"
    # One that counts only pods without any requests says nothing of what they lack.
    assert (
        There().deployment("web", labels={}).has(quotas=[quota({"pods": "2"})]).subject("web").quotas[0].refusal == ""
    )


def test_limits_are_requests_and_a_limit_range_gives_what_is_missing() -> None:
    resources = {"limits": {"cpu": "1", "memory": "1Gi"}}
    there = There().deployment("web", labels={}, containers=[{"name": "web", "image": "a:1", "resources": resources}])
    assert there.has(quotas=[quota(HARD)]).subject("web").quotas[0].refusal == ""
    limits = {"spec": {"limits": [{"type": "Container", "default": {"cpu": "1", "memory": "1Gi"}}]}}
    there = (
        There()
        .deployment("web", labels={})
        .has(quotas=[quota(HARD)], limit_ranges=[{"metadata": {"name": "l"}, **limits}])
    )
    assert there.subject("web").quotas[0].refusal == ""
    assert there.subject("web").limit_ranges == ("l",)
    # Who may not read LimitRanges cannot tell whether one gives it.
    unknown = replace(There().deployment("web", labels={}).namespace, quotas=[quota(HARD)], unreadable=("limitranges",))
    assert subject(unknown, "web").quotas[0].refusal == ""
    # With the defaults of the LimitRange the pods are not best effort any more.
    scoped = There().deployment("web", labels={}).has(quotas=[quota({"pods": "1"}, scopes=["BestEffort"])])
    assert len(scoped.subject("web").quotas) == 1
    assert scoped.has(limit_ranges=[{"metadata": {"name": "l"}, **limits}]).subject("web").quotas == ()


# Drain.


@pytest.mark.parametrize(
    ("hook", "kind", "seconds"),
    [
        ({"sleep": {"seconds": 5}}, "sleep", 5.0),
        ({"exec": {"command": ["sleep", "7"]}}, "exec", 7.0),
        ({"exec": {"command": ["/bin/sh", "-c", "sleep 10; nginx -s quit"]}}, "exec", 10.0),
        ({"exec": {"command": ["sh", "-c", "/bin/sleep 1m && kill 1"]}}, "exec", 60.0),
        ({"exec": {"command": ["/drain"]}}, "exec", None),
        ({"httpGet": {"path": "/quit", "port": 80}}, "httpGet", None),
    ],
)
def test_how_a_pod_ends(hook: Object, kind: str, seconds: float | None) -> None:
    template = {"spec": {"containers": [{"name": "web", "image": "a", "lifecycle": {"preStop": hook}}]}}
    assert drain(template) == Drain("web", kind, seconds, 30)


def test_the_container_that_takes_the_requests_tells_how_a_pod_ends() -> None:
    hook = {"preStop": {"sleep": {"seconds": 5}}}
    mesh = {"name": "mesh", "image": "m", "restartPolicy": "Always", "ports": [{"name": "in", "containerPort": 80}]}
    web = {"name": "web", "image": "a:1", "ports": [{"containerPort": 8080}], "lifecycle": hook}
    there = There().deployment("web", labels={"app": "web"}, containers=[web], initContainers=[mesh])
    there.has().namespace.deployments[0]["spec"]["template"]["spec"]["terminationGracePeriodSeconds"] = 5
    assert there.subject("web").drain.cut_off
    assert there.service("web", [{"port": 80, "targetPort": "in"}], app="web").subject("web").drain is None
    assert there.subject("web").drain is None


# Cases stuck-twice: the way back.


def template(tag: str) -> Object:
    """A pod template."""
    return {"metadata": {"labels": {"app": "shop"}}, "spec": {"containers": [{"name": "shop", "image": f"shop:{tag}"}]}}


def stuck(
    ready: t.Mapping[int, int], current: int, failed: str = "", complete: bool = False
) -> tuple[Object, list[Object]]:
    """A Deployment at a revision, and the ReplicaSets of revisions with so many ready pods."""
    there = There().deployment(
        "shop", labels={"app": "shop"}, complete=complete, containers=template(str(current))["spec"]["containers"]
    )
    deployment = there.namespace.deployments[0]
    deployment["metadata"]["annotations"] = {REVISION: str(current), **({FAILED: failed} if failed else {})}
    return deployment, [
        replica_set("shop", number, template(str(number)), count, f"r{number}") for number, count in ready.items()
    ]


def test_the_way_back_is_what_served_last_whatever_came_after_it() -> None:
    back = way_back(*stuck({1: 3, 2: 0, 3: 0}, 3))
    assert back is not None
    assert (back.revision, back.version, back.ready, back.certain, back.replica_set) == (1, "1", 3, True, "r1")
    # Some pods of a version that was never complete are ready too.
    assert [way_back(*stuck({1: 2, 2: 1, 3: 0}, 3)).revision] == [1]  # type: ignore[union-attr]


def test_what_is_complete_is_the_way_back_from_it() -> None:
    there = stuck({1: 0, 2: 0, 3: 2}, 3, complete=True)
    assert way_back(*there).revision == 3  # type: ignore[union-attr]
    before = way_back(*there, leaving=False)
    assert before is not None
    assert (before.revision, before.certain) == (2, False)
    assert way_back(*there, leaving=False, served="r1").revision == 1  # type: ignore[union-attr]


def test_what_takes_all_traffic_is_the_way_back_though_its_pods_do_not_count_as_available_yet() -> None:
    deployment, sets = stuck({1: 0, 2: 2}, 2, complete=True)
    deployment["spec"]["minReadySeconds"] = 30
    deployment["status"]["availableReplicas"] = 0
    back = way_back(deployment, sets)
    assert (back.revision, back.certain) == (2, True)  # type: ignore[union-attr]


def test_what_is_known_to_have_failed_is_no_way_back() -> None:
    back = way_back(*stuck({1: 0, 2: 0, 3: 0}, 3, failed="2"))
    assert back is not None
    assert (back.revision, back.certain) == (1, False)
    assert way_back(*stuck({2: 0, 3: 0}, 3, failed="2")) is None


def test_a_history_that_is_not_kept_is_said() -> None:
    there = There().deployment("shop", labels={"app": "shop"})
    assert there.subject("shop").state.keeps_history
    there.namespace.deployments[0]["spec"]["revisionHistoryLimit"] = 0
    assert not there.subject("shop").state.keeps_history


@given(st.lists(st.tuples(st.booleans(), st.integers(1, 5)), min_size=1, max_size=7))
def test_failed_revisions_in_between_never_change_the_way_back(rollouts: list[tuple[bool, int]]) -> None:
    """Each rollout becomes complete, which leaves no old pod, or is stuck, which leaves them."""
    serving, ready = 1, {1: 3}
    for number, (complete, copies) in enumerate(rollouts, 2):
        ready = {old: (0 if complete else count) for old, count in ready.items()} | {number: copies if complete else 0}
        serving = number if complete else serving
    newest = len(rollouts) + 1
    back = way_back(*stuck(ready, newest, complete=serving == newest))
    assert back is not None
    assert (back.revision, back.certain) == (serving, True)


# What is returned.


def test_a_subject_is_told_in_plain_data() -> None:
    facts = _applications.facts(colours().subject("web"))
    assert facts["live"]["name"] == "web-green"
    assert facts["live"]["image"]["pinned_by"] == "tag"
    assert facts["services"][0]["endpoints"] == {"web-green": 2}
    assert facts["state"]["way_back"]["revision"] == 1
    assert "deployment" not in facts["live"]
    assert "template" not in facts["state"]["way_back"]
