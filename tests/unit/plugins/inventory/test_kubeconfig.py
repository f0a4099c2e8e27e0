"""The inventory plugin kubeconfig: what is in the files becomes hosts, groups and variables, and no more."""

from __future__ import annotations

import typing as t
from pathlib import Path

import pytest
import yaml
from ansible import constants as C
from ansible.errors import AnsibleError
from ansible.inventory.data import InventoryData
from ansible.parsing.dataloader import DataLoader
from ansible.plugins.doc_fragments import constructed
from ansible_collections.convoy.rollout.plugins.inventory.kubeconfig import DOCUMENTATION, EXAMPLES, InventoryModule

PLUGIN = "convoy.rollout.kubeconfig"
Object = dict[str, t.Any]
GKE = "gke_shop_europe-west1-b_front"


def made() -> InventoryModule:
    """The plugin, with its documented options, as Ansible's loader makes it."""
    fragment = yaml.safe_load(constructed.ModuleDocFragment.DOCUMENTATION)["options"]
    own = yaml.safe_load(DOCUMENTATION)["options"]
    C.config.initialize_plugin_configuration_definitions("inventory", PLUGIN, fragment | own)
    plugin = InventoryModule()
    plugin._load_name, plugin._redirected_names = PLUGIN, [PLUGIN]
    return plugin


def kubeconfig(path: Path, *contexts: str) -> Path:
    """A kubeconfig with these contexts, all with a secret."""
    entry = {"cluster": "c", "user": "u"}
    document = {
        "clusters": [{"name": "c", "cluster": {"server": "https://c.example.com"}}],
        "users": [{"name": "u", "user": {"token": "a-secret"}}],
        "contexts": [{"name": name, "context": entry} for name in contexts],
        "current-context": contexts[0],
    }
    path.write_text(yaml.safe_dump(document))
    return path


def parsed(folder: Path, settings: Object | str = "", **options: t.Any) -> InventoryData:
    """The inventory that a file of the plugin makes."""
    file = folder / "fleet.kubeconfig.yml"
    text = settings if isinstance(settings, str) and settings else yaml.safe_dump({"plugin": PLUGIN, **options})
    file.write_text(t.cast(str, text))
    inventory = InventoryData()
    plugin = made()
    assert plugin.verify_file(str(file))
    plugin.parse(inventory, DataLoader(), str(file))
    return inventory


def hosts(inventory: InventoryData, group: str) -> list[str]:
    """The names of a group's hosts."""
    return sorted(host.name for host in inventory.groups[group].get_hosts())


def test_every_context_of_the_default_kubeconfigs_is_a_host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    one, two = kubeconfig(tmp_path / "one", "a", "b"), kubeconfig(tmp_path / "two", "c")
    monkeypatch.setenv("KUBECONFIG", f"{one}:{two}")
    inventory = parsed(tmp_path)
    assert hosts(inventory, "clusters") == ["a", "b", "c"]
    variables = inventory.hosts["c"].get_vars()
    assert (variables["kubeconfig"], variables["context"]) == (str(two), "c")
    assert variables["kubeconfig_server"] == "https://c.example.com"
    assert "a-secret" not in str([host.get_vars() for host in inventory.hosts.values()])
    assert inventory.groups["clusters"].get_vars()["ansible_connection"] == "local"


def test_contexts_are_chosen_and_grouped_by_expressions(tmp_path: Path) -> None:
    kubeconfig(tmp_path / "a.conf", GKE, "onprem-berlin", "onprem-old")
    kubeconfig(tmp_path / "b.conf", "prod-paris")
    inventory = parsed(
        tmp_path,
        kubeconfigs=["*.conf"],
        include=["gke_", "onprem", "prod"],
        exclude=[".*-old$"],
        group="fleet",
        patterns={"gke": r"^gke_(?P<project>[^_]+)_(?P<region>[a-z]+-[a-z]+\d)", "on_premises": "^onprem-"},
        compose={"wave": "1 if region | default('') == 'europe-west1' else 2"},
        keyed_groups=[{"key": "wave | string", "prefix": "wave"}],
        groups={"production": "'prod' in context"},
    )
    assert hosts(inventory, "fleet") == [GKE, "onprem-berlin", "prod-paris"]
    assert hosts(inventory, "gke") == hosts(inventory, "wave_1") == [GKE]
    assert hosts(inventory, "on_premises") == ["onprem-berlin"]
    assert hosts(inventory, "wave_2") == ["onprem-berlin", "prod-paris"]
    assert hosts(inventory, "production") == ["prod-paris"]
    variables = inventory.hosts[GKE].get_vars()
    assert (variables["project"], variables["region"]) == ("shop", "europe-west1")


def test_the_examples_of_the_documentation_work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / ".kube").mkdir()
    (tmp_path / "clusters").mkdir()
    kubeconfig(tmp_path / ".kube/config", GKE, "onprem-berlin", "onprem-old")
    kubeconfig(tmp_path / "clusters/x.kubeconfig", "prod-paris")
    monkeypatch.setenv("HOME", str(tmp_path))
    first, second = (text for text in EXAMPLES.split("---\n") if text.strip())
    assert hosts(parsed(tmp_path, first), "clusters") == [GKE, "onprem-berlin", "onprem-old"]
    inventory = parsed(tmp_path, second)
    assert hosts(inventory, "clusters") == [GKE, "onprem-berlin", "prod-paris"]
    assert hosts(inventory, "region_europe_west1") == hosts(inventory, "wave_1") == [GKE]
    assert hosts(inventory, "region_on_premises") == ["onprem-berlin", "prod-paris"]
    assert inventory.hosts[GKE].get_vars()["cluster_provider"] == "existing"


def test_a_name_is_never_a_template(tmp_path: Path) -> None:
    from ansible.template import Templar, is_trusted_as_template

    kubeconfig(tmp_path / "k", "{{ lookup('pipe', 'id') }}")
    inventory = parsed(tmp_path, kubeconfigs=["k"], compose={"again": "context"})
    variables = next(iter(inventory.hosts.values())).get_vars()
    for name in ("context", "again", "kubeconfig"):
        assert not is_trusted_as_template(variables[name])
    assert Templar(DataLoader(), variables).template(variables["context"]) == "{{ lookup('pipe', 'id') }}"


@pytest.mark.parametrize("name", ["fleet.yml", "kubeconfig", "fleet.kubeconfig", "fleet.kubeconfig.json"])
def test_other_files_are_not_the_plugins(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_text(f"plugin: {PLUGIN}\n")
    assert not made().verify_file(str(tmp_path / name))


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"kubeconfigs": ["none"]}, "cannot be read: No such file"),
        ({"kubeconfigs": ["none/*"]}, "no file matches none/*"),
        ({"kubeconfigs": ["broken"]}, r"is not a kubeconfig \(AttributeError\)"),
        ({"kubeconfigs": ["one", "two"]}, "The context a is in .*one and in .*two; rename one"),
        ({"kubeconfigs": ["one"], "include": ["("]}, "include: '\\(' is not a regular expression"),
        ({"kubeconfigs": ["one"], "strict": True, "compose": {"x": "nothing"}}, "nothing"),
    ],
)
def test_what_is_wrong_is_said(tmp_path: Path, options: Object, said: str) -> None:
    kubeconfig(tmp_path / "one", "a")
    kubeconfig(tmp_path / "two", "a")
    (tmp_path / "broken").write_text("a-secret")
    with pytest.raises(AnsibleError, match=said) as raised:
        parsed(tmp_path, **options)
    assert "a-secret" not in str(raised.value)
