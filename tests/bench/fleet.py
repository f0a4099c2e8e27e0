"""How long a rollout takes on 1, 5, 20 and 50 clusters, beside a shell loop of kubectl over them.

fleet.yml changes and verifies all clusters in one wave; the loop applies, waits, switches and looks at ten
answers, one cluster after the other. Sandboxes of one process are the clusters, so that they share one core.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent))

from integration.fleet import Fleet, Member, fleet  # noqa: E402


def timed_fleet(clusters: Fleet) -> float:
    """Seconds of fleet.yml on all clusters at once."""
    start = time.perf_counter()
    run = clusters.play(version="2.0.0", waves="100%")
    if run.code:
        sys.exit(f"fleet.yml failed:\n{run.output}")
    return time.perf_counter() - start


def timed_loop(clusters: Fleet) -> float:
    """Seconds of bench/bluegreen.sh on one cluster after the other."""
    start = time.perf_counter()
    for member in clusters.members.values():
        address = member.core.read_namespaced_service("hello", "default").status.load_balancer.ingress[0].ip
        env = dict(os.environ, KUBECONFIG=str(member.sandbox.kubeconfig), FRONTEND=f"http://{address}")
        done = subprocess.run(["bash", HERE / "bluegreen.sh"], env=env, text=True, capture_output=True, check=False)
        if done.returncode:
            sys.exit(f"bluegreen.sh failed on {member.name}:\n{done.stdout}{done.stderr}")
    return time.perf_counter() - start


def reset(member: Member) -> None:
    """Back to the one version that the cluster began with."""
    member.core.patch_namespaced_service("hello", "default", {"spec": {"selector": {"version": member.version}}})
    member.apps.delete_namespaced_deployment("hello-green", "default", propagation_policy="Foreground")
    while "hello-green" in member.deployments():
        time.sleep(0.05)


def main() -> None:
    """Measure each size and print a line for it."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])  # type: ignore[union-attr]
    parser.add_argument("--sizes", type=int, nargs="+", default=[1, 5, 20, 50], help="numbers of clusters")
    sizes = parser.parse_args().sizes
    kubectl = shutil.which("kubectl") and shutil.which("curl")
    if not kubectl:
        print("The loop over the clusters is not measured: install kubectl (kubernetes.io/docs/tasks/tools) and curl.")
    for size in sizes:
        with tempfile.TemporaryDirectory() as directory, fleet(Path(directory), size) as clusters:
            line = ""
            if kubectl:
                loop = timed_loop(clusters)
                line = f"; loop of kubectl {loop:.1f} s, {loop / size:.2f} s each"
                for member in clusters.members.values():
                    reset(member)
            taken = timed_fleet(clusters)
        print(f"{size} clusters: fleet.yml {taken:.1f} s, {taken / size:.2f} s each{line}", flush=True)


if __name__ == "__main__":
    main()
