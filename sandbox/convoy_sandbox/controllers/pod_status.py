# SPDX-FileCopyrightText: The convoy.rollout authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""A pod's status from the states of its containers: pure functions."""

from __future__ import annotations

from dataclasses import dataclass, field

from .. import quantities
from ..kinds.pods import qos_class
from ..store import Object
from . import conditions

OVERDUE = "Pod was active on the node longer than the specified deadline"


@dataclass
class ContainerState:
    """What the kubelet knows of one container."""

    name: str
    image: str
    sidecar: bool = False  #: an init container that is kept running
    state: Object = field(default_factory=lambda: {"waiting": {"reason": "ContainerCreating"}})
    last: Object = field(default_factory=dict)
    ready: bool = False
    started: bool = False
    restarts: int = 0
    container_id: str = ""

    @property
    def running(self) -> bool:
        """Whether it runs now."""
        return "running" in self.state

    @property
    def exit_code(self) -> int | None:
        """The code it ended with, None where it has not ended for good."""
        code = (self.state.get("terminated") or {}).get("exitCode")
        return None if code is None else int(code)

    @property
    def initialized(self) -> bool:
        """Whether, as an init container, it lets the next one start."""
        return self.started if self.sidecar else self.exit_code == 0


def container_status(state: ContainerState, spec: Object, *, init: bool = False) -> Object:
    """One entry of containerStatuses, or of initContainerStatuses."""
    known = bool(state.container_id)
    status: Object = {
        "name": state.name,
        "state": state.state,
        "lastState": state.last,
        "ready": state.ready or (init and not state.sidecar and state.initialized),
        "restartCount": state.restarts,
        "image": qualified(state.image) if known else state.image,
        "imageID": f"sandbox://{qualified(state.image)}" if known else "",
    }
    if known:
        status["containerID"] = state.container_id
    status["started"] = state.started
    if known:
        resources = spec.get("resources") or {}
        if resources.get("requests"):
            status["allocatedResources"] = resources["requests"]
        status["resources"] = resources
        status["user"] = {"linux": {"uid": 0, "gid": 0, "supplementalGroups": [0]}}
    mounts = [
        {
            "name": mount["name"],
            "mountPath": mount["mountPath"],
            **({"readOnly": True, "recursiveReadOnly": "Disabled"} if mount.get("readOnly") else {}),
        }
        for mount in spec.get("volumeMounts") or ()
    ]
    if mounts:
        status["volumeMounts"] = mounts
    return status


def qualified(image: str) -> str:
    """An image reference with the registry and tag that it means."""
    name, _, digest = image.partition("@")
    first, slash, _ = name.partition("/")
    if not slash:
        name = f"docker.io/library/{name}"
    elif not ("." in first or ":" in first or first == "localhost"):
        name = f"docker.io/{name}"
    if digest:
        return f"{name}@{digest}"
    return name if ":" in name.rpartition("/")[2] else f"{name}:latest"


def phase(pod: Object, init: list[ContainerState], containers: list[ContainerState], *, initialized: bool) -> str:
    """Pending, Running, Succeeded or Failed."""
    policy = pod["spec"].get("restartPolicy", "Always")
    if not initialized:
        failed = any(state.exit_code not in (None, 0) for state in init if not state.sidecar)
        return "Failed" if failed and policy == "Never" else "Pending"
    ended = [state.exit_code for state in containers]
    deleted = bool(pod["metadata"].get("deletionTimestamp"))
    if all(code is not None for code in ended) and (policy != "Always" or deleted):
        if all(code == 0 for code in ended):
            return "Succeeded"
        if policy == "Never" or deleted:
            return "Failed"
    if any("waiting" in state.state and not state.last for state in containers):
        return "Pending"
    return "Running"


def compute(
    pod: Object,
    init: list[ContainerState],
    containers: list[ContainerState],
    *,
    ip: str,
    host_ip: str,
    sandbox_ready: bool,
    initialized: bool,
    start_time: str,
    now: str,
    overdue: bool = False,
) -> Object:
    """The whole status, transition times kept where a condition does not change."""
    now_phase = phase(pod, init, containers, initialized=initialized)
    if overdue and not any(state.running for state in (*init, *containers)):
        now_phase = "Failed"
    done = now_phase in ("Succeeded", "Failed")
    serving = [*(state for state in init if state.sidecar), *containers]
    unready = [state.name for state in serving if not state.ready]
    reason = message = ""
    if now_phase == "Succeeded":
        reason = "PodCompleted"
    elif now_phase == "Failed" or overdue:
        reason = "PodFailed"
    elif unready:
        reason, message = "ContainersNotReady", f"containers with unready status: [{' '.join(unready)}]"
    containers_ready = not unready and not done and not overdue
    gates = [gate["conditionType"] for gate in pod["spec"].get("readinessGates") or ()]
    shut = [gate for gate in gates if not conditions.is_true(pod["status"], gate)]
    ready_reason, ready_message = reason, message
    if containers_ready and shut:
        ready_reason = "ReadinessGatesNotReady"
        ready_message = ", ".join(_shut(pod["status"], gate) for gate in shut)
    not_initialized = [state.name for state in init if not state.initialized]
    wanted: list[tuple[str, bool, str, str]] = [
        ("PodReadyToStartContainers", sandbox_ready and not done, "", ""),
        (
            "Initialized",
            initialized,
            ("PodCompleted" if now_phase == "Succeeded" else "") if initialized else "ContainersNotInitialized",
            "" if initialized else f"containers with incomplete status: [{' '.join(not_initialized)}]",
        ),
        ("Ready", containers_ready and not shut, ready_reason, ready_message),
        ("ContainersReady", containers_ready, reason, message),
        ("PodScheduled", True, "", ""),
    ]
    generation = pod["metadata"].get("generation", 1)
    listed = [_condition(pod["status"], item, generation, now) for item in wanted]
    known = {item[0] for item in wanted}
    listed = [c for c in pod["status"].get("conditions") or () if c["type"] not in known] + listed
    status: Object = {"observedGeneration": generation, "phase": now_phase, "conditions": listed}
    if overdue and now_phase == "Failed":
        status |= {"reason": "DeadlineExceeded", "message": OVERDUE}
    status |= {"hostIP": host_ip, "hostIPs": [{"ip": host_ip}]}
    if ip:
        status |= {"podIP": ip, "podIPs": [{"ip": ip}]}
    status["startTime"] = start_time
    if init:
        specs = {c["name"]: c for c in pod["spec"]["initContainers"]}
        status["initContainerStatuses"] = [container_status(state, specs[state.name], init=True) for state in init]
    specs = {c["name"]: c for c in pod["spec"]["containers"]}
    by_name = sorted(containers, key=lambda state: state.name)
    status["containerStatuses"] = [container_status(state, specs[state.name]) for state in by_name]
    status["qosClass"] = qos_class(pod["spec"])
    status |= _resources(pod["spec"], done=done)
    return status


def _shut(status: Object, gate: str) -> str:
    """Why a readiness gate is not open."""
    found = conditions.find(status, gate)
    if found is None:
        return f'corresponding condition of pod readiness gate "{gate}" does not exist.'
    return f'the status of pod readiness gate "{gate}" is not "True", but {found["status"]}'


def _resources(spec: Object, *, done: bool) -> Object:
    """What the containers of a pod may use together; a limit counts only where each of them has one."""
    named = [container.get("resources") or {} for container in spec["containers"]]
    sums: Object = {}
    for kind in ("requests", "limits"):
        given = [each.get(kind) or {} for each in named]
        keys = set().union(*given) if kind == "requests" else set.intersection(*(set(each) for each in given))
        found = {key: quantities.total([each[key] for each in given if key in each]) for key in sorted(keys)}
        if found:
            sums[kind] = found
    if done:  # its limits are lifted
        sums.pop("limits", None)
    return {**({"allocatedResources": sums["requests"]} if "requests" in sums else {}), "resources": sums}


def _condition(status: Object, wanted: tuple[str, bool, str, str], generation: int, now: str) -> Object:
    type_, value, reason, message = wanted
    text = "True" if value else "False"
    old = conditions.find(status, type_)
    same = old is not None and old["status"] == text
    condition: Object = {
        "type": type_,
        "observedGeneration": generation,
        "status": text,
        "lastProbeTime": None,
        "lastTransitionTime": old["lastTransitionTime"] if old is not None and same else now,
    }
    if reason:
        condition["reason"] = reason
    if message:
        condition["message"] = message
    return condition
