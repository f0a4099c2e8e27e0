"""How many samples a second version_distribution takes and judges without a rate limit.

Prints two numbers: samples per second, and samples per second of this process's CPU time. Given are a URL, and how many
samples are made.
"""

from __future__ import annotations

import resource
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / ".collections"))

from ansible_collections.convoy.rollout.plugins.module_utils._failure import Task
from ansible_collections.convoy.rollout.plugins.module_utils._operations import _version_distribution

#: So many as are asked for, as in a role: one version would be told after 50.
JUDGED = {"expected": {"1.0.0": 1}, "fail_on": "never", "rate_limit": 0}


def cpu() -> float:
    """Seconds of CPU time, of the kernel's too."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def main() -> None:
    """Sample the URL that is given."""
    defaults = {name: option.get("default") for name, option in _version_distribution.ARGUMENTS.items()}
    samples = int(sys.argv[2])
    options = {**defaults, **JUDGED, "samples": samples, "url": sys.argv[1], "target_validate_certs": False}
    start, used = time.perf_counter(), cpu()
    result = _version_distribution.run(options, Task())
    seconds, used = time.perf_counter() - start, cpu() - used
    if result["errors"] or result["samples"] != samples:
        sys.exit(f"The samples went wrong: {result['message']}")
    print(samples / seconds, samples / used)


if __name__ == "__main__":
    main()
