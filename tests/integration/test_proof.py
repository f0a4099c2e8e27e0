"""What is verified, by what, and what is refused: back ends that are not like the lab's."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from convoy_sandbox.network.images import Image
from convoy_sandbox.testing import sandbox
from integration.outcomes import Outcomes, said
from integration.playbooks import ELSEWHERE, Lab

SHOP = "shop.example.com/team/shop"
PROGRAM = (sys.executable, str(Path(__file__).with_name("backend.py")))
SECRET = "s3cr3t-t0ken"
HTTP = {"name": "http", "port": 80, "targetPort": 8080}
UNREADY = "Nothing was changed, as what users get could not be verified: 5 of 5 requests to "


@pytest.fixture(scope="module")
def kubeconfig() -> Iterator[str]:
    """A sandbox that has the tests' own back end."""
    if ELSEWHERE:
        pytest.skip("the back end is a program of this machine")
    images = {f"{SHOP}:{version}": Image(command=(*PROGRAM, version)) for version in ("1.0.0", "2.0.0", "3.0.0")}
    images[f"{SHOP}:bad"] = Image(command=(*PROGRAM, "bad", "error"))
    with sandbox(images=images, data_plane="instant") as cluster:
        yield str(cluster.kubeconfig)


def deployed(lab: Lab, *modes: str, ports: list[dict[str, Any]] | None = None, **more: Any) -> None:
    """The back end as a Deployment shop with a Service, once it is ready."""
    container = {
        "name": "shop",
        "image": f"{SHOP}:1.0.0",
        "args": list(modes),
        "readinessProbe": {"tcpSocket": {"port": 8080}, "periodSeconds": 1},
        "lifecycle": {"preStop": {"sleep": {"seconds": 1}}},  # else they are replaced one by one
    }
    labels = {"app": "shop"}
    body = {
        "metadata": {"name": "shop"},
        "spec": {
            "replicas": 3,
            "selector": {"matchLabels": labels},
            "template": {"metadata": {"labels": labels}, "spec": {"containers": [container]}},
        },
    }
    lab.apps.create_namespaced_deployment(lab.namespace, body)
    service = {"metadata": {"name": "shop"}, "spec": {"selector": labels, "ports": ports or [HTTP], **more}}
    lab.core.create_namespaced_service(lab.namespace, service)
    # Some of these back ends answer nobody who asks as this does.
    ready = lab.play("scale", replicas="3", application="shop", unverified="true")
    assert ready.code == 0, ready.output


def update(version: str, **more: Any) -> dict[str, Any]:
    return {"rolling_update_application": "shop", "rolling_update_version": version, **more}


def test_a_private_page_is_verified_by_lost_requests_and_its_token_is_shown_nowhere(empty: Lab, tmp_path: Path) -> None:
    deployed(empty, "page", "private")
    entry = {"rolling_update_entry": {"headers": {"Host": "shop.example.com", "X-Token": SECRET}}}
    named = {"rolling_update_entry": {"headers": {"Host": "shop.example.com"}}}
    runs = [update("2.0.0"), update("2.0.0", **named), update("2.0.0", **entry), update("bad", **entry)]
    (nameless, strange, good, bad), run = Outcomes(empty, tmp_path, "rolling_update", *runs).run("-vvv")
    assert said(nameless) == ("refused", "fail", "1.0.0", "1.0.0", False, True)
    assert nameless["reason"].startswith(UNREADY)
    assert "(5 x HTTP 400). Set the header Host" in nameless["reason"]
    assert "(5 x HTTP 401). Set headers that are let in" in strange["reason"]

    assert said(good) == ("success", "pass", "1.0.0", "2.0.0", True, False)
    assert good["verified_by"] == "requests"
    assert said(bad) == ("rolled back", "fail", "2.0.0", "2.0.0", True, True)
    assert "HTTP 500" in bad["reason"]
    assert SECRET not in run.output
    assert SECRET not in str((nameless, strange, good, bad))


def test_what_speaks_http2_only_is_refused_by_each_role_and_verified_by_endpoints_where_that_is_asked_for(
    empty: Lab, tmp_path: Path
) -> None:
    grpc = {"name": "grpc", "port": 80, "targetPort": 8080, "appProtocol": "kubernetes.io/h2c"}
    deployed(empty, "http2", ports=[grpc])
    (updated,), _run = Outcomes(empty, tmp_path, "rolling_update", update("2.0.0")).run()
    canary = {"canary_application": "shop", "canary_version": "2.0.0"}
    by_endpoints = canary | {"canary_entry": {"source": "endpoints"}}
    promoted = {"canary_application": "shop", "canary_promote": True, "canary_entry": {"source": "endpoints"}}
    (refused, shared, whole), _run = Outcomes(empty, tmp_path, "canary", canary, by_endpoints, promoted).run()
    scale = {"scale_application": "shop", "scale_replicas": "4"}
    allowed = scale | {"scale_unverified": True}
    (scaled, unverified), _run = Outcomes(empty, tmp_path, "scale", scale, allowed).run()
    for outcome in (updated, refused, scaled):
        assert (outcome["ending"], outcome["changed"], outcome["verified_by"]) == ("refused", False, "nothing")
        assert outcome["reason"].startswith(UNREADY)
        assert "port grpc (80), got no good answer (5 x HTTP 503 (not HTTP/1.1))" in outcome["reason"]

    assert said(shared) == ("success", "pass", "1.0.0", "1.0.0", True, False)  # stable's
    assert (shared["verdict"], shared["verified_by"], shared["samples"]) == ("pass", "endpoints", 4)
    assert any("no requests were made, as the entry has source: endpoints" in line for line in shared["lines"])
    assert (whole["ending"], whole["verdict"], whole["after"]) == ("success", "pass", "2.0.0")

    assert (unverified["ending"], unverified["verdict"], unverified["after"]) == ("unverified", "unverified", 4)
    assert any(line.startswith("unverified: what users get was not verified") for line in unverified["lines"])


def test_users_come_in_by_a_port_that_is_not_for_metrics(empty: Lab, tmp_path: Path) -> None:
    metrics = {"name": "http-metrics", "port": 9090, "targetPort": 9090}
    deployed(empty, "metrics", ports=[metrics, HTTP])
    named = {"rolling_update_entry": {"port": "http-metrics", "version_from": {"regex": "of the metrics"}}}
    gone = {"rolling_update_entry": {"port": "web"}}
    runs = (update("2.0.0"), update("3.0.0", **gone), update("3.0.0", **named, rolling_update_settle=3))
    (good, missing, other), _run = Outcomes(empty, tmp_path, "rolling_update", *runs).run()
    assert said(good) == ("success", "pass", "1.0.0", "2.0.0", True, False)
    assert good["verified_by"] == "versions"
    assert ":80/proxy/version" in good["evidence"][-1]["url"]
    assert missing["ending"] == "refused"
    assert "Service shop has no port web; its ports: http-metrics (9090), http (80)." in missing["reason"]
    # What answered before the change does again, though it is called otherwise than the image.
    assert said(other) == ("rolled back", "fail", "2.0.0", "2.0.0", True, True)
    assert "the images named 2.0.0 and the answers of the metrics" in other["reason"]
    assert ":9090/proxy/version" in other["evidence"][-1]["url"]


def test_an_entry_that_is_given_is_never_replaced(empty: Lab, tmp_path: Path) -> None:
    """The application's own Service answers, and the entry in front of it leads nowhere."""
    deployed(empty)
    front = {"metadata": {"name": "front"}, "spec": {"selector": {"app": "nothing"}, "ports": [HTTP]}}
    empty.core.create_namespaced_service(empty.namespace, front)
    entry = {"rolling_update_entry": {"service": "front"}}
    runs = (update("2.0.0", **entry), update("2.0.0", rolling_update_unverified=True, **entry), update("3.0.0"))
    (refused, unverified, good), _run = Outcomes(empty, tmp_path, "rolling_update", *runs).run()
    assert said(refused) == ("refused", "fail", "1.0.0", "1.0.0", False, True)
    assert "HTTP 503 (no ready endpoint)" in refused["reason"]
    assert "That is the entry that is configured; without it, requests go to Service shop." in refused["reason"]
    assert said(unverified) == ("unverified", "unverified", "1.0.0", "2.0.0", True, False)
    assert said(good) == ("success", "pass", "2.0.0", "3.0.0", True, False)
