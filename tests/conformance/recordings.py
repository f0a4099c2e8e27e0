"""The recordings of a real Kubernetes, read."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

Exchange = dict[str, Any]

#: Where the recordings are: CONVOY_GOLDEN, else beside the checkout.
GOLDEN = Path(os.environ.get("CONVOY_GOLDEN") or Path(__file__).resolve().parents[3] / "shared" / "golden")


def available() -> bool:
    """Whether the recordings are at hand."""
    return GOLDEN.is_dir()


def read(name: str) -> list[Exchange]:
    """The lines of one recording (`lab.http`, `faults.timeline` ...)."""
    return [json.loads(line) for line in (GOLDEN / f"{name}.jsonl").read_text().splitlines()]
