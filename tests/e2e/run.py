"""Runs the end-to-end tests, one after another, and ends with `N passed, N failed, N skipped`.

    python3 tests/e2e/run.py [--binary build/tunnel-uring] [name ...]

A name is a module, class or test, or a part of its name. $TUNNEL_URING_E2E_BYTES (default 10^9)
scales transfers, $TUNNEL_URING_E2E_PATIENCE (default 1) stretches every deadline. With
$TUNNEL_URING_E2E_DIRECT=1 visitors of HTTP meet the upstream itself.
"""

import argparse
import faulthandler
import os
import pathlib
import sys
import time
import unittest

HERE = pathlib.Path(__file__).resolve().parent


class Report(unittest.TestResult):
    """One line a test, with its time; what went wrong at once below it."""

    def startTest(self, test):
        super().startTest(test)
        self.began, self.verdict = time.monotonic(), "ok"

    def stopTest(self, test):
        super().stopTest(test)
        took = time.monotonic() - self.began
        print(f"{self.verdict:<7} {took:6.1f} s  {test.id()}", flush=True)

    def _wrong(self, test, text):
        self.verdict = "FAILED"
        print(f"{test.id()}\n{text}", file=sys.stderr, flush=True)

    def addFailure(self, test, err):
        super().addFailure(test, err)
        self._wrong(test, self.failures[-1][1])

    def addError(self, test, err):
        super().addError(test, err)
        self._wrong(test, self.errors[-1][1])

    def addSubTest(self, test, subtest, err):
        super().addSubTest(test, subtest, err)
        if err is not None:
            self._wrong(subtest, (self.failures + self.errors)[-1][1])

    def addSkip(self, test, reason):
        super().addSkip(test, reason)
        self.verdict = f"skipped ({reason})"


def flatten(suite):
    for item in suite:
        if isinstance(item, unittest.TestSuite):
            yield from flatten(item)
        else:
            yield item


def main():
    arguments = argparse.ArgumentParser(description=__doc__,
                                        formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--binary", help="the program under test")
    arguments.add_argument("--limit", type=float, default=480, help="seconds for all (default 480)")
    arguments.add_argument("names", nargs="*")
    chosen = arguments.parse_args()
    if chosen.binary:
        os.environ["TUNNEL_URING_BIN"] = str(pathlib.Path(chosen.binary).resolve())
    sys.path.insert(0, str(HERE))
    import harness
    harness.raise_descriptor_limit()
    faulthandler.dump_traceback_later(chosen.limit * harness.PATIENCE, exit=True)

    tests = [t for t in flatten(unittest.defaultTestLoader.discover(str(HERE)))
             if not chosen.names or any(n in t.id() for n in chosen.names)]
    report, began = Report(), time.monotonic()
    for test in tests:
        test.run(report)
    wrong = {str(getattr(t, "test_case", t)) for t, _ in report.failures + report.errors}
    skipped = len(report.skipped)
    print(f"end-to-end suite: {time.monotonic() - began:.0f} s")
    print(f"{len(tests) - len(wrong) - skipped} passed, {len(wrong)} failed, {skipped} skipped")
    return 1 if wrong or not tests else 0


if __name__ == "__main__":
    sys.exit(main())
