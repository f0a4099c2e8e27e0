"""Where users come in is described once, and every role reads all of it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from integration.outcomes import Outcomes
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
    "rate_limit": 150,
}


@pytest.mark.parametrize("role", ROLES)
def test_every_role_takes_the_same(role: str) -> None:
    document = yaml.safe_load((ROOT / f"roles/{role}/meta/argument_specs.yml").read_text())
    options = document["argument_specs"]["main"]["options"][f"{role}_entry"]["options"]
    assert set(options) == {*ENTRY, "url", "ca_cert", "headers", "server_name", "source"}


def test_through_the_api_server_and_with_a_version_that_is_found_in_the_body(lab: Lab, tmp_path: Path) -> None:
    there: dict[str, Any] = {"bluegreen_version": "2.0.0", "bluegreen_entry": ENTRY}
    elsewhere = there | {"bluegreen_preview_path": "/nothing-here", "bluegreen_settle": 0}
    runs = (elsewhere, there, there | {"bluegreen_version": "1.0.0"})
    (refused, first, back), _run = Outcomes(lab, tmp_path, "bluegreen", *runs).run()
    assert (refused["ending"], refused["after"]) == ("failed", "1.0.0")
    assert "/services/hello-preview:80/proxy/nothing-here: no version of 20 requests" in refused["reason"]
    for outcome, version in ((first, "2.0.0"), (back, "1.0.0")):
        assert (outcome["ending"], outcome["verdict"], outcome["after"]) == ("success", "pass", version)
        assert any(line.startswith(f"observed: {version} ") for line in outcome["lines"]), outcome["lines"]
        url = f"/namespaces/{lab.namespace}/services/https:frontend:443/proxy/version"
        assert url in outcome["evidence"][-1]["url"]
    scaled = lab.play("scale", replicas=4, application_entry=ENTRY)
    assert "watched: " in scaled.output, scaled.output
    checked = lab.play("app_deploy", "--check", application_entry=ENTRY)
    assert checked.code == 0, checked.output
