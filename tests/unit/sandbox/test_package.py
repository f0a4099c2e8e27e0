"""The sandbox as a package of its own, and what it says of itself."""

from __future__ import annotations

import ast
import os
import re
import subprocess
import sys
import zipfile
from importlib import metadata
from pathlib import Path

import pytest
import yaml
from ansible_collections.convoy.rollout.plugins.module_utils._strategy import _clusters
from packaging.requirements import Requirement

ROOT = Path(__file__).resolve().parents[3]
SANDBOX = ROOT / "sandbox"


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What `pip install ./sandbox` installs."""
    folder = tmp_path_factory.mktemp("wheel")
    # From a copy: building leaves folders behind. Without isolation: that asks PyPI.
    subprocess.run(["cp", "-r", SANDBOX, folder / "source"], check=True)
    build = ["wheel", "--no-deps", "--no-build-isolation", "--wheel-dir", folder, folder / "source"]
    done = subprocess.run([sys.executable, "-m", "pip", *build], text=True, capture_output=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    (built,) = folder.glob("convoy_sandbox-*.whl")
    return built


def test_a_sandbox_starts_from_what_is_installed(wheel: Path, tmp_path: Path) -> None:
    with zipfile.ZipFile(wheel) as opened:
        opened.extractall(tmp_path / "installed")
        assert [name for name in opened.namelist() if name.endswith("licenses/LICENSE")]
    environment = {**os.environ, "PYTHONPATH": str(tmp_path / "installed"), "CONVOY_SANDBOX_DIR": str(tmp_path)}

    def python(*arguments: str) -> str:
        done = subprocess.run(
            [sys.executable, *arguments], cwd=tmp_path, env=environment, text=True, capture_output=True, check=False
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout.strip()

    assert python("-c", "import convoy_sandbox; print(convoy_sandbox.__path__[0])").startswith(str(tmp_path))
    try:
        assert "export KUBECONFIG=" in python("-m", "convoy_sandbox.cli", "up", "--name", "installed")
    finally:
        python("-m", "convoy_sandbox.cli", "down", "--name", "installed")


def test_it_names_every_package_that_it_imports() -> None:
    imported = {
        name.partition(".")[0]
        for path in (SANDBOX / "convoy_sandbox").rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        for name in (
            [alias.name for alias in node.names]
            if isinstance(node, ast.Import)
            else [node.module]
            if isinstance(node, ast.ImportFrom) and node.module and not node.level
            else []
        )
    }
    packages = metadata.packages_distributions()
    needed = {packages[name][0].lower() for name in imported - sys.stdlib_module_names - {"convoy_sandbox", "pytest"}}
    named = {re.match(r"[\w.-]+", each)[0].lower() for each in metadata.requires("convoy-sandbox") or ()}  # type: ignore[index]
    assert needed <= named


def test_collection_and_sandbox_are_of_one_version() -> None:
    collection = yaml.safe_load((ROOT / "galaxy.yml").read_text())["version"]
    assert metadata.version("convoy-sandbox") == collection
    named = Requirement(_clusters.SANDBOX)
    assert (named.name, collection in named.specifier) == ("convoy-sandbox", True)
    assert f"convoy-rollout-{collection}.tar.gz" in (ROOT / "README.md").read_text()
