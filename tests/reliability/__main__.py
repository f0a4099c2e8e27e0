"""What `make faults` runs: measures the sections of docs/reliability.md and writes it."""

from __future__ import annotations

import argparse
import os
import sys

from reliability import application_faults, frame, gateway_faults, kills, operators, server_faults

SECTIONS = {
    "kills": kills.SECTION,
    "gateway": gateway_faults.SECTION,
    "operators": operators.SECTION,
    "server": server_faults.SECTION,
    "application": application_faults.SECTION,
}


def main() -> int:
    """Measure, write the page, and say what was not as it should be."""
    parser = argparse.ArgumentParser(prog="make faults", description=__doc__)
    parser.add_argument("--section", choices=list(SECTIONS), action="append", help="only this one")
    parser.add_argument("--points", type=int, help="so many cases of each group, evenly spread")
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1)
    asked = parser.parse_args()
    wrong = []
    for name in asked.section or SECTIONS:
        results = frame.measure(name, SECTIONS[name], asked.points, asked.workers)
        wrong += [result for result in results if result["problems"]]
    frame.write_page(SECTIONS)
    for result in wrong:
        print(frame.told(result), file=sys.stderr)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
