"""Counts the test cases of the last `meson test` run and ends with `N passed, N failed, N skipped`.

    python3 tests/tally.py <build directory>

A GoogleTest program counts as its cases; a program whose last line is `N passed, N failed` (`, N
skipped`) as what it says; any other as one. Exits 1 when something failed or nothing ran.
"""

import json
import pathlib
import re
import sys

CASE_END = re.compile(r"^\[ +(OK|FAILED|SKIPPED) +\] \S+( \(\d+ ms\))?$", re.MULTILINE)
CASE_BEGIN = re.compile(r"^\[ RUN      \] ", re.MULTILINE)
OWN_COUNT = re.compile(r"^(\d+) passed, (\d+) failed(?:, (\d+) skipped)?$", re.MULTILINE)


def count(entry):
    """passed, failed, skipped of one meson test."""
    output, good = entry.get("stdout", ""), entry["result"] in ("OK", "SKIP")
    begun = len(CASE_BEGIN.findall(output))
    own = OWN_COUNT.findall(output)
    if begun:
        # The summary at the end repeats failed and skipped names, without a time.
        ends = [verdict for verdict, timed in CASE_END.findall(output) if timed]
        passed, skipped = ends.count("OK"), ends.count("SKIPPED")
        failed = begun - passed - skipped
    elif own:
        passed, failed, skipped = (int(n or 0) for n in own[-1])
    else:
        skipped = int(entry["result"] == "SKIP")
        passed, failed = int(good) - skipped, int(not good)
    return passed, failed if good else max(failed, 1), skipped


def main():
    log = pathlib.Path(sys.argv[1], "meson-logs", "testlog.json")
    totals = [0, 0, 0]
    if log.exists():
        for line in log.read_text(encoding="utf-8").splitlines():
            entry = json.loads(line)
            counts = count(entry)
            totals = [a + b for a, b in zip(totals, counts)]
            print("{:<40} {:>5} passed, {} failed, {} skipped, {:.1f} s".format(
                entry["name"], *counts, entry["duration"]))
    print("{} passed, {} failed, {} skipped".format(*totals))
    return 1 if totals[1] or not totals[0] else 0


if __name__ == "__main__":
    sys.exit(main())
