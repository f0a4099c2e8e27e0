# SPDX-FileCopyrightText: The convoy.rollout authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""What exists in the cluster: the defaults and the validation of each kind that a rollout meets.

Every other resource of discovery is stored by the rules of its schema alone.
"""

from __future__ import annotations

from .. import resources
from ..resources import Resource
from .admission import PolicyBindingKind, PolicyKind, WebhookKind
from .apps import ControllerRevisionKind, DaemonSetKind, DeploymentKind, ReplicaSetKind, StatefulSetKind
from .autoscaling import HorizontalPodAutoscalerKind
from .base import Kind
from .batch import CronJobKind, JobKind
from .core import (
    ConfigMapKind,
    EndpointsKind,
    EndpointSliceKind,
    EventKind,
    LeaseKind,
    NamespaceKind,
    NodeKind,
    PodTemplateKind,
    ReplicationControllerKind,
    SecretKind,
)
from .custom import CustomKind
from .definitions import CustomResourceDefinitionKind
from .limits import LimitRangeKind, PodDisruptionBudgetKind, PriorityClassKind, ResourceQuotaKind, RuntimeClassKind
from .outside import ClaimKind, IngressClassKind, IngressKind, NetworkPolicyKind
from .pods import PodKind
from .rbac import BindingKind, RoleKind
from .services import ServiceKind
from .storage import ClassKind, VolumeKind

_ADMISSION = ("admissionregistration.k8s.io", "v1")

_KINDS: dict[Resource, Kind] = {
    resources.RESOURCES[*_ADMISSION, "mutatingwebhookconfigurations"]: WebhookKind(mutates=True),
    resources.RESOURCES[*_ADMISSION, "validatingadmissionpolicies"]: PolicyKind(),
    resources.RESOURCES[*_ADMISSION, "validatingadmissionpolicybindings"]: PolicyBindingKind(),
    resources.RESOURCES[*_ADMISSION, "validatingwebhookconfigurations"]: WebhookKind(mutates=False),
    resources.ENDPOINTS: EndpointsKind(),
    resources.RESOURCES["", "v1", "persistentvolumes"]: VolumeKind(),
    resources.RESOURCES["", "v1", "podtemplates"]: PodTemplateKind(),
    resources.RESOURCES["", "v1", "replicationcontrollers"]: ReplicationControllerKind(),
    resources.RESOURCES["networking.k8s.io", "v1", "ingressclasses"]: IngressClassKind(),
    resources.RESOURCES["networking.k8s.io", "v1", "networkpolicies"]: NetworkPolicyKind(),
    resources.RESOURCES["node.k8s.io", "v1", "runtimeclasses"]: RuntimeClassKind(),
    resources.RESOURCES["storage.k8s.io", "v1", "storageclasses"]: ClassKind(),
    resources.CLUSTERROLEBINDINGS: BindingKind(namespaced=False),
    resources.CLUSTERROLES: RoleKind(namespaced=False),
    resources.CONFIGMAPS: ConfigMapKind(),
    resources.CONTROLLERREVISIONS: ControllerRevisionKind(),
    resources.CRONJOBS: CronJobKind(),
    resources.CUSTOMRESOURCEDEFINITIONS: CustomResourceDefinitionKind(),
    resources.DAEMONSETS: DaemonSetKind(),
    resources.DEPLOYMENTS: DeploymentKind(),
    resources.ENDPOINTSLICES: EndpointSliceKind(),
    resources.EVENTS: EventKind(),
    resources.HORIZONTALPODAUTOSCALERS: HorizontalPodAutoscalerKind(),
    resources.INGRESSES: IngressKind(),
    resources.JOBS: JobKind(),
    resources.LEASES: LeaseKind(),
    resources.LIMITRANGES: LimitRangeKind(),
    resources.NAMESPACES: NamespaceKind(),
    resources.NODES: NodeKind(),
    resources.PERSISTENTVOLUMECLAIMS: ClaimKind(),
    resources.PODDISRUPTIONBUDGETS: PodDisruptionBudgetKind(),
    resources.PODS: PodKind(),
    resources.PRIORITYCLASSES: PriorityClassKind(),
    resources.REPLICASETS: ReplicaSetKind(),
    resources.RESOURCEQUOTAS: ResourceQuotaKind(),
    resources.ROLEBINDINGS: BindingKind(namespaced=True),
    resources.ROLES: RoleKind(namespaced=True),
    resources.SECRETS: SecretKind(),
    resources.SERVICES: ServiceKind(),
    resources.STATEFULSETS: StatefulSetKind(),
}
_PLAIN = Kind()


def kind_of(resource: Resource) -> Kind:
    """The rules of a resource's kind."""
    if resource.custom is not None:
        return CustomKind(resource.custom)
    return _KINDS.get(resource, _PLAIN)


__all__ = ["Kind", "kind_of"]
