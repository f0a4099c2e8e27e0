"""Roles at an API server that fails now and then: they finish, and users notice nothing."""

from __future__ import annotations

import uuid

from integration.conftest import namespace
from integration.playbooks import Traffic

RESOURCES = ("deployments", "services", "leases", "configmaps", "secrets", "pods", "replicasets")
WRITES = ("create", "update", "patch", "delete")


def test_what_fails_now_and_then_is_done_all_the_same() -> None:
    from convoy_sandbox.faults import Fault
    from convoy_sandbox.testing import sandbox

    def faults(share: float) -> list[Fault]:
        """Each kind, so often; only some of them for whoever reads."""
        return [
            Fault("drop-after", share, WRITES, RESOURCES),
            Fault("409", share, WRITES, RESOURCES),
            Fault("drop", share, (), RESOURCES),
            Fault("500", share, (), RESOURCES),
            Fault("503", share, (), RESOURCES),
            Fault("429", share, (), RESOURCES, seconds=1),
            Fault("410", 0.5, (), RESOURCES),
            Fault("drop-watch", 0.5, (), RESOURCES, seconds=0.2),
        ]

    with sandbox(name=f"faults-{uuid.uuid4().hex[:8]}") as cluster, namespace(str(cluster.kubeconfig)) as lab:
        # All of an application is applied in one call, which makes each request once: an attempt is all or nothing.
        cluster.set_faults(*faults(0.005), seed=7)
        deployed = lab.play("app_deploy")
        assert deployed.code == 0, deployed.output
        cluster.set_faults()
        with Traffic(lab) as traffic:
            cluster.set_faults(*faults(0.02), seed=7)
            switched = lab.play("bluegreen", version="2.0.0")
            met = cluster.call(lambda: list(cluster.cluster.api.faults.counts))
            cluster.set_faults()
        assert switched.code == 0, switched.output
        assert sum(met) > 0, met
        assert lab.versions() == {"2.0.0": 20}
        assert lab.selector()["version"] == "2.0.0"
        assert lab.deployments() == {"auth", "frontend", "hello", "hello-green"}
    assert (traffic.lost, traffic.versions) == ([], ["1.0.0", "2.0.0"])
