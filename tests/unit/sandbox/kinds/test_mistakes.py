"""Mistakes in manifests that a cluster refuses: the field that each is told at.

The words of each refusal are the API server's own; those that a recording has are in the conformance tests.
"""

from __future__ import annotations

from typing import Any

import pytest
from convoy_sandbox import resources
from convoy_sandbox.errors import ApiError
from convoy_sandbox.registry import Registry
from convoy_sandbox.store import Store

Object = dict[str, Any]


@pytest.fixture(scope="module")
def registry() -> Registry:
    registry = Registry(Store())
    registry.create(resources.NAMESPACES, "", {"metadata": {"name": "lab"}})
    return registry


def fields(registry: Registry, api_version: str, kind: str, obj: Object) -> list[str]:
    """The fields at which an object is refused."""
    resource = next(
        each for each in resources.RESOURCES.values() if (each.api_version, each.kind) == (api_version, kind)
    )
    with pytest.raises(ApiError) as refusal:
        registry.create(resource, "lab" if resource.namespaced else "", obj, dry_run=True)
    assert refusal.value.code == 422
    assert refusal.value.details is not None
    return [cause["field"] for cause in refusal.value.details["causes"]]


@pytest.mark.parametrize(
    ("field", "spec", "container"),
    [
        ("spec.containers[0].resources.limits", {}, {"resources": {"requests": {"nvidia.com/gpu": "1"}}}),
        ("spec.dnsPolicy", {"dnsPolicy": "x"}, {}),
        ("spec.dnsConfig.nameservers", {"dnsPolicy": "None"}, {}),
        (
            "spec.containers[0].ports[0].containerPort",
            {"hostNetwork": True},
            {"ports": [{"containerPort": 80, "hostPort": 81}]},
        ),
        (
            "spec.containers[0].ports[1].hostPort",
            {},
            {"ports": [{"containerPort": 80, "hostPort": 81}, {"containerPort": 82, "hostPort": 81}]},
        ),
        ("spec.containers[0].env[0].name", {}, {"env": [{"name": "a=b", "value": "x"}]}),
        (
            "spec.containers[0].env[0].valueFrom",
            {},
            {"env": [{"name": "a", "value": "x", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}}]},
        ),
        (
            "spec.containers[0].env[0].valueFrom.fieldRef.fieldPath",
            {},
            {"env": [{"name": "a", "valueFrom": {"fieldRef": {"fieldPath": "metadata.foo"}}}]},
        ),
        (
            "spec.containers[0].env[0].valueFrom.configMapKeyRef.key",
            {},
            {"env": [{"name": "a", "valueFrom": {"configMapKeyRef": {"name": "x"}}}]},
        ),
        ("spec.containers[0].env[0].valueFrom", {}, {"env": [{"name": "a", "valueFrom": {}}]}),
        ("spec.containers[0].envFrom[0]", {}, {"envFrom": [{}]}),
        ("spec.volumes[0].hostPath", {"volumes": [{"name": "v", "emptyDir": {}, "hostPath": {"path": "/x"}}]}, {}),
        ("spec.volumes[0].hostPath.path", {"volumes": [{"name": "v", "hostPath": {"path": "/a/../b"}}]}, {}),
        (
            "spec.containers[0].lifecycle.preStop.sleep",
            {"terminationGracePeriodSeconds": 5},
            {"lifecycle": {"preStop": {"sleep": {"seconds": 10}}}},
        ),
        ("spec.containers[0].lifecycle.preStop.sleep", {}, {"lifecycle": {"preStop": {"sleep": {"seconds": -1}}}}),
        ("spec.activeDeadlineSeconds", {"activeDeadlineSeconds": 0}, {}),
        (
            "spec.initContainers[0].readinessProbe",
            {"initContainers": [{"name": "i", "image": "x", "readinessProbe": {"tcpSocket": {"port": 80}}}]},
            {},
        ),
        (
            "spec.initContainers[0].restartPolicy",
            {"initContainers": [{"name": "i", "image": "x", "restartPolicy": "OnFailure"}]},
            {},
        ),
        ("spec.ephemeralContainers", {"ephemeralContainers": [{"name": "e", "image": "x"}]}, {}),
        ("spec.tolerations[0].operator", {"tolerations": [{"key": "a", "operator": "Foo"}]}, {}),
        ("spec.tolerations[0].operator", {"tolerations": [{"key": "a", "operator": "Exists", "value": "x"}]}, {}),
        ("spec.tolerations[0].operator", {"tolerations": [{"operator": "Equal", "value": "x"}]}, {}),
        (
            "spec.tolerations[0].effect",
            {"tolerations": [{"key": "a", "operator": "Exists", "effect": "NoSchedule", "tolerationSeconds": 3}]},
            {},
        ),
        ("spec.nodeSelector", {"nodeSelector": {"a b": "c"}}, {}),
        (
            "spec.affinity.nodeAffinity.requiredDuringSchedulingIgnoredDuringExecution.nodeSelectorTerms[0].matchExpressions[0].operator",
            {
                "affinity": {
                    "nodeAffinity": {
                        "requiredDuringSchedulingIgnoredDuringExecution": {
                            "nodeSelectorTerms": [{"matchExpressions": [{"key": "a", "operator": "Foo"}]}]
                        }
                    }
                }
            },
            {},
        ),
        (
            "spec.affinity.nodeAffinity.requiredDuringSchedulingIgnoredDuringExecution.nodeSelectorTerms[0].matchExpressions[0].values",
            {
                "affinity": {
                    "nodeAffinity": {
                        "requiredDuringSchedulingIgnoredDuringExecution": {
                            "nodeSelectorTerms": [{"matchExpressions": [{"key": "a", "operator": "In"}]}]
                        }
                    }
                }
            },
            {},
        ),
        (
            "spec.affinity.nodeAffinity.requiredDuringSchedulingIgnoredDuringExecution.nodeSelectorTerms",
            {
                "affinity": {
                    "nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": []}}
                }
            },
            {},
        ),
        (
            "spec.affinity.podAntiAffinity.requiredDuringSchedulingIgnoredDuringExecution[0].topologyKey",
            {
                "affinity": {
                    "podAntiAffinity": {
                        "requiredDuringSchedulingIgnoredDuringExecution": [
                            {"labelSelector": {"matchLabels": {"a": "b"}}, "topologyKey": ""}
                        ]
                    }
                }
            },
            {},
        ),
        (
            "spec.affinity.podAntiAffinity.preferredDuringSchedulingIgnoredDuringExecution[0].weight",
            {
                "affinity": {
                    "podAntiAffinity": {
                        "preferredDuringSchedulingIgnoredDuringExecution": [
                            {"weight": 0, "podAffinityTerm": {"topologyKey": "x"}}
                        ]
                    }
                }
            },
            {},
        ),
        (
            "spec.topologySpreadConstraints[0].maxSkew",
            {"topologySpreadConstraints": [{"maxSkew": 0, "topologyKey": "x", "whenUnsatisfiable": "DoNotSchedule"}]},
            {},
        ),
        (
            "spec.topologySpreadConstraints[0].whenUnsatisfiable",
            {"topologySpreadConstraints": [{"maxSkew": 1, "topologyKey": "x", "whenUnsatisfiable": "Never"}]},
            {},
        ),
        (
            "spec.topologySpreadConstraints[0].minDomains",
            {
                "topologySpreadConstraints": [
                    {"maxSkew": 1, "topologyKey": "x", "whenUnsatisfiable": "ScheduleAnyway", "minDomains": 2}
                ]
            },
            {},
        ),
        ("spec.schedulingGates[1]", {"schedulingGates": [{"name": "a"}, {"name": "a"}]}, {}),
        ("spec.nodeName", {"schedulingGates": [{"name": "a"}], "nodeName": "node1"}, {}),
        ("spec.readinessGates[0].conditionType", {"readinessGates": [{"conditionType": "a b"}]}, {}),
        ("spec.securityContext.runAsUser", {"securityContext": {"runAsUser": -1}}, {}),
        (
            "spec.containers[0].securityContext",
            {},
            {"securityContext": {"privileged": True, "allowPrivilegeEscalation": False}},
        ),
        ("spec.hostname", {"hostname": "A_"}, {}),
        ("spec.preemptionPolicy", {"preemptionPolicy": "x"}, {}),
        (
            "spec.containers[0].resizePolicy[0].restartPolicy",
            {},
            {"resizePolicy": [{"resourceName": "cpu", "restartPolicy": "x"}]},
        ),
        ("spec.shareProcessNamespace", {"shareProcessNamespace": True, "hostPID": True}, {}),
        ("spec.os.name", {"os": {"name": "bsd"}}, {}),
        ("spec.containers[0].resources", {}, {"resources": {"limits": {"hugepages-2Mi": "2Mi"}}}),
        ("spec.imagePullSecrets[0].name", {"imagePullSecrets": [{"name": ""}]}, {}),
        (
            "spec.containers[0].volumeMounts[0].subPath",
            {"volumes": [{"name": "v", "emptyDir": {}}]},
            {"volumeMounts": [{"name": "v", "mountPath": "/v", "subPath": "/a"}]},
        ),
        (
            "spec.volumes[0].configMap.items[0].path",
            {"volumes": [{"name": "v", "configMap": {"name": "a", "items": [{"key": "k", "path": "../x"}]}}]},
            {},
        ),
        (
            "spec.volumes[0].configMap.defaultMode",
            {"volumes": [{"name": "v", "configMap": {"name": "a", "defaultMode": 9999}}]},
            {},
        ),
        ("spec.volumes[0].secret.secretName", {"volumes": [{"name": "v", "secret": {}}]}, {}),
        (
            "spec.volumes[0].persistentVolumeClaim.claimName",
            {"volumes": [{"name": "v", "persistentVolumeClaim": {"claimName": ""}}]},
            {},
        ),
        ("spec.containers[0].terminationMessagePolicy", {}, {"terminationMessagePolicy": "x"}),
    ],
)
def test_pods_that_make_no_sense_are_refused(registry: Registry, field: str, spec: Object, container: Object) -> None:
    containers = [{"name": "c", "image": "i", **container}]
    pod = {"metadata": {"name": "x"}, "spec": {"containers": containers, **spec}}
    assert field in fields(registry, "v1", "Pod", pod)
    template = {"metadata": {"labels": {"a": "b"}}, "spec": pod["spec"]}
    workload = {"metadata": {"name": "x"}, "spec": {"selector": {"matchLabels": {"a": "b"}}, "template": template}}
    assert f"spec.template.{field}" in fields(registry, "apps/v1", "Deployment", workload)


def of(more: Object | None = None) -> Object:
    """The selector and the template of a workload whose pods have one container."""
    pod = {"containers": [{"name": "c", "image": "kelseyhightower/hello:1.0.0"}], **(more or {})}
    return {
        "selector": {"matchLabels": {"a": "b"}},
        "template": {"metadata": {"labels": {"a": "b"}}, "spec": pod},
    }


@pytest.mark.parametrize(
    ("api_version", "kind", "field", "body"),
    [
        (
            "apps/v1",
            "Deployment",
            "spec.template.spec.activeDeadlineSeconds",
            {
                "spec": {
                    **of({"activeDeadlineSeconds": 5}),
                }
            },
        ),
        (
            "apps/v1",
            "StatefulSet",
            "spec.ordinals.start",
            {
                "spec": {
                    **of(),
                    "ordinals": {"start": -1},
                }
            },
        ),
        (
            "apps/v1",
            "StatefulSet",
            "spec.serviceName",
            {
                "spec": {
                    **of(),
                    "serviceName": "A_",
                }
            },
        ),
        (
            "apps/v1",
            "StatefulSet",
            "spec.persistentVolumeClaimRetentionPolicy.whenDeleted",
            {
                "spec": {
                    **of(),
                    "persistentVolumeClaimRetentionPolicy": {"whenDeleted": "x"},
                }
            },
        ),
        (
            "apps/v1",
            "DaemonSet",
            "spec.template.spec.activeDeadlineSeconds",
            {
                "spec": {
                    **of({"activeDeadlineSeconds": 5}),
                }
            },
        ),
        (
            "batch/v1",
            "Job",
            "spec.selector",
            {
                "spec": {
                    "template": {
                        "spec": {
                            "containers": [{"name": "c", "image": "kelseyhightower/hello:1.0.0"}],
                            "restartPolicy": "Never",
                        }
                    },
                    "selector": {"matchLabels": {"a": "b"}},
                }
            },
        ),
        (
            "batch/v1",
            "Job",
            "spec.template.spec.restartPolicy",
            {
                "spec": {
                    "template": {
                        "spec": {
                            "containers": [{"name": "c", "image": "kelseyhightower/hello:1.0.0"}],
                            "restartPolicy": "OnFailure",
                        }
                    },
                    "podFailurePolicy": {
                        "rules": [{"action": "FailJob", "onExitCodes": {"operator": "In", "values": [1]}}]
                    },
                }
            },
        ),
        (
            "batch/v1",
            "Job",
            "spec.podFailurePolicy.rules[0].onExitCodes.values[0]",
            {
                "spec": {
                    "template": {
                        "spec": {
                            "containers": [{"name": "c", "image": "kelseyhightower/hello:1.0.0"}],
                            "restartPolicy": "Never",
                        }
                    },
                    "podFailurePolicy": {
                        "rules": [{"action": "FailJob", "onExitCodes": {"operator": "In", "values": [0]}}]
                    },
                }
            },
        ),
        (
            "batch/v1",
            "CronJob",
            "spec.timeZone",
            {
                "spec": {
                    "schedule": "* * * * *",
                    "jobTemplate": {
                        "spec": {
                            "template": {
                                "spec": {
                                    "containers": [{"name": "c", "image": "kelseyhightower/hello:1.0.0"}],
                                    "restartPolicy": "Never",
                                }
                            }
                        }
                    },
                    "timeZone": "Mars/X",
                }
            },
        ),
        (
            "batch/v1",
            "CronJob",
            "metadata.name",
            {
                "metadata": {"name": "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"},
                "spec": {
                    "schedule": "* * * * *",
                    "jobTemplate": {
                        "spec": {
                            "template": {
                                "spec": {
                                    "containers": [{"name": "c", "image": "kelseyhightower/hello:1.0.0"}],
                                    "restartPolicy": "Never",
                                }
                            }
                        }
                    },
                },
            },
        ),
        ("v1", "Service", "spec.externalName", {"spec": {"type": "ExternalName", "externalName": "A b"}}),
        (
            "v1",
            "Service",
            "spec.loadBalancerClass",
            {"spec": {"selector": {"a": "b"}, "ports": [{"port": 80}], "loadBalancerClass": "a/b"}},
        ),
        (
            "v1",
            "Service",
            "spec.loadBalancerSourceRanges",
            {"spec": {"selector": {"a": "b"}, "ports": [{"port": 80}], "loadBalancerSourceRanges": ["10.0.0.0/8"]}},
        ),
        (
            "v1",
            "Service",
            "spec.externalIPs[0]",
            {"spec": {"selector": {"a": "b"}, "ports": [{"port": 80}], "externalIPs": ["127.0.0.1"]}},
        ),
        (
            "v1",
            "Service",
            "spec.healthCheckNodePort",
            {"spec": {"selector": {"a": "b"}, "ports": [{"port": 80}], "healthCheckNodePort": 30009}},
        ),
        (
            "v1",
            "Service",
            "spec.ipFamilies[0]",
            {"spec": {"selector": {"a": "b"}, "ports": [{"port": 80}], "ipFamilies": ["IPv6"]}},
        ),
        (
            "v1",
            "Service",
            "spec.ipFamilyPolicy",
            {"spec": {"selector": {"a": "b"}, "ports": [{"port": 80}], "ipFamilyPolicy": "x"}},
        ),
        (
            "v1",
            "Service",
            "spec.ipFamilyPolicy",
            {"spec": {"selector": {"a": "b"}, "ports": [{"port": 80}], "ipFamilyPolicy": "RequireDualStack"}},
        ),
        (
            "v1",
            "Service",
            "spec.allocateLoadBalancerNodePorts",
            {"spec": {"selector": {"a": "b"}, "ports": [{"port": 80}], "allocateLoadBalancerNodePorts": False}},
        ),
        (
            "v1",
            "Service",
            "spec.ports[0].appProtocol",
            {"spec": {"selector": {"a": "b"}, "ports": [{"port": 80, "appProtocol": "A b"}]}},
        ),
        (
            "v1",
            "Service",
            "spec.trafficDistribution",
            {"spec": {"selector": {"a": "b"}, "ports": [{"port": 80}], "trafficDistribution": "x"}},
        ),
        (
            "v1",
            "Service",
            "spec.clusterIPs",
            {
                "spec": {
                    "selector": {"a": "b"},
                    "ports": [{"port": 80}],
                    "clusterIP": "None",
                    "clusterIPs": ["10.0.0.1"],
                }
            },
        ),
        ("networking.k8s.io/v1", "Ingress", "spec.rules[0].host", {"spec": {"rules": [{"host": "1.2.3.4"}]}}),
        (
            "networking.k8s.io/v1",
            "Ingress",
            "spec.tls[0].hosts[0]",
            {
                "spec": {
                    "rules": [
                        {
                            "http": {
                                "paths": [
                                    {
                                        "path": "/",
                                        "pathType": "Prefix",
                                        "backend": {"service": {"name": "s", "port": {"number": 80}}},
                                    }
                                ]
                            }
                        }
                    ],
                    "tls": [{"hosts": ["A b"]}],
                }
            },
        ),
        (
            "networking.k8s.io/v1",
            "Ingress",
            "spec.ingressClassName",
            {
                "spec": {
                    "rules": [
                        {
                            "http": {
                                "paths": [
                                    {
                                        "path": "/",
                                        "pathType": "Prefix",
                                        "backend": {"service": {"name": "s", "port": {"number": 80}}},
                                    }
                                ]
                            }
                        }
                    ],
                    "ingressClassName": "A b",
                }
            },
        ),
        ("networking.k8s.io/v1", "IngressClass", "spec.controller", {"spec": {"controller": "nope"}}),
        (
            "networking.k8s.io/v1",
            "NetworkPolicy",
            "spec.ingress[0].ports[0].port",
            {"spec": {"podSelector": {}, "ingress": [{"ports": [{"port": 70000}]}]}},
        ),
        (
            "networking.k8s.io/v1",
            "NetworkPolicy",
            "spec.ingress[0].from[0].ipBlock.cidr",
            {"spec": {"podSelector": {}, "ingress": [{"from": [{"ipBlock": {"cidr": "x"}}]}]}},
        ),
        (
            "networking.k8s.io/v1",
            "NetworkPolicy",
            "spec.ingress[0].from[0]",
            {
                "spec": {
                    "podSelector": {},
                    "ingress": [{"from": [{"ipBlock": {"cidr": "10.0.0.0/8"}, "podSelector": {}}]}],
                }
            },
        ),
        (
            "networking.k8s.io/v1",
            "NetworkPolicy",
            "spec.policyTypes[0]",
            {"spec": {"podSelector": {}, "policyTypes": ["x"]}},
        ),
        (
            "autoscaling/v2",
            "HorizontalPodAutoscaler",
            "spec.metrics[0].resource.target.averageUtilization",
            {
                "spec": {
                    "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "d"},
                    "maxReplicas": 3,
                    "metrics": [
                        {
                            "type": "Resource",
                            "resource": {"name": "cpu", "target": {"type": "Utilization", "averageUtilization": 0}},
                        }
                    ],
                }
            },
        ),
        (
            "autoscaling/v2",
            "HorizontalPodAutoscaler",
            "spec.scaleTargetRef.kind",
            {"spec": {"scaleTargetRef": {"apiVersion": "apps/v1", "kind": "A/b", "name": "d"}, "maxReplicas": 3}},
        ),
        (
            "autoscaling/v2",
            "HorizontalPodAutoscaler",
            "spec.behavior.scaleUp.policies[0].periodSeconds",
            {
                "spec": {
                    "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "d"},
                    "maxReplicas": 3,
                    "behavior": {"scaleUp": {"policies": [{"type": "Pods", "value": 1, "periodSeconds": 9999}]}},
                }
            },
        ),
        (
            "autoscaling/v2",
            "HorizontalPodAutoscaler",
            "spec.behavior.scaleUp.stabilizationWindowSeconds",
            {
                "spec": {
                    "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "d"},
                    "maxReplicas": 3,
                    "behavior": {"scaleUp": {"stabilizationWindowSeconds": 99999}},
                }
            },
        ),
        (
            "autoscaling/v2",
            "HorizontalPodAutoscaler",
            "spec.behavior.scaleUp.selectPolicy",
            {
                "spec": {
                    "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "d"},
                    "maxReplicas": 3,
                    "behavior": {"scaleUp": {"selectPolicy": "x"}},
                }
            },
        ),
        (
            "autoscaling/v2",
            "HorizontalPodAutoscaler",
            "spec.metrics[0].resource.target.averageValue",
            {
                "spec": {
                    "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "d"},
                    "maxReplicas": 3,
                    "metrics": [
                        {
                            "type": "Resource",
                            "resource": {
                                "name": "cpu",
                                "target": {"type": "Utilization", "averageUtilization": 50, "averageValue": "1"},
                            },
                        }
                    ],
                }
            },
        ),
        (
            "autoscaling/v2",
            "HorizontalPodAutoscaler",
            "spec.metrics[0].resource.target.type",
            {
                "spec": {
                    "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "d"},
                    "maxReplicas": 3,
                    "metrics": [
                        {"type": "Resource", "resource": {"name": "cpu", "target": {"averageUtilization": 50}}}
                    ],
                }
            },
        ),
        (
            "v1",
            "PersistentVolumeClaim",
            "spec.accessModes",
            {
                "spec": {
                    "accessModes": ["ReadWriteOncePod", "ReadWriteOnce"],
                    "resources": {"requests": {"storage": "1Gi"}},
                }
            },
        ),
        (
            "v1",
            "PersistentVolumeClaim",
            "spec.storageClassName",
            {
                "spec": {
                    "accessModes": ["ReadWriteOnce"],
                    "resources": {"requests": {"storage": "1Gi"}},
                    "storageClassName": "A b",
                }
            },
        ),
        (
            "v1",
            "PersistentVolumeClaim",
            "spec.resources.requests",
            {
                "spec": {
                    "accessModes": ["ReadWriteOnce"],
                    "resources": {"requests": {"storage": "2Gi"}, "limits": {"storage": "1Gi"}},
                }
            },
        ),
        (
            "v1",
            "PersistentVolume",
            "spec",
            {"spec": {"capacity": {"storage": "1Gi"}, "accessModes": ["ReadWriteOnce"]}},
        ),
        (
            "v1",
            "PersistentVolume",
            "spec.capacity",
            {"spec": {"accessModes": ["ReadWriteOnce"], "hostPath": {"path": "/x"}}},
        ),
        (
            "v1",
            "PersistentVolume",
            "spec.persistentVolumeReclaimPolicy",
            {
                "spec": {
                    "capacity": {"storage": "1Gi"},
                    "accessModes": ["ReadWriteOnce"],
                    "hostPath": {"path": "/x"},
                    "persistentVolumeReclaimPolicy": "x",
                }
            },
        ),
        ("storage.k8s.io/v1", "StorageClass", "provisioner", {}),
        ("storage.k8s.io/v1", "StorageClass", "volumeBindingMode", {"provisioner": "a", "volumeBindingMode": "x"}),
        ("storage.k8s.io/v1", "StorageClass", "reclaimPolicy", {"provisioner": "a", "reclaimPolicy": "x"}),
        ("v1", "LimitRange", "spec.limits[0].type", {"spec": {"limits": [{"type": "A B"}]}}),
        ("v1", "ResourceQuota", "spec.hard[pods]", {"spec": {"hard": {"pods": "1.5"}}}),
        ("v1", "ResourceQuota", "spec.scopes", {"spec": {"hard": {"cpu": "1"}, "scopes": ["BestEffort"]}}),
        ("node.k8s.io/v1", "RuntimeClass", "handler", {"handler": ""}),
        ("node.k8s.io/v1", "RuntimeClass", "handler", {"handler": "A b"}),
        ("v1", "ConfigMap", "data[a]", {"data": {"a": "c"}, "binaryData": {"a": "Yg=="}}),
        ("v1", "Secret", "data[.dockerconfigjson]", {"type": "kubernetes.io/dockerconfigjson", "data": {}}),
        (
            "v1",
            "Secret",
            "data[.dockerconfigjson]",
            {"type": "kubernetes.io/dockerconfigjson", "data": {".dockerconfigjson": "e3t7"}},
        ),
        ("v1", "Secret", "data[username]", {"type": "kubernetes.io/basic-auth", "data": {}}),
        ("v1", "Secret", "data[ssh-privatekey]", {"type": "kubernetes.io/ssh-auth", "data": {}}),
        (
            "v1",
            "Secret",
            "metadata.annotations[kubernetes.io/service-account.name]",
            {"type": "kubernetes.io/service-account-token"},
        ),
        (
            "v1",
            "Endpoints",
            "subsets[0].addresses[0].ip",
            {"subsets": [{"addresses": [{"ip": "x"}], "ports": [{"port": 1}]}]},
        ),
        (
            "discovery.k8s.io/v1",
            "EndpointSlice",
            "endpoints[0].addresses[0]",
            {"addressType": "IPv4", "endpoints": [{"addresses": ["x"]}]},
        ),
        (
            "discovery.k8s.io/v1",
            "EndpointSlice",
            "endpoints[0].addresses",
            {"addressType": "IPv4", "endpoints": [{"addresses": []}]},
        ),
        (
            "discovery.k8s.io/v1",
            "EndpointSlice",
            "ports[0].protocol",
            {"addressType": "IPv4", "endpoints": [], "ports": [{"protocol": "x", "port": 1}]},
        ),
        (
            "v1",
            "ReplicationController",
            "spec.template.metadata.labels",
            {
                "spec": {
                    "replicas": 1,
                    "selector": {"a": "b"},
                    "template": {
                        "metadata": {"labels": {"c": "d"}},
                        "spec": {"containers": [{"name": "c", "image": "kelseyhightower/hello:1.0.0"}]},
                    },
                }
            },
        ),
        (
            "admissionregistration.k8s.io/v1",
            "ValidatingAdmissionPolicy",
            "spec.validations[0].expression",
            {
                "spec": {
                    "matchConstraints": {
                        "resourceRules": [
                            {"apiGroups": ["*"], "apiVersions": ["*"], "operations": ["*"], "resources": ["*"]}
                        ]
                    },
                    "validations": [{"expression": "foo.bar == 1"}],
                }
            },
        ),
        (
            "admissionregistration.k8s.io/v1",
            "ValidatingAdmissionPolicy",
            "spec.failurePolicy",
            {
                "spec": {
                    "failurePolicy": "x",
                    "matchConstraints": {
                        "resourceRules": [
                            {"apiGroups": ["*"], "apiVersions": ["*"], "operations": ["*"], "resources": ["*"]}
                        ]
                    },
                    "validations": [{"expression": "true"}],
                }
            },
        ),
        (
            "admissionregistration.k8s.io/v1",
            "ValidatingAdmissionPolicy",
            "spec.matchConstraints.resourceRules[0].operations[0]",
            {
                "spec": {
                    "matchConstraints": {
                        "resourceRules": [
                            {"apiGroups": ["*"], "apiVersions": ["*"], "operations": ["FOO"], "resources": ["*"]}
                        ]
                    },
                    "validations": [{"expression": "true"}],
                }
            },
        ),
        ("v1", "PodTemplate", "template.spec.containers", {"template": {"spec": {"containers": []}}}),
        ("v1", "Node", "spec.taints[0].effect", {"spec": {"taints": [{"key": "a", "effect": "x"}]}}),
    ],
)
def test_objects_that_make_no_sense_are_refused(
    registry: Registry, api_version: str, kind: str, field: str, body: Object
) -> None:
    assert field in fields(registry, api_version, kind, {"metadata": {"name": "x"}, **body})


@pytest.mark.parametrize("kind", ["ConfigMap", "Secret"])
def test_values_of_more_than_a_mebibyte_are_refused(registry: Registry, kind: str) -> None:
    key = "data" if kind == "ConfigMap" else "stringData"
    assert fields(registry, "v1", kind, {"metadata": {"name": "x"}, key: {"a": "x" * 1_100_000}})
