"""What a rollout costs on many clusters, beside a shell loop of kubectl over them.

fleet.yml changes and verifies up to 50 clusters in one wave, more of them in several; the loop applies, waits,
switches and looks at ten answers, one cluster after the other. The clusters are sandboxes, many of them in a process,
so that they share the machine's cores with each other and with Ansible. CPU seconds and memory are those of
ansible-playbook and its tasks, and those of the processes beside them, which keep locks and watch the traffic, are said
by themselves; memory that they share counts once.
"""

from __future__ import annotations

import argparse
import contextlib
import ctypes
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
#: How many clusters change in a wave at most: each is watched meanwhile, by requests that this machine answers as well.
WAVE = 50
#: How many of them Ansible works on at once: they share this machine's cores, and more would wait for each other.
FORKS = 20


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
    cpu: float  #: seconds, user and system, of the playbook and its tasks
    beside: float  #: seconds of the processes beside them
    largest: int  #: MiB, the peak of the largest process
    together: int  #: MiB, the peak of playbook and tasks together, as seen every second; 0 where no system tells
    besides: int  #: MiB, that of the processes beside them


def adopt_orphans() -> None:
    """Have processes whose parents end become children of this one, where the system can do that, to be counted."""
    if sys.platform == "linux":
        child_subreaper = 36  # PR_SET_CHILD_SUBREAPER of prctl(2)
        ctypes.CDLL(None).prctl(child_subreaper, 1, 0, 0, 0)


def orphans_cpu() -> float:
    """Seconds, user and system, of what has ended so far; waits for none that still runs."""
    with contextlib.suppress(ChildProcessError):
        while os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG):
            pass
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def children(pid: int) -> list[int]:
    """The processes that a process has started or adopted."""
    try:
        threads = list(Path(f"/proc/{pid}/task").iterdir())
        return [int(child) for thread in threads for child in (thread / "children").read_text().split()]
    except OSError:  # it has ended
        return []


def together(pid: int) -> int:
    """The memory of a process and its descendants, in KiB."""
    try:
        sizes = Path(f"/proc/{pid}/smaps_rollup").read_text()
    except OSError:  # it has ended
        return 0
    own = sum(int(line.split()[1]) for line in sizes.splitlines() if line.startswith("Pss:"))
    return own + sum(together(child) for child in children(pid))


def watched(pid: int, known: set[int], ended: threading.Event, seen: list[int], beside: list[int]) -> None:
    """Look every second at the memory of a process and its descendants, and at that of who is no `known` child."""
    while not ended.wait(1):
        seen.append(together(pid))
        beside.append(sum(together(child) for child in children(os.getpid()) if child not in known))


def rolled_out(clusters: Clusters) -> Cost:
    """fleet.yml on all clusters at once."""
    env = {key: value for key, value in os.environ.items() if not key.startswith(("ANSIBLE_", "K8S_AUTH_"))}
    env.pop("PYTHONDONTWRITEBYTECODE", None)  # as where the collection is used
    env["PATH"] = f"{Path(sys.executable).parent}:{env['PATH']}"
    env["ANSIBLE_FORKS"] = str(FORKS)
    inventories = [option for path in clusters.inventories for option in ("-i", path)]
    asked = json.dumps({"version": "2.0.0", "waves": [min(WAVE, len(clusters.members))]})
    command = ["ansible-playbook", *inventories, "playbooks/fleet.yml", "-e", asked]
    with tempfile.TemporaryFile("w+") as output:
        start, others = time.perf_counter(), orphans_cpu()
        process = subprocess.Popen(command, cwd=ROOT, env=env, stdout=output, stderr=subprocess.STDOUT)
        ended, seen, beside = threading.Event(), [0], [0]
        known = {process.pid, *(each.pid for each in clusters.processes)}
        watch = threading.Thread(target=watched, args=(process.pid, known, ended, seen, beside))
        watch.start()
        _pid, status, used = os.wait4(process.pid, 0)
        wall = time.perf_counter() - start
        ended.set()
        watch.join()
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode:
            output.seek(0)
            sys.exit(f"fleet.yml failed:\n{output.read()}")
    cpu = used.ru_utime + used.ru_stime
    deadline = time.monotonic() + 30
    while set(children(os.getpid())) - known and time.monotonic() < deadline:  # they end after the playbook
        orphans_cpu()
        time.sleep(0.1)
    others = orphans_cpu() - others - cpu
    return Cost(wall, cpu, others, used.ru_maxrss // 1024, max(seen) // 1024, max(beside) // 1024)


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
    adopt_orphans()
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
            f"{size} clusters: fleet.yml {cost.wall:.1f} s; {cost.cpu / size:.2f} CPU s a cluster, "
            f"{cost.beside / size:.2f} beside it; peak memory {cost.largest} MiB the largest process, {cost.together} "
            f"MiB all together, {cost.besides} MiB beside it{line}",
            flush=True,
        )


if __name__ == "__main__":
    main()
