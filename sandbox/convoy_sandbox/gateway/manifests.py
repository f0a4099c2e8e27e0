# SPDX-FileCopyrightText: The convoy.rollout authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a cluster with a gateway has: Gateway API's kinds, and Traefik as an ordinary Deployment with least rights."""

from __future__ import annotations

from . import gateways, routes
from .schemas import Node

NAMESPACE = "gateway"
NAME = "traefik"
IMAGE = "traefik:v3.7"
CLASS = "traefik"
GATEWAY = "web"
_API = "gateway.networking.k8s.io"
#: The port that Traefik listens on; the Gateway's listener has the same, as Traefik wants it.
_PORT = 8000
_PING = 8080
_RBAC = "rbac.authorization.k8s.io"
_LABELS = {"app.kubernetes.io/name": NAME}
_WATCH = ["get", "list", "watch"]
_STATUSES = (
    "gatewayclasses", "gateways", "httproutes", "grpcroutes", "tlsroutes", "referencegrants", "backendtlspolicies",
)  # fmt: skip


def definitions() -> list[Node]:
    """The CustomResourceDefinitions. Traefik does not start to serve while one of them is missing."""
    return [
        gateways.gateway_class(),
        gateways.gateway(),
        gateways.reference_grant(),
        gateways.backend_tls_policy(),
        routes.http(),
        routes.grpc(),
        routes.tls(),
    ]


def objects() -> list[Node]:
    """Traefik, a GatewayClass of it, and the Gateway that routes of all namespaces may have as their parent."""
    return [
        {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}},
        {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": NAME, "namespace": NAMESPACE}},
        {
            "apiVersion": f"{_RBAC}/v1",
            "kind": "ClusterRole",
            "metadata": {"name": NAME},
            "rules": [
                {"apiGroups": [""], "resources": ["namespaces"], "verbs": ["list", "watch"]},
                {"apiGroups": [""], "resources": ["services", "secrets", "configmaps"], "verbs": _WATCH},
                {"apiGroups": ["discovery.k8s.io"], "resources": ["endpointslices"], "verbs": ["list", "watch"]},
                {"apiGroups": ["networking.k8s.io"], "resources": ["ingresses", "ingressclasses"], "verbs": _WATCH},
                {"apiGroups": ["networking.k8s.io"], "resources": ["ingresses/status"], "verbs": ["update"]},
                {"apiGroups": [_API], "resources": ["*"], "verbs": _WATCH},
                {"apiGroups": [_API], "resources": [f"{each}/status" for each in _STATUSES], "verbs": ["update"]},
            ],
        },
        {
            "apiVersion": f"{_RBAC}/v1",
            "kind": "ClusterRoleBinding",
            "metadata": {"name": NAME},
            "roleRef": {"apiGroup": _RBAC, "kind": "ClusterRole", "name": NAME},
            "subjects": [{"kind": "ServiceAccount", "name": NAME, "namespace": NAMESPACE}],
        },
        {
            "apiVersion": "apps/v1",
            "kind": "Deployment",
            "metadata": {"name": NAME, "namespace": NAMESPACE, "labels": _LABELS},
            "spec": {
                "replicas": 1,
                "selector": {"matchLabels": _LABELS},
                "template": {
                    "metadata": {"labels": _LABELS},
                    "spec": {
                        "serviceAccountName": NAME,
                        "containers": [
                            {
                                "name": NAME,
                                "image": IMAGE,
                                "args": [
                                    f"--entrypoints.web.address=:{_PORT}/tcp",
                                    f"--entrypoints.traefik.address=:{_PING}/tcp",
                                    "--ping",
                                    "--providers.kubernetesgateway",
                                    f"--providers.kubernetesgateway.statusaddress.service.namespace={NAMESPACE}",
                                    f"--providers.kubernetesgateway.statusaddress.service.name={NAME}",
                                    "--providers.kubernetesingressnginx",
                                ],
                                # Where it has more, a third of its CPU goes into threads that look for work.
                                "env": [{"name": "GOMAXPROCS", "value": "1"}],
                                "ports": [
                                    {"name": "web", "containerPort": _PORT},
                                    {"name": "ping", "containerPort": _PING},
                                ],
                                "readinessProbe": {"httpGet": {"path": "/ping", "port": "ping"}, "periodSeconds": 1},
                                "resources": {"requests": {"cpu": "100m", "memory": "128Mi"}},
                            }
                        ],
                    },
                },
            },
        },
        {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": {"name": NAME, "namespace": NAMESPACE},
            "spec": {
                "type": "LoadBalancer",
                "selector": _LABELS,
                "ports": [{"name": "web", "port": 80, "targetPort": "web"}],
            },
        },
        {
            "apiVersion": "networking.k8s.io/v1",
            "kind": "IngressClass",
            "metadata": {"name": "nginx"},
            "spec": {"controller": "k8s.io/ingress-nginx"},
        },
        {
            "apiVersion": f"{_API}/v1",
            "kind": "GatewayClass",
            "metadata": {"name": CLASS},
            "spec": {"controllerName": "traefik.io/gateway-controller"},
        },
        {
            "apiVersion": f"{_API}/v1",
            "kind": "Gateway",
            "metadata": {"name": GATEWAY, "namespace": NAMESPACE},
            "spec": {
                "gatewayClassName": CLASS,
                "listeners": [
                    {
                        "name": "web",
                        "protocol": "HTTP",
                        "port": _PORT,
                        "allowedRoutes": {"namespaces": {"from": "All"}},
                    }
                ],
            },
        },
    ]
