"""The inventories of the collection, as ansible-inventory reads them."""

from __future__ import annotations

import functools
import json
import typing as t
from pathlib import Path

import pytest
import yaml
from integration import warm

ROOT = Path(__file__).resolve().parents[4]


def ran(program: str, *arguments: str) -> tuple[int, str]:
    """How one of Ansible's programs ends in the checkout, and what it prints."""
    with warm.start(arguments, warm.environment() | {"GCP_PROJECT": "shop"}, program) as run:
        output, _ = run.communicate(timeout=600)
    return int(run.returncode or 0), output


@functools.cache
def inventory(name: str, *options: str) -> str:
    """What ansible-inventory says of one of them."""
    code, output = ran("inventory", "-i", f"inventories/{name}", *options)
    assert code == 0, output
    return output


@pytest.mark.parametrize("text", ["all: {hosts: {shop: {}}}", "clusters: {hosts: {}}"])
def test_an_inventory_without_clusters_fails_every_playbook(tmp_path: Path, text: str) -> None:
    written = tmp_path / "hosts.yml"
    written.write_text(text)
    code, output = ran("playbook", "-i", str(written), "playbooks/bluegreen.yml", "--extra-vars", "version=2.0.0")
    assert code != 0
    assert "The inventory has no host in group clusters; name another one with -i." in output
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
