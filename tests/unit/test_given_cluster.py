"""What the integration tests say of a cluster that was given to them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from ansible_collections.convoy.rollout.plugins.module_utils._operations import _cluster_info
from integration import conftest

FINE: dict[str, Any] = {"missing": [], "supported": True, "ready": 1, "message": "Kubernetes v1.36.2, 1 of 1 nodes."}


@pytest.mark.parametrize(
    ("told", "refusal"),
    [
        ({}, ""),
        ({"missing": [{"verb": "create"}]}, "Its user is no administrator"),
        ({"ready": 0}, FINE["message"]),
        ({"ready": None}, FINE["message"]),
        ({"supported": False}, FINE["message"]),
    ],
)
def test_one_that_no_test_can_run_on_is_refused(
    told: dict[str, Any], refusal: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_cluster_info, "run", lambda _options, _task: FINE | told)
    said = conftest.unusable("kubeconfig")
    assert said.startswith(refusal)
    assert bool(said) == bool(refusal)


def test_one_that_is_not_there_is_refused_in_the_roles_words(tmp_path: Path) -> None:
    assert conftest.unusable(str(tmp_path / "none")).startswith(f"The kubeconfig {tmp_path / 'none'} does not exist")


def test_what_was_skipped_is_told_once_a_reason_with_its_files_the_most_frequent_first() -> None:
    image, fleet = "Skipped: its fault is an image", "Skipped: a fleet is many clusters"
    skipped = [
        *[(("conftest.py", 7, image), f"tests/integration/test_{name}.py::test_it") for name in ("b", "a", "a")],
        *[(("test_fleet.py", 9, fleet), f"tests/integration/test_fleet.py::test_{number}") for number in range(12)],
    ]
    assert list(conftest.skips(skipped)) == [
        "SKIPPED  WHY, AND IN WHICH FILES",
        "     12  a fleet is many clusters",
        "           test_fleet.py",
        "      3  its fault is an image",
        "           test_a.py (2), test_b.py (1)",
    ]
    assert list(conftest.skips([])) == []
