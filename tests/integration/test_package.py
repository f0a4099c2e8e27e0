"""The collection as it is built, and installed from what was built."""

from __future__ import annotations

import json
import os
import posixpath
import re
import subprocess
import sys
import tarfile
from pathlib import Path, PurePosixPath

import pytest
from integration.playbooks import QUICK, ROOT, Lab

PROGRAMS = Path(sys.executable).parent
#: What Ansible and Galaxy look for, and what a person who has installed it reads.
HELD = {"CHANGELOG.rst", "CONTRIBUTING.md", "FILES.json", "LICENSE", "MANIFEST.json", "README.md", "SECURITY.md"} | {
    *("changelogs", "docs", "inventories", "meta", "playbooks", "plugins", "requirements.yml", "roles"),
}


def ran(*command: str | Path, cwd: Path, **environment: str) -> str:
    """What a program of this Python's environment prints. Raises CalledProcessError."""
    kept = {key: value for key, value in os.environ.items() if not key.startswith(("ANSIBLE_", "K8S_AUTH_"))}
    done = subprocess.run(
        [PROGRAMS / command[0], *command[1:]],
        cwd=cwd,
        env=kept | environment,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        check=False,
    )
    assert done.returncode == 0, done.stdout
    return done.stdout


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The archive that Galaxy would get."""
    folder = tmp_path_factory.mktemp("built")
    ran("ansible-galaxy", "collection", "build", "--output-path", folder, cwd=ROOT)
    (archive,) = folder.glob("convoy-rollout-*.tar.gz")
    return archive


@pytest.fixture(scope="module")
def collections(built: Path) -> Path:
    """A folder of collections in which only this one is."""
    folder = built.parent
    ran("ansible-galaxy", "collection", "install", built, "--no-deps", "--collections-path", folder, cwd=folder)
    return folder


def files(archive: Path) -> dict[str, str]:
    """The texts of an archive's files, by name."""
    with tarfile.open(archive) as opened:
        read = {item.name: opened.extractfile(item) for item in opened if item.isfile()}
        return {name: file.read().decode() for name, file in read.items() if file}


def test_the_archive_holds_what_it_should_and_nothing_else(built: Path) -> None:
    held = files(built)
    assert {name.partition("/")[0] for name in held} == HELD
    assert [name for name in held if "/." in f"/{name}" or "__pycache__" in name] == []


def test_the_links_of_its_pages_lead_somewhere(built: Path) -> None:
    held = files(built)
    folders = {str(folder) for name in held for folder in PurePosixPath(name).parents}
    dead = [
        f"{page}: {link}"
        for page, text in held.items()
        if page.endswith(".md")
        for link in re.findall(r"\]\(([^)\s]+)\)", text)
        if not link.startswith(("https://", "#"))
        and posixpath.normpath(posixpath.join(posixpath.dirname(page), link.partition("#")[0])) not in {*held, *folders}
    ]
    assert dead == []


#: Galaxy's importer, which would start ansible-doc for nine kinds of plugins more, of which there is none.
IMPORTER = """
import sys
from galaxy_importer import constants, main
known, folder = constants.ANSIBLE_DOC_SUPPORTED_TYPES, constants.ANSIBLE_DOC_PLUGIN_MAP
known[:] = [kind for kind in known if folder.get(kind, kind) in sys.argv[2:]]
sys.exit(main.main(sys.argv[1:2]))
"""


def test_galaxy_takes_it(built: Path) -> None:
    linted = {"GALAXY_IMPORTER_RUN_ANSIBLE_LINT": "false"}  # by `make lint`
    kinds = {name.split("/")[1] for name in files(built) if name.startswith("plugins/")}
    said = ran("python", "-c", IMPORTER, built, *sorted(kinds), cwd=built.parent, **linted)
    assert "Importer processing completed successfully" in said
    assert "ERROR" not in said
    assert "role metadata" not in said, said


def test_its_inventories_are_those_of_the_checkout_and_describe_applications(collections: Path) -> None:
    installed = collections / "ansible_collections/convoy/rollout"
    there, here = (
        {path.relative_to(root): path.read_bytes() for path in (root / "inventories").rglob("*") if path.is_file()}
        for root in (installed, ROOT)
    )
    assert there == here
    # Of the others tests/unit/plugins/inventory/test_inventories.py shows it in the checkout.
    listed = ran("ansible-inventory", "-i", installed / "inventories/hybrid", "--list", cwd=collections)
    for own in json.loads(listed)["_meta"]["hostvars"].values():
        assert own["application"] in own["applications"]
    play = ("ansible-playbook", "convoy.rollout.fleet", "-i", installed / "inventories/hybrid", "--list-tasks")
    assert "and plan the waves" in ran(*play, cwd=collections, ANSIBLE_COLLECTIONS_PATH=str(collections))


def test_it_rolls_out_from_where_it_is_installed(collections: Path, lab: Lab) -> None:
    inventory = collections / "ansible_collections/convoy/rollout/inventories/sandbox"
    variables = {"kubeconfig": lab.kubeconfig, "application_namespace": lab.namespace, "version": "2.0.0", **QUICK}
    play = ("ansible-playbook", "convoy.rollout.bluegreen", "-i", inventory, "--extra-vars", json.dumps(variables))
    said = ran(*play, cwd=collections, ANSIBLE_COLLECTIONS_PATH=str(collections))
    assert "now receives all traffic" in said
    assert set(lab.versions()) == {"2.0.0"}
