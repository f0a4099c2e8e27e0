"""How long a rollout takes beside plain kubectl, and how fast the sampler is beside wrk.

Both are measured in turn, in one run, on one sandbox; figures are medians, in seconds and in
samples per second.
"""

from __future__ import annotations

import argparse
import json
import os
import re
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


def bench_sampler(env: Mapping[str, str], address: str, runs: int) -> None:
    """version_distribution's own loop beside wrk, on the Service of hello, one connection a sample."""
    if not shutil.which("wrk"):
        print("samples per second: not measured, wrk is not installed (Debian: apt-get install wrk)")
        return
    url = f"http://{address}/version"
    sampler: list[float] = []
    wrk: list[float] = []
    for _ in range(runs):
        done = run([sys.executable, str(HERE / "sampler.py"), url], env)
        sampler.append(float(done))
        done = run(["wrk", "-t1", "-c16", "-d2s", "-H", "Connection: close", url], env)
        wrk.append(float(re.search(r"Requests/sec:\s+([\d.]+)", done)[1]))  # type: ignore[index]
    ratios = [a / b for a, b in zip(sampler, wrk, strict=True)]
    print(
        f"samples per second {statistics.median(sampler):.0f}, wrk {statistics.median(wrk):.0f}, "
        f"ratio {statistics.median(ratios):.2f}  (medians of {runs} pairs)"
    )


def main() -> None:
    """Start a sandbox, measure, stop it."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])  # type: ignore[union-attr]
    parser.add_argument("--pairs", type=int, default=5, help="counted pairs of each comparison")
    pairs = parser.parse_args().pairs
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
            bench_rollout(env, pairs)
            reset(env)
            service = json.loads(run(["kubectl", "get", "service", "hello", "-o", "json"], env))
            bench_sampler(env, service["spec"]["clusterIP"], pairs)
        finally:
            run(["convoy-sandbox", "down", "--name", "bench"], env)


if __name__ == "__main__":
    main()
