"""The inventories of the collection, as ansible-inventory reads them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import typing as t
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[4]


def ran(program: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """One of Ansible's programs, in the checkout."""
    kept = {key: value for key, value in os.environ.items() if not key.startswith("ANSIBLE_")}
    return subprocess.run(
        [Path(sys.executable).parent / program, *arguments],
        cwd=ROOT,
        env=kept | {"GCP_PROJECT": "shop", "ANSIBLE_NOCOLOR": "1"},
        text=True,
        capture_output=True,
        check=False,
    )


def inventory(name: str, *options: str) -> str:
    """What ansible-inventory says of one of them."""
    done = ran("ansible-inventory", "-i", f"inventories/{name}", *options)
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


@pytest.mark.parametrize("text", ["all: {hosts: {shop: {}}}", "clusters: {hosts: {}}"])
def test_an_inventory_without_clusters_fails_every_playbook(tmp_path: Path, text: str) -> None:
    written = tmp_path / "hosts.yml"
    written.write_text(text)
    done = ran("ansible-playbook", "-i", str(written), "playbooks/bluegreen.yml", "--extra-vars", "version=2.0.0")
    assert done.returncode != 0
    assert "The inventory has no host in group clusters; name another one with -i." in done.stderr
    playbooks = [yaml.safe_load(path.read_text()) for path in sorted((ROOT / "playbooks").glob("*.yml"))]
    assert len({plays[0]["hosts"] for plays in playbooks}) == 1


@pytest.mark.parametrize(
    ("name", "providers"),
    [
        ("sandbox", {"sandbox": "sandbox"}),
        ("kind", {"convoy-kind": "kind"}),
        ("gke", {"lab": "gke"}),
        ("hybrid", {"canary-sandbox": "sandbox", "berlin-rack": "existing", "iowa-gke": "gke"}),
    ],
)
def test_a_host_is_a_cluster_with_the_application(name: str, providers: dict[str, str]) -> None:
    hosts: dict[str, dict[str, t.Any]] = json.loads(inventory(name, "--list"))["_meta"]["hostvars"]
    assert {host: own.get("cluster_provider") for host, own in hosts.items()} == providers
    for own in hosts.values():
        assert own["ansible_connection"] == "local"
        assert own["applications"][own["application"]]["service"]
        assert own["kubeconfig"]


def test_the_hybrid_inventory_groups_by_provider_region_and_wave() -> None:
    lines = [line.strip("| -:") for line in inventory("hybrid", "--graph").splitlines()]
    assert {line for line in lines if line.startswith("@")} >= {
        *("@clusters", "@provider_sandbox", "@provider_on_premises", "@provider_gke"),
        *("@region_local", "@region_europe", "@region_us", "@wave_1", "@wave_2"),
    }
    hosts = json.loads(inventory("hybrid", "--list"))
    assert {name: hosts[name]["hosts"] for name in ("region_europe", "wave_1", "wave_2")} == {
        "region_europe": ["berlin-rack"],
        "wave_1": ["canary-sandbox"],
        "wave_2": ["berlin-rack", "iowa-gke"],
    }
    own = hosts["_meta"]["hostvars"]
    assert [(own[name]["region"], own[name]["wave"]) for name in ("canary-sandbox", "iowa-gke")] == [
        ("local", 1),
        ("us", 2),
    ]
