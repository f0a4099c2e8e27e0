"""How long a rollout takes beside plain kubectl, how fast the sampler is beside wrk, and when a verdict comes.

All are measured in turn, in one run, on one sandbox; figures are medians, in seconds and in
samples per second.
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
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
HERE = Path(__file__).resolve().parent


def run(command: list[str], env: Mapping[str, str], *, input_: str | None = None) -> str:
    """The standard output of a command; a failure ends the benchmark with what it printed."""
    done = subprocess.run(command, cwd=ROOT, env=env, input=input_, text=True, capture_output=True, check=False)
    if done.returncode:
        sys.exit(f"{' '.join(command)} failed:\n{done.stdout}{done.stderr}")
    return done.stdout


def timed(command: list[str], env: Mapping[str, str]) -> float:
    """How many seconds a command takes."""
    start = time.perf_counter()
    run(command, env)
    return time.perf_counter() - start


def reset(env: Mapping[str, str]) -> None:
    """Back to hello 1.0.0 alone, its Service pinned to it."""
    run(["kubectl", "delete", "deployment/hello-green", "service/hello-preview", "--ignore-not-found"], env)
    run(["kubectl", "wait", "--for=delete", "pod", "-l", "app=hello,version=2.0.0", "--timeout=60s"], env)
    selector = [{"op": "replace", "path": "/spec/selector", "value": {"app": "hello", "version": "1.0.0"}}]
    run(["kubectl", "patch", "service", "hello", "--type=json", "--patch", json.dumps(selector)], env)


def frontend(env: Mapping[str, str]) -> str:
    """The URL of the lab's frontend."""
    service = json.loads(run(["kubectl", "get", "service", "frontend", "-o", "json"], env))
    ingress = service["status"]["loadBalancer"]["ingress"][0]
    if any(port.get("error") for port in ingress.get("ports", [])):
        sys.exit("The frontend cannot listen on port 443 here; run the benchmark as a user who may bind it.")
    return f"https://{ingress['ip']}"


def bench_rollout(env: Mapping[str, str], pairs: int) -> None:
    """bluegreen.yml and the script, in turn."""
    script = ["bash", str(HERE / "bluegreen.sh")]
    playbook = ["ansible-playbook", "playbooks/bluegreen.yml", "-e", "version=2.0.0"]
    seconds: dict[str, list[float]] = {"script": [], "playbook": []}
    for pair in range(pairs + 1):
        for name, command in (("script", script), ("playbook", playbook)):
            reset(env)
            taken = timed(command, env)
            if pair:  # the first pair warms caches up
                seconds[name].append(taken)
    script_median, playbook_median = (statistics.median(seconds[name]) for name in ("script", "playbook"))
    ratios = [b / a for a, b in zip(seconds["script"], seconds["playbook"], strict=True)]
    print(
        f"ratio {statistics.median(ratios):.2f}  (bluegreen.yml {playbook_median:.2f} s, "
        f"plain kubectl {script_median:.2f} s; medians of {pairs} pairs)"
    )


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
    seen: dict[str, list[float]] = {"sampler": [], "wrk": [], "sampler's CPU": [], "wrk's CPU": []}
    for _ in range(runs):
        rate, by_cpu = map(float, run([sys.executable, str(HERE / "sampler.py"), url], env).split())
        seen["sampler"].append(rate)
        seen["sampler's CPU"].append(by_cpu)
        used = children_cpu()
        done = run(["wrk", "-t1", "-c16", "-d2s", "-H", "Connection: close", url], env)
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


def bench_verdict(env: Mapping[str, str], address: str, runs: int, folder: Path) -> None:
    """From the start of the module, and of a task, to a verdict on a canary that has the 25% that it should have."""
    run(["ansible-playbook", "playbooks/canary.yml", "-e", "version=2.0.0"], env)
    asked = {
        "kubeconfig": env["KUBECONFIG"],
        "url": f"http://{address}/version",
        "expected": {"1.0.0": 0.75, "2.0.0": 0.25},
        "fail_on": "never",
    }
    module = [sys.executable, "plugins/modules/version_distribution.py"]
    for rate in (0, 200):
        task = {"name": "Judge", "convoy.rollout.version_distribution": {**asked, "rate_limit": rate}}
        for name, tasks in (("task", [task]), ("empty", [])):
            play = {"hosts": "clusters", "gather_facts": False, "tasks": tasks}
            (folder / f"{name}.yml").write_text(json.dumps([play]))
        (folder / "arguments").write_text(json.dumps({"ANSIBLE_MODULE_ARGS": {**asked, "rate_limit": rate}}))
        there = dict(env, PYTHONPATH=str(ROOT / ".collections"))
        modules, tasks = [], []
        for _ in range(runs):
            modules.append(timed([*module, str(folder / "arguments")], there))
            whole, empty = (timed(["ansible-playbook", str(folder / f"{name}.yml")], env) for name in ("task", "empty"))
            tasks.append(whole - empty)
        print(
            f"verdict on a true 25% at rate_limit {rate}: module {statistics.median(modules):.2f} s, its start "
            f"included; task {statistics.median(tasks):.2f} s  (medians of {runs})"
        )


def main() -> None:
    """Start a sandbox, measure, stop it."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])  # type: ignore[union-attr]
    parser.add_argument("--pairs", type=int, default=5, help="counted pairs of each comparison")
    parser.add_argument("--no-rollouts", action="store_true", help="the sampler and the verdict alone")
    arguments = parser.parse_args()
    pairs = arguments.pairs
    if not shutil.which("kubectl"):
        sys.exit("make bench compares with kubectl, which is not on the PATH; install it and run again.")
    with tempfile.TemporaryDirectory() as directory:
        env = dict(os.environ, CONVOY_SANDBOX_DIR=directory, ANSIBLE_LOCALHOST_WARNING="false")
        env["KUBECONFIG"] = env["K8S_AUTH_KUBECONFIG"] = f"{directory}/bench/kubeconfig"
        inventory = Path(directory) / "inventory"
        shutil.copytree(ROOT / "inventories/sandbox", inventory)
        hosts = inventory / "hosts.yml"
        hosts.write_text(re.sub(r"kubeconfig:.*", f"kubeconfig: {env['KUBECONFIG']}", hosts.read_text()))
        env["ANSIBLE_INVENTORY"] = str(inventory)
        run(["convoy-sandbox", "up", "--name", "bench", "--pod-start", "1"], env)
        try:
            run(["ansible-playbook", "playbooks/app_deploy.yml"], env)
            env["FRONTEND"] = frontend(env)
            if not arguments.no_rollouts:
                bench_rollout(env, pairs)
                reset(env)
            service = json.loads(run(["kubectl", "get", "service", "hello", "-o", "json"], env))
            address = service["spec"]["clusterIP"]
            bench_sampler(env, address, pairs)
            bench_verdict(env, address, pairs, Path(directory))
        finally:
            run(["convoy-sandbox", "down", "--name", "bench"], env)


if __name__ == "__main__":
    main()
