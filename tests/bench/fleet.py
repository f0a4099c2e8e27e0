"""What a rollout costs on many clusters, beside a shell loop of kubectl over them.

fleet.yml changes and verifies all clusters in one wave; the loop applies, waits, switches and looks at ten
answers, one cluster after the other. The clusters are sandboxes, many of them in a process, so that they share
the machine's cores with each other and with Ansible. CPU seconds and memory are those of ansible-playbook and the
processes that it starts; memory that they share counts once.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
HERE = Path(__file__).resolve().parent
sys.path[0] = str(HERE.parent)  # for whom this file is not `fleet`

from integration.fleet import Fleet, Member, fleet  # noqa: E402

#: How many sandboxes a process has; each has threads, sockets and files of its own.
TOGETHER = 25


# -- the processes of the sandboxes ------------------------------------------------------------------------------------


def reset(member: Member) -> None:
    """Back to the one version that the cluster began with."""
    member.core.patch_namespaced_service("hello", "default", {"spec": {"selector": {"version": member.version}}})
    member.apps.delete_namespaced_deployment("hello-green", "default", propagation_policy="Foreground")
    while "hello-green" in member.deployments():
        time.sleep(0.05)


def address(member: Member) -> str:
    """Where users come in."""
    deadline = time.monotonic() + 300
    while not (ingress := member.core.read_namespaced_service("hello", "default").status.load_balancer.ingress):
        if time.monotonic() > deadline:
            sys.exit(f"hello got no address in {member.name} within 300 s.")
        time.sleep(0.1)
    return str(ingress[0].ip)


def serve(size: int, first: int) -> None:
    """Have some of the clusters in this process: say where they are, reset them when told, end with the input."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    with tempfile.TemporaryDirectory() as directory, fleet(Path(directory), size, first) as clusters:
        print(json.dumps(_described(clusters)), flush=True)
        for _line in sys.stdin:
            for member in clusters.members.values():
                reset(member)
            print("reset", flush=True)


def _described(clusters: Fleet) -> dict[str, Any]:
    members = clusters.members.items()
    return {
        "inventory": str(clusters.inventory),
        "members": {name: [str(member.sandbox.kubeconfig), f"http://{address(member)}"] for name, member in members},
    }


# -- the benchmark -----------------------------------------------------------------------------------------------------


@dataclass
class Clusters:
    """The whole fleet, spread over processes."""

    inventories: list[str] = field(default_factory=list)
    members: dict[str, tuple[str, str]] = field(default_factory=dict)  #: kubeconfig and URL of each
    processes: list[subprocess.Popen[str]] = field(default_factory=list)

    def reset(self) -> None:
        """Every cluster back to the version that it began with."""
        for process in self.processes:
            print("reset", file=process.stdin, flush=True)
        for process in self.processes:
            _line(process)


def _line(process: subprocess.Popen[str]) -> str:
    """What a process of sandboxes says next."""
    line = process.stdout.readline() if process.stdout else ""
    if not line:
        sys.exit("A process of sandboxes has ended; what it said is above.")
    return line


@contextlib.contextmanager
def started(size: int) -> Iterator[Clusters]:
    """So many clusters, for as long as the block lasts."""
    clusters = Clusters()
    try:
        for first in range(0, size, TOGETHER):
            command = [sys.executable, __file__, "--serve", str(min(TOGETHER, size - first)), str(first)]
            clusters.processes.append(
                subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
            )
        for process in clusters.processes:
            described = json.loads(_line(process))
            clusters.inventories.append(described["inventory"])
            clusters.members |= {name: tuple(where) for name, where in described["members"].items()}
        yield clusters
    finally:
        for process in clusters.processes:
            if process.stdin:
                process.stdin.close()  # at which it ends
        for process in clusters.processes:
            process.wait()


@dataclass(frozen=True)
class Cost:
    """What a run of fleet.yml took."""

    wall: float  #: seconds
    cpu: float  #: seconds, user and system, of all of its processes
    largest: int  #: MiB, the peak of the largest of its processes
    together: int  #: MiB, the peak of all of them together, as seen every second; 0 where the system does not tell


def together(pid: int) -> int:
    """The memory of a process and its descendants, in KiB."""
    try:
        sizes = Path(f"/proc/{pid}/smaps_rollup").read_text()
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    except OSError:  # it has ended
        return 0
    (own,) = (int(line.split()[1]) for line in sizes.splitlines() if line.startswith("Pss:"))
    return own + sum(together(int(child)) for child in children)


def watched(pid: int, ended: threading.Event, seen: list[int]) -> None:
    """Look at the memory of a process and its descendants every second."""
    while not ended.wait(1):
        seen.append(together(pid))


def rolled_out(clusters: Clusters) -> Cost:
    """fleet.yml on all clusters at once."""
    env = {key: value for key, value in os.environ.items() if not key.startswith(("ANSIBLE_", "K8S_AUTH_"))}
    env.pop("PYTHONDONTWRITEBYTECODE", None)  # as where the collection is used
    env["PATH"] = f"{Path(sys.executable).parent}:{env['PATH']}"
    inventories = [option for path in clusters.inventories for option in ("-i", path)]
    command = ["ansible-playbook", *inventories, "playbooks/fleet.yml", "-e", '{"version": "2.0.0", "waves": "100%"}']
    with tempfile.TemporaryFile("w+") as output:
        start = time.perf_counter()
        process = subprocess.Popen(command, cwd=ROOT, env=env, stdout=output, stderr=subprocess.STDOUT)
        ended, seen = threading.Event(), [0]
        watch = threading.Thread(target=watched, args=(process.pid, ended, seen))
        watch.start()
        _pid, status, used = os.wait4(process.pid, 0)
        wall = time.perf_counter() - start
        ended.set()
        watch.join()
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode:
            output.seek(0)
            sys.exit(f"fleet.yml failed:\n{output.read()}")
    return Cost(wall, used.ru_utime + used.ru_stime, used.ru_maxrss // 1024, max(seen) // 1024)


def looped(clusters: Clusters) -> float:
    """Seconds of bench/bluegreen.sh on one cluster after the other."""
    start = time.perf_counter()
    for name, (kubeconfig, url) in clusters.members.items():
        env = dict(os.environ, KUBECONFIG=kubeconfig, FRONTEND=url)
        done = subprocess.run(["bash", HERE / "bluegreen.sh"], env=env, text=True, capture_output=True, check=False)
        if done.returncode:
            sys.exit(f"bluegreen.sh failed on {name}:\n{done.stdout}{done.stderr}")
    return time.perf_counter() - start


def main() -> None:
    """Measure each size and print a line for it."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])  # type: ignore[union-attr]
    parser.add_argument("--clusters", type=int, nargs="+", default=[1, 5, 20, 50], help="sizes of the fleet")
    parser.add_argument("--no-loop", action="store_true", help="fleet.yml alone, without the loop of kubectl")
    parser.add_argument("--serve", type=int, nargs=2, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.serve:
        serve(*arguments.serve)
        return
    missing = [name for name in ("kubectl", "curl") if not shutil.which(name)]
    if missing:
        print(f"fleet.yml beside a loop of kubectl: not measured, {' and '.join(missing)} not found on the PATH")
    for size in arguments.clusters:
        with started(size) as clusters:
            line = ""
            if not (missing or arguments.no_loop):
                loop = looped(clusters)
                line = f"; loop of kubectl {loop:.1f} s"
                clusters.reset()
            cost = rolled_out(clusters)
        if line:
            line += f", ratio {cost.wall / loop:.1f}"
        print(
            f"{size} clusters: fleet.yml {cost.wall:.1f} s; {cost.cpu / size:.2f} CPU s a cluster; peak memory "
            f"{cost.largest} MiB the largest process, {cost.together} MiB all together{line}",
            flush=True,
        )


if __name__ == "__main__":
    main()
