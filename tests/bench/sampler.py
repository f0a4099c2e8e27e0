"""How many samples a second version_distribution's own loop takes, without a rate limit: one number."""

from __future__ import annotations

import sys
import time
from pathlib import Path
from urllib.parse import urlsplit

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / ".collections"))

from ansible_collections.convoy.rollout.plugins.module_utils._traffic import Rate, Sample, Target, sample
from ansible_collections.convoy.rollout.plugins.module_utils._versions import reader

SAMPLES = 4000


def main() -> None:
    """Sample the URL that is given."""
    url = urlsplit(sys.argv[1])
    target = Target(url.hostname or "", url.port or 80, url.path)
    read = reader({"json_pointer": "/version"})
    taken: list[Sample] = []

    def take(one: Sample) -> bool:
        taken.append(one)
        return True

    start = time.perf_counter()
    sample(target, read, take, concurrency=16, timeout=5, rate=Rate(0), most=SAMPLES)
    seconds = time.perf_counter() - start
    lost = sum(1 for one in taken if one.error)
    if lost:
        sys.exit(f"{lost} of {SAMPLES} samples failed")
    print(SAMPLES / seconds)


if __name__ == "__main__":
    main()
