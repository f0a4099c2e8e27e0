# SPDX-FileCopyrightText: The convoy.rollout authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The controllers of a cluster, all of them started and stopped together."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from .. import authorization, resources
from ..admission.pods import system_priority_classes
from ..network.containers import ContainerRuntime
from ..registry import Registry
from ..settings import Settings
from ..store import Store
from . import nodes
from .autoscaler import AutoscalerController
from .daemonset import DaemonSetController
from .definitions import DefinitionController
from .deployment import DeploymentController
from .disruption import DisruptionController
from .endpoints import EndpointsController
from .endpointslice import EndpointSliceController
from .garbage import GarbageCollector
from .job import CronJobController, JobController
from .kubelet import Kubelet
from .namespaces import NamespaceController
from .node_lifecycle import NodeLifecycle
from .owners import Index
from .policies import PolicyController
from .quota import QuotaController
from .replicaset import ReplicaSetController
from .runtime import Controller
from .scheduler import Scheduler
from .statefulset import StatefulSetController
from .volumes import VolumeController


@dataclass(frozen=True)
class Controllers:
    """What runs; the kubelet is named because the API server reads logs from it, the nodes for those who stop them."""

    kubelet: Kubelet
    lifecycle: NodeLifecycle
    others: tuple[Controller[Any] | nodes.Nodes | NodeLifecycle, ...]
    index: Index

    async def close(self) -> None:
        """Stop them; every container ends."""
        for controller in self.others:
            controller.close()
        self.index.close()
        await self.kubelet.close()


def start_all(
    store: Store,
    registry: Registry,
    settings: Settings,
    runtime: ContainerRuntime,
    *,
    allocate_ip: Callable[[], str],
    release_ip: Callable[[str], None],
    allocate_node_ip: Callable[[], str],
    ca: str = "",
) -> Controllers:
    """Start every controller and make what each cluster has from the beginning: namespaces, nodes, a Service.

    `allocate_ip` and `release_ip` give out and take back pods' addresses, `allocate_node_ip` the nodes';
    `ca` is the PEM text published in each namespace.
    """
    index = Index(store)
    kubelet = Kubelet(store, registry, settings, runtime, allocate_ip, release_ip)
    kubelet.start()
    lifecycle = NodeLifecycle(store, registry, settings, kubelet)
    controllers = Controllers(
        kubelet,
        lifecycle,
        (
            GarbageCollector(store, registry, index),
            DeploymentController(store, registry, index),
            ReplicaSetController(store, registry, index),
            StatefulSetController(store, registry, index),
            DaemonSetController(store, registry, index),
            JobController(store, registry, index, settings),
            CronJobController(store, registry),
            EndpointSliceController(store, registry),
            EndpointsController(store, registry),
            VolumeController(store, registry),
            NamespaceController(store, registry, ca),
            QuotaController(store, registry),
            PolicyController(store, registry),
            DefinitionController(store, registry),
            DisruptionController(store, registry),
            Scheduler(store, registry),
            AutoscalerController(store, registry, settings),
            nodes.Nodes(registry, settings, allocate_node_ip, kubelet.is_stopped),
            lifecycle,
        ),
        index,
    )
    for controller in controllers.others:
        controller.start()
    authorization.create_defaults(registry)
    for item in system_priority_classes():
        registry.create(resources.PRIORITYCLASSES, "", item, manager="kube-apiserver")
    registry.create(
        resources.SERVICES,
        "default",
        {
            "metadata": {"name": "kubernetes", "labels": {"component": "apiserver", "provider": "kubernetes"}},
            "spec": {"ports": [{"name": "https", "port": 443, "targetPort": 6443, "protocol": "TCP"}]},
        },
        manager="kube-apiserver",
    )
    return controllers
