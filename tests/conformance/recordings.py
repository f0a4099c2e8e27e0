"""The recordings of a real Kubernetes, read."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

Exchange = dict[str, Any]

#: Where the recordings are: CONVOY_GOLDEN, else beside the checkout.
GOLDEN = Path(os.environ.get("CONVOY_GOLDEN") or Path(__file__).resolve().parents[3] / "shared" / "golden")


def require() -> None:
    """Skip the test where the recordings are not at hand; in CI that is a failure."""
    if GOLDEN.is_dir():
        return
    message = f"the recordings are not at {GOLDEN}; say where they are with CONVOY_GOLDEN"
    if os.environ.get("CI"):
        pytest.fail(message)
    pytest.skip(message)


def read(name: str) -> list[Exchange]:
    """The lines of one recording (`lab.http`, `faults.timeline` ...)."""
    return [json.loads(line) for line in (GOLDEN / f"{name}.jsonl").read_text().splitlines()]
