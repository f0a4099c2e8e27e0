# SPDX-FileCopyrightText: The convoy.rollout authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The kubelet: pods on nodes become containers that run, are probed, restarted and stopped."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import re
import secrets
from collections.abc import AsyncIterator, Callable, Coroutine

from .. import errors, resources
from ..errors import ApiError
from ..network.containers import Container, ContainerRuntime, ImageError, LogLine, StartError
from ..registry import Registry
from ..settings import Settings
from ..store import Change, Object, Store
from ..times import timestamp
from . import conditions, pod_inputs, pod_status
from .events import Recorder
from .pod_status import ContainerState

log = logging.getLogger(__name__)

_MAX_BACKOFF = 300.0
#: A container that ran this long starts again without delay.
_AGAIN = 15.0  #: seconds after which the kubelet tries again
_BACKOFF_RESET = 600.0
_IMAGE = re.compile(
    r"(?:[a-zA-Z0-9.-]+(?::\d+)?/)?[a-z0-9]+(?:[._/-]+[a-z0-9]+)*(?::[\w][\w.-]{0,127})?(?:@[a-z0-9]+:[a-f0-9]+)?"
)

Key = tuple[str, str]


class Kubelet:
    """All nodes' kubelets: one worker a pod."""

    def __init__(
        self,
        store: Store,
        registry: Registry,
        settings: Settings,
        runtime: ContainerRuntime,
        allocate_ip: Callable[[], str],
        release_ip: Callable[[str], None],
    ) -> None:
        self.store = store
        self.registry = registry
        self.settings = settings
        self.runtime = runtime
        self.allocate_ip = allocate_ip
        self.release_ip = release_ip
        self.events = Recorder(registry, "kubelet")
        self._workers: dict[str, PodWorker] = {}
        self._stopped: set[str] = set()  # names of nodes
        self._tasks: set[asyncio.Task[None]] = set()  # of all workers, those that are forgotten too

    def start(self) -> None:
        """Follow pods."""
        self._unsubscribe = self.store.subscribe(self._changed)

    async def close(self) -> None:
        """Kill every container; return when all is over, processes of containers and of probes too."""
        self._unsubscribe()
        await asyncio.gather(*(worker.kill() for worker in list(self._workers.values())))
        for task in self._tasks:
            _cancel(task)
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def spawn(self, work: Coroutine[None, None, None], name: str | None = None) -> asyncio.Task[None]:
        """Have some work done that ends with the kubelet, if it is not over before."""
        task = asyncio.get_running_loop().create_task(work, name=name)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    def _changed(self, change: Change) -> None:
        if change.resource in (resources.CONFIGMAPS, resources.SECRETS):
            for other in self._workers.values():
                other.inputs_changed.set()
            return
        if change.resource != resources.PODS or not change.object["spec"].get("nodeName"):
            return
        uid = change.object["metadata"]["uid"]
        worker = self._workers.get(uid)
        if change.object["spec"]["nodeName"] in self._stopped and change.type != "DELETED":
            return  # nobody is there who would see it
        if change.type == "DELETED":
            if worker is not None:
                worker.removed()
            return
        if worker is None:
            if change.object["status"].get("phase") in ("Succeeded", "Failed"):
                return
            worker = self._workers[uid] = PodWorker(self, change.object)
        meta = change.object["metadata"]
        if meta.get("deletionTimestamp"):
            worker.terminate(float(meta.get("deletionGracePeriodSeconds") or 0))
        elif change.old is not None and _gates(change.old) != _gates(change.object):
            # A write inside a change's own callbacks would be seen before it.
            asyncio.get_running_loop().call_soon(worker.refresh)

    def is_stopped(self, node: str) -> bool:
        """Whether a node has no power."""
        return node in self._stopped

    def stop_node(self, node: str) -> None:
        """Every container of a node ends at once, and nobody says so."""
        self._stopped.add(node)
        for worker in self._workers.values():
            if worker.node == node:
                worker.freeze()

    def start_node(self, node: str) -> None:
        """The pods of a node start anew; those that are to go are gone."""
        self._stopped.discard(node)
        for pod in self.store.list(resources.PODS):
            meta = pod["metadata"]
            if pod["spec"].get("nodeName") != node or pod["status"].get("phase") in ("Succeeded", "Failed"):
                continue
            worker = self._workers.get(meta["uid"])
            if worker is not None:
                worker.free()
            if meta.get("deletionTimestamp"):
                self.forget(meta["uid"])
                with contextlib.suppress(ApiError):
                    self.registry.delete(resources.PODS, meta["namespace"], meta["name"], grace_period_seconds=0)
            else:
                self._workers[meta["uid"]] = PodWorker(self, pod)

    def forget(self, uid: str) -> None:
        """A worker has ended."""
        self._workers.pop(uid, None)

    # -- logs ------------------------------------------------------------------------------------

    def read(self, namespace: str, pod: str, container: str, *, previous: bool) -> list[LogLine]:
        """All that a container has printed. Raises ApiError 400."""
        worker = self._worker(namespace, pod)
        state = worker.states.get(container) if worker else None
        if worker is None or state is None:
            raise errors.bad_request(f'container "{container}" in pod "{pod}" is waiting to start: ContainerCreating')
        if previous:
            if container not in worker.previous_logs:
                raise errors.bad_request(f'previous terminated container "{container}" in pod "{pod}" not found')
            return worker.previous_logs[container]
        handle = worker.handles.get(container)
        if handle is not None:
            return handle.log_lines()
        if container in worker.previous_logs:
            return worker.previous_logs[container]
        waiting = (state.state.get("waiting") or {}).get("reason", "ContainerCreating")
        if waiting in ("ErrImagePull", "ImagePullBackOff"):
            waiting = "trying and failing to pull image"
        raise errors.bad_request(f'container "{container}" in pod "{pod}" is waiting to start: {waiting}')

    async def follow(self, namespace: str, pod: str, container: str, after: int) -> AsyncIterator[list[LogLine]]:
        """What a container prints after a line of that number, as it comes, until it ends."""
        worker = self._worker(namespace, pod)
        handle = worker.handles.get(container) if worker else None
        while handle is not None:
            ended = handle.exited.done()
            lines = [line for line in handle.log_lines() if line.number > after]
            if lines:
                yield lines
                after = lines[-1].number
            if ended:
                return
            await asyncio.wait([handle.exited], timeout=0.1)

    def _worker(self, namespace: str, name: str) -> PodWorker | None:
        pod = self.store.get(resources.PODS, namespace, name)
        return self._workers.get(pod["metadata"]["uid"]) if pod else None


class PodWorker:
    """Runs one pod from its binding to its end."""

    def __init__(self, kubelet: Kubelet, pod: Object) -> None:
        self._kubelet = kubelet
        self._key: Key = (pod["metadata"]["namespace"], pod["metadata"]["name"])
        self._uid = pod["metadata"]["uid"]
        self.node = pod["spec"]["nodeName"]
        self._timing = kubelet.settings.timing_of_pod(pod)
        self._frozen = False
        self._ip = ""
        self._shown_ip = ""
        self._overdue = False  # it has run for longer than it may
        self._start_time = timestamp()
        self._starting = asyncio.Lock()  # a kubelet starts the containers of a pod one after the other
        self._began = asyncio.get_running_loop().time()
        self._sandbox_ready = False
        self._deadline: float | None = None  # of a pod that is being deleted
        self._limits: set[asyncio.Timeout] = set()
        self.inputs_changed = asyncio.Event()
        self.states = {
            c["name"]: ContainerState(c["name"], c["image"], sidecar=c.get("restartPolicy") == "Always")
            for c in pod["spec"].get("initContainers") or ()
        }
        self.states |= {c["name"]: ContainerState(c["name"], c["image"]) for c in pod["spec"]["containers"]}
        self._up = {name: asyncio.Event() for name, state in self.states.items() if state.sidecar}
        self._sidecars: list[asyncio.Task[None]] = []
        self._initialized = not pod["spec"].get("initContainers")
        self._mains = {c["name"] for c in pod["spec"]["containers"]}
        for name, state in self.states.items():
            state.state = {"waiting": {"reason": self._unmade(name)}}
        self.handles: dict[str, Container] = {}
        self.previous_logs: dict[str, list[LogLine]] = {}
        self._files: dict[str, dict[str, bytes]] = {}
        self._background: set[asyncio.Task[None]] = set()
        self._main = kubelet.spawn(self._guard())

    @property
    def _pod(self) -> Object | None:
        if self._frozen:  # it can neither see nor tell anything
            return None
        pod = self._kubelet.store.get(resources.PODS, *self._key)
        return pod if pod is not None and pod["metadata"]["uid"] == self._uid else None

    # -- lifecycle -------------------------------------------------------------------------------

    async def _guard(self) -> None:
        pod = self._pod
        limit = pod["spec"].get("activeDeadlineSeconds") if pod else None
        try:
            async with asyncio.timeout(limit):
                await self._run()
        except TimeoutError:
            await self._expire()
        except asyncio.CancelledError:
            raise
        except Exception:
            log.exception("pod %s/%s", *self._key)

    async def _run(self) -> None:
        # The binding has just been written: let its other watchers see it first.
        await asyncio.sleep(0)
        self._sync()
        await self._mount()
        self._ip = self._kubelet.allocate_ip()
        self._sandbox_ready = True
        self._sync()
        pod = self._pod
        if pod is None:
            return
        for container in pod["spec"].get("initContainers") or ():
            if self.states[container["name"]].sidecar:
                self._sidecars.append(self._spawn(self._keep(container)))
                await self._up[container["name"]].wait()
                continue
            if not await self._initialize(container):
                return
        self._initialized = True
        for container in pod["spec"]["containers"]:
            self.states[container["name"]].state = {"waiting": {"reason": "ContainerCreating"}}
        if pod["spec"].get("initContainers"):
            self._sync()
        await asyncio.gather(*(self._keep(container) for container in pod["spec"]["containers"]))
        if self._sidecars:
            # The pod's work is done: what ran beside it is not needed any more.
            await self._stop_sidecars(pod, float(pod["spec"]["terminationGracePeriodSeconds"]))
            self._sync()

    async def _expire(self) -> None:
        """The pod has been active for as long as it may: it fails, whatever its containers do."""
        pod = self._pod
        if pod is None or self._terminating:
            return
        self._overdue = True
        self._event("DeadlineExceeded", pod_status.OVERDUE)
        for task in list(self._background):
            _cancel(task)
        self._sync()
        grace = float(pod["spec"]["terminationGracePeriodSeconds"])
        for name in [name for name, state in self.states.items() if state.running]:
            self._event("Killing", f"Stopping container {name}", container=name)
            handle = self.handles.get(name)
            if handle is not None:
                await handle.stop(grace)
                self._ended(self.states[name], handle)
        self._sync()

    def _unmade(self, name: str) -> str:
        """Why a container does not run that has not been begun with."""
        return "PodInitializing" if name in self._mains and not self._initialized else "ContainerCreating"

    def _spawn(self, work: Coroutine[None, None, None], name: str | None = None) -> asyncio.Task[None]:
        task = self._kubelet.spawn(work, name)
        self._background.add(task)
        task.add_done_callback(self._background.discard)
        return task

    def refresh(self) -> None:
        """Somebody else has written what the pod's status depends on."""
        self._sync()

    async def _mount(self) -> None:
        """Wait until every ConfigMap and Secret that a volume names is there."""
        while (pod := self._pod) is not None:
            self.inputs_changed.clear()
            try:
                self._files = pod_inputs.volumes(self._kubelet.store, pod, self._ip)
                return
            except pod_inputs.MissingError as missing:
                self._event("FailedMount", str(missing), warning=True)
            await self.inputs_changed.wait()

    @property
    def _left(self) -> float:
        """Seconds of the grace period that are left to a pod that is being deleted."""
        return max(0.0, (self._deadline or 0.0) - asyncio.get_running_loop().time())

    @property
    def _terminating(self) -> bool:
        return self._deadline is not None

    def terminate(self, grace_seconds: float) -> None:
        """The pod is to be deleted: stop it within its grace period. A second call may make that shorter."""
        deadline = asyncio.get_running_loop().time() + grace_seconds
        if self._deadline is None:
            self._deadline = deadline
            self._spawn(self._stop())
        elif deadline < self._deadline:
            self._deadline = deadline
            for limit in self._limits:
                limit.reschedule(deadline)
            for handle in self.handles.values():
                self._spawn(handle.stop(grace_seconds))

    async def _stop(self) -> None:
        pod = self._pod
        if pod is None:
            if not self._frozen:  # deleted by force
                await self.kill()
            return
        running = [name for name, state in self.states.items() if state.running]
        for name in running:
            self._event("Killing", f"Stopping container {name}", container=name)
        _cancel(self._main)
        for task in self._sidecars:
            _cancel(task)
        for name, state in self.states.items():
            if "waiting" in state.state and not state.last:
                state.state = {"waiting": {"reason": self._unmade(name)}}
        self._sync()
        timing = self._timing
        await asyncio.sleep(min(timing.signal, self._left))
        specs = {c["name"]: c for c in [*(pod["spec"].get("initContainers") or ()), *pod["spec"]["containers"]]}
        await asyncio.gather(*(self._stop_one(specs[name]) for name in running if not self.states[name].sidecar))
        for name in reversed(running):
            if self.states[name].sidecar:
                await self._stop_one(specs[name])
        for task in list(self._background):
            if task is not asyncio.current_task():
                _cancel(task)
        await asyncio.sleep(timing.unreachable)
        self.free()
        await asyncio.sleep(timing.stop)
        for state in self.states.values():
            if "waiting" in state.state:
                state.state = {"terminated": _never_seen()}
        self._sync()
        if timing.removal:
            await asyncio.sleep(min(timing.removal, self._left))
        with contextlib.suppress(ApiError):
            if self._pod is not None:
                self._kubelet.registry.delete(resources.PODS, *self._key, grace_period_seconds=0)
        self._kubelet.forget(self._uid)

    async def _stop_one(self, container: Object) -> None:
        """End a container of a pod that is being deleted: its hook, then its signal, in one grace period."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout_at(self._deadline) as limit:
                self._limits.add(limit)
                try:
                    await self._pre_stop(container)
                finally:
                    self._limits.discard(limit)
        handle = self.handles.get(container["name"])
        if handle is not None and self._deadline is not None:
            await handle.stop(max(0.0, self._deadline - asyncio.get_running_loop().time()))
            self._ended(self.states[container["name"]], handle)

    async def _stop_sidecars(self, pod: Object, grace_seconds: float) -> None:
        """End the sidecars of a pod whose containers have ended, the last one first."""
        for task in self._sidecars:
            _cancel(task)
        for name in [name for name, state in reversed(self.states.items()) if state.sidecar]:
            handle = self.handles.get(name)
            if handle is not None:
                self._event("Killing", f"Stopping container {name}", container=name)
                await handle.stop(grace_seconds)
                self._ended(self.states[name], handle)

    def _ended(self, state: ContainerState, handle: Container) -> None:
        code = handle.exited.result() if handle.exited.done() else 137
        state.state = {"terminated": self._terminated(state, code)}
        state.ready = state.started = False
        self.previous_logs[state.name] = handle.log_lines()
        self.handles.pop(state.name, None)

    async def _pre_stop(self, container: Object) -> None:
        hook = (container.get("lifecycle") or {}).get("preStop") or {}
        if "sleep" in hook:
            await asyncio.sleep(hook["sleep"]["seconds"])
        elif "exec" in hook:
            # The sandbox's images have no shell: of commands it knows the one that drains connections.
            match = re.search(r"\bsleep\s+(\d+(?:\.\d+)?)", " ".join(hook["exec"].get("command") or ()))
            if match:
                await asyncio.sleep(float(match.group(1)))
        elif "httpGet" in hook and (pod := self._pod) is not None:
            await self._kubelet.runtime.probe(pod, container, hook, ip=self._ip)

    def removed(self) -> None:
        """The pod is gone from the API (deleted by force): nothing to wait for."""
        if self._terminating:
            self.terminate(0)
        else:
            self._deadline = asyncio.get_running_loop().time()
            self._spawn(self.kill())

    def freeze(self) -> None:
        """The node has lost its power."""
        self._frozen = True
        _cancel(self._main)
        for task in list(self._background):
            _cancel(task)
        for handle in self.handles.values():
            self._spawn(handle.stop(0))

    async def kill(self) -> None:
        """Stop at once."""
        _cancel(self._main)
        for task in list(self._background):
            if task is not asyncio.current_task():
                _cancel(task)
        await asyncio.gather(*(handle.stop(0) for handle in self.handles.values()), return_exceptions=True)
        self.free()
        self._kubelet.forget(self._uid)

    def free(self) -> None:
        """Give the pod's address back."""
        if self._ip:
            self._kubelet.release_ip(self._ip)
            self._ip = ""

    # -- containers ------------------------------------------------------------------------------

    async def _initialize(self, container: Object) -> bool:
        """Run an init container to its end; whether the pod may go on."""
        await self._keep(container, until_success=True)
        return self.states[container["name"]].exit_code == 0

    async def _keep(self, container: Object, *, until_success: bool = False) -> None:
        """Start a container and start it again as the pod's restart policy says."""
        state = self.states[container["name"]]
        backoff = 0.0
        while (pod := self._pod) is not None:
            began = asyncio.get_running_loop().time()
            code = await self._run_once(pod, container, state)
            policy = container.get("restartPolicy") or pod["spec"].get("restartPolicy", "Always")
            if until_success and policy == "Always":
                policy = "OnFailure"
            if policy == "Never" or (policy == "OnFailure" and code == 0):
                return
            if asyncio.get_running_loop().time() - began > _BACKOFF_RESET:
                backoff = 0.0
            state.last = {"terminated": state.state["terminated"]}
            if backoff:
                self._wait_to_restart(pod, state, backoff)
                await asyncio.sleep(backoff)
            backoff = min(max(backoff * 2, self._timing.crash_backoff), _MAX_BACKOFF)
            state.restarts += 1

    def _wait_to_restart(self, pod: Object, state: ContainerState, seconds: float) -> None:
        where = f"{self._key[1]}_{self._key[0]}({self._uid})"
        state.state = {
            "waiting": {
                "reason": "CrashLoopBackOff",
                "message": f"back-off {_go_duration(seconds)} restarting failed container={state.name} pod={where}",
            }
        }
        self._sync()
        self._event(
            "BackOff", f"Back-off restarting failed container {state.name} in pod {where}",
            warning=True, container=state.name,
        )  # fmt: skip

    async def _run_once(self, pod: Object, container: Object, state: ContainerState) -> int:
        """From the image to the container's end; its exit code."""
        await self._pull(container, state)
        env = await self._environment(pod, container, state)
        await self._not_as_root(pod, container, state)
        async with self._starting:
            await asyncio.sleep(self._timing.start)
        container_id = f"containerd://{secrets.token_hex(32)}"
        try:
            handle = await self._made(pod, container, state, env)
        except StartError as error:
            state.container_id = container_id
            state.state = {
                "terminated": {
                    **self._terminated(state, 128),
                    "reason": error.reason,
                    "message": error.message,
                }
            }
            self._event("Failed", f"Error: {error.message}", warning=True, container=state.name)
            self._shown_ip = self._ip
            self._sync()
            return 128
        self.handles[state.name] = handle
        state.container_id = handle.container_id or container_id
        self._event("Created", "Container created", container=state.name)
        self._event("Started", "Container started", container=state.name)
        state.state = {"running": {"startedAt": timestamp()}}
        state.started = "startupProbe" not in container
        state.ready = state.started and "readinessProbe" not in container
        self._shown_ip = self._ip
        self._sync()
        if state.started:
            self._is_up(state)
        probes = self._probe(container, state, handle)
        try:
            began = asyncio.get_running_loop().time()
            code = await asyncio.shield(handle.exited)
            unseen = self._timing.relist - (asyncio.get_running_loop().time() - began)
            if unseen > 0:
                await asyncio.sleep(unseen)
        finally:
            for task in probes:
                # Readiness is asked for until the container has ended, also while it is being stopped.
                if not self._terminating or task.get_name() != "readinessProbe":
                    _cancel(task)
        self.previous_logs[state.name] = handle.log_lines()
        state.state = {"terminated": self._terminated(state, code)}
        message = handle.end_message
        if not message and code and container.get("terminationMessagePolicy") == "FallbackToLogsOnError":
            message = _end_of(handle.log_lines())
        if message:
            state.state["terminated"]["message"] = message
        self.handles.pop(state.name, None)
        state.ready = state.started = False
        self._sync()
        return code

    async def _made(self, pod: Object, container: Object, state: ContainerState, env: dict[str, str]) -> Container:
        """A container that runs. Raises StartError; one that cannot even be made is tried again and again."""
        while True:
            try:
                return await self._kubelet.runtime.start(
                    pod, container, ip=self._ip, env=env, mounts=pod_inputs.mounts(container, self._files)
                )
            except StartError as error:
                if error.reason != "CreateContainerError":
                    raise
                self._event("Failed", f"Error: {error.message}", warning=True, container=state.name)
                await self._wait(state, error.reason, error.message, _AGAIN)

    def _is_up(self, state: ContainerState) -> None:
        if state.name in self._up:
            self._up[state.name].set()

    def _terminated(self, state: ContainerState, code: int) -> Object:
        started = (state.state.get("running") or {}).get("startedAt") or timestamp()
        handle = self.handles.get(state.name)
        reason = (handle.end_reason if handle is not None else "") or ("Completed" if code == 0 else "Error")
        return {
            "exitCode": code,
            "reason": reason,
            "startedAt": started,
            "finishedAt": timestamp(),
            "containerID": state.container_id,
        }

    async def _pull(self, container: Object, state: ContainerState) -> None:
        image, policy = container["image"], container.get("imagePullPolicy", "IfNotPresent")
        runtime, timing = self._kubelet.runtime, self._timing
        backoff = timing.crash_backoff
        while True:
            if not _IMAGE.fullmatch(image):
                message = (
                    f'Failed to apply default image tag "{image}": couldn\'t parse image name "{image}": '
                    "invalid reference format"
                ) + _why_no_image(image)
                self._event("InspectFailed", message, warning=True, container=state.name)
                await self._wait(state, "InvalidImageName", message, backoff)
                continue
            if policy != "Always" and runtime.has_image(image):
                self._event(
                    "Pulled",
                    f'Container image "{image}" already present on machine and can be accessed by the pod',
                    container=state.name,
                )
                return
            if policy == "Never":
                message = f'Container image "{image}" is not present with pull policy of Never'
                self._event("ErrImageNeverPull", message, warning=True, container=state.name)
                await self._wait(state, "ErrImageNeverPull", message, backoff)
                continue
            self._event("Pulling", f'Pulling image "{image}"', container=state.name)
            try:
                await asyncio.sleep(timing.pull)
                await runtime.pull(image)
            except ImageError as error:
                await self._pull_failed(state, image, str(error), backoff)
                backoff = min(backoff * 2, _MAX_BACKOFF)
                continue
            spent = f"{int(timing.pull * 1000)}ms"
            self._event(
                "Pulled",
                f'Successfully pulled image "{image}" in {spent} ({spent} including waiting). Image size: 0 bytes.',
                container=state.name,
            )
            return

    async def _pull_failed(self, state: ContainerState, image: str, why: str, backoff: float) -> None:
        self._event("Failed", f'Failed to pull image "{image}": {why}', warning=True, container=state.name)
        self._event("Failed", "Error: ErrImagePull", warning=True, container=state.name)
        self._hold(state, "ErrImagePull", why)
        await asyncio.sleep(min(1.0, backoff))
        self._event("BackOff", f'Back-off pulling image "{image}"', container=state.name)
        self._event("Failed", "Error: ImagePullBackOff", warning=True, container=state.name)
        await self._wait(state, "ImagePullBackOff", f'Back-off pulling image "{image}": ErrImagePull: {why}', backoff)

    async def _environment(self, pod: Object, container: Object, state: ContainerState) -> dict[str, str]:
        while True:
            self.inputs_changed.clear()
            try:
                return pod_inputs.environment(self._kubelet.store, pod, container, self._ip)
            except pod_inputs.MissingError as missing:
                self._event("Failed", f"Error: {missing}", warning=True, container=state.name)
                self._hold(state, "CreateContainerConfigError", str(missing))
            await self.inputs_changed.wait()

    async def _not_as_root(self, pod: Object, container: Object, state: ContainerState) -> None:
        """Wait for ever where a container must not run as root and would: all images here have no other user."""
        own, whole = (each.get("securityContext") or {} for each in (container, pod["spec"]))
        if not own.get("runAsNonRoot", whole.get("runAsNonRoot")):
            return
        user = own.get("runAsUser", whole.get("runAsUser"))
        if user:
            return
        why = "container has runAsNonRoot and image will run as root"
        if user == 0:
            why = "container's runAsUser breaks non-root policy"
        message = f'{why} (pod: "{self._key[1]}_{self._key[0]}({self._uid})", container: {state.name})'
        while True:
            self._event("Failed", f"Error: {message}", warning=True, container=state.name)
            await self._wait(state, "CreateContainerConfigError", message, _AGAIN)

    async def _wait(self, state: ContainerState, reason: str, message: str, seconds: float) -> None:
        self._hold(state, reason, message)
        await asyncio.sleep(seconds)

    def _hold(self, state: ContainerState, reason: str, message: str) -> None:
        """A container cannot start for now. Its pod has an address all the same, and shows it."""
        state.state = {"waiting": {"reason": reason, "message": message}}
        self._shown_ip = self._ip
        self._sync()

    # -- probes ----------------------------------------------------------------------------------

    def _probe(self, container: Object, state: ContainerState, handle: Container) -> list[asyncio.Task[None]]:
        started = asyncio.Event()
        if state.started:
            started.set()
        tasks = []
        for kind in ("startupProbe", "readinessProbe", "livenessProbe"):
            if kind in container:
                work = self._probe_loop(kind, container, state, handle, started)
                tasks.append(self._spawn(work, kind))
        return tasks

    async def _probe_loop(
        self, kind: str, container: Object, state: ContainerState, handle: Container, started: asyncio.Event
    ) -> None:
        probe = container[kind]
        if kind != "startupProbe":
            await started.wait()
        await asyncio.sleep(probe.get("initialDelaySeconds", 0))
        if kind != "readinessProbe":
            # These are asked for in their rhythm from the pod's begin; readiness as soon as the container has started.
            since = asyncio.get_running_loop().time() - self._began
            await asyncio.sleep(-since % probe["periodSeconds"])
        passed = failed = 0
        while not handle.exited.done():
            pod = self._pod
            if pod is None:
                return
            why = await self._kubelet.runtime.probe(pod, container, probe, ip=self._ip)
            if handle.exited.done():
                return
            if why:
                passed, failed = 0, failed + 1
                title = kind.removesuffix("Probe").capitalize()
                self._event("Unhealthy", f"{title} probe failed: {why}", warning=True, container=state.name)
            else:
                passed, failed = passed + 1, 0
            if kind == "readinessProbe":
                self._judge_readiness(state, probe, passed, failed)
            elif kind == "startupProbe" and passed >= probe["successThreshold"]:
                state.started = True
                state.ready = "readinessProbe" not in container
                started.set()
                self._sync()
                self._is_up(state)
                return
            elif failed >= probe["failureThreshold"]:
                what = "startup" if kind == "startupProbe" else "liveness"
                self._event(
                    "Killing", f"Container {state.name} failed {what} probe, will be restarted", container=state.name
                )
                grace = probe.get("terminationGracePeriodSeconds", pod["spec"]["terminationGracePeriodSeconds"])
                await handle.stop(float(grace))
                return
            await asyncio.sleep(probe["periodSeconds"])

    def _judge_readiness(self, state: ContainerState, probe: Object, passed: int, failed: int) -> None:
        ready = state.ready
        if passed >= probe["successThreshold"]:
            ready = True
        elif failed >= probe["failureThreshold"]:
            ready = False
        if ready != state.ready and state.running:
            state.ready = ready
            self._sync()

    # -- telling ---------------------------------------------------------------------------------

    def _sync(self) -> None:
        """Write the status that follows from the containers' states."""
        pod = self._pod
        if pod is None:
            return
        names = {c["name"] for c in pod["spec"].get("initContainers") or ()}
        status = pod_status.compute(
            pod,
            [state for name, state in self.states.items() if name in names],
            [state for name, state in self.states.items() if name not in names],
            ip=self._shown_ip,
            host_ip=self._host_ip(pod),
            sandbox_ready=self._sandbox_ready,
            initialized=self._initialized,
            start_time=self._start_time,
            now=timestamp(),
            overdue=self._overdue,
        )
        with contextlib.suppress(ApiError):
            self._kubelet.registry.modify(
                resources.PODS, *self._key, lambda obj: obj.update(status=status),
                subresource="status", manager="kubelet",
            )  # fmt: skip

    def _host_ip(self, pod: Object) -> str:
        node = self._kubelet.store.get(resources.NODES, "", pod["spec"]["nodeName"])
        addresses = node["status"].get("addresses") or () if node else ()
        return next((entry["address"] for entry in addresses if entry["type"] == "InternalIP"), "")

    def _event(self, reason: str, message: str, *, warning: bool = False, container: str = "") -> None:
        pod = self._pod
        if pod is None:
            return
        field = f"spec.containers{{{container}}}" if container else ""
        self._kubelet.events.event(
            pod, reason, message, warning=warning, host=pod["spec"]["nodeName"], field_path=field
        )


def _cancel(task: asyncio.Task[None]) -> None:
    """Cancel a task once: a second time would end its waiting for a process that it has killed."""
    if not task.cancelling():
        task.cancel()


def _end_of(lines: list[LogLine]) -> str:
    """The last lines of a log, at most 80 of them and 2 KiB."""
    return "".join(f"{line.text}\n" for line in lines[-80:])[-2048:]


def _why_no_image(image: str) -> str:
    """What else is wrong with a name that is no image's."""
    name = image.rpartition("/")[2].partition(":")[0]
    path = image.partition(":")[0] if "/" in image.partition(":")[0] else f"library/{name}"
    return f": repository name ({path}) must be lowercase" if path != path.lower() else ""


def _gates(pod: Object) -> list[bool]:
    """The state of a pod's readiness gates, which others than the kubelet write."""
    return [conditions.is_true(pod["status"], g["conditionType"]) for g in pod["spec"].get("readinessGates") or ()]


def _never_seen() -> Object:
    """The end of a container that did not run when its pod was stopped."""
    return {
        "exitCode": 137,
        "reason": "ContainerStatusUnknown",
        "message": "The container could not be located when the pod was terminated",
        "startedAt": None,
        "finishedAt": None,
    }


def _go_duration(seconds: float) -> str:
    whole = int(seconds)
    if seconds < 1:
        return f"{int(seconds * 1000)}ms"
    return f"{whole // 60}m{whole % 60}s" if whole >= 60 else f"{whole}s"
