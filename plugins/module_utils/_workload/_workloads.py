# SPDX-FileCopyrightText: The convoy.rollout authors
# SPDX-License-Identifier: GPL-3.0-or-later

# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The revisions and pods of Deployments, StatefulSets and DaemonSets. Pure functions of plain objects."""

from __future__ import annotations

import typing as t
from dataclasses import dataclass
from datetime import datetime, timezone

from ansible_collections.convoy.rollout.plugins.module_utils._failure import Failure
from ansible_collections.convoy.rollout.plugins.module_utils._workload import _images, _selectors

Object = t.Dict[str, t.Any]

#: The kinds that roll out, and what the API calls them.
PLURALS = {"Deployment": "deployments", "StatefulSet": "statefulsets", "DaemonSet": "daemonsets"}

REVISION = "deployment.kubernetes.io/revision"
REVISION_HISTORY = "deployment.kubernetes.io/revision-history"  #: the numbers that a ReplicaSet had before
CHANGE_CAUSE = "kubernetes.io/change-cause"
FAILED = "convoy.rollout/failed"  #: a workload's: the numbers of its revisions that failed verification
RESTARTED_AT = "kubectl.kubernetes.io/restartedAt"


@dataclass(frozen=True)
class Revision:
    """One revision of a workload: the ReplicaSet or ControllerRevision that remembers its pod template."""

    number: int
    earlier: tuple[int, ...]  #: the numbers it had before a rollback made it the newest again
    template: Object
    labels: frozenset[str]  #: what the pods of a ControllerRevision are labelled with
    uid: str
    change_cause: str
    created: str
    replicas: int
    current: bool
    failed: bool = False  #: whether it was taken back because it failed verification
    ready: int = 0  #: how many of its pods are ready
    name: str = ""  #: of the ReplicaSet or ControllerRevision

    def numbered(self, number: int) -> bool:
        """Whether this is the revision that has, or had, a number."""
        return number == self.number or number in self.earlier


def controller(item: Object) -> Object:
    """The reference to the controller that an object belongs to, {} where it belongs to none."""
    return next((each for each in item["metadata"].get("ownerReferences") or [] if each.get("controller")), {})


def owner(item: Object) -> str | None:
    """The uid of the controller that an object belongs to."""
    return t.cast("str | None", controller(item).get("uid"))


def condition(item: Object, kind: str) -> Object:
    """A condition of an object's status, empty where it has none of that type."""
    for found in item.get("status", {}).get("conditions") or []:
        if found.get("type") == kind:
            return t.cast(Object, found)
    return {}


def is_ready(pod: Object) -> bool:
    """Whether a pod takes traffic, or a node pods."""
    return bool(condition(pod, "Ready").get("status") == "True")


def annotations_of(item: Object) -> dict[str, str]:
    """An object's annotations."""
    return item["metadata"].get("annotations") or {}


def pod_labels(workload: Object) -> dict[str, str]:
    """The labels that a workload gives its pods."""
    return (workload["spec"]["template"].get("metadata") or {}).get("labels") or {}


#: Whether a Service's selector picks pods with these labels; one that says nothing picks none.
selects = _selectors.selects


def bare(template: Object) -> Object:
    """A pod template without what controllers add to it, so that two can be compared."""
    metadata = {k: v for k, v in (template.get("metadata") or {}).items() if k != "creationTimestamp"}
    labels = {k: v for k, v in (metadata.get("labels") or {}).items() if k != "pod-template-hash"}
    kept = {k: v for k, v in template.items() if k != "$patch"}
    return dict(kept, metadata=dict(metadata, labels=labels))


def revisions(workload: Object, remembered: t.Iterable[Object], pods: t.Iterable[Object] = ()) -> list[Revision]:
    """The revisions of a workload, the oldest first.

    `remembered` are ReplicaSets or ControllerRevisions; those of other owners are left out. Which one is
    current is told by the templates, as the controllers do: a Deployment's revision annotation names the
    one before until the new ReplicaSet is made.
    """
    uid, wanted = workload["metadata"].get("uid"), bare(workload["spec"]["template"])
    own = [pod for pod in pods if owner(pod) == uid]
    failed = annotations_of(workload).get(FAILED, "").split(",")
    found = []
    for item in remembered:
        if owner(item) != uid:
            continue
        metadata, noted = item["metadata"], annotations_of(item)
        if "data" in item:  # a ControllerRevision
            template = (item["data"].get("spec") or {}).get("template") or {}
            number, earlier = int(item.get("revision", 0)), ""
            known = (metadata.get("labels") or {}).get("controller-revision-hash")
            labels = frozenset([metadata["name"], *([known] if known else [])])
            mine = [pod for pod in own if _hash(pod) in labels]
            replicas, ready = len(mine), sum(is_ready(pod) for pod in mine)
        else:
            template, labels = item["spec"]["template"], frozenset()
            number, earlier = int(noted.get(REVISION, 0)), noted.get(REVISION_HISTORY, "")
            status = item.get("status", {})
            replicas, ready = status.get("replicas", 0), status.get("readyReplicas", 0)
        found.append(
            Revision(
                number=number,
                earlier=tuple(int(part) for part in earlier.split(",") if part.isdigit()),
                template=bare(template),
                labels=labels,
                uid=metadata.get("uid", ""),
                change_cause=noted.get(CHANGE_CAUSE, ""),
                created=metadata.get("creationTimestamp") or "",
                replicas=replicas,
                current=bare(template) == wanted,
                failed=str(number) in failed,
                ready=ready,
                name=metadata.get("name", ""),
            )
        )
    return sorted(found, key=lambda revision: revision.number)


def _hash(pod: Object) -> str:
    return (pod["metadata"].get("labels") or {}).get("controller-revision-hash", "")


def current(known: t.Iterable[Revision]) -> Revision | None:
    """The revision of the workload's own template, None until its controller has made it."""
    return next((revision for revision in reversed(list(known)) if revision.current), None)


def revision(workload: Object, known: t.Iterable[Revision]) -> int:
    """The number of a workload's revision: a Deployment says it itself."""
    newest = current(known)
    return int(annotations_of(workload).get(REVISION, newest.number if newest else 0))


def last_complete(known: t.Iterable[Revision]) -> Revision | None:
    """The revision before the current one that was complete last, where its pods still tell.

    A rollout that becomes complete leaves no pod of an earlier revision. So of those that still have ready pods the
    oldest is the last one that was complete, and what was rolled out after it never was.
    """
    serving = [item for item in known if item.ready and item.number and not item.current]
    return min(serving, key=lambda item: item.number, default=None)


def earlier(known: t.Sequence[Revision], number: int, name: str, served: Revision | None = None) -> Revision:
    """The revision to go back to: that of a number, or for 0 what served last.

    That is the one whose pods still serve beside the current one, else the one that is known to have `served` before,
    else the newest that is not current and did not fail. `name` is the workload in words. Raises Failure, naming the
    revisions that there are.
    """
    if number:
        # The newest first: a number that was had before may be another one's today.
        asked = [revision for revision in known if revision.number == number] or [
            revision for revision in known if revision.numbered(number)
        ]
        if asked:
            return asked[0]
        numbers = ", ".join(str(revision.number) for revision in known) or "none"
        raise Failure(f"Revision {number} is not in the history of {name}; the revisions there are: {numbers}.")
    serving = last_complete(known)
    for certain in (serving, served):
        if certain is not None and not certain.failed:
            return certain
    others = [revision for revision in reversed(known) if not revision.current and revision.number]
    for revision in others:
        if not revision.failed:
            return revision
    if others:
        raise Failure(
            f"There is nothing to undo: each earlier revision of {name} failed verification and was rolled back; set "
            f"the number of the one to go to anyway, such as {others[0].number}."
        )
    raise Failure(f"There is nothing to undo: {name} has no earlier revision in its history.")


def failed_with_current(known: t.Iterable[Revision]) -> str:
    """The value of FAILED once the current revision has failed, too; numbers that are gone are left out."""
    return ",".join(str(revision.number) for revision in known if revision.failed or revision.current)


def history(known: t.Iterable[Revision], now: datetime | None = None) -> list[Object]:
    """What a task returns of the revisions, the oldest first; ages are in seconds."""
    now = now or datetime.now(timezone.utc)
    return [
        {
            "revision": revision.number,
            "images": images(revision.template),
            "change_cause": revision.change_cause,
            "created": revision.created,
            "age": max(0, int((now - _time(revision.created)).total_seconds())) if revision.created else 0,
            "replicas": revision.replicas,
            "current": revision.current,
            "failed": revision.failed,
        }
        for revision in known
    ]


def _time(said: str) -> datetime:
    return datetime.strptime(said, "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=timezone.utc)


def images(template: Object) -> list[str]:
    """The images of a template's or a pod's containers, in their order."""
    return [container.get("image", "") for container in (template.get("spec") or {}).get("containers") or []]


def is_of(pod: Object, workload: Object, revision: Revision) -> bool:
    """Whether a pod is of a revision of a workload."""
    if revision.labels:
        return owner(pod) == workload["metadata"].get("uid") and _hash(pod) in revision.labels
    return owner(pod) == revision.uid


def pods_of(
    workload: Object,
    known: t.Iterable[Revision],
    pods: t.Iterable[Object],
    container: str = "",
    rule: _images.Rule = _images.PLAIN,
) -> list[Object]:
    """What a task returns of a workload's pods that are there to stay, by name.

    `container` is the one that carries the version, where it was asked for; `rule` is how its tag reads.
    """
    known, name = list(known), workload["metadata"]["name"]
    found = []
    for pod in pods:
        revision = next((item for item in known if is_of(pod, workload, item)), None)
        mine = revision is not None or owner(pod) == workload["metadata"].get("uid")
        over = pod.get("status", {}).get("phase") in ("Succeeded", "Failed")
        if not mine or over or "deletionTimestamp" in pod["metadata"]:
            continue
        asked = carrier(revision.template if revision else {}, name, container)
        carrying = _images.container(pod, name, asked) or {}
        found.append(
            {
                "name": pod["metadata"]["name"],
                "revision": revision.number if revision else 0,
                "version": _images.version_of(pod, name, asked, rule=rule),
                "image": carrying.get("image", ""),
                "images": images(pod),
                "ready": is_ready(pod),
                "node": (pod.get("spec") or {}).get("nodeName", ""),
                "restarts": restart_count(pod),
            }
        )
    return sorted(found, key=lambda pod: str(pod["name"]))


def restart_count(pod: Object) -> int:
    """How often the containers of a pod were started again."""
    status = pod.get("status") or {}
    containers = [*(status.get("initContainerStatuses") or []), *(status.get("containerStatuses") or [])]
    return sum(container.get("restartCount", 0) for container in containers)


def restarts(pods: t.Iterable[t.Mapping[str, t.Any]], since: t.Iterable[t.Mapping[str, t.Any]]) -> list[str]:
    """The names of the pods (of `pods_of`) whose containers were started again more often than `since` then."""
    before = {pod["name"]: pod["restarts"] for pod in since}
    return [pod["name"] for pod in pods if pod["restarts"] > before.get(pod["name"], pod["restarts"])]


def carrier(template: Object, name: str, container: str = "") -> str:
    """The name of the container that carries the version in the pods of a template, empty where it cannot be told.

    A pod itself may be given others besides, as by a mesh.
    """
    planned = _images.container(template, name, container)
    return container or (str(planned.get("name", "")) if planned else "")


def deployment_of(pod: Object) -> str:
    """The name of the Deployment that a pod is of, empty where it is of none.

    A ReplicaSet is named by its Deployment and the hash of its template, which its pods have as a label.
    """
    ending = "-" + ((pod["metadata"].get("labels") or {}).get("pod-template-hash") or "")
    name = str(controller(pod).get("name") or "")
    return name[: -len(ending)] if len(ending) > 1 and name.endswith(ending) else ""


def is_own(pod: Object, deployment: Object) -> bool:
    """Whether a pod is a Deployment's own: its selector picks it, and no other controller owns it.

    Selectors of several Deployments may overlap. One that nobody owns is adopted only where it has a hash that a
    ReplicaSet selects by.
    """
    if pod["metadata"].get("namespace") != deployment["metadata"].get("namespace"):
        return False
    if not _selectors.matches(deployment["spec"]["selector"], _images.labels(pod)):
        return False
    if owner(pod) is None:
        return "pod-template-hash" in _images.labels(pod)
    return deployment_of(pod) == deployment["metadata"]["name"]


def annotated(item: Object, noted: t.Mapping[str, str | None]) -> list[Object]:
    """The JSON patch that gives an object annotations; None takes one away."""
    there = annotations_of(item)
    patch: list[Object] = []
    if not there and any(noted.values()):
        patch.append({"op": "add", "path": "/metadata/annotations", "value": {}})
    for key, value in noted.items():
        path = "/metadata/annotations/" + key.replace("~", "~0").replace("/", "~1")
        if value is None and key in there:
            patch.append({"op": "remove", "path": path})
        elif value is not None and there.get(key) != value:
            patch.append({"op": "add", "path": path, "value": value})
    return patch


def joined(*patches: t.Sequence[Object]) -> list[Object]:
    """Several patches of one object as one; its annotations are only made once."""
    made = {"op": "add", "path": "/metadata/annotations", "value": {}}
    steps = [step for patch in patches for step in patch]
    first = [made] if made in steps else []
    return [*first, *(step for step in steps if step != made)]


def restarted(workload: Object, now: datetime) -> list[Object]:
    """The JSON patch that restarts all pods, as kubectl rollout restart does."""
    metadata = workload["spec"]["template"].get("metadata")
    path = "/spec/template/metadata"
    noted = dict((metadata or {}).get("annotations") or {}, **{RESTARTED_AT: now.strftime("%Y-%m-%dT%H:%M:%SZ")})
    if metadata is None:
        return [{"op": "add", "path": path, "value": {"annotations": noted}}]
    return [{"op": "add", "path": f"{path}/annotations", "value": noted}]


def undone(workload: Object, to: Revision, failed: str = "") -> list[Object]:
    """The JSON patch that gives a workload the template of an earlier revision, and that one's change-cause.

    `failed` is noted as FAILED, where it is given.
    kubectl gives it all annotations of the earlier revision; here the workload keeps its own.
    """
    if to.current:
        return []
    return [
        {"op": "replace", "path": "/spec/template", "value": to.template},
        *annotated(workload, {CHANGE_CAUSE: to.change_cause or None, **({FAILED: failed} if failed else {})}),
    ]
