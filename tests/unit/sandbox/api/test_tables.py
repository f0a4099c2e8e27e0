"""What `kubectl get` prints."""

from __future__ import annotations

import datetime
from typing import Any

import pytest
from convoy_sandbox import resources
from convoy_sandbox.api import tables
from convoy_sandbox.resources import Resource
from convoy_sandbox.store import Object


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (-5, "<invalid>"), (-1, "0s"), (0, "0s"), (119, "119s"), (120, "2m"), (310, "5m10s"), (600, "10m"),
        (3 * 3600 - 1, "179m"), (3 * 3600, "3h"), (3 * 3600 + 60, "3h1m"), (47 * 3600, "47h"),
        (52 * 3600, "2d4h"), (48 * 3600, "2d"), (10 * 86400, "10d"), (800 * 86400, "2y70d"), (9 * 365 * 86400, "9y"),
    ],
)  # fmt: skip
def test_ages(seconds: float, text: str) -> None:
    assert tables.human_duration(seconds) == text


def cells(resource: Resource, obj: Object) -> dict[str, Any]:
    obj = {**obj, "metadata": {"name": "x", "creationTimestamp": None, **obj.get("metadata", {})}}
    table = tables.table(resource, [obj], {})
    names = [column["name"] for column in table["columnDefinitions"]]
    return dict(zip(names, table["rows"][0]["cells"], strict=True))


def pod(**status: Any) -> Object:
    return {"spec": {"containers": [{"name": "c"}]}, "status": status}


def container(ready: bool = False, restarts: int = 0, last: Object | None = None, **state: Any) -> Object:
    return {"name": "c", "ready": ready, "restartCount": restarts, "state": state, "lastState": last or {}}


@pytest.mark.parametrize(
    ("obj", "ready", "status"),
    [
        (pod(phase="Pending"), "0/1", "Pending"),
        (pod(phase="Running", containerStatuses=[container(True, running={})]), "1/1", "Running"),
        (
            pod(phase="Pending", containerStatuses=[container(waiting={"reason": "ImagePullBackOff"})]),
            "0/1",
            "ImagePullBackOff",
        ),
        (
            pod(phase="Running", containerStatuses=[container(terminated={"reason": "Error", "exitCode": 2})]),
            "0/1",
            "Error",
        ),
        (
            pod(phase="Running", containerStatuses=[container(terminated={"exitCode": 2})]),
            "0/1",
            "ExitCode:2",
        ),
        (
            pod(phase="Succeeded", containerStatuses=[container(terminated={"reason": "Completed", "exitCode": 0})]),
            "0/1",
            "Completed",
        ),
        ({**pod(phase="Running"), "metadata": {"deletionTimestamp": "2026-11-24T00:00:00Z"}}, "0/1", "Terminating"),
        (pod(phase="Failed", reason="Evicted"), "0/1", "Evicted"),
    ],
)
def test_pods(obj: Object, ready: str, status: str) -> None:
    row = cells(resources.PODS, obj)
    assert (row["Ready"], row["Status"], row["Restarts"]) == (ready, status, "0")
    assert (row["IP"], row["Node"], row["Nominated Node"]) == ("<none>",) * 3


@pytest.mark.parametrize(
    ("state", "status"),
    [
        ({"running": {}}, "Init:0/1"),
        ({"waiting": {"reason": "PodInitializing"}}, "Init:0/1"),
        ({"waiting": {"reason": "CrashLoopBackOff"}}, "Init:CrashLoopBackOff"),
        ({"terminated": {"exitCode": 1, "reason": "Error"}}, "Init:Error"),
        ({"terminated": {"exitCode": 0}}, "Pending"),
    ],
)
def test_pods_that_initialise(state: Object, status: str) -> None:
    obj = pod(phase="Pending", initContainerStatuses=[container(**state)])
    obj["spec"]["initContainers"] = [{"name": "i"}]
    assert tables.pod_status({"metadata": {}, **obj}) == status


def test_a_sidecar_counts_as_one_of_the_containers() -> None:
    proxy = container(True, 1, running={})
    obj = pod(phase="Running", initContainerStatuses=[proxy], containerStatuses=[container(True, running={})])
    obj["spec"]["initContainers"] = [{"name": "c", "restartPolicy": "Always"}]
    row = cells(resources.PODS, obj)
    assert (row["Ready"], row["Status"], row["Restarts"]) == ("2/2", "Init:0/1", "1")
    proxy["started"] = True
    row = cells(resources.PODS, obj)
    assert (row["Ready"], row["Status"], row["Restarts"]) == ("2/2", "Running", "1")


def test_restarts_of_a_pod_that_initialises_are_its_init_containers() -> None:
    crashed = container(restarts=3, waiting={"reason": "CrashLoopBackOff"})
    obj = pod(phase="Pending", initContainerStatuses=[crashed], containerStatuses=[container()])
    obj["spec"]["initContainers"] = [{"name": "c"}]
    assert cells(resources.PODS, obj)["Restarts"] == "3"
    obj["metadata"] = {"deletionTimestamp": "2026-11-24T00:00:00Z"}
    assert cells(resources.PODS, obj)["Status"] == "Terminating"


def test_restarts_say_when() -> None:
    then = datetime.datetime.now(datetime.UTC) - datetime.timedelta(hours=5)
    last = {"terminated": {"finishedAt": then.strftime("%Y-%m-%dT%H:%M:%SZ")}}
    row = cells(resources.PODS, pod(phase="Running", containerStatuses=[container(True, 2, last, running={})]))
    assert row["Restarts"] == "2 (5h ago)"


def test_deployments_and_replica_sets() -> None:
    template = {"spec": {"containers": [{"name": "a", "image": "i:1"}, {"name": "b", "image": "j"}]}}
    spec = {"replicas": 3, "selector": {"matchLabels": {"app": "x"}}, "template": template}
    row = cells(resources.DEPLOYMENTS, {"spec": spec, "status": {"readyReplicas": 2, "updatedReplicas": 1}})
    assert (row["Ready"], row["Up-to-date"], row["Available"]) == ("2/3", 1, 0)
    assert (row["Containers"], row["Images"], row["Selector"]) == ("a,b", "i:1,j", "app=x")
    row = cells(resources.REPLICASETS, {"spec": spec, "status": {"replicas": 2}})
    assert (row["Desired"], row["Current"], row["Ready"]) == (3, 2, 0)


def test_services() -> None:
    ports = [{"port": 80, "protocol": "TCP", "nodePort": 30080}, {"port": 53, "protocol": "UDP"}]
    spec = {"type": "LoadBalancer", "clusterIP": "127.0.0.2", "ports": ports, "selector": {"b": "2", "a": "1"}}
    row = cells(resources.SERVICES, {"spec": spec})
    assert (row["External-IP"], row["Port(s)"], row["Selector"]) == ("<pending>", "80:30080/TCP,53/UDP", "a=1,b=2")
    ingress = {"loadBalancer": {"ingress": [{"ip": "127.0.0.9"}, {"hostname": "h"}]}}
    assert cells(resources.SERVICES, {"spec": spec, "status": ingress})["External-IP"] == "127.0.0.9,h"
    row = cells(resources.SERVICES, {"spec": {"type": "ExternalName", "externalName": "example.com"}})
    assert (row["Cluster-IP"], row["External-IP"], row["Port(s)"]) == ("<none>", "example.com", "<none>")


def test_endpoint_slices() -> None:
    endpoints = [{"addresses": [f"127.0.0.{n}"]} for n in range(1, 6)]
    row = cells(
        resources.ENDPOINTSLICES, {"addressType": "IPv4", "ports": [{"port": 80}, {"port": 81}], "endpoints": endpoints}
    )
    assert (row["Ports"], row["Endpoints"]) == ("80,81", "127.0.0.1,127.0.0.2,127.0.0.3 + 2 more...")
    row = cells(resources.ENDPOINTSLICES, {"addressType": "IPv4", "ports": None, "endpoints": None})
    assert (row["Ports"], row["Endpoints"]) == ("<unset>", "<unset>")


def test_nodes() -> None:
    status = {
        "conditions": [{"type": "Ready", "status": "True"}],
        "addresses": [{"type": "Hostname", "address": "n"}, {"type": "InternalIP", "address": "127.0.0.3"}],
        "nodeInfo": {"kubeletVersion": "v1.36.2"},
    }
    row = cells(resources.NODES, {"spec": {}, "status": status})
    assert (row["Status"], row["Roles"]) == ("Ready", "<none>")
    assert (row["Version"], row["Internal-IP"]) == ("v1.36.2", "127.0.0.3")
    labels = {"labels": {"node-role.kubernetes.io/b": "", "node-role.kubernetes.io/a": ""}}
    row = cells(resources.NODES, {"metadata": labels, "spec": {"unschedulable": True}})
    assert (row["Status"], row["Roles"]) == ("Unknown,SchedulingDisabled", "a,b")


def test_the_small_kinds() -> None:
    assert cells(resources.NAMESPACES, {"status": {"phase": "Active"}})["Status"] == "Active"
    assert cells(resources.CONFIGMAPS, {"data": {"a": ""}, "binaryData": {"b": ""}})["Data"] == 2
    assert cells(resources.SECRETS, {"type": "Opaque", "data": {"a": ""}})["Type"] == "Opaque"
    assert cells(resources.SERVICEACCOUNTS, {})["Secrets"] == "0"
    assert cells(resources.LEASES, {"spec": {"holderIdentity": "h"}})["Holder"] == "h"
    budget = cells(resources.PODDISRUPTIONBUDGETS, {"spec": {"minAvailable": "50%"}, "status": {}})
    assert (budget["Min Available"], budget["Max Unavailable"], budget["Allowed Disruptions"]) == ("50%", "N/A", 0)
    hard = {"pods": "4", "limits.cpu": "2"}
    quota = cells(resources.RESOURCEQUOTAS, {"spec": {"hard": hard}, "status": {"hard": hard, "used": {"pods": "1"}}})
    assert (quota["Request"], quota["Limit"]) == ("pods: 1/4", "limits.cpu: 0/2")


def test_events() -> None:
    row = cells(
        resources.EVENTS,
        {
            "involvedObject": {"kind": "Pod", "name": "p"},
            "source": {"component": "kubelet", "host": "node1"},
            "type": "Normal",
            "reason": "Started",
            "message": "Container started\n",
            "count": 3,
        },
    )
    assert (row["Object"], row["Source"], row["Message"]) == ("pod/p", "kubelet, node1", "Container started")
    assert (row["Last Seen"], row["Count"]) == ("<unknown>", 3)


def test_a_kind_without_columns_of_its_own() -> None:
    resource = resources.RESOURCES["", "v1", "limitranges"]
    assert list(cells(resource, {})) == ["Name", "Created At"]


def test_pods_that_have_ended_say_so_and_gates_are_counted() -> None:
    obj = pod(phase="Failed")
    obj["metadata"] = {"name": "x"}
    (row,) = tables.table(resources.PODS, [obj], {})["rows"]
    assert row["conditions"] == [
        {"type": "Completed", "status": "True", "reason": "Failed", "message": "The pod failed."}
    ]
    obj = pod(phase="Running", conditions=[{"type": "a", "status": "True"}, {"type": "b", "status": "False"}])
    obj["spec"]["readinessGates"] = [{"conditionType": "a"}, {"conditionType": "b"}]
    assert cells(resources.PODS, obj)["Readiness Gates"] == "1/2"


def test_jobs_show_how_far_they_are() -> None:
    containers = [{"name": "c", "image": "i"}]
    spec = {"template": {"spec": {"containers": containers}}, "completions": 3, "selector": {"matchLabels": {"a": "b"}}}
    shown = cells(resources.JOBS, {"spec": spec, "status": {"succeeded": 1}})
    assert (shown["Status"], shown["Completions"], shown["Duration"]) == ("Running", "1/3", "")
    done = {"startTime": "2026-01-01T00:00:00Z", "completionTime": "2026-01-01T00:00:09Z", "succeeded": 3}
    done["conditions"] = [{"type": "Complete", "status": "True"}]
    shown = cells(resources.JOBS, {"spec": spec, "status": done})
    assert (shown["Status"], shown["Completions"], shown["Duration"]) == ("Complete", "3/3", "9s")
    spec = {"jobTemplate": {"spec": spec}, "schedule": "@daily"}
    shown = cells(resources.CRONJOBS, {"spec": spec})
    assert [shown[key] for key in ("Schedule", "Timezone", "Suspend", "Active", "Last Schedule")] == [
        "@daily", "<none>", "False", 0, "<none>",
    ]  # fmt: skip


def test_claims_and_volumes_show_each_other() -> None:
    spec = {"volumeName": "v", "volumeMode": "Filesystem"}
    status = {"phase": "Bound", "capacity": {"storage": "1Gi"}, "accessModes": ["ReadWriteOnce"]}
    shown = cells(resources.PERSISTENTVOLUMECLAIMS, {"spec": spec, "status": status})
    assert [shown[key] for key in ("Status", "Volume", "Capacity", "Access Modes")] == ["Bound", "v", "1Gi", "RWO"]
    volume = {"claimRef": {"namespace": "n", "name": "c"}, "persistentVolumeReclaimPolicy": "Retain"}
    shown = cells(resources.RESOURCES["", "v1", "persistentvolumes"], {"spec": volume, "status": {"phase": "Bound"}})
    assert (shown["Claim"], shown["Reclaim Policy"], shown["Status"]) == ("n/c", "Retain", "Bound")


def test_ingresses_and_endpoints_show_where_they_lead() -> None:
    ingress = resources.RESOURCES["networking.k8s.io", "v1", "ingresses"]
    shown = cells(ingress, {"spec": {"rules": [{"host": "a.example"}, {}], "tls": [{}]}})
    assert (shown["Class"], shown["Hosts"], shown["Ports"]) == ("<none>", "a.example", "80, 443")
    addresses = [{"ip": f"1.1.1.{number}"} for number in range(5)]
    shown = cells(resources.ENDPOINTS, {"subsets": [{"addresses": addresses, "ports": [{"port": 80}]}]})
    assert shown["Endpoints"] == "1.1.1.0:80,1.1.1.1:80,1.1.1.2:80 + 2 more..."


def test_rows_carry_what_was_asked_for() -> None:
    obj = {"kind": "ConfigMap", "apiVersion": "v1", "metadata": {"name": "x"}, "data": {"a": "b"}}
    assert tables.table(resources.CONFIGMAPS, [obj], {}, include="None")["rows"][0]["object"] is None
    assert tables.table(resources.CONFIGMAPS, [obj], {}, include="Object")["rows"][0]["object"] == obj
    assert tables.table(resources.CONFIGMAPS, [obj], {})["rows"][0]["object"] == {
        "kind": "PartialObjectMetadata",
        "apiVersion": "meta.k8s.io/v1",
        "metadata": {"name": "x"},
    }
