"""Where users come in is described once, and every role reads all of it."""

from __future__ import annotations

import pytest
import yaml
from integration.playbooks import ROOT, Lab

ROLES = ("app_deploy", "bluegreen", "canary", "rolling_update", "scale")
ENTRY = {
    "service": "frontend",
    "port": 443,
    "scheme": "https",
    "path": "/version",
    "via": "proxy",
    "validate_certs": False,
    "version_from": {"regex": r'"version": ?"([\d.]+)"'},
    "max_p99": 5,
}


@pytest.mark.parametrize("role", ROLES)
def test_every_role_takes_the_same(role: str) -> None:
    document = yaml.safe_load((ROOT / f"roles/{role}/meta/argument_specs.yml").read_text())
    options = document["argument_specs"]["main"]["options"][f"{role}_entry"]["options"]
    assert set(options) == {*ENTRY, "url", "ca_cert", "headers", "server_name", "source"}


def test_through_the_api_server_and_with_a_version_that_is_found_in_the_body(lab: Lab) -> None:
    elsewhere = {"bluegreen_preview_path": "/nothing-here", "bluegreen_settle": 0}
    refused = lab.play("bluegreen", version="2.0.0", application_entry=ENTRY, **elsewhere)
    assert refused.code != 0
    assert "/services/hello-preview:80/proxy/nothing-here: no version of 20 requests" in " ".join(
        refused.output.split()
    )
    for playbook, version in (("bluegreen", "2.0.0"), ("bluegreen", "1.0.0")):
        run = lab.play(playbook, version=version, application_entry=ENTRY)
        assert run.code == 0, run.output
        said = " ".join(run.output.split())
        assert f"observed: {version} " in said, run.output
        assert f"/namespaces/{lab.namespace}/services/https:frontend:443/proxy/version" in said, run.output
    scaled = lab.play("scale", replicas=4, application_entry=ENTRY)
    assert "watched: " in scaled.output, scaled.output
    checked = lab.play("app_deploy", "--check", application_entry=ENTRY)
    assert checked.code == 0, checked.output
