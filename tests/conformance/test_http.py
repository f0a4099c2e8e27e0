"""Every exchange of the recordings, asked again of a sandbox: at least 95 of 100 must be answered alike."""

from __future__ import annotations

from pathlib import Path

import kubernetes
import pytest
import yaml
from conformance import recordings
from conformance.replay import HttpCluster, Replay, Result
from convoy_sandbox.network.images import Image
from convoy_sandbox.settings import Timing
from convoy_sandbox.testing import sandbox

_REQUIRED = 0.95
_KNOWN = yaml.safe_load(Path(__file__).with_name("known_differences.yml").read_text())

#: The recorded node's pace: states that a client saw there must last long enough to be seen here.
_PACE = Timing(pull=0.5, start=0.9, stop=2.0, crash_backoff=10.0)


def replay(name: str) -> list[Result]:
    """The results of one recording against a sandbox of its own."""
    images = {"kelseyhightower/hello:crash": Image("hello", ready=False, crash_after=1.6)}
    with sandbox(nodes=1, node_cpu="2", timing=_PACE, load_balancer=False, images=images) as cluster:
        client = kubernetes.config.new_client_from_config(str(cluster.kubeconfig))
        kubernetes.client.CoreV1Api(client).create_namespace({"metadata": {"name": name}})
        http = HttpCluster(client.rest_client.pool_manager, client.configuration.host)
        times = {
            line["object"]["metadata"]["resourceVersion"]: line["t"] for line in recordings.read(f"{name}.timeline")
        }
        known = set(_KNOWN.get(name) or ())
        return Replay(http.send, http.open_watch).run(recordings.read(f"{name}.http"), name, times, known)


@pytest.mark.parametrize("name", ["lab", "faults", "core"])
def test_the_sandbox_answers_as_recorded(name: str, report: list[str]) -> None:
    results = replay(name)
    agree = [result for result in results if not result.differences]
    share = len(agree) / len(results)
    report.append(f"{name}.http.jsonl: {len(agree)} of {len(results)} exchanges agree ({share:.1%})")
    known = _KNOWN.get(name) or {}
    differ = {result.index: result for result in results if result.differences}
    unexplained = [
        f"{index} {differ[index].title}: {'; '.join(differ[index].differences[:3])}"
        for index in sorted(set(differ) - set(known))
    ]
    assert not unexplained, "differences that known_differences.yml does not explain:\n" + "\n".join(unexplained)
    assert set(known) <= set(differ), f"these agree now, take them out: {sorted(set(known) - set(differ))}"
    assert share >= _REQUIRED
