"""Deployments that these roles did not make: scaled, updated and rolled back on their own templates."""

from __future__ import annotations

from pathlib import Path

import pytest
from integration.playbooks import Lab
from kubernetes import utils

MANIFESTS = Path(__file__).with_name("manifests")


@pytest.mark.parametrize(
    ("name", "image", "version", "options", "observed"),
    [
        ("shop", "kelseyhightower/hello", "2.0.0", {"rolling_update_container": "application"}, "2.0.0 100 of 100"),
        ("site", "nginx", "1.29.0", {}, "the pods' images were looked at"),
    ],
)
def test_an_own_deployment(
    empty: Lab, name: str, image: str, version: str, options: dict[str, str], observed: str
) -> None:
    utils.create_from_yaml(empty.api, str(MANIFESTS / f"{name}.yaml"), namespace=empty.namespace)
    original = empty.apps.read_namespaced_deployment(name, empty.namespace).spec.template

    scaled = empty.play("scale", replicas="+1", application=name)
    assert (scaled.code, scaled.changed) == (0, 1), scaled.output

    updated = empty.play("rolling_update", version=version, application=name, **options)
    assert (updated.code, updated.changed) == (0, 1), updated.output
    assert observed in " ".join(updated.output.split()), updated.output
    template = empty.apps.read_namespaced_deployment(name, empty.namespace).spec.template
    assert template.spec.containers[0].image == f"{image}:{version}"
    assert template.spec.containers[0].env == original.spec.containers[0].env  # what looks like a template is text
    assert template.spec.containers[1:] == original.spec.containers[1:]
    assert template.spec.volumes == original.spec.volumes

    back = empty.play("rollback", application=name)
    assert (back.code, back.changed) == (0, 1), back.output
    after = empty.apps.read_namespaced_deployment(name, empty.namespace).spec
    assert (after.template, after.replicas) == (original, 3)
    assert not [run for run in (scaled, updated, back) if "it-was-42" in run.output]
