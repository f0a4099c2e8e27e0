"""Deployments that these roles did not make: scaled, updated, canaried and rolled back on their own templates."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from convoy_sandbox.network.images import Image
from convoy_sandbox.testing import sandbox
from integration.playbooks import GIVEN, Lab
from kubernetes import utils

MANIFESTS = Path(__file__).with_name("manifests")


@pytest.fixture(scope="module")
def kubeconfig() -> Iterator[str]:
    """CONVOY_TEST_KUBECONFIG's cluster, else a sandbox that has an image which does its work and ends."""
    if GIVEN:
        yield GIVEN
        return
    with sandbox(images={"busybox:1.36": Image(command=("/bin/true",))}, data_plane="instant") as cluster:
        yield str(cluster.kubeconfig)


@pytest.mark.parametrize(
    ("name", "main", "image", "version", "options", "observed"),
    [
        ("shop", 0, "kelseyhightower/hello", "2.0.0", {"rolling_update_container": "application"}, "observed: 2.0.0 "),
        ("site", 0, "nginx", "1.29.0", {"unverified": "true"}, "unverified: what users get was not verified"),
        ("blog", 1, "kelseyhightower/hello", "2.0.0", {}, "observed: 2.0.0 "),
    ],
)
def test_an_own_deployment(
    empty: Lab, name: str, main: int, image: str, version: str, options: dict[str, str], observed: str
) -> None:
    utils.create_from_yaml(empty.api, str(MANIFESTS / f"{name}.yaml"), namespace=empty.namespace)
    empty.complete()
    made = empty.apps.read_namespaced_deployment(name, empty.namespace).spec
    original, replicas, runs = made.template, made.replicas, []
    if name == "blog":
        scaled = empty.play("scale", replicas="+1", application=name)
        assert (scaled.code, scaled.changed) == (0, 1), scaled.output
        replicas += 1
        runs.append(scaled)

    updated = empty.play("rolling_update", version=version, application=name, **options)
    assert (updated.code, updated.changed) == (0, 1), updated.output
    assert observed in " ".join(updated.output.split()), updated.output
    template = empty.apps.read_namespaced_deployment(name, empty.namespace).spec.template
    assert template.spec.containers[main].image == f"{image}:{version}"
    template.spec.containers[main].image = original.spec.containers[main].image
    assert template.spec == original.spec  # what looks like a template is text

    allowed = {"unverified": "true"} if "unverified" in options else {}  # no Service leads to it
    back = empty.play("rollback", application=name, **allowed)
    assert (back.code, back.changed) == (0, 1), back.output
    after = empty.apps.read_namespaced_deployment(name, empty.namespace).spec
    assert (after.template, after.replicas) == (original, replicas)
    assert not [run for run in (*runs, updated, back) if "it-was-42" in run.output]

    if name == "blog":
        promoted = empty.play("canary", version=version, promote=True, application=name)
        assert promoted.code == 0, promoted.output
        assert "1 of 4 pods gives 25%" in promoted.output
        assert empty.deployments() == {"blog"}
        back = empty.play("rollback", application=name)
        assert (back.code, back.changed) == (0, 1), back.output
        assert empty.apps.read_namespaced_deployment(name, empty.namespace).spec.template == original
