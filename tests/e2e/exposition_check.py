"""Metrics of one page, read by the official client library, as `name{label="value",…} value` lines.

    curl -s http://127.0.0.1:4040/metrics | python3 exposition_check.py

A page that the library refuses, or one with a family that is told twice, ends with 1.
"""

import json
import sys

from prometheus_client.parser import text_string_to_metric_families


def main():
    seen, samples = set(), []
    for family in text_string_to_metric_families(sys.stdin.read()):
        if family.name in seen:
            sys.exit(f"{family.name} is there twice")
        if not family.documentation or family.type not in ("counter", "gauge", "histogram"):
            sys.exit(f"{family.name} has no help, or an unknown type {family.type}")
        seen.add(family.name)
        samples += [[one.name, one.labels, one.value] for one in family.samples]
    if len({json.dumps([name, labels], sort_keys=True) for name, labels, _ in samples}) \
            != len(samples):
        sys.exit("a sample is there twice")
    json.dump(samples, sys.stdout)


if __name__ == "__main__":
    main()
