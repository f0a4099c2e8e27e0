"""No secret in what is printed, in the cluster's events or on disk, at any verbosity, wherever a run is killed."""

from __future__ import annotations

import base64
import json
import os
import signal
import tempfile
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import certifi
import pytest
import yaml
from integration.playbooks import PATIENCE, Lab, description
from integration.test_lock import until
from kubernetes import client, config


def planted() -> dict[str, Any]:
    """The lab's applications with Secrets, which hello and its image's registry need."""
    applications = description()
    hello = applications["hello"]
    hello["secrets"] = {
        "hello-token": {"data": {"token": "planted-token-of-hello"}},
        "registry": {
            "type": "kubernetes.io/dockerconfigjson",
            "data": {".dockerconfigjson": '{"auths": {"registry.example": {"password": "planted-registry-password"}}}'},
        },
    }
    reference = {"secretKeyRef": {"name": "hello-token", "key": "token"}}
    hello["container"]["env"] = [{"name": "TOKEN", "valueFrom": reference}]
    hello["pod"] = {"imagePullSecrets": [{"name": "registry"}]}
    return applications


def files(folders: Iterable[Path]) -> Iterator[Path]:
    """Every file below folders; some are gone before they are looked at."""
    for folder in folders:
        for where, _folders, names in os.walk(folder):
            yield from (Path(where, name) for name in names)


def holding(secrets: set[str], folders: list[Path]) -> list[Path]:
    """The files that one of the secrets is in."""
    found = []
    for file in files(folders):
        try:
            content = file.read_bytes() if file.is_file() else b""
        except OSError:
            continue
        if any(secret.encode() in content for secret in secrets):
            found.append(file)
    return found


def others_may_read(file: Path, folders: list[Path]) -> bool:
    """Whether another user could: no folder up to one of those, nor the file itself, keeps them out."""
    return all(each.stat().st_mode & 0o077 for each in [file, *file.parents] if each not in folders[0].parents)


def robot(cluster: Any, lab: Lab) -> Lab:
    """The lab as a ServiceAccount sees it, which has a token."""
    rbac = client.RbacAuthorizationV1Api(lab.api)
    lab.core.create_namespaced_service_account(lab.namespace, {"metadata": {"name": "robot"}})
    subject = {"kind": "ServiceAccount", "name": "robot", "namespace": lab.namespace}
    role = {"kind": "ClusterRole", "name": "cluster-admin", "apiGroup": "rbac.authorization.k8s.io"}
    rbac.create_cluster_role_binding({"metadata": {"name": lab.namespace}, "subjects": [subject], "roleRef": role})
    return replace(lab, kubeconfig=str(cluster.service_account(lab.namespace, "robot")))


@pytest.fixture
def folders(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[Path]]:
    """Where a run may leave files: a home and a folder for temporary ones, whose path is short enough for sockets."""
    with tempfile.TemporaryDirectory() as place:
        made = [Path(place, "home"), Path(place, "tmp")]
        for folder, variable in zip(made, ("HOME", "TMPDIR"), strict=True):
            folder.mkdir()
            monkeypatch.setenv(variable, str(folder))
        yield made


def test_no_secret_is_told_or_left(guarded: tuple[Any, Lab], folders: list[Path], tmp_path: Path) -> None:
    cluster, administrator = guarded
    lab = robot(cluster, administrator)
    kubeconfig = yaml.safe_load(Path(lab.kubeconfig).read_text())
    variables = tmp_path / "variables.json"  # what stands on the command line itself is shown by Ansible
    # Ansible looks for a home folder by itself; the kubeconfig is no path, but one in full.
    given = {"applications": planted(), "kubeconfig": kubeconfig, "ansible_remote_tmp": str(folders[0])}
    variables.write_text(json.dumps(given))
    options = ["-vvvv", "--extra-vars", f"@{variables}"]
    token = kubeconfig["users"][0]["user"]["token"]
    secrets = {token, "planted-token-of-hello", "planted-registry-password"}
    secrets |= {base64.b64encode(b"planted-token-of-hello").decode()}

    # Killed where the API server has just got the Secrets.
    with cluster.hold(1, "after", lambda write: write.action.resource == "secrets") as held:
        killed = lab.start("app_deploy", "--diff", *options)
        assert held.wait(PATIENCE)
        shown = [file for file in holding(secrets, folders) if others_may_read(file, folders)]
        os.killpg(killed.pid, signal.SIGKILL)
        outputs = [killed.communicate()[0]]
        held.abandon()
    assert shown == []
    assert holding(secrets, folders) == []

    def told(playbook: str, **extra_vars: Any) -> None:
        run = lab.play(playbook, "--diff", *options, **extra_vars)
        outputs.append(run.output)
        assert run.code == 0, run.output

    told("app_deploy")
    secrets |= {
        value for name, item in lab.objects().items() if name.startswith("Secret") for value in item.data.values()
    }
    told("bluegreen", version="2.0.0")
    with cluster.hold(1, "after", lambda write: write.action.resource == "services") as held:  # the switch
        killed = lab.start("bluegreen", *options, rollback=True)
        assert held.wait(PATIENCE), killed.communicate()[0]
        beside = [name for name in os.listdir(folders[1]) if name.startswith("convoy-")]
        os.killpg(killed.pid, signal.SIGKILL)
        outputs.append(killed.communicate()[0])
        held.abandon()
    # What works beside a run, to hold its lock and to watch the traffic, ends with it, and its folder goes.
    assert len(beside) == 2
    until(lambda: not [name for name in beside if Path(folders[1], name).exists()])

    events = [str(event) for event in lab.core.list_namespaced_event(lab.namespace).items]
    for text in [*outputs, *events]:
        assert not [secret for secret in secrets if secret in text], text
        assert "PRIVATE KEY" not in text
    assert holding(secrets, folders) == []


@pytest.mark.parametrize("playbook", ["app_deploy", "bluegreen"])
def test_a_cluster_with_another_ca_is_refused(
    guarded: tuple[Any, Lab], kubeconfig: str, tmp_path: Path, playbook: str
) -> None:
    cluster, lab = guarded
    document = yaml.safe_load(Path(lab.kubeconfig).read_text())
    # That of the tests' cluster, whether it is in line or not; one that the whole world trusts has none.
    other = Path(config.new_client_from_config(kubeconfig).configuration.ssl_ca_cert or certifi.where())
    document["clusters"][0]["cluster"]["certificate-authority-data"] = base64.b64encode(other.read_bytes()).decode()
    changed = tmp_path / "kubeconfig"
    changed.write_text(yaml.safe_dump(document))
    before = len(cluster.writes())
    run = lab.play(playbook, version="2.0.0", kubeconfig=str(changed))
    assert run.code != 0
    server = document["clusters"][0]["cluster"]["server"]
    assert f"The certificate of the API server {server} is not trusted: " in " ".join(run.output.split()), run.output
    assert len(cluster.writes()) == before
