"""The recordings of a real Kubernetes, read; `reduce.py` makes them."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

Exchange = dict[str, Any]

_FOLDER = Path(__file__).with_name("recordings")


def read(name: str) -> list[Exchange]:
    """The lines of one recording (`lab.http`, `faults.timeline` ...)."""
    return [json.loads(line) for line in gzip.decompress((_FOLDER / f"{name}.jsonl.gz").read_bytes()).splitlines()]
