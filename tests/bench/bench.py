"""What a rollout costs, beside plain kubectl too; how fast the sampler is beside wrk; and when a verdict comes.

All are measured in turn, in one run, on one sandbox; figures are medians. They are printed, and nothing depends
on them: how fast a machine is, and what else it does, decides most of them.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import urllib3
from figures import MOST_JINJA, Row, roles_jinja, table, tasks_of
from kubernetes import client, config

ROOT = Path(__file__).resolve().parents[2]
HERE = Path(__file__).resolve().parent
#: The lab's Service before anybody pins it, and pinned to the version that is deployed first.
UNPINNED = {"app": "hello"}
PINNED = {"app": "hello", "version": "1.0.0"}
PROOF = 1000  #: requests of a blue/green run: half of them before it changes anything, half after it


@dataclass(frozen=True)
class Cost:
    """What a command took, and what it printed."""

    cpu: float  #: seconds, user and system, of the command and of all that it waited for
    wall: float  #: seconds
    output: str


def run(command: list[str], env: Mapping[str, str], *, input_: str | None = None) -> str:
    """The standard output of a command; a failure ends the benchmark with what it printed."""
    done = subprocess.run(command, cwd=ROOT, env=env, input=input_, text=True, capture_output=True, check=False)
    if done.returncode:
        sys.exit(f"{' '.join(command)} failed:\n{done.stdout}{done.stderr}")
    return done.stdout


def timed(command: list[str], env: Mapping[str, str]) -> Cost:
    """Run a command and see what it takes."""
    start, used = time.perf_counter(), children_cpu()
    output = run(command, env)
    return Cost(children_cpu() - used, time.perf_counter() - start, output)


class Cluster:
    """What the benchmark itself reads and changes in the sandbox."""

    def __init__(self, kubeconfig: str) -> None:
        api = config.new_client_from_config(kubeconfig)
        self.core, self.apps = client.CoreV1Api(api), client.AppsV1Api(api)

    def reset(self, selector: Mapping[str, str]) -> None:
        """Back to hello 1.0.0 alone, its Service with this selector."""
        for delete, name in (
            (self.apps.delete_namespaced_deployment, "hello-green"),
            (self.core.delete_namespaced_service, "hello-preview"),
        ):
            try:
                delete(name, "default")
            except client.ApiException as error:
                if error.status != 404:
                    raise
        deadline = time.monotonic() + 300
        while self.core.list_namespaced_pod("default", label_selector="app=hello,version=2.0.0").items:
            if time.monotonic() > deadline:
                sys.exit("The pods of hello 2.0.0 did not end within 300 s.")
            time.sleep(0.1)
        patch = [{"op": "replace", "path": "/spec/selector", "value": dict(selector)}]
        self.core.patch_namespaced_service("hello", "default", patch)

    def add_canary(self) -> None:
        """A pod of hello 2.0.0 beside the three of hello 1.0.0; return once users get it."""
        stable = self.apps.read_namespaced_deployment("hello", "default")
        template = self.apps.api_client.sanitize_for_serialization(stable.spec.template)
        labels = {"app": "hello", "track": "canary"}
        template["metadata"]["labels"] |= {**labels, "version": "2.0.0"}
        for container in template["spec"]["containers"]:
            container["image"] = container["image"].replace(":1.0.0", ":2.0.0")
        body = {"replicas": 1, "selector": {"matchLabels": labels}, "template": template}
        self.apps.create_namespaced_deployment("default", {"metadata": {"name": "hello-canary"}, "spec": body})
        url, deadline = f"http://{self.address()}/version", time.monotonic() + 300
        while urllib3.request("GET", url, headers={"Connection": "close"}).json() != {"version": "2.0.0"}:
            if time.monotonic() > deadline:
                sys.exit("Nobody got hello 2.0.0 within 300 s.")
            time.sleep(0.05)

    def address(self) -> str:
        """The address of the Service of hello within the cluster."""
        return str(self.core.read_namespaced_service("hello", "default").spec.cluster_ip)

    def frontend(self) -> str:
        """The URL of the lab's frontend."""
        (ingress,) = self.core.read_namespaced_service("frontend", "default").status.load_balancer.ingress
        if any(port.error for port in ingress.ports or []):
            sys.exit("The frontend cannot listen on port 443 here; run the benchmark as a user who may bind it.")
        return f"https://{ingress.ip}"


def bench_rollout(env: Mapping[str, str], cluster: Cluster, pairs: int, folder: Path) -> list[Row]:
    """bluegreen.yml there and back, a playbook without tasks, and the script where kubectl is; in turn."""
    bluegreen = ["ansible-playbook", "playbooks/bluegreen.yml", "-e"]
    (folder / "empty.yml").write_text(json.dumps([{"hosts": "clusters", "gather_facts": False, "tasks": []}]))
    commands = {
        "there": [*bluegreen, "version=2.0.0"],
        "back": [*bluegreen, "rollback=true"],
        "empty": ["ansible-playbook", str(folder / "empty.yml")],
    }
    missing = [name for name in ("kubectl", "curl") if not shutil.which(name)]
    if missing:
        print(f"bluegreen.yml beside plain kubectl: not measured, {' and '.join(missing)} not found on the PATH")
    else:
        commands = {"script": ["bash", str(HERE / "bluegreen.sh")], **commands}
    costs: dict[str, list[Cost]] = {name: [] for name in commands}
    for pair in range(pairs + 1):
        for name, command in commands.items():
            if name in ("script", "there"):
                cluster.reset(PINNED)
            taken = timed(command, env)
            if pair or pairs == 1:  # the first pair warms caches up
                costs[name].append(taken)
        if pairs == 1:
            break
    cpu = {name: statistics.median(each.cpu for each in costs[name]) for name in costs}
    wall = {name: statistics.median(each.wall for each in costs[name]) for name in costs}
    rows = [
        ("blue/green there, CPU s", "3.9", f"{cpu['there']:.2f}", "<= 2.2"),
        ("blue/green back, CPU s", "2.6", f"{cpu['back']:.2f}", "<= 1.3"),
        ("a playbook without tasks, CPU s", "", f"{cpu['empty']:.2f}", ""),
        (f"{PROOF} requests as a run's proof makes them, CPU s", "", f"{PROOF / proof_by_cpu(env, pairs):.2f}", ""),
        # These say the same on a machine that is slower, or that others use too.
        ("blue/green there against one without tasks, CPU", "", f"{cpu['there'] / cpu['empty']:.1f}", ""),
        ("blue/green back against one without tasks, CPU", "", f"{cpu['back'] / cpu['empty']:.1f}", ""),
        ("blue/green there, s", "4.74", f"{wall['there']:.2f}", ""),
        ("blue/green back, s", "", f"{wall['back']:.2f}", ""),
    ]
    if not missing:
        ratios = [there.wall / script.wall for script, there in zip(costs["script"], costs["there"], strict=True)]
        rows += [
            ("plain kubectl there, s", "1.30", f"{wall['script']:.2f}", ""),
            ("blue/green against plain kubectl", "3.72", f"{statistics.median(ratios):.2f}", "<= 2.3"),
        ]
    return [*rows, ("tasks of blue/green there", "23", str(tasks_of(costs["there"][-1].output)), "<= 12")]


def proof_by_cpu(env: Mapping[str, str], runs: int) -> float:
    """Requests where users come in, each over a TLS connection of its own, in a second of the sampler's CPU time."""
    samples = PROOF if runs > 1 else PROOF // 10
    command = [sys.executable, str(HERE / "sampler.py"), f"{env['FRONTEND']}/version", str(samples)]
    return float(run(command, env).split()[1])


def children_cpu() -> float:
    """Seconds of CPU time, of the kernel's too, that commands have taken so far."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def bench_sampler(env: Mapping[str, str], address: str, runs: int) -> None:
    """version_distribution's own loop beside wrk, on the Service of hello, one connection a sample.

    The sandbox answers from one core, so that either may have to wait for it: what each needs of its own core is
    in the samples per second of CPU time.
    """
    if not shutil.which("wrk"):
        print("samples per second: not measured, wrk is not installed (Debian: apt-get install wrk)")
        return
    url = f"http://{address}/version"
    samples, seconds = ("4000", "2s") if runs > 1 else ("400", "1s")
    seen: dict[str, list[float]] = {"sampler": [], "wrk": [], "sampler's CPU": [], "wrk's CPU": []}
    for _ in range(runs):
        rate, by_cpu = map(float, run([sys.executable, str(HERE / "sampler.py"), url, samples], env).split())
        seen["sampler"].append(rate)
        seen["sampler's CPU"].append(by_cpu)
        used = children_cpu()
        done = run(["wrk", "-t1", "-c16", f"-d{seconds}", "-H", "Connection: close", url], env)
        used = children_cpu() - used
        seen["wrk"].append(float(re.search(r"Requests/sec:\s+([\d.]+)", done)[1]))  # type: ignore[index]
        seen["wrk's CPU"].append(int(re.search(r"(\d+) requests in", done)[1]) / used)  # type: ignore[index]
    middle = {name: statistics.median(values) for name, values in seen.items()}
    for suffix, what in (("", "samples per second"), ("'s CPU", "samples per second of CPU time")):
        ratios = [a / b for a, b in zip(seen[f"sampler{suffix}"], seen[f"wrk{suffix}"], strict=True)]
        print(
            f"{what} {middle[f'sampler{suffix}']:.0f}, wrk {middle[f'wrk{suffix}']:.0f}, "
            f"ratio {statistics.median(ratios):.2f}  (medians of {runs} pairs)"
        )


def bench_verdict(env: Mapping[str, str], cluster: Cluster, runs: int, folder: Path) -> None:
    """From the start of the module, and of a task, to a verdict on a canary that has the 25% that it should have."""
    cluster.add_canary()
    asked = {
        "kubeconfig": env["KUBECONFIG"],
        "url": f"http://{cluster.address()}/version",
        "expected": {"1.0.0": 0.75, "2.0.0": 0.25},
        "fail_on": "never",
    }
    module = [sys.executable, "plugins/modules/version_distribution.py"]
    empty = 0.0
    for rate in (0, 200):
        task = {"name": "Judge", "convoy.rollout.version_distribution": {**asked, "rate_limit": rate}}
        for name, tasks in (("task", [task]), ("empty", [])):
            play = {"hosts": "clusters", "gather_facts": False, "tasks": tasks}
            (folder / f"{name}.yml").write_text(json.dumps([play]))
        (folder / "arguments").write_text(json.dumps({"ANSIBLE_MODULE_ARGS": {**asked, "rate_limit": rate}}))
        there = dict(env, PYTHONPATH=str(ROOT / ".collections"))
        modules, tasks = [], []
        for _ in range(runs):
            modules.append(timed([*module, str(folder / "arguments")], there).wall)
            whole = timed(["ansible-playbook", str(folder / "task.yml")], env).wall
            if runs > 1 or not empty:  # the rate changes nothing about it: the short form looks once
                empty = timed(["ansible-playbook", str(folder / "empty.yml")], env).wall
            tasks.append(whole - empty)
        print(
            f"verdict on a true 25% at rate_limit {rate}: module {statistics.median(modules):.2f} s, its start "
            f"included; task {statistics.median(tasks):.2f} s  (medians of {runs})"
        )


def main() -> None:
    """Start a sandbox, measure, stop it."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])  # type: ignore[union-attr]
    parser.add_argument("--pairs", type=int, default=5, help="counted pairs; with 1 nothing warms up")
    parser.add_argument("--no-rollouts", action="store_true", help="the sampler and the verdict alone")
    arguments = parser.parse_args()
    pairs = arguments.pairs
    with tempfile.TemporaryDirectory() as directory:
        env = dict(os.environ, CONVOY_SANDBOX_DIR=directory, ANSIBLE_LOCALHOST_WARNING="false")
        env.pop("PYTHONDONTWRITEBYTECODE", None)  # as where the collection is used
        env["KUBECONFIG"] = env["K8S_AUTH_KUBECONFIG"] = f"{directory}/bench/kubeconfig"
        inventory = Path(directory) / "inventory"
        shutil.copytree(ROOT / "inventories/sandbox", inventory)
        hosts = inventory / "hosts.yml"
        hosts.write_text(re.sub(r"kubeconfig:.*", f"kubeconfig: {env['KUBECONFIG']}", hosts.read_text()))
        env["ANSIBLE_INVENTORY"] = str(inventory)
        run(["convoy-sandbox", "up", "--name", "bench", "--pod-start", "1"], env)
        try:
            run(["ansible-playbook", "playbooks/app_deploy.yml"], env)
            cluster = Cluster(env["KUBECONFIG"])
            env["FRONTEND"] = cluster.frontend()
            rows = []
            if not arguments.no_rollouts:
                rows = bench_rollout(env, cluster, pairs, Path(directory))
                # A canary shares the Service with the stable version: one that is pinned would be refused.
                cluster.reset(UNPINNED)
            jinja = str(roles_jinja(ROOT / "roles"))
            rows.append(("characters of Jinja in the roles", "47440", jinja, f"<= {MOST_JINJA}"))
            print(f"{table(rows)}\n(before: commit abe1fce; medians of {pairs})", flush=True)
            bench_sampler(env, cluster.address(), pairs)
            bench_verdict(env, cluster, pairs, Path(directory))
        finally:
            run(["convoy-sandbox", "down", "--name", "bench"], env)


if __name__ == "__main__":
    main()
