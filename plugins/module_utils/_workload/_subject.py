# SPDX-FileCopyrightText: The convoy.rollout authors
# SPDX-License-Identifier: GPL-3.0-or-later

# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Which application is meant: what the cluster has of it. Pure functions of plain objects.

Everything that a strategy must know of an application before it changes it is decided here, and nowhere else.
"""

from __future__ import annotations

import re
import typing as t
from collections import Counter
from dataclasses import dataclass, field

from ansible_collections.convoy.rollout.plugins.module_utils._failure import Failure
from ansible_collections.convoy.rollout.plugins.module_utils._traffic import _target
from ansible_collections.convoy.rollout.plugins.module_utils._workload import (
    _foreign,
    _history,
    _images,
    _managers,
    _quotas,
    _reachable,
    _rollout,
    _selectors,
    _workloads,
)

Object = t.Dict[str, t.Any]

#: The keys of a Service's selector that pin it to one of several Deployments.
PINS = ("version", "color")
TRACK = "canary"  #: the value of the label `track` that a canary's pods have
GRACE = 30  #: terminationGracePeriodSeconds where a template has none


@dataclass(frozen=True)
class Namespace:
    """What a namespace has, read once."""

    name: str
    deployments: t.Sequence[Object] = ()
    replica_sets: t.Sequence[Object] = ()
    pods: t.Sequence[Object] = ()
    services: t.Sequence[Object] = ()
    endpoint_slices: t.Sequence[Object] = ()
    autoscalers: t.Sequence[Object] = ()
    quotas: t.Sequence[Object] = ()
    limit_ranges: t.Sequence[Object] = ()
    disruption_budgets: t.Sequence[Object] = ()
    unreadable: tuple[str, ...] = ()  #: what this user may not read, or the cluster does not have


@dataclass(frozen=True)
class Autoscaler:
    """A HorizontalPodAutoscaler that decides on the replicas of a workload."""

    name: str
    min_replicas: int
    max_replicas: int
    scaled_object: str = ""  #: the KEDA ScaledObject that made it


@dataclass(frozen=True)
class Budget:
    """A PodDisruptionBudget that counts the pods."""

    name: str
    min_available: str
    max_unavailable: str
    allowed: int  #: how many pods may be evicted now


@dataclass(frozen=True)
class Drain:
    """How a pod ends without losing requests: what it does between being told to end and no longer listening."""

    container: str  #: the one that takes the requests
    kind: str  #: sleep, exec, httpGet or tcpSocket
    seconds: float | None  #: how long it takes, None where that cannot be read
    grace: int  #: after how many seconds the pod is killed

    @property
    def cut_off(self) -> bool:
        """Whether the pod is killed before the hook has ended."""
        return self.seconds is not None and self.seconds >= self.grace


@dataclass(frozen=True)
class WayBack:
    """The revision that served last, to go back to."""

    revision: int
    version: str
    images: tuple[str, ...]
    replica_set: str  #: its uid
    ready: int  #: how many of its pods are ready now
    certain: bool  #: whether it is known to have been complete
    template: Object = field(repr=False, compare=False)


@dataclass(frozen=True)
class State:
    """How far a Deployment's rollout is."""

    complete: bool
    waiting: str  #: what it waits for, in words; empty where it is complete
    paused: bool
    revision: int
    way_back: WayBack | None
    keeps_history: bool  #: whether the cluster keeps what is left, so that there is a way back


@dataclass(frozen=True)
class Link:
    """A Service, and where it leads."""

    name: str
    uid: str
    selector: t.Mapping[str, str]
    leads_to: tuple[str, ...]  #: the Deployments whose pods it selects
    endpoints: t.Mapping[str, int]  #: how many ready endpoints it has, by Deployment; "" is of none that is known
    owner: _managers.Owner | None = None
    entry: bool = False  #: whether it was named as where users come in

    @property
    def pinned(self) -> dict[str, str]:
        """What in its selector pins it to one of several Deployments; empty where nothing does."""
        return {key: value for key, value in self.selector.items() if key in PINS}


@dataclass(frozen=True)
class Member:
    """One Deployment of an application."""

    name: str
    uid: str
    role: str  #: live, preview (the colour without traffic), canary, or other
    color: str  #: blue or green, empty where it is neither
    version: str  #: what its pods answer; empty where that cannot be told
    image: _images.Image | None  #: of the container that carries the version
    container: str
    label: str  #: the label `version` of its pods, whatever that says
    replicas: int
    ready: int
    endpoints: int  #: how many of its pods take traffic from the Service that decides
    state: State
    services: tuple[str, ...]
    autoscaler: Autoscaler | None
    budgets: tuple[Budget, ...]
    owner: _managers.Owner | None
    deployment: Object = field(repr=False, compare=False)


@dataclass(frozen=True)
class Subject:
    """An application as it was found in the cluster."""

    application: str
    namespace: str
    uid: str  #: of the Deployment that has the traffic
    live: Member | None  #: the Deployment that has the traffic, None where that is unclear
    unclear: str  #: why it is unclear, in one sentence
    others: tuple[Member, ...]
    services: tuple[Link, ...]  #: those that lead to the live one, that which decides first, and the entry's
    container: str
    version: str
    image: _images.Image | None
    images: tuple[str, ...]
    autoscaler: Autoscaler | None
    quotas: tuple[_quotas.Quota, ...]
    limit_ranges: tuple[str, ...]
    budgets: tuple[Budget, ...]
    drain: Drain | None
    owner: _managers.Owner | None
    state: State | None
    unreadable: tuple[str, ...]

    @property
    def beside(self) -> tuple[Member, ...]:
        """Other Deployments that take traffic from the same Service now."""
        return tuple(item for item in self.others if item.endpoints)

    def member(self, name: str) -> Member | None:
        """A Deployment of the application by its name."""
        return next((item for item in ([self.live] if self.live else []) + [*self.others] if item.name == name), None)


def taking(subject: Subject) -> Member:
    """The Deployment that has the traffic. Raises Failure where that is unclear."""
    if subject.live is None:
        raise Failure(subject.unclear)
    return subject.live


def check_named(subject: Subject, what: str, *, colours: bool = False) -> Member:
    """The Deployment that has the traffic, where it is the one that the application's name says.

    With `colours` it may also be one of the application's colours, which users know by the name of the application.
    Raises Failure, naming the one that has it, for `what` only that one can be given: a rolling update, say.
    """
    live = taking(subject)
    named = subject.member(subject.application)
    if named is not None and named is not live and not (colours and live.color):
        version = f" {live.version}" if live.version else ""
        instead = "use bluegreen, or name" if live.color else "name"
        raise Failure(
            f"Deployment {live.name}{version} has the traffic of {subject.application}, and Deployment {named.name} "
            f"has none: {what} of {named.name} would reach no user; {instead} {live.name}."
        )
    return live


def check_alone(subject: Subject, what: str) -> None:
    """Raise Failure where a canary takes a part of the traffic, which it would go on to do beside `what`."""
    for item in subject.others:
        if item.role == "canary" and item.replicas:
            version = f" {item.version}" if item.version else ""
            raise Failure(
                f"A canary{version} of {subject.application} (Deployment {item.name}) is still there, so users would "
                f"get it beside {what}. To go back, remove it with playbooks/canary.yml -e abort=true, which also "
                f"gives {subject.application} its version back in the middle of a promotion."
            )


def subject(
    there: Namespace,
    application: str,
    *,
    service: str = "",
    container: str = "",
    repository: str = "",
    rule: _images.Rule = _images.PLAIN,
    served: str = "",
) -> Subject:
    """What a namespace has of an application. Raises Failure where it has nothing of it.

    `service` is the Service that users come in by. `container` and `repository` say which container carries the
    version, `rule` how the version reads from its tag. `served` is the uid of the ReplicaSet that was complete when the
    run began.
    """
    scene = _Scene(there)
    entry = next((item for item in there.services if item["metadata"]["name"] == service), None)
    if service and entry is None:
        raise Failure(f"There is no Service {service} in namespace {there.name}; create it, or name another.")
    family = [name for name in _names(application, scene.named) if name in scene.named]
    decides, unclear = _deciding(scene, application, family, entry)
    behind = scene.leads(decides) if decides else []
    family = list(dict.fromkeys([*family, *behind]))
    if not family:
        raise Failure(
            _foreign.missing(application, there.name, there.services, there.replica_sets, there.pods)
            or f"There is no Deployment {application} in namespace {there.name}, nor a Service {application} that "
            "leads to one; create it, or name another."
        )
    counts = scene.endpoints(decides) if decides else Counter[str]()
    canary = _canary_of(scene, application, family)
    live, why = _live(scene, application, decides, [name for name in behind if name != canary], counts, family, canary)
    live, unclear = (None, unclear or why) if unclear or why else (live, "")
    colors = {name: color for color, name in colours(application, scene.named).items()}

    def member(name: str) -> Member:
        deployment = scene.named[name]
        template = deployment["spec"]["template"]
        # The container may have the application's name, or the Deployment's.
        named = application if _images.container(template, application, container, repository) else name
        found = _images.container(template, named, container, repository)
        role = "live" if name == live else "canary" if name == canary else "preview" if name in colors else "other"
        return Member(
            name=name,
            uid=deployment["metadata"].get("uid", ""),
            role=role,
            color=colors.get(name, ""),
            version=_images.version_of(template, named, container, repository, rule),
            image=_images.parse(found.get("image", "")) if found else None,
            container=found["name"] if found else "",
            label=_workloads.pod_labels(deployment).get("version", ""),
            replicas=deployment["spec"].get("replicas", 1),
            ready=deployment.get("status", {}).get("readyReplicas", 0),
            endpoints=counts[name],
            state=state(deployment, there.replica_sets, container, rule, served, named),
            services=tuple(link.name for link in links if name in link.leads_to),
            autoscaler=autoscaler(name, there.autoscalers),
            budgets=budgets(deployment, there.disruption_budgets),
            owner=_managers.owner_of(deployment),
            deployment=deployment,
        )

    first = [item["metadata"]["name"] for item in (decides, entry) if item]
    suiting = {item["metadata"]["name"]: _target.suits(item) for item in there.services}
    links = sorted(
        (scene.link(item, item is entry) for item in there.services),
        key=lambda link: (
            link.name not in first[:1],
            link.name != application,
            link.name != live,
            suiting[link.name],
            link.name,
        ),
    )
    members = {name: member(name) for name in family}
    at = members[live] if live else None
    pods = at.deployment["spec"]["template"] if at else {}
    ranges = None if "limitranges" in there.unreadable else there.limit_ranges
    leading = tuple(link for link in links if link.entry or (live and live in link.leads_to))
    return Subject(
        application=application,
        namespace=there.name,
        uid=at.uid if at else "",
        live=at,
        unclear=unclear,
        others=tuple(item for item in members.values() if item is not at),
        services=leading,
        container=at.container if at else "",
        version=at.version if at else "",
        image=at.image if at else None,
        images=tuple(_workloads.images(pods)),
        autoscaler=at.autoscaler if at else None,
        quotas=_quotas.applying(there.quotas, pods.get("spec") or {}, ranges) if at else (),
        limit_ranges=tuple(item["metadata"]["name"] for item in there.limit_ranges),
        budgets=at.budgets if at else (),
        drain=drain(pods, target_port(decides), at.container) if at else None,
        owner=(at.owner if at else None) or next((link.owner for link in leading if link.owner), None),
        state=at.state if at else None,
        unreadable=there.unreadable,
    )


class _Scene:
    """A namespace with what belongs together looked up."""

    def __init__(self, there: Namespace) -> None:
        self.there = there
        self.named = {item["metadata"]["name"]: item for item in there.deployments}
        owned = {item["metadata"].get("uid"): item["metadata"]["name"] for item in there.deployments}
        self._sets = {item["metadata"].get("uid"): owned.get(_workloads.owner(item), "") for item in there.replica_sets}
        self._pods = {item["metadata"]["name"]: item for item in there.pods}

    def leads(self, service: Object) -> list[str]:
        """The Deployments whose pods a Service selects."""
        selector = (service.get("spec") or {}).get("selector")
        return [name for name, item in self.named.items() if _selectors.selects(selector, _workloads.pod_labels(item))]

    def endpoints(self, service: Object) -> Counter[str]:
        """How many ready endpoints a Service has, by Deployment."""
        name = service["metadata"]["name"]
        slices = [
            item
            for item in self.there.endpoint_slices
            if (item["metadata"].get("labels") or {}).get("kubernetes.io/service-name") == name
        ]
        return Counter(self._deployment(pod) for pod in _reachable.ready(slices))

    def _deployment(self, pod: str) -> str:
        if pod not in self._pods:
            return ""
        return self._sets.get(_workloads.owner(self._pods[pod]), "") or _workloads.deployment_of(self._pods[pod])

    def link(self, service: Object, entry: bool) -> Link:
        """A Service, and where it leads."""
        return Link(
            name=service["metadata"]["name"],
            uid=service["metadata"].get("uid", ""),
            selector=dict((service.get("spec") or {}).get("selector") or {}),
            leads_to=tuple(self.leads(service)),
            endpoints=dict(self.endpoints(service)),
            owner=_managers.owner_of(service),
            entry=entry,
        )


def colours(application: str, named: t.Container[str]) -> dict[str, str]:
    """The names of the two colours: blue has the application's own, where there is such a Deployment."""
    return {
        "blue": application if application in named else f"{application}-blue",
        "green": f"{application}-green",
    }


def _names(application: str, named: t.Container[str]) -> list[str]:
    return [application, *colours(application, named).values(), f"{application}-canary"]


def _deciding(
    scene: _Scene, application: str, family: t.Sequence[str], entry: Object | None
) -> tuple[Object | None, str]:
    """The Service that decides which Deployment has the traffic, and why that is unclear, where it is.

    It is the one that users come in by, where it leads to the application itself and not to a proxy in front of it,
    else the one of the application's name, else any that leads there, where they agree. Where none leads there, the
    one of the application's name leads to what has the traffic, whatever that is called.
    """
    own = next((item for item in scene.there.services if item["metadata"]["name"] == application), None)
    for item in (entry, own):
        leads = scene.leads(item) if item else []
        if item and leads and (not family or set(leads) & set(family)):
            return item, ""
    preview = f"{application}-preview"
    leading = [
        item
        for item in scene.there.services
        if item["metadata"]["name"] != preview and set(scene.leads(item)) & set(family)
    ]
    agreeing = {frozenset(scene.leads(item)) for item in leading}
    leading.sort(key=lambda item: (_target.suits(item), str(item["metadata"]["name"])))
    if not leading and own and scene.leads(own):
        return own, ""
    if len(agreeing) <= 1:
        return (leading[0] if leading else None), ""
    to_named = [item for item in leading if application in scene.leads(item)]
    if len({frozenset(scene.leads(item)) for item in to_named}) == 1:
        return to_named[0], ""
    said = ", ".join(f"{item['metadata']['name']} to {' and '.join(scene.leads(item))}" for item in leading)
    return None, (
        f"Several Services lead to Deployments of {application} ({said}), so it is unclear which of them has the "
        f"traffic; name the Service that users come in by, as service of the entry."
    )


def _canary_of(scene: _Scene, application: str, family: t.Sequence[str]) -> str:
    for name in (f"{application}-canary", *(f"{item}-canary" for item in family)):
        if name in scene.named and _workloads.pod_labels(scene.named[name]).get("track") == TRACK:
            return name
    return ""


def _live(
    scene: _Scene,
    application: str,
    service: Object | None,
    behind: t.Sequence[str],
    counts: t.Mapping[str, int],
    family: t.Sequence[str],
    canary: str,
) -> tuple[str | None, str]:
    """The Deployment that has the traffic, and why that is unclear, where it is. A canary only has a share of it."""
    # One without replicas takes no traffic, and where none has any, one that could.
    there = [name for name in behind if scene.named[name]["spec"].get("replicas", 1)]
    candidates = [name for name in behind if counts.get(name)] or there or [*behind]
    if not candidates:
        candidates = [application] if application in scene.named else [name for name in family if name != canary]
    if len(candidates) == 1:
        return candidates[0], ""
    if application in candidates:
        return application, ""
    if not candidates:
        return None, f"There is no Deployment of {application} beside its canary {canary}; deploy {application} first."
    names = " and ".join(sorted(candidates))
    leads = f"Service {service['metadata']['name']} leads to" if service else f"{application} has"
    return (
        None,
        f"{leads} Deployments {names}, so it is unclear which one is meant; name one of them as application.",
    )


def autoscaler(name: str, autoscalers: t.Iterable[Object], kind: str = "Deployment") -> Autoscaler | None:
    """The autoscaler that decides on the replicas of a workload of apps, None where none does."""
    for item in autoscalers:
        aims = (item.get("spec") or {}).get("scaleTargetRef") or {}
        group = str(aims.get("apiVersion") or "apps/v1").rpartition("/")[0]
        if aims.get("kind") == kind and aims.get("name") == name and group == "apps":
            metadata = item["metadata"]
            by = [owner for owner in metadata.get("ownerReferences") or [] if owner.get("kind") == "ScaledObject"]
            labelled = (metadata.get("labels") or {}).get("scaledobject.keda.sh/name", "")
            return Autoscaler(
                name=metadata["name"],
                min_replicas=item["spec"].get("minReplicas", 1),
                max_replicas=item["spec"].get("maxReplicas", 0),
                scaled_object=by[0].get("name", "") if by else labelled,
            )
    return None


def budgets(deployment: Object, found: t.Iterable[Object]) -> tuple[Budget, ...]:
    """The PodDisruptionBudgets whose selectors pick a Deployment's pods."""
    labels = _workloads.pod_labels(deployment)
    return tuple(
        Budget(
            name=item["metadata"]["name"],
            min_available=str(item["spec"].get("minAvailable", "")),
            max_unavailable=str(item["spec"].get("maxUnavailable", "")),
            allowed=item.get("status", {}).get("disruptionsAllowed", 0),
        )
        for item in found
        if _selectors.matches(item["spec"].get("selector"), labels)
    )


def target_port(service: Object | None) -> str:
    """The container port, by number or name, that users reach by a Service; empty where there is none."""
    ports = sorted((service or {}).get("spec", {}).get("ports") or [], key=_target.rank)
    return str(ports[0].get("targetPort") or ports[0].get("port") or "") if ports else ""


def drain(template: Object, port: str = "", container: str = "") -> Drain | None:
    """How a pod of a template ends, None where nothing keeps it listening until the proxies know that it ends.

    What counts is the preStop hook of the container that takes the requests: the one of the Service's target port,
    which may be a native sidecar, else the one that carries the version, else the first one.
    """
    sidecars = (template.get("spec") or {}).get("initContainers") or []
    there = [*_images.containers(template), *(item for item in sidecars if item.get("restartPolicy") == "Always")]
    listening = [
        item
        for item in there
        for opened in item.get("ports") or []
        if port and port in (str(opened.get("name", "")), str(opened.get("containerPort", "")))
    ]
    named = [item for item in there if item.get("name") == container]
    for item in [*listening, *named, *there][:1]:
        hook = (item.get("lifecycle") or {}).get("preStop") or {}
        for kind in ("sleep", "exec", "httpGet", "tcpSocket"):
            if hook.get(kind):
                grace = template["spec"].get("terminationGracePeriodSeconds")
                return Drain(str(item["name"]), kind, _seconds(kind, hook[kind]), GRACE if grace is None else grace)
    return None


def _seconds(kind: str, hook: Object) -> float | None:
    if kind == "sleep":
        return float(hook.get("seconds", 0))
    said = " ".join(str(part) for part in hook.get("command") or []) if kind == "exec" else ""
    slept = re.findall(r"(?:^|[\s;&|/])sleep\s+(\d+(?:\.\d+)?)([smh]?)(?=$|[\s;&|)])", said)
    factors = {"": 1, "s": 1, "m": 60, "h": 3600}
    return sum(float(number) * factors[unit] for number, unit in slept) if slept else None


def state(
    deployment: Object,
    replica_sets: t.Sequence[Object],
    container: str = "",
    rule: _images.Rule = _images.PLAIN,
    served: str = "",
    application: str = "",
) -> State:
    """How far a Deployment's rollout is, and what it can go back to."""
    waiting = _rollout.progress(deployment) or ""
    known = _workloads.revisions(deployment, replica_sets)
    back = way_back(deployment, replica_sets, name=application, container=container, rule=rule, served=served)
    return State(
        complete=not waiting,
        waiting=waiting,
        paused=bool(deployment["spec"].get("paused")),
        revision=_workloads.revision(deployment, known),
        way_back=back,
        keeps_history=_history.limit(deployment) != 0,
    )


def way_back(
    deployment: Object,
    replica_sets: t.Sequence[Object],
    *,
    name: str = "",
    container: str = "",
    rule: _images.Rule = _images.PLAIN,
    served: str = "",
    leaving: bool = True,
) -> WayBack | None:
    """The revision that served last, None where there is none to go back to.

    Its number says nothing of that: versions that never became complete may have come after it. It is the one of the
    ReplicaSet `served`, where the run knows what was complete when it began. Else it is the current one where it takes
    all traffic and is about to be left, else the one whose pods still serve, else the one that is noted as having
    served before, else the newest that is not known to have failed, which is a guess.
    """
    known = _workloads.revisions(deployment, replica_sets)
    name = name or deployment["metadata"]["name"]

    def made(revision: _workloads.Revision, certain: bool) -> WayBack:
        return WayBack(
            revision=revision.number,
            version=_images.version_of(revision.template, name, container, rule=rule),
            images=tuple(_workloads.images(revision.template)),
            replica_set=revision.uid,
            ready=revision.ready,
            certain=certain,
            template=revision.template,
        )

    for revision in known:
        if served and revision.uid == served and (leaving or not revision.current):
            return made(revision, True)
    current = _workloads.current(known)
    if leaving and current and _rollout.takes_all(deployment):
        return made(current, True)
    serving = _workloads.last_complete(known) or _history.before(deployment, known)
    if serving:
        return made(serving, True)
    others = [item for item in reversed(known) if item.number and not item.current and not item.failed]
    return made(others[0], False) if others else None
